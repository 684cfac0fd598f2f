//! A lack of descriptors or memory for one more client: when to try again, and what the log says.

use std::{
    io,
    time::{Duration, Instant},
};

use rustix::io::Errno;
use tracing::warn;

use crate::telemetry::Seldom;

/// How long to wait where the system has no descriptor or memory for one more client; twice as long
/// each time, up to a limit.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_millis(100);

/// How long the log need not say again that something is lacking.
const TOLD_FOR: Duration = Duration::from_secs(10);

/// A lack of what one more client needs. It lasts, and is met again and again until it ends.
#[derive(Debug)]
pub(crate) struct Shortage {
    next_pause: Duration,
    retry_at: Option<Instant>,
}

impl Shortage {
    /// None yet.
    pub(crate) fn new() -> Self {
        Self { next_pause: FIRST_PAUSE, retry_at: None }
    }

    /// Takes note that there was no descriptor or memory for a client.
    pub(crate) fn meet(&mut self, error: &io::Error) {
        tell(error);
        self.wait();
    }

    /// Takes note that it is to be waited for.
    pub(crate) fn wait(&mut self) {
        self.retry_at = Some(Instant::now() + self.next_pause);
        self.next_pause = (self.next_pause * 2).min(LONGEST_PAUSE);
    }

    /// Takes note that it is over.
    pub(crate) fn end(&mut self) {
        (self.next_pause, self.retry_at) = (FIRST_PAUSE, None);
    }

    /// Whether it was met, and nobody accepted since.
    #[cfg(target_os = "linux")]
    pub(crate) const fn lasts(&self) -> bool {
        self.retry_at.is_some()
    }

    /// How long not to try again.
    pub(crate) fn time_left(&self) -> Option<Duration> {
        let left = self.retry_at?.saturating_duration_since(Instant::now());
        (!left.is_zero()).then_some(left)
    }
}

/// Says so, now and then.
pub(crate) fn tell(error: &io::Error) {
    static TOLD: Seldom = Seldom::every(TOLD_FOR);

    if let Some(unlogged) = TOLD.ask(Instant::now()) {
        warn!(unlogged, "cannot accept until another client leaves: {error}");
    }
}

/// Whether it is not the client's fault that it could not be accepted.
pub(crate) fn is_short_of_resources(error: &io::Error) -> bool {
    let errno = Errno::from_io_error(error);
    matches!(errno, Some(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM))
}
