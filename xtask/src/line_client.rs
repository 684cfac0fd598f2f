//! The minimal load tester in C: it asks one line over and over, and checks that every reply is
//! the same.

use std::{path::PathBuf, process::Command, time::Duration};

use anyhow::{Context, Result, ensure};
use xshell::Shell;

use crate::peers;

/// What asks one line.
#[derive(Clone, Debug)]
pub(crate) struct LineClient {
    program: PathBuf,
    line: &'static str,
}

/// How it asks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) connections: usize,
    /// Requests under way on each connection.
    pub(crate) depth: usize,
    pub(crate) threads: usize,
}

/// What it was answered.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Answered {
    pub(crate) replies: u64,
    pub(crate) rate_per_s: f64,
}

impl LineClient {
    /// For this machine: it is a tool, not a competitor.
    pub(crate) fn compile(sh: &Shell, line: &'static str) -> Result<Self> {
        let flags = ["-pthread", "-march=native"];
        Ok(Self { program: peers::compile_c(sh, "client.c", "client-c", &flags)?, line })
    }

    pub(crate) fn load(&self, address: &str, shape: Shape, duration: Duration) -> Result<Answered> {
        let (host, port) = address.rsplit_once(':').context("an address has a port")?;
        let Shape { connections, depth, threads } = shape;
        let output = Command::new(&self.program)
            .args([host, port, &connections.to_string(), &duration.as_secs_f64().to_string()])
            .args([&depth.to_string(), &threads.to_string(), self.line])
            .output()
            .context("running the client in C")?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr).trim());
        let told = String::from_utf8_lossy(&output.stdout);
        answered(&told).with_context(|| format!("the client in C said {told:?}"))
    }
}

/// `4096 replies, 8192 a second, …`
fn answered(told: &str) -> Option<Answered> {
    let (replies, rest) = told.split_once(" replies, ")?;
    let (rate_per_s, _) = rest.split_once(" a second")?;
    Some(Answered { replies: replies.parse().ok()?, rate_per_s: rate_per_s.parse().ok()? })
}
