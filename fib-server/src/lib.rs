//! The Fibonacci service as a library: one conversation, and many ways of holding many of them.
//!
//! A reading tour: [`session`] is one conversation without its socket. [`strategy`] decides who
//! owns the sockets, [`compute`] who burns the CPU. [`context`] is what all strategies share, and
//! `child` how this program starts itself once more.

mod child;
mod cli;
pub mod compute;
mod config;
pub mod connection;
pub mod context;
mod cores;
pub mod listener;
pub mod session;
pub mod shutdown;
pub mod strategy;
mod sys;
pub mod telemetry;

use std::{
    io::{self, Write},
    sync::Arc,
};

use anyhow::{Context as _, Result};
use tracing::info;

pub use crate::{
    child::Role,
    cli::Cli,
    config::{Config, ConfigError},
};
use crate::{
    compute::Compute, connection::Tally, context::Context, listener::Listener,
    session::RequestCounts,
};

/// Plays the part that this process was started for.
pub fn run(config: Config) -> Result<()> {
    match config.role {
        Role::Server => serve(config),
        Role::Compute => compute::serve_as_child(config.compute.algorithm, config.protocol.max_n),
    }
}

/// Listens, serves until a signal begins the drain, and returns when the last client is gone.
fn serve(config: Config) -> Result<()> {
    let Config { addresses, strategy, kind, protocol, cores, .. } = config;
    if let Some(cores) = cores {
        cores::limit_to(cores)?;
    }
    strategy.check().with_context(|| format!("--strategy {kind}"))?;
    connection::reserve_descriptors(config.max_connections, config.compute.descriptors())?;
    let sockets = strategy.sockets_per_address();
    let bind = |address| Listener::bind(address, sockets).context("listening");
    let listeners = addresses.iter().map(bind).collect::<Result<Vec<_>>>()?;
    let compute = Compute::new(config.compute).context("starting the compute threads")?;
    let (max_connections, busy_poll) = (config.max_connections, config.busy_poll);
    let context = Context::new(kind.to_string(), protocol, compute, max_connections, busy_poll);
    let context = Arc::new(context.context("creating the latch")?);
    let draining = Arc::clone(&context);
    shutdown::on_signals(move || draining.begin_drain(), config.drain_timeout)
        .context("installing the signal handlers")?;
    announce(&listeners)?;
    let listeners = listeners.into_iter().flatten().collect();
    strategy.serve(listeners, &context).with_context(|| format!("serving as {kind}"))?;
    let Tally { accepted, closed, refused, requests } = context.connections().tally();
    let RequestCounts { requests, ok, err, cancelled } = requests;
    info!(accepted, closed, refused, requests, ok, err, cancelled, "drained");
    Ok(())
}

/// One line per address, for people and for programs that asked for port 0.
fn announce(listeners: &[Vec<Listener>]) -> Result<()> {
    let mut stdout = io::stdout().lock();
    for listener in listeners.iter().filter_map(|sockets| sockets.first()) {
        writeln!(stdout, "listening on {}", listener.address()).context("writing to stdout")?;
    }
    stdout.flush().context("writing to stdout")
}
