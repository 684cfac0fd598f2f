//! Logs: to stderr, because stdout tells where the server listens.

use std::{
    io::{self, IsTerminal},
    mem,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use clap::ValueEnum;
use tracing::{debug, level_filters::LevelFilter, warn};
use tracing_subscriber::EnvFilter;

use crate::panics;

/// How a log line looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// For machines: one object a line.
    Json,
}

/// Sends the log lines of this process to stderr, panics too; `RUST_LOG` selects them, `info` by
/// default.
pub fn init(format: LogFormat) {
    let filter =
        EnvFilter::builder().with_default_directive(LevelFilter::INFO.into()).from_env_lossy();
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal());
    match format {
        LogFormat::Text => log.with_target(false).init(),
        LogFormat::Json => log.json().init(),
    }
    panics::log_all();
}

/// How long to be silent about what has just been logged.
const SILENCE: Duration = Duration::from_secs(1);

/// What strangers can cause as often as they want, and is logged once in a while.
#[derive(Debug)]
pub(crate) struct Seldom {
    pause: Duration,
    silence: Mutex<Silence>,
}

#[derive(Debug)]
struct Silence {
    until: Option<Instant>,
    unlogged: u64,
}

impl Seldom {
    /// It has not happened yet.
    pub(crate) const fn new() -> Self {
        Self::every(SILENCE)
    }

    /// The same, and not to be logged again for so long.
    pub(crate) const fn every(pause: Duration) -> Self {
        Self { pause, silence: Mutex::new(Silence { until: None, unlogged: 0 }) }
    }

    /// Whether to log it now; if so, how often it was not.
    pub(crate) fn ask(&self, now: Instant) -> Option<u64> {
        // A panic elsewhere cannot leave it half-changed.
        let mut silence = self.silence.lock().unwrap_or_else(PoisonError::into_inner);
        if silence.until.is_some_and(|until| now < until) {
            silence.unlogged += 1;
            return None;
        }
        silence.until = Some(now + self.pause);
        Some(mem::take(&mut silence.unlogged))
    }
}

/// Logs how a conversation ended, once, at its boundary.
pub(crate) fn log_end(result: io::Result<()>) {
    static FAILURES: Seldom = Seldom::new();
    match result {
        Ok(()) => debug!("closed"),
        Err(error) if is_client_gone(error.kind()) => debug!("client gone: {error}"),
        Err(error) => {
            if let Some(unlogged) = FAILURES.ask(Instant::now()) {
                warn!(unlogged, "connection failed: {error}");
            }
        }
    }
}

fn is_client_gone(kind: io::ErrorKind) -> bool {
    use io::ErrorKind::{
        BrokenPipe, ConnectionAborted, ConnectionReset, InvalidData, NotConnected, TimedOut,
    };
    // Over TLS, the client may send what is none, or may give up with an alert.
    matches!(
        kind,
        BrokenPipe | ConnectionAborted | ConnectionReset | InvalidData | NotConnected | TimedOut
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_often_is_logged_seldom() {
        let (seldom, now) = (Seldom::new(), Instant::now());
        assert_eq!(seldom.ask(now), Some(0));
        assert_eq!((seldom.ask(now), seldom.ask(now + SILENCE / 2)), (None, None));
        assert_eq!(seldom.ask(now + SILENCE), Some(2));
        assert_eq!(seldom.ask(now + SILENCE), None);
    }
}
