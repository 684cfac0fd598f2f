//! `cargo xtask bench`: every server in one interleaved run, every answer checked.
//!
//! A machine's speed drifts while it is measured. So the runs of all servers are mixed in random
//! order, each on a fresh server, and a number is the median over the repetitions.

mod client;
mod endings;
mod figures;
mod files;
mod idle;
mod machine;
#[cfg_attr(not(test), expect(dead_code, reason = "the bench is about to write it"))]
mod page;
mod plan;
mod record;
mod redis;
mod run;
mod scenario;
mod sheet;
mod statistics;
mod steal;
#[cfg_attr(not(test), expect(dead_code, reason = "the bench is about to compute it"))]
mod summary;
mod table;

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail, ensure};
use indicatif::{ProgressBar, ProgressStyle};
use xshell::Shell;

use self::{
    plan::{Effort, Plan},
    record::{Cell, Record},
    run::Run,
};
pub(crate) use self::{
    record::Counters,
    statistics::{Values, number},
    steal::{is_tolerable, while_measuring},
};
use crate::{build::Programs, flags::BenchArgs, tools::say};

pub(crate) fn run(sh: &Shell, args: &BenchArgs) -> Result<()> {
    idle::raise_descriptor_limit()?;
    let programs = Programs::build(sh)?;
    let plan = if args.figures { figures::plan } else { table::plan }(sh, &programs, args)?;
    ensure!(!plan.cases.is_empty(), "--only {}: there is no such name", args.only.join(","));
    let seed = args.seed.unwrap_or_else(seed_of_now);
    let mut record = Record::new(machine::facts(sh), Effort::of(args).name(), seed);
    measure(&mut record, &programs, plan)?;
    let sheet = if args.figures { figures::sheet } else { table::sheet }(&record, args);
    sheet.print(&record);
    let folder = files::write(&record, &sheet)?;
    say(&format!("\nwritten: {}", folder.display()));
    if let Some(host) = &args.record {
        files::keep(&record, &sheet, sh, host)?;
    }
    check(&record)
}

fn measure(record: &mut Record, programs: &Programs, mut plan: Plan) -> Result<()> {
    record.servers = plan.call_the_roll()?;
    let runs = plan.schedule(record.seed);
    let seconds = plan::estimate(&runs, plan.budget).as_secs();
    say(&format!("{} budget: {} runs, about {seconds} s", record.budget, runs.len()));
    let bar = progress(runs.len() as u64);
    let measure = |run: &Run<'_>| {
        bar.set_message(run.title());
        let cell = run.measure(programs, plan.budget.seconds).with_context(|| run.title());
        bar.inc(1);
        cell
    };
    record.cells = runs.iter().map(measure).collect::<Result<_>>()?;
    for _ in 0..plan.budget.retries {
        for (run, cell) in runs.iter().zip(&mut record.cells) {
            if !is_tolerable(cell.stolen) {
                bar.inc_length(1);
                cell.replace_if_better(measure(run)?);
            }
        }
    }
    bar.finish_and_clear();
    Ok(())
}

/// Neither wrong answers nor failures are a result; silence is one beside other loads.
fn check(record: &Record) -> Result<()> {
    for cell in &record.cells {
        let Cell { server, scenario, reports, .. } = cell;
        for report in reports.values() {
            if let Some(failure) = report.failures.first() {
                let (count, kind, first) = (failure.count, &failure.kind, &failure.first);
                bail!("{server}, {scenario}: {count} x {kind}, the first: {first}");
            }
            let silence_tells = reports.len() > 1;
            ensure!(report.replies > 0 || silence_tells, "{server}, {scenario}: no answer");
        }
    }
    Ok(())
}

fn progress(runs: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("[{pos}/{len}] {eta} left  {bar:30}  {msg}");
    ProgressBar::new(runs).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

fn seed_of_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
