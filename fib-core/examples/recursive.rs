//! `recursive N` prints F(N) by the plain recursion, and the calls it made: a load for one core.

use std::{env, process::ExitCode};

#[expect(clippy::print_stdout, clippy::print_stderr, reason = "it is a command")]
fn main() -> ExitCode {
    let n = env::args().nth(1).and_then(|word| word.parse().ok());
    let answer = n.and_then(|n| Some((n, fib_core::recursive(n)?, fib_core::cost(n)?)));
    let Some((n, value, calls)) = answer else {
        eprintln!("usage: recursive N, with N from 0 to {}", fib_core::MAX_N_RECURSIVE);
        return ExitCode::from(2);
    };
    println!("F({n}) = {value} after {calls} calls");
    ExitCode::SUCCESS
}
