//! CPU time that the host of a virtual machine gave to others while it was wanted here.
//!
//! It hits one run and spares the next, and no server can help it. So a run that lost much is made
//! again: not one that was slow, which would be to choose the result.

use anyhow::{Context, Result};
use fib_client::host::CpuClock;

use crate::bench::record::Record;

/// A run that lost a larger share says more about the host than about the server.
const TOLERABLE: f64 = 0.05;

/// Measures, and says which share of the wanted time was stolen meanwhile.
pub(crate) fn while_measuring<T>(measure: impl FnOnce() -> Result<T>) -> Result<(T, f64)> {
    let clock = CpuClock::now().context("reading /proc/stat")?;
    let result = measure()?;
    Ok((result, clock.stolen_since().context("reading /proc/stat")?))
}

pub(crate) fn is_tolerable(stolen: f64) -> bool {
    stolen <= TOLERABLE
}

/// How far the host disturbed the runs, in words.
pub(super) fn told(record: &Record) -> String {
    let mut shares: Vec<_> = record.cells.iter().map(|cell| 100.0 * cell.stolen).collect();
    shares.sort_by(f64::total_cmp);
    let median = shares.get(shares.len() / 2).copied().unwrap_or_default();
    let most = shares.last().copied().unwrap_or_default();
    let again: usize = record.cells.iter().map(|cell| cell.attempts - 1).sum();
    format!(
        "the host took {median:.1} % of the CPU time of a run (median; at most {most:.1} %), \
         {again} runs were made again because of it"
    )
}
