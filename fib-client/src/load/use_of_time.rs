//! What a thread did with its time: how far its own numbers can be trusted.

use std::{
    fs,
    time::{Duration, Instant},
};

use hdrhistogram::Histogram;
use rustix::time::{ClockId, clock_gettime};

use crate::load::samples::{histogram, nanos};

/// A wake-up that is later than this is one that the thread was kept from.
const HELD_UP: Duration = Duration::from_millis(1);

/// What a worker did with its time: how far its own numbers can be trusted.
#[derive(Clone, Debug)]
pub struct UseOfTime {
    /// How long it ran.
    pub elapsed: Duration,
    /// How much of that it had nothing to do.
    pub waited: Duration,
    /// The CPU time of its thread, in user mode and in the kernel.
    pub cpu: Duration,
    /// How much of it it was ready to run, and another thread did.
    pub queued: Duration,
    /// How much of it it did not run although it wanted to be woken: stopped, or its machine was.
    pub held_up: Duration,
    /// How much later than it wanted to it woke up, in nanoseconds.
    pub overslept: Histogram<u64>,
}

impl UseOfTime {
    /// At the beginning, on the thread whose time it is.
    pub(super) fn begin() -> Self {
        let zero = Duration::ZERO;
        Self {
            elapsed: zero,
            waited: zero,
            cpu: cpu_time_of_thread(),
            queued: time_in_run_queue(),
            held_up: zero,
            overslept: histogram(3),
        }
    }

    /// A wait has ended. Whoever is not woken in time has been kept from working, whatever it finds
    /// then; one that only looked, and found something, has not waited.
    pub(super) fn waited(&mut self, from: Instant, until: Instant, now: Instant, found: bool) {
        let slept = until > from;
        if slept || !found {
            self.waited += now - from;
        }
        let late = now.saturating_duration_since(until.max(from));
        if slept && !late.is_zero() {
            self.overslept.saturating_record(nanos(late));
        }
        if late > HELD_UP {
            self.held_up += late;
        }
    }

    /// After so much time, on the same thread.
    pub(super) fn end(&mut self, elapsed: Duration) {
        self.elapsed = elapsed;
        self.cpu = cpu_time_of_thread().saturating_sub(self.cpu);
        self.queued = time_in_run_queue().saturating_sub(self.queued);
    }
}

fn cpu_time_of_thread() -> Duration {
    clock_gettime(ClockId::ThreadCPUTime).try_into().unwrap_or_default()
}

/// How long this thread was ready to run and had no processor, where the kernel tells.
fn time_in_run_queue() -> Duration {
    let told = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanos = told.split_whitespace().nth(1).and_then(|it| it.parse().ok());
    Duration::from_nanos(nanos.unwrap_or(0))
}
