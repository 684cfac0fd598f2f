//! The result of one load as a document: what `--json` writes and other tools read.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use crate::load::{Outcome, Plan};

/// Grows when a field changes its meaning or goes away.
pub const SCHEMA_VERSION: u32 = 1;

/// A percentile needs this many samples beyond it to say something.
const SAMPLES_BEYOND: f64 = 10.0;

/// The result of one load. Durations are in the unit that their name ends with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// [`SCHEMA_VERSION`] of the program that wrote it.
    pub schema_version: u32,
    /// The server, as it was addressed.
    pub server: String,
    /// How requests were framed.
    pub dialect: String,
    /// The connections, and how they fared.
    pub connections: Connections,
    /// Requests under way on each connection.
    pub depth: usize,
    /// Threads of the client.
    pub threads: usize,
    /// From the first request to the end.
    pub elapsed_s: f64,
    /// Right replies.
    pub replies: u64,
    /// Right replies per second.
    pub rate_per_s: f64,
    /// Replies that were no answer, or not the right one.
    pub wrong_answers: u64,
    /// Requests without a reply when the load ended. They are in none of the latencies.
    pub in_flight_at_end: usize,
    /// Latency of all right replies, from before the request is written until after the reply is
    /// read.
    pub latency: Latency,
    /// The same for each number asked for.
    pub classes: Vec<ClassReport>,
    /// What went wrong, by kind.
    pub failures: Vec<FailureReport>,
    /// CPU time that the client spent on each reply, right or wrong, in all its threads.
    pub client_cpu_us_per_reply: Option<f64>,
}

/// How the connections of a load fared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Connections {
    /// How many were kept open.
    pub open: usize,
    /// How many of them got at least one right reply.
    pub served: usize,
    /// How often one was opened again after a failure.
    pub reconnects: u64,
}

/// The latencies of some replies. A percentile with fewer than ten samples beyond it is absent.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    /// The shortest.
    pub min_ns: Option<u64>,
    /// The mean.
    pub mean_ns: Option<f64>,
    /// The median.
    pub p50_ns: Option<u64>,
    /// The 90th percentile.
    pub p90_ns: Option<u64>,
    /// The 99th percentile.
    pub p99_ns: Option<u64>,
    /// The 99.9th percentile.
    pub p99_9_ns: Option<u64>,
    /// The longest.
    pub max_ns: Option<u64>,
}

/// Requests for one number.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClassReport {
    /// The number asked for.
    pub n: u64,
    /// Right replies.
    pub replies: u64,
    /// Their latency.
    pub latency: Latency,
}

/// One kind of failure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailureReport {
    /// Its name, as [`Failure::name`](crate::load::Failure::name) gives it.
    pub kind: String,
    /// How often it happened.
    pub count: u64,
    /// The first one, in words.
    pub first: String,
}

impl Report {
    /// What this outcome of this plan says.
    #[must_use]
    pub fn new(plan: &Plan, outcome: &Outcome) -> Self {
        let tally = &outcome.tally;
        let replies = tally.replies();
        let answered = replies + tally.wrong_answers();
        let classes = plan.mix.classes().iter().zip(&tally.latencies);
        Self {
            schema_version: SCHEMA_VERSION,
            server: plan.address.to_string(),
            dialect: plan.dialect.to_string(),
            connections: Connections {
                open: plan.connections.get(),
                served: tally.served_connections,
                reconnects: tally.reconnects,
            },
            depth: plan.depth.get(),
            threads: plan.threads.min(plan.connections).get(),
            elapsed_s: outcome.elapsed.as_secs_f64(),
            replies,
            rate_per_s: ratio(replies, outcome.elapsed),
            wrong_answers: tally.wrong_answers(),
            in_flight_at_end: tally.in_flight_at_end,
            latency: Latency::of(&sum(&tally.latencies)),
            classes: classes
                .map(|(class, latencies)| ClassReport {
                    n: class.n,
                    replies: latencies.len(),
                    latency: Latency::of(latencies),
                })
                .collect(),
            failures: tally
                .failures
                .iter()
                .map(|(failure, count, first)| FailureReport {
                    kind: failure.name().to_owned(),
                    count,
                    first: first.to_owned(),
                })
                .collect(),
            client_cpu_us_per_reply: (answered > 0).then(|| 1e6 / ratio(answered, outcome.cpu)),
        }
    }
}

impl Latency {
    fn of(histogram: &Histogram<u64>) -> Self {
        let any = !histogram.is_empty();
        let percentile = |percent: f64| {
            let beyond = to_f64(histogram.len()) * (1.0 - percent / 100.0);
            // Percentages are not exact in binary: 1000 samples must be enough for the 99th.
            (beyond + 1e-6 >= SAMPLES_BEYOND).then(|| histogram.value_at_percentile(percent))
        };
        Self {
            min_ns: any.then(|| histogram.min()),
            mean_ns: any.then(|| histogram.mean()),
            p50_ns: percentile(50.0),
            p90_ns: percentile(90.0),
            p99_ns: percentile(99.0),
            p99_9_ns: percentile(99.9),
            max_ns: any.then(|| histogram.max()),
        }
    }
}

fn sum(histograms: &[Histogram<u64>]) -> Histogram<u64> {
    let mut sum = Histogram::new_from(&histograms[0]);
    for histogram in histograms {
        sum.add(histogram).expect("all histograms have the same bounds");
    }
    sum
}

fn ratio(count: u64, per: Duration) -> f64 {
    if per.is_zero() { 0.0 } else { to_f64(count) / per.as_secs_f64() }
}

#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
fn to_f64(count: u64) -> f64 {
    count as f64
}
