//! What an answer costs without any server: the part of a response that no server can save.

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use fib_core::{exact, recursive};

/// How a server computes F(n).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Workload {
    /// By fast doubling.
    Doubling,
    /// By really making all calls of the recursive definition.
    Recursive,
}

/// How long to try.
const EFFORT: Duration = Duration::from_millis(200);

/// Calls that are measured together, where one is shorter than reading the clock.
const BATCH: u32 = 64;

/// The median time of computing F(n) here, in nanoseconds; `None` if n is too large for that.
#[must_use]
pub fn local_cost(n: u64, workload: Workload) -> Option<f64> {
    let compute = || match workload {
        Workload::Doubling => Some(black_box(exact(black_box(n)).as_str().len() as u64)),
        Workload::Recursive => black_box(recursive(black_box(n))),
    };
    let begin = Instant::now();
    compute()?;
    let batch = if begin.elapsed() > EFFORT / 100 { 1 } else { BATCH };
    let mut times = Vec::new();
    while times.is_empty() || (begin.elapsed() < EFFORT && times.len() < 1_000) {
        let before = Instant::now();
        for _ in 0..batch {
            compute();
        }
        times.push(before.elapsed().as_secs_f64() * 1e9 / f64::from(batch));
    }
    times.sort_by(f64::total_cmp);
    Some(times[times.len() / 2])
}
