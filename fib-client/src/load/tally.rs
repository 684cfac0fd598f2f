//! What a worker counts. Memory stays constant however long the load runs.

use std::time::Duration;

use hdrhistogram::Histogram;

use crate::load::{Failure, Failures};

/// Latencies from a nanosecond to an hour; longer ones count as an hour.
const LATENCY_MAX: Duration = Duration::from_hours(1);

/// Three digits: no latency is reported more than 0.1 % off.
const SIGNIFICANT_DIGITS: u8 = 3;

/// Replies, failures and latencies.
#[derive(Clone, Debug)]
pub struct Tally {
    /// Latencies of right replies in nanoseconds, for each class of the mix.
    pub latencies: Vec<Histogram<u64>>,
    /// What went wrong.
    pub failures: Failures,
    /// How many connections got at least one right reply.
    pub served_connections: usize,
    /// How many connections were opened again after a failure.
    pub reconnects: u64,
    /// Requests that had no reply yet when the load ended.
    pub in_flight_at_end: usize,
}

impl Tally {
    pub(super) fn new(classes: usize) -> Self {
        let nanos = u64::try_from(LATENCY_MAX.as_nanos()).expect("an hour fits");
        let histogram = Histogram::new_with_bounds(1, nanos, SIGNIFICANT_DIGITS)
            .expect("the bounds are in order");
        Self {
            latencies: vec![histogram; classes],
            failures: Failures::default(),
            served_connections: 0,
            reconnects: 0,
            in_flight_at_end: 0,
        }
    }

    /// How many right replies came.
    #[must_use]
    pub fn replies(&self) -> u64 {
        self.latencies.iter().map(Histogram::len).sum()
    }

    /// How many replies were wrong.
    #[must_use]
    pub fn wrong_answers(&self) -> u64 {
        let wrong = |(failure, count, _): (Failure, u64, &str)| {
            if failure.is_wrong_answer() { count } else { 0 }
        };
        self.failures.iter().map(wrong).sum()
    }

    /// So many replies of a class that took equally long.
    pub(super) fn record(&mut self, class: usize, latency: Duration, count: u64) {
        let nanos = u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX);
        self.latencies[class].saturating_record_n(nanos, count);
    }

    pub(super) fn add(&mut self, other: &Self) {
        for (mine, theirs) in self.latencies.iter_mut().zip(&other.latencies) {
            mine.add(theirs).expect("all histograms have the same bounds");
        }
        self.failures.add(&other.failures);
        self.served_connections += other.served_connections;
        self.reconnects += other.reconnects;
        self.in_flight_at_end += other.in_flight_at_end;
    }
}
