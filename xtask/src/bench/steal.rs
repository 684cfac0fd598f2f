//! CPU time that the host of a virtual machine gave to others while it was wanted here.
//!
//! It hits one run and spares the next, and no server can help it. So a run that lost much is made
//! again: not one that was slow, which would be to choose the result.

use anyhow::{Context, Result};
use procfs::{CurrentSI, KernelStats};

use crate::{bench::record::Record, tools::to_f64};

/// A run that lost a larger share says more about the host than about the server.
const TOLERABLE: f64 = 0.05;

/// What all cores together did so far, in milliseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CpuClock {
    ran: u64,
    stolen: u64,
}

impl CpuClock {
    pub(crate) fn now() -> Result<Self> {
        let total = KernelStats::current().context("reading /proc/stat")?.total;
        let interrupts = [total.irq_ms(), total.softirq_ms()].into_iter().flatten();
        let ran = total.user_ms() + total.nice_ms() + total.system_ms() + interrupts.sum::<u64>();
        Ok(Self { ran, stolen: total.steal_ms().unwrap_or(0) })
    }

    /// The share of the wanted time that was stolen since then.
    pub(crate) fn stolen_since(self) -> Result<f64> {
        let now = Self::now()?;
        let (ran, stolen) =
            (now.ran.saturating_sub(self.ran), now.stolen.saturating_sub(self.stolen));
        Ok(to_f64(stolen) / to_f64((ran + stolen).max(1)))
    }
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
