//! One server in one scenario, once: what its clients found, and what it used meanwhile.

use std::{
    collections::BTreeMap,
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use anyhow::{Context, Result};
use fib_client::report::Report;

use crate::{
    bench::{
        record::Cell,
        scenario::{Load, Scenario, Step, head_start},
    },
    build::Programs,
    peers::Peer,
    server::Server,
};

/// A server and what it shall go through.
#[derive(Clone, Copy, Debug)]
pub(super) struct Run<'a> {
    pub(super) peer: &'a Peer,
    pub(super) scenario: &'static Scenario,
    pub(super) repetition: usize,
}

impl Run<'_> {
    pub(super) fn title(&self) -> String {
        format!("{}: {}", self.peer.name, self.scenario.name)
    }

    pub(super) fn measure(&self, programs: &Programs, seconds: f64) -> Result<Cell> {
        let server = self.peer.start()?;
        let mut reports = BTreeMap::new();
        let before = server.usage()?;
        for step in self.scenario.steps {
            match step {
                Step::Loads(loads) => {
                    let timed = self.scenario.timed(seconds) + head_start(loads);
                    reports.extend(load_beside(programs, &server, loads, timed)?);
                }
            }
        }
        let after = server.usage()?;
        Ok(Cell {
            server: self.peer.name.clone(),
            scenario: self.scenario.name.to_owned(),
            repetition: self.repetition,
            server_cpu_s: after.cpu.saturating_sub(before.cpu).as_secs_f64(),
            rss_bytes: after.rss_bytes,
            reports,
        })
    }
}

/// Makes loads beside each other; the timed ones last until the first of them is so old.
fn load_beside(
    programs: &Programs,
    server: &Server,
    loads: &[Load],
    timed: Duration,
) -> Result<Vec<(String, Report)>> {
    let make = |load: &Load| {
        thread::sleep(load.after);
        let duration = timed.saturating_sub(load.after);
        let report = perf(programs, server.address(), load, duration)?;
        Ok((load.name.to_owned(), report))
    };
    thread::scope(|scope| {
        let clients: Vec<_> = loads.iter().map(|load| scope.spawn(move || make(load))).collect();
        clients.into_iter().map(|it| it.join().expect("a client's thread panicked")).collect()
    })
}

fn perf(programs: &Programs, address: &str, load: &Load, duration: Duration) -> Result<Report> {
    let mut client = Command::new(&programs.client);
    client.args(["perf", "--server", address, "--json", "-", "--mix", load.mix]);
    client.args(["--connections", &load.connections.to_string()]);
    client.args(["--depth", &load.depth.to_string(), "--threads", &load.threads.to_string()]);
    match load.requests {
        Some(requests) => client.args(["--requests", &requests.to_string()]),
        None => client.args(["--duration", &format!("{}ms", duration.as_millis())]),
    };
    let output = client.stderr(Stdio::null()).output().context("running fib-client")?;
    serde_json::from_slice(&output.stdout)
        .with_context(|| format!("fib-client ended with {} and no report", output.status))
}
