//! What one load found: the numbers of its report that a bench keeps.

use fib_client::report::{Encoded, FailureReport, Latency, Report, Verdict};
use serde::{Deserialize, Serialize};

use crate::{server::Usage, tools::to_f64};

/// What one load found, and what it cost the server.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Found {
    /// How many connections were kept open, and how many of them got a right reply.
    pub(super) connections: usize,
    pub(super) served: usize,
    pub(super) elapsed_s: f64,
    /// Right replies, also to those that came after the end.
    pub(super) replies: u64,
    /// Right replies per second, of those that came before the end.
    pub(super) rate_per_s: f64,
    /// Requests that were due per second, in an open loop.
    pub(super) offered_per_s: Option<f64>,
    /// Requests that were due and had no reply at the end, sent or not.
    pub(super) unanswered: u64,
    /// From when a request was due until its reply was read.
    pub(super) response: Latency,
    pub(super) classes: Vec<ClassFound>,
    pub(super) failures: Vec<FailureReport>,
    /// What the client thinks of its own numbers.
    pub(super) verdict: Verdict,
    /// All response times, where a picture needs them.
    pub(super) samples: Option<Encoded>,
    /// CPU time of the server's whole process tree while the load's step lasted.
    pub(super) server_cpu_s: f64,
    /// Memory of the server's whole process tree at the end of the load's step.
    pub(super) server_rss_bytes: u64,
}

/// Requests for one number.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct ClassFound {
    pub(super) n: u64,
    pub(super) replies: u64,
    pub(super) mean_ns: Option<f64>,
}

impl Found {
    /// What a report says; the samples only where they are wanted, and of one class.
    pub(super) fn of(report: Report, keeps_samples: bool) -> Self {
        let samples = match report.classes.as_slice() {
            [class] if keeps_samples => class.histograms.as_ref().map(|it| it.response.clone()),
            _ => None,
        };
        let class = |it: &fib_client::report::ClassReport| ClassFound {
            n: it.n,
            replies: it.replies,
            mean_ns: it.latency.response.mean_ns,
        };
        Self {
            connections: report.connections.open,
            served: report.connections.served,
            elapsed_s: report.elapsed_s,
            replies: report.replies,
            rate_per_s: report.rate_per_s,
            offered_per_s: report.offered_per_s,
            unanswered: report.in_flight_at_end + report.unsent_at_end,
            response: report.latency.response,
            classes: report.classes.iter().map(class).collect(),
            failures: report.failures,
            verdict: report.grade.verdict,
            samples,
            server_cpu_s: 0.0,
            server_rss_bytes: 0,
        }
    }

    /// The same, with what the server had used before the load's step, and after it.
    pub(super) fn at_the_cost_of(mut self, before: Usage, after: Usage) -> Self {
        self.server_cpu_s = after.cpu.saturating_sub(before.cpu).as_secs_f64();
        self.server_rss_bytes = after.rss_bytes;
        self
    }

    /// CPU time of the server for each reply, in microseconds.
    pub(super) fn cpu_us_per_reply(&self) -> Option<f64> {
        (self.replies > 0).then(|| self.server_cpu_s * 1e6 / to_f64(self.replies))
    }
}
