//! What a worker counts. Memory stays constant however long the load runs.

use std::time::Duration;

use hdrhistogram::Histogram;

use crate::load::{
    Failure, Failures,
    samples::{histogram, nanos},
    timeline::Timeline,
};

/// Three digits: no latency is reported more than 0.1 % off.
const SIGNIFICANT_DIGITS: u8 = 3;

/// The time of a request, in the three ways to look at it. All three are in nanoseconds.
#[derive(Clone, Debug)]
pub struct Latencies {
    /// How late it was sent: from when it was due until before it was written. In a closed loop a
    /// request is due when the answer before it has been read, and thought about.
    pub lag: Histogram<u64>,
    /// From before it was written until after its reply was read.
    pub service: Histogram<u64>,
    /// What a user feels: the sum of both.
    pub response: Histogram<u64>,
    /// Of requests without an answer: how long after they were due they were given up. Their
    /// response took longer than that.
    pub censored: Histogram<u64>,
}

impl Latencies {
    /// Without any samples.
    #[must_use]
    pub fn new() -> Self {
        let empty = histogram(SIGNIFICANT_DIGITS);
        Self {
            lag: empty.clone(),
            service: empty.clone(),
            response: empty.clone(),
            censored: empty,
        }
    }

    /// So many requests that took equally long.
    pub(super) fn record(&mut self, lag: Duration, service: Duration, count: u64) {
        self.lag.saturating_record_n(nanos(lag).max(1), count);
        self.service.saturating_record_n(nanos(service), count);
        self.response.saturating_record_n(nanos(lag + service), count);
    }

    /// The samples of others, too.
    pub(crate) fn add(&mut self, other: &Self) {
        let pairs = [
            (&mut self.lag, &other.lag),
            (&mut self.service, &other.service),
            (&mut self.response, &other.response),
            (&mut self.censored, &other.censored),
        ];
        for (mine, theirs) in pairs {
            mine.add(theirs).expect("all latencies fit these bounds");
        }
    }
}

impl Default for Latencies {
    fn default() -> Self {
        Self::new()
    }
}

/// Replies, failures and latencies of the requests that were due while the load was measured.
#[derive(Clone, Debug)]
pub struct Tally {
    /// Of each class of the mix, its right replies' latencies.
    pub classes: Vec<Latencies>,
    /// What went wrong.
    pub failures: Failures,
    /// What happened when.
    pub timeline: Timeline,
    /// Requests that were sent.
    pub sent: u64,
    /// Right replies that came before the load ended, and not in the drain after it.
    pub in_time: u64,
    /// Requests of the warm-up: they are in no other number.
    pub warm_up: u64,
    /// How many connections got at least one right reply.
    pub served_connections: usize,
    /// How many connections were opened again after a failure.
    pub reconnects: u64,
    /// How many connections were opened again because they had had their share of requests.
    pub renewals: u64,
    /// Requests that had no reply yet when the drain ended.
    pub in_flight_at_end: u64,
    /// Requests that were due before the load ended, and never sent.
    pub unsent_at_end: u64,
    /// How long connecting took, in nanoseconds.
    pub connecting: Histogram<u64>,
}

impl Tally {
    pub(super) fn new(classes: usize, window: Duration) -> Self {
        Self {
            classes: vec![Latencies::new(); classes],
            failures: Failures::default(),
            timeline: Timeline::new(window),
            sent: 0,
            in_time: 0,
            warm_up: 0,
            served_connections: 0,
            reconnects: 0,
            renewals: 0,
            in_flight_at_end: 0,
            unsent_at_end: 0,
            connecting: histogram(SIGNIFICANT_DIGITS),
        }
    }

    /// How many right replies came.
    #[must_use]
    pub fn replies(&self) -> u64 {
        self.classes.iter().map(|class| class.response.len()).sum()
    }

    /// How many replies were wrong.
    #[must_use]
    pub fn wrong_answers(&self) -> u64 {
        let wrong = |(failure, count, _): (Failure, u64, &str)| {
            if failure.is_wrong_answer() { count } else { 0 }
        };
        self.failures.iter().map(wrong).sum()
    }

    pub(super) fn add(&mut self, other: &Self) {
        for (mine, theirs) in self.classes.iter_mut().zip(&other.classes) {
            mine.add(theirs);
        }
        self.failures.add(&other.failures);
        self.timeline.add(&other.timeline);
        self.sent += other.sent;
        self.in_time += other.in_time;
        self.warm_up += other.warm_up;
        self.served_connections += other.served_connections;
        self.reconnects += other.reconnects;
        self.renewals += other.renewals;
        self.in_flight_at_end += other.in_flight_at_end;
        self.unsent_at_end += other.unsent_at_end;
        self.connecting.add(&other.connecting).expect("the bounds are the same");
    }
}
