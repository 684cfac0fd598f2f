//! Programs that make a load: ours, and a plain one for servers that have no Fibonacci numbers.

use std::{
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context, Result};
use fib_client::report::Report;

use crate::{
    bench::{found::Found, reference, run::Span, scenario::Load},
    build::Programs,
    line_client::LineClient,
    peers::Peer,
};

/// What speaks a server's protocol.
#[derive(Clone, Copy, Debug)]
pub(super) enum Client<'a> {
    FibClient(&'a Path),
    LineClient(&'a LineClient),
}

impl<'a> Client<'a> {
    pub(super) fn of(peer: &'a Peer, programs: &'a Programs) -> Self {
        peer.client().map_or(Self::FibClient(&programs.client), Self::LineClient)
    }

    /// Makes a load, for so long unless it is one of so many requests.
    pub(super) fn load(self, address: &str, load: &Load, span: Span) -> Result<Found> {
        match self {
            Self::FibClient(program) => perf(program, address, load, span),
            Self::LineClient(client) => reference::load(client, address, load, span.measured),
        }
    }
}

fn perf(program: &Path, address: &str, load: &Load, span: Span) -> Result<Found> {
    let mut client = Command::new(program);
    client.args(["perf", "--server", address, "--json", "-"]);
    client.args(flags(load, span));
    let output = client.stderr(Stdio::null()).output().context("running fib-client")?;
    let report: Report = serde_json::from_slice(&output.stdout)
        .with_context(|| format!("fib-client ended with {} and no report", output.status))?;
    Ok(Found::of(report, load.keeps_samples))
}

/// What makes `fib-client perf` make this load, as one types it.
pub(super) fn flags(load: &Load, span: Span) -> Vec<String> {
    let Load { mix, connections, depth, threads, busy_poll, .. } = load;
    let mut flags = vec![
        format!("--mix={mix}"),
        format!("--connections={connections}"),
        format!("--depth={depth}"),
        format!("--threads={threads}"),
        format!("--busy-poll={}us", busy_poll.as_micros()),
        format!("--warm-up={}ms", span.warm_up.as_millis()),
        format!("--drain={}ms", load.drain.as_millis()),
    ];
    flags.push(match load.requests {
        Some(requests) => format!("--requests={requests}"),
        None => format!("--duration={}ms", span.measured.as_millis()),
    });
    if let Some(rate) = span.rate_per_s {
        flags.extend([format!("--rate={rate:.1}"), "--arrivals=poisson".to_owned()]);
    }
    if let Some(requests) = load.renewed_after {
        flags.push(format!("--reconnect=every={requests}"));
    }
    flags
}
