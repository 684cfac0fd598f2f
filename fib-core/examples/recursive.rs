//! `recursive N [CALLS]` prints F(N) by the plain recursion, and the calls it made: a load for one
//! core. With CALLS it is cut into slices of so many calls.

use std::{env, process::ExitCode};

use fib_core::{MAX_N_RECURSIVE, Recursion, cost, recursive};

#[expect(clippy::print_stdout, clippy::print_stderr, reason = "it is a command")]
fn main() -> ExitCode {
    let numbers: Option<Vec<u64>> = env::args().skip(1).map(|word| word.parse().ok()).collect();
    let answer = match numbers.as_deref() {
        Some(&[n]) => recursive(n).map(|value| (n, value)),
        Some(&[n, calls]) if calls > 0 => sliced(n, calls).map(|value| (n, value)),
        _ => None,
    };
    let Some((n, value)) = answer else {
        eprintln!("usage: recursive N [CALLS], with N from 0 to {MAX_N_RECURSIVE}");
        return ExitCode::from(2);
    };
    println!("F({n}) = {value} after {} calls", cost(n).unwrap_or_default());
    ExitCode::SUCCESS
}

fn sliced(n: u64, calls: u64) -> Option<u64> {
    let mut work = Recursion::new(n)?;
    while work.remaining() > 0 {
        work.run(calls);
    }
    work.value()
}
