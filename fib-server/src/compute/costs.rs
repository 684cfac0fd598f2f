//! What a request costs, known before it is computed.
//!
//! The unit of all work is a call of the recursion: its number is exact, and the machine's speed
//! turns it into time. Fast doubling has no such count; its cost is the number of calls that would
//! take as long, by a power law through one measured point.

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use fib_core::{MAX_N_RECURSIVE, cost, exact, recursive};

use crate::compute::Algorithm;

/// What is computed where it was read: less than handing it to another thread and back.
const CHEAP: Duration = Duration::from_micros(20);

/// The best of so many measurements is the one that nothing disturbed.
const MEASUREMENTS: usize = 5;

/// Calibrates in about 30 µs: long enough for the clock, short enough for a start.
const CALIBRATION_N: u64 = 24;

/// How the time of fast doubling and of the conversion to decimal grows with n. Measured: F(10⁷)
/// takes 24 times as long as F(10⁶), and that 41 ms; between them and 20 µs it fits 1.4.
const DOUBLING_EXPONENT: f64 = 1.4;

/// The prices of an algorithm on this machine.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Costs {
    algorithm: Algorithm,
    calls_per_second: f64,
    /// The largest n that is cheap.
    cheap_n: u64,
    /// What that one takes.
    cheap_time: Duration,
}

impl Costs {
    /// Measures this machine, in under a millisecond.
    pub(crate) fn calibrate(algorithm: Algorithm) -> Self {
        let calls = to_f64(cost(CALIBRATION_N).unwrap_or(1));
        let time = best_time(|| recursive(black_box(CALIBRATION_N)));
        let mut costs = Self {
            algorithm,
            calls_per_second: calls / time.as_secs_f64(),
            cheap_n: 0,
            cheap_time: CHEAP,
        };
        (costs.cheap_n, costs.cheap_time) = match algorithm {
            Algorithm::Recursive => costs.largest_cheap_recursion(),
            Algorithm::Doubling => largest_cheap_doubling(),
        };
        costs
    }

    /// Whether F(n) is computed faster than it is handed to somebody else.
    pub(crate) const fn is_cheap(&self, n: u64) -> bool {
        n <= self.cheap_n
    }

    /// What F(n) costs, in calls.
    pub(crate) fn calls(&self, n: u64) -> u64 {
        match self.algorithm {
            Algorithm::Recursive => cost(n).unwrap_or(u64::MAX),
            Algorithm::Doubling => {
                let ratio = to_f64(n) / to_f64(self.cheap_n.max(1));
                self.calls_in(self.cheap_time.mul_f64(ratio.powf(DOUBLING_EXPONENT).min(1e9)))
            }
        }
    }

    /// How many calls the undisturbed machine makes in that time.
    pub(crate) fn calls_in(&self, time: Duration) -> u64 {
        to_u64(self.calls_per_second * time.as_secs_f64())
    }

    /// What one undisturbed core makes.
    pub(crate) const fn calls_per_second(&self) -> f64 {
        self.calls_per_second
    }

    /// How long the undisturbed machine needs for F(n).
    pub(crate) fn time(&self, n: u64) -> Duration {
        let seconds = to_f64(self.calls(n)) / self.calls_per_second;
        Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
    }

    fn largest_cheap_recursion(&self) -> (u64, Duration) {
        let limit = self.calls_in(CHEAP);
        let n = (0..=MAX_N_RECURSIVE).take_while(|&n| cost(n).is_some_and(|it| it <= limit)).last();
        (n.unwrap_or(0), CHEAP)
    }
}

fn largest_cheap_doubling() -> (u64, Duration) {
    let timed = |n: u64| (n, best_time(|| exact(black_box(n))));
    let sizes = std::iter::successors(Some(128), |n| Some(n * 2)).map(timed);
    sizes.take_while(|(_, time)| *time <= CHEAP).last().unwrap_or((128, CHEAP))
}

fn best_time<T>(run: impl Fn() -> T) -> Duration {
    let times = (0..MEASUREMENTS).map(|_| {
        let begin = Instant::now();
        black_box(run());
        begin.elapsed()
    });
    times.min().unwrap_or_default().max(Duration::from_nanos(1))
}

#[expect(clippy::cast_precision_loss, reason = "a prediction needs no more than 53 bits")]
pub(super) const fn to_f64(count: u64) -> f64 {
    count as f64
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "it saturates, and nothing here is negative"
)]
const fn to_u64(count: f64) -> u64 {
    count as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recursion_is_priced_to_the_call() {
        let costs = Costs::calibrate(Algorithm::Recursive);
        assert_eq!(costs.calls(40), 204_668_309);
        assert!(costs.is_cheap(1) && !costs.is_cheap(45), "{costs:?}");
        assert_eq!(costs.calls_in(costs.time(40)).abs_diff(costs.calls(40)) / 1_000, 0);
    }

    #[test]
    fn doubling_is_priced_by_its_size() {
        let costs = Costs::calibrate(Algorithm::Doubling);
        assert!(costs.is_cheap(93) && !costs.is_cheap(10_000_000), "{costs:?}");
        let ratio = to_f64(costs.calls(10_000_000)) / to_f64(costs.calls(1_000_000));
        assert!((25.0..26.0).contains(&ratio), "{ratio}");
    }
}
