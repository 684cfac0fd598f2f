//! What the machine did beside the load: whether its numbers are only its own.
//!
//! # Example
//!
//! ```
//! use fib_client::host::CpuClock;
//!
//! let clock = CpuClock::now();
//! // ... a measurement ...
//! if let Some(stolen) = clock.and_then(CpuClock::stolen_since) {
//!     println!("the host of this machine took {:.1} % of the CPU time", 100.0 * stolen);
//! }
//! ```

use procfs::{CurrentSI, KernelStats};

/// The CPU time that all processors of this machine spent until a moment.
#[derive(Clone, Copy, Debug)]
pub struct CpuClock {
    /// In ticks of the kernel, like the other.
    wanted: u64,
    stolen: u64,
}

impl CpuClock {
    /// Reads it, where the system tells.
    #[must_use]
    pub fn now() -> Option<Self> {
        let total = KernelStats::current().ok()?.total;
        let stolen = total.steal.unwrap_or(0);
        let interrupts = total.irq.unwrap_or(0) + total.softirq.unwrap_or(0);
        let ran = total.user + total.nice + total.system + interrupts;
        Some(Self { wanted: ran + stolen, stolen })
    }

    /// Which share of the time that was wanted since then the host gave to other machines.
    #[must_use]
    pub fn stolen_since(self) -> Option<f64> {
        let now = Self::now()?;
        // The kernel's counters may go back a little.
        let stolen = to_f64(now.stolen.saturating_sub(self.stolen));
        let wanted = to_f64(now.wanted.saturating_sub(self.wanted));
        Some(if wanted > 0.0 { stolen / wanted } else { 0.0 })
    }
}

#[expect(clippy::cast_precision_loss, reason = "ticks stay far below 2^53")]
fn to_f64(ticks: u64) -> f64 {
    ticks as f64
}
