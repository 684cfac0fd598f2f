//! `exact N [COUNT]` computes F(N) in decimal, and prints how long it took on one thread, and how
//! many digits there are; with COUNT so many times. `exact N COUNT threads` does it with several.
//! It fails if they are not those of F(N).

use std::{env, hint::black_box, process::ExitCode, time::Instant};

use fib_core::Decimal;

#[expect(clippy::print_stdout, clippy::print_stderr, reason = "it is a command")]
fn main() -> ExitCode {
    let words: Vec<String> = env::args().skip(1).collect();
    let number = |at: usize| words.get(at).and_then(|word| word.parse::<u32>().ok());
    let compute = if words.len() == 3 { fib_core::par_exact } else { fib_core::exact };
    let (Some(n), count) = (number(0), number(1).unwrap_or(1).max(1)) else {
        eprintln!("usage: exact N [COUNT [threads]]");
        return ExitCode::from(2);
    };
    let begin = Instant::now();
    for _ in 1..count {
        black_box(compute(black_box(n.into())));
    }
    let digits = compute(black_box(n.into()));
    let nanos = begin.elapsed().as_secs_f64() * 1e9 / f64::from(count);
    println!("{nanos:.1} ns, {} digits", digits.len());
    match Decimal::verified(n.into(), digits.into()) {
        Some(_) => ExitCode::SUCCESS,
        None => ExitCode::FAILURE,
    }
}
