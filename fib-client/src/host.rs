//! What the machine was doing beside the load: whether its numbers are only its own.

use procfs::{CurrentSI, KernelStats};

/// The CPU time that all of this machine's processors spent until now, in ticks of the kernel.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CpuClock {
    wanted: u64,
    stolen: u64,
}

impl CpuClock {
    /// Reads it, where the system tells.
    pub(crate) fn now() -> Option<Self> {
        let total = KernelStats::current().ok()?.total;
        let stolen = total.steal.unwrap_or(0);
        let idle = total.idle + total.iowait.unwrap_or(0);
        let all = [total.user, total.nice, total.system, idle, stolen];
        let other = total.irq.unwrap_or(0) + total.softirq.unwrap_or(0);
        Some(Self { wanted: all.iter().sum::<u64>() + other - idle, stolen })
    }

    /// Which share of the time that was wanted since then the host gave to other machines.
    pub(crate) fn stolen_since(self) -> Option<f64> {
        let now = Self::now()?;
        let [stolen, wanted] = [now.stolen - self.stolen, now.wanted - self.wanted].map(to_f64);
        Some(if wanted > 0.0 { stolen / wanted } else { 0.0 })
    }
}

#[expect(clippy::cast_precision_loss, reason = "ticks stay far below 2^53")]
fn to_f64(ticks: u64) -> f64 {
    ticks as f64
}
