//! What all histograms have in common.

use std::time::Duration;

use hdrhistogram::Histogram;

/// Latencies from a nanosecond to an hour; longer ones count as an hour.
const LATENCY_MAX: Duration = Duration::from_hours(1);

/// An empty one, of nanoseconds.
pub(crate) fn histogram(significant_digits: u8) -> Histogram<u64> {
    Histogram::new_with_bounds(1, nanos(LATENCY_MAX), significant_digits)
        .expect("the bounds are in order")
}

pub(super) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
