//! Whether a report's own numbers fit together.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::report::{LoopKind, Report, to_f64};

/// Rate times latency and what was seen under way may differ by this share.
const TOLERANCE: f64 = 0.1;

/// Little's law: requests under way = rate × time of a request. Both sides are counted apart, so a
/// difference means that something is not what it seems.
/// J. D. C. Little, "A Proof for the Queuing Formula L = λW", Operations Research 9 (1961).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Audit {
    /// Requests under way: the mean over time.
    pub in_flight: f64,
    /// Rate × mean service time.
    pub rate_times_service: f64,
    /// How many there should have been, in a closed loop that does not think.
    pub planned: Option<f64>,
    /// Whether they fit.
    pub holds: bool,
    /// What it means, if they do not.
    pub likely_cause: Option<String>,
}

impl Audit {
    /// Of a report that has a timeline; `None` if too little happened.
    #[must_use]
    pub fn of(report: &Report) -> Option<Self> {
        let windows = report.timeline.windows.iter();
        let in_flight_ns: u64 = windows.map(|window| window.in_flight_ns).sum();
        let service_s = report.latency.service.mean_ns? / 1e9;
        if report.replies < 100 {
            return None;
        }
        let in_flight = to_f64(in_flight_ns) / 1e9 / report.elapsed_s;
        let rate_times_service = report.rate_per_s * service_s;
        let does_not_think = report.setup.think_s == 0.0;
        let is_closed = report.setup.loop_kind == LoopKind::Closed && does_not_think;
        let planned = to_f64((report.connections.open * report.setup.depth) as u64);
        let planned = is_closed.then_some(planned);
        let expected = planned.unwrap_or(in_flight);
        let near = |a: f64, b: f64| (a - b).abs() <= TOLERANCE * a.max(b) + 0.5;
        let holds = near(in_flight, rate_times_service) && near(expected, rate_times_service);
        let likely_cause = (!holds).then(|| cause(report, in_flight, rate_times_service, expected));
        Some(Self { in_flight, rate_times_service, planned, holds, likely_cause })
    }
}

fn cause(report: &Report, in_flight: f64, rate_times_service: f64, expected: f64) -> String {
    let is_lost = report.errors > 0 || report.connections.served < report.connections.open;
    if is_lost && rate_times_service < expected {
        "requests were under way that were never answered".to_owned()
    } else if rate_times_service < in_flight {
        "many requests were still under way at the end".to_owned()
    } else if in_flight < expected {
        "the client did not keep as many requests under way as it should".to_owned()
    } else {
        "the load was not steady".to_owned()
    }
}
