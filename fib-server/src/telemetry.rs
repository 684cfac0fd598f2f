//! Logs: to stderr, because stdout tells where the server listens.

use std::io::{self, IsTerminal};

use clap::ValueEnum;
use tracing::{Span, info_span, level_filters::LevelFilter};
use tracing_subscriber::EnvFilter;

use crate::strategy::StrategyKind;

/// How a log line looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// For machines: one object a line.
    Json,
}

/// Sends the log lines of this process to stderr; `RUST_LOG` selects them, `info` by default.
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
}

/// The span of one connection, around everything that is logged while it is served.
#[must_use]
pub fn connection_span(peer: &str, strategy: StrategyKind) -> Span {
    info_span!("conn", peer, %strategy)
}
