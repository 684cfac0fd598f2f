//! `cargo xtask bench`: every server in one interleaved run, every answer checked.
//!
//! A machine's speed drifts while it is measured. So the runs of all servers are mixed in random
//! order, each on a fresh server, and a number is the median over the repetitions. The default
//! server takes part twice, under two names: what differs between the two is noise.

mod baseline;
mod client;
mod columns;
mod endings;
mod figures;
mod files;
mod found;
mod idle;
mod machine;
mod matrix;
mod noise;
mod page;
mod plan;
mod record;
mod reference;
mod results;
mod run;
mod scaling;
mod scenario;
mod sheet;
mod statistics;
mod steal;
mod summarize;
mod summary;
mod tables;

use std::{
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{Result, bail, ensure};
use indicatif::{ProgressBar, ProgressStyle};
use xshell::Shell;

use self::{
    files::Document,
    plan::{Effort, Plan},
    record::{Cell, Head, Record, SCHEMA_VERSION, today},
    results::Results,
    sheet::Place,
};
pub(crate) use self::{
    record::Counters,
    statistics::{Values, number},
    steal::{is_tolerable, while_measuring},
};
use crate::{
    build::{Programs, target_folder},
    flags::BenchArgs,
    peers::Family,
    tools::say,
};

pub(crate) fn run(sh: &Shell, args: &BenchArgs) -> Result<()> {
    idle::raise_descriptor_limit()?;
    // Before anything is measured for it in vain.
    let baseline = args.baseline.as_deref().map(baseline::read).transpose()?;
    let programs = Programs::build(sh)?;
    let (mut results, mut record, plan) = match &args.resume {
        Some(folder) => go_on(sh, &programs, folder)?,
        None => begin(sh, &programs, args)?,
    };
    if baseline.is_some() {
        ensure!(!record.head.figures, "--baseline is for the matrix, not for --figures");
        baseline::check_repetitions(&record.head.date, record.head.repetitions)?;
    }
    measure(&mut record, &mut results, &programs, &plan)?;
    let shown = show(&record);
    files::write(results.folder(), &shown.documents)?;
    say(&format!("written: {}", results.folder().display()));
    if let Some(host) = &args.record {
        files::keep(&record, &shown.documents, &shown.places, sh, host)?;
    }
    check(&record)?;
    if let Some(before) = baseline {
        compare(&before, &summarize::summarize(&record), args.check)?;
    }
    Ok(())
}

/// A new bench.
fn begin(sh: &Shell, programs: &Programs, args: &BenchArgs) -> Result<(Results, Record, Plan)> {
    let effort = Effort::of(args);
    let mut plan = plan(sh, programs, effort, args.figures, &args.only)?;
    let head = Head {
        schema_version: SCHEMA_VERSION,
        date: today(),
        machine: machine::facts(sh),
        budget: effort.name().to_owned(),
        figures: args.figures,
        only: args.only.clone(),
        repetitions: plan.budget.repetitions,
        seed: args.seed.unwrap_or_else(seed_of_now),
        servers: plan.call_the_roll()?,
        excused: plan.excuses(),
    };
    let folder = args.out.clone().unwrap_or_else(|| new_folder(&head));
    let results = Results::create(&folder, &head)?;
    Ok((results, Record { head, cells: Vec::new() }, plan))
}

/// One that was ended early, or only to show it again.
fn go_on(sh: &Shell, programs: &Programs, folder: &Path) -> Result<(Results, Record, Plan)> {
    let (results, record) = Results::resume(folder)?;
    let head = &record.head;
    let mut plan = plan(sh, programs, head.effort(), head.figures, &head.only)?;
    ensure!(
        plan.call_the_roll()? == head.servers,
        "{}: other servers can take part now than when it began",
        folder.display()
    );
    let is_complete = plan.schedule(head.seed).iter().all(|run| record.has(run));
    if !is_complete {
        check_same(head, &machine::facts(sh))?;
    }
    Ok((results, record, plan))
}

/// Half of a bench on one machine or commit and half on another is none.
fn check_same(head: &Head, now: &[(String, String)]) -> Result<()> {
    for fact in ["CPU", "kernel", "fib"] {
        let told = |facts: &[(String, String)]| {
            facts.iter().find(|(name, _)| name == fact).map(|(_, value)| value.clone())
        };
        let (before, now) = (told(&head.machine), told(now));
        ensure!(before == now, "--resume: {fact} was {before:?} when it began, and is {now:?}");
    }
    Ok(())
}

fn plan(
    sh: &Shell,
    programs: &Programs,
    effort: Effort,
    figures: bool,
    only: &[String],
) -> Result<Plan> {
    let plan = if figures { figures::plan } else { matrix::plan }(sh, programs, effort, only)?;
    ensure!(!plan.cases.is_empty(), "--only {}: there is no such name", only.join(","));
    Ok(plan)
}

/// Makes all runs that the record does not have yet, and those again that the host disturbed.
fn measure(
    record: &mut Record,
    results: &mut Results,
    programs: &Programs,
    plan: &Plan,
) -> Result<()> {
    let runs = plan.schedule(record.head.seed);
    let mut work: Vec<_> = runs.iter().filter(|run| !record.has(run)).collect();
    let time = plan::estimate(work.iter().copied(), plan.budget);
    announce(record, results, work.len(), time);
    let bar = progress(time);
    for retries_left in (0..=plan.budget.retries).rev() {
        for (at, run) in work.iter().enumerate() {
            bar.set_message(format!("{} of {}  {}", at + 1, work.len(), run.title()));
            let cell = run.measure(programs, plan.budget.seconds);
            bar.inc(millis(plan::estimate([*run].into_iter(), plan.budget)));
            results.keep(&cell)?;
            results::keep_better(&mut record.cells, cell);
        }
        if retries_left == 0 {
            break;
        }
        let is_disturbed = |cell: &Cell| {
            !is_tolerable(cell.stolen) && cell.attempts + retries_left <= plan.budget.retries + 1
        };
        let cell =
            |run: &run::Run<'_>| record.cells.iter().find(|cell| cell.is_of_the_run(&run.blank()));
        work = runs.iter().filter(|run| cell(run).is_some_and(is_disturbed)).collect();
        bar.inc_length(millis(plan::estimate(work.iter().copied(), plan.budget)));
    }
    bar.finish_and_clear();
    Ok(())
}

fn announce(record: &Record, results: &Results, runs: usize, time: Duration) {
    let folder = results.folder().display();
    if runs == 0 {
        say(&format!("{folder}: everything is measured"));
    } else {
        let seconds = Duration::from_secs(time.as_secs());
        let time = humantime::format_duration(seconds);
        let budget = &record.head.budget;
        say(&format!("{budget} budget: {runs} runs, about {time}; --resume {folder} goes on"));
    }
}

/// What is made of a record.
struct Shown {
    documents: Vec<Document>,
    places: Vec<Place>,
}

/// Prints the result, and makes documents of it.
fn show(record: &Record) -> Shown {
    if record.head.figures { figures::show(record) } else { matrix::show(record) }
}

/// Neither wrong answers nor failures of ours are a result; those of others are told of.
fn check(record: &Record) -> Result<()> {
    let is_ours = |cell: &Cell| {
        let server = record.head.servers.iter().find(|it| it.name == cell.server);
        server.is_some_and(|it| it.family == Family::Fib)
    };
    for cell in &record.cells {
        let Cell { server, scenario, trouble, .. } = cell;
        match trouble {
            Some(trouble) if is_ours(cell) => bail!("{server}, {scenario}: {trouble}"),
            Some(trouble) => say(&format!("{server}, {scenario}: {trouble}")),
            None => {}
        }
        let failures = cell.loads.values().flat_map(|found| &found.failures);
        for failure in failures.filter(|it| is_ours(cell) || it.kind == "wrong-value") {
            let (count, kind, first) = (failure.count, &failure.kind, &failure.first);
            // To refuse what cannot be done in time is what such a server is asked for.
            let is_refusal = ["busy", "deadline"].iter().any(|code| first.contains(code));
            ensure!(is_refusal, "{server}, {scenario}: {count} x {kind}, the first: {first}");
        }
    }
    Ok(())
}

/// Says what has changed, and fails if it is to be checked and something of ours is worse.
fn compare(before: &summary::Summary, now: &summary::Summary, is_checked: bool) -> Result<()> {
    let changes = baseline::changes(before, now);
    say(&format!("{} numbers differ from those of {}", changes.len(), before.date));
    for change in &changes {
        say(&change.told());
    }
    let regressions = changes.iter().filter(|it| it.is_regression()).count();
    ensure!(!is_checked || regressions == 0, "{regressions} numbers of fib-server are worse");
    Ok(())
}

/// As long as the runs are expected to take, so that the time left is told rightly.
fn progress(time: Duration) -> ProgressBar {
    let style = ProgressStyle::with_template("{eta} left  {bar:30}  {msg}");
    let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(millis(time)).with_style(style)
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Named after the moment.
fn new_folder(head: &Head) -> PathBuf {
    let moment = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
    let kind = if head.figures { "-figures" } else { "" };
    let name = format!("{}-{}{kind}", moment.replace([':', 'Z'], ""), head.budget);
    target_folder().join("bench").join(name)
}

fn seed_of_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
