//! `cargo xtask bench`: every server in one interleaved run, every answer checked.
//!
//! A machine's speed drifts while it is measured. So the runs of all servers are mixed in random
//! order, each on a fresh server, and a figure is the median over the repetitions.

mod files;
mod machine;
mod record;
mod table;

use std::{
    process::{Command, Stdio},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result, ensure};
use fastrand::Rng;
use fib_client::report::Report;
use indicatif::{ProgressBar, ProgressStyle};
use xshell::Shell;

use self::record::{Cell, Missing, Record, Scenario};
use crate::{
    build::Programs,
    flags::BenchArgs,
    peers::{self, Peer, Server, Start},
    tools::{say, to_f64},
};

/// How much is measured.
#[derive(Clone, Copy, Debug)]
struct Budget {
    name: &'static str,
    repetitions: usize,
    seconds: f64,
}

impl Budget {
    const SMOKE: Self = Self { name: "smoke", repetitions: 1, seconds: 0.3 };
    const QUICK: Self = Self { name: "quick", repetitions: 3, seconds: 1.0 };
    const FULL: Self = Self { name: "full", repetitions: 10, seconds: 3.0 };

    const fn of(args: &BenchArgs) -> Self {
        match args {
            BenchArgs { full: true, .. } => Self::FULL,
            BenchArgs { smoke: true, .. } => Self::SMOKE,
            _ => Self::QUICK,
        }
    }
}

pub(crate) fn run(sh: &Shell, args: &BenchArgs) -> Result<()> {
    let programs = Programs::build(sh)?;
    let mut peers = peers::all(sh, &programs)?;
    peers.retain(|peer| is_wanted(peer, &args.only));
    ensure!(!peers.is_empty(), "--only {}: no server has such a name", args.only.join(","));
    let budget = Budget::of(args);
    let record = measure(sh, &programs, &peers, budget, args.seed.unwrap_or_else(seed_of_now))?;
    table::print(&record);
    let folder = files::write(&record)?;
    say(&format!("\nwritten: {}", folder.display()));
    if let Some(host) = &args.record {
        files::keep(&record, sh, host)?;
    }
    check(&record)
}

fn is_wanted(peer: &Peer, only: &[String]) -> bool {
    let name = peer.name.to_lowercase();
    only.is_empty() || only.iter().any(|text| name.contains(&text.to_lowercase()))
}

/// Wrong answers are no result, whatever their rate.
fn check(record: &Record) -> Result<()> {
    for cell in &record.cells {
        let wrong = cell.report.wrong_answers;
        ensure!(wrong == 0, "{} gave {wrong} wrong answers", cell.server);
        ensure!(cell.report.replies > 0, "{} gave no answer", cell.server);
    }
    Ok(())
}

fn measure(
    sh: &Shell,
    programs: &Programs,
    peers: &[Peer],
    budget: Budget,
    seed: u64,
) -> Result<Record> {
    let runs = schedule(peers, budget, seed);
    let (servers, missing) = participants(peers);
    let mut record = Record::new(machine::facts(sh), budget.name, seed, servers, missing);
    let bar = progress(runs.len() as u64, budget);
    for run in runs {
        bar.set_message(run.title());
        if let Some(server) = run.peer.start()? {
            let cell = run.measure(programs, &server, budget).with_context(|| run.title())?;
            record.cells.push(cell);
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(record)
}

/// One server under one load, once.
#[derive(Clone, Copy, Debug)]
struct Run<'a> {
    peer: &'a Peer,
    scenario: Scenario,
    repetition: usize,
}

/// All runs, the repetitions one after the other, each in an order of its own.
fn schedule(peers: &[Peer], budget: Budget, seed: u64) -> Vec<Run<'_>> {
    let mut rng = Rng::with_seed(seed);
    let mut runs = Vec::new();
    for repetition in 0..budget.repetitions {
        let present = peers.iter().filter(|peer| matches!(peer.start, Start::Command { .. }));
        let mut round: Vec<_> = present
            .flat_map(|peer| Scenario::ALL.map(|scenario| Run { peer, scenario, repetition }))
            .collect();
        rng.shuffle(&mut round);
        runs.extend(round);
    }
    runs
}

/// Who can be started, and who cannot and why.
fn participants(peers: &[Peer]) -> (Vec<String>, Vec<Missing>) {
    let (mut present, mut missing) = (Vec::new(), Vec::new());
    for Peer { name, start } in peers {
        let server = name.clone();
        match start {
            Start::Command { .. } => present.push(server),
            Start::Missing(tool) => {
                let (tool, install) = (tool.program.to_owned(), tool.install.to_owned());
                missing.push(Missing { server, tool, install });
            }
        }
    }
    (present, missing)
}

impl Run<'_> {
    fn title(&self) -> String {
        format!("{}: {}", self.peer.name, self.scenario.title())
    }

    fn measure(&self, programs: &Programs, server: &Server, budget: Budget) -> Result<Cell> {
        let before = server.usage()?;
        let report = load(programs, self.scenario, server.address(), budget)?;
        let after = server.usage()?;
        let cpu = after.cpu.saturating_sub(before.cpu);
        Ok(Cell {
            server: self.peer.name.clone(),
            scenario: self.scenario,
            repetition: self.repetition,
            server_cpu_us_per_reply: record::per_reply(cpu, &report),
            rss_bytes: after.rss_bytes,
            report,
        })
    }
}

fn load(programs: &Programs, scenario: Scenario, address: &str, budget: Budget) -> Result<Report> {
    let output = Command::new(&programs.client)
        .args(["perf", "--server", address, "--json", "-"])
        .args(scenario.flags())
        .arg("--duration")
        .arg(format!("{}ms", budget.seconds * 1e3))
        .stderr(Stdio::null())
        .output()
        .context("running fib-client")?;
    serde_json::from_slice(&output.stdout)
        .with_context(|| format!("fib-client ended with {} and no report", output.status))
}

fn progress(runs: u64, budget: Budget) -> ProgressBar {
    let estimate = Duration::from_secs_f64(to_f64(runs) * (budget.seconds + 0.2));
    say(&format!("{} budget: {runs} runs, about {} s", budget.name, estimate.as_secs()));
    let style = ProgressStyle::with_template("[{pos}/{len}] {eta} left  {bar:30}  {msg}");
    ProgressBar::new(runs).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

fn seed_of_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
