//! Programs that make a load: ours, and Redis' own for Redis.

use std::{
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result};
use fib_client::report::Report;

use crate::{
    bench::{redis, scenario::Load},
    build::Programs,
    peers::Peer,
};

/// What speaks a server's protocol.
#[derive(Clone, Copy, Debug)]
pub(super) enum Client<'a> {
    FibClient(&'a Path),
    RedisBenchmark,
}

impl<'a> Client<'a> {
    pub(super) fn of(peer: &Peer, programs: &'a Programs) -> Self {
        if peer.is_redis() { Self::RedisBenchmark } else { Self::FibClient(&programs.client) }
    }

    /// Makes a load, for so long unless it is one of so many requests.
    pub(super) fn load(self, address: &str, load: &Load, duration: Duration) -> Result<Report> {
        match self {
            Self::FibClient(program) => perf(program, address, load, duration),
            Self::RedisBenchmark => redis::load(address, load, duration),
        }
    }
}

fn perf(program: &Path, address: &str, load: &Load, duration: Duration) -> Result<Report> {
    let mut client = Command::new(program);
    client.args(["perf", "--server", address, "--json", "-", "--mix", load.mix]);
    client.args(["--connections", &load.connections.to_string()]);
    client.args(["--depth", &load.depth.to_string(), "--threads", &load.threads.to_string()]);
    client.args(["--busy-poll", &format!("{}us", load.busy_poll.as_micros())]);
    match load.requests {
        Some(requests) => client.args(["--requests", &requests.to_string()]),
        None => client.args(["--duration", &format!("{}ms", duration.as_millis())]),
    };
    // Loads beside each other begin and end when the scenario says.
    client.args(["--warm-up", "0s", "--drain", "0s"]);
    let output = client.stderr(Stdio::null()).output().context("running fib-client")?;
    let report: Report = serde_json::from_slice(&output.stdout)
        .with_context(|| format!("fib-client ended with {} and no report", output.status))?;
    Ok(report.shortened())
}
