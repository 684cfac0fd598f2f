//! What a load's outcome says: as a document for programs, and in words for people.

mod audit;
mod compare;
mod document;
mod encoded;
mod environment;
mod export;
mod grade;
mod html;
mod interference;
mod latency;
mod merge;
mod search;
mod setup;
mod text;
mod threshold;

pub use audit::Audit;
pub use compare::{
    CompareError, Comparison, Demands, Difference, Finding, Side, SideReport, compare, runs_needed,
};
pub(crate) use document::per_second;
pub use document::{
    Ceiling, ClassReport, ClientReport, Connections, FailureReport, Report, SCHEMA_VERSION,
    TimelineReport, WindowReport, WorkerReport,
};
pub use encoded::{Encoded, Histograms, NotEncoded};
pub use environment::Environment;
pub use grade::{Evidence, Grade, Verdict};
pub use interference::{Interference, InterferenceLevel};
pub use latency::{Latency, Rows};
pub use merge::{MergeError, merge};
pub use search::{Probe, Search};
pub use setup::{LoopKind, ScheduleSetup, Setup};
pub use text::Nanos;
pub use threshold::{Decision, Threshold, ThresholdError, ThresholdReport};

/// A count as a number to divide by.
#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
pub(crate) fn to_f64(count: u64) -> f64 {
    count as f64
}
