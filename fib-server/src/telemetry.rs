//! Logs: to stderr, because stdout tells where the server listens.

use std::io::{self, IsTerminal};

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

/// Logs how a conversation ended, once, at its boundary.
pub(crate) fn log_end(result: io::Result<()>) {
    match result {
        Ok(()) => debug!("closed"),
        Err(error) if is_client_gone(error.kind()) => debug!("client gone: {error}"),
        Err(error) => warn!("connection failed: {error}"),
    }
}

fn is_client_gone(kind: io::ErrorKind) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, NotConnected, TimedOut};
    matches!(kind, BrokenPipe | ConnectionAborted | ConnectionReset | NotConnected | TimedOut)
}
