//! `fib-client perf`: loads a server, tells how it goes, and what came of it.

mod plan;
mod screen;
mod seen;
mod view;
mod watch;

use std::{
    process::ExitCode,
    sync::{Arc, atomic::AtomicUsize},
};

use anyhow::{Context, Result};
use clap::{CommandFactory, error::ErrorKind};
use fib_client::{
    load::{Outcome, Plan},
    report::{Decision, Report, Verdict},
    study::{self, InterferencePlan, Workload},
};
use fib_proto::Dialect;
use signal_hook::{
    consts::{SIGINT, SIGTERM},
    flag,
};

use self::watch::Watch;
use crate::{
    cli::{Cli, LocalCost, PerfArgs},
    cmd::{self, output},
};

const EXIT_WRONG_ANSWERS: u8 = 4;
const EXIT_CLIENT_LIMITED: u8 = 5;
/// A program that a signal ended is told as 128 and the number of the signal.
const EXIT_SIGNAL: u8 = 128;

pub(crate) fn run(args: &PerfArgs) -> Result<ExitCode> {
    check(args);
    let plan = plan::plan(args)?;
    let signal = Arc::new(AtomicUsize::new(0));
    for number in [SIGINT, SIGTERM] {
        let value = usize::try_from(number).context("signals have small numbers")?;
        flag::register_usize(number, Arc::clone(&signal), value).context("handling signals")?;
    }
    let mut people = output::people(&args.output.files);
    let mut watch = Watch::new(args, &signal, &mut *people);
    let report =
        answer(args, &plan, &mut watch).with_context(|| format!("loading {}", plan.address))?;
    let signal = watch.ended_by();
    output::write(&report, &args.output.files, &mut *people)?;
    Ok(exit_code(&report, args, signal))
}

/// What clap cannot know.
fn check(args: &PerfArgs) {
    let refuse = |told: &str| Cli::command().error(ErrorKind::ArgumentConflict, told).exit();
    if args.server.dialect == Dialect::Classic && args.load.depth.get() > 1 {
        refuse("--depth must be 1 with --dialect classic: it has no end of a request");
    }
    if args.study.calibrate && args.server.tls.is_wanted() {
        refuse("--calibrate has no meaning over TLS: the server that does nothing has none");
    }
    let stages = args.load.rate.as_ref().is_some_and(|rate| !rate.duration().is_zero());
    if stages && (args.load.duration.is_some() || args.load.requests.is_some()) {
        refuse("the stages of --rate say how long they take: leave out --duration and --requests");
    }
    if args.study.interference_levels.contains(&0) {
        refuse("--interference-levels: no long requests is always a phase; leave out the 0");
    }
    if output::writes_twice_to_stdout(&args.output.files) {
        refuse("only one form of the report can be written to stdout");
    }
}

/// Makes the loads that the question takes.
fn answer(args: &PerfArgs, plan: &Plan, watch: &mut Watch<'_>) -> Result<Report> {
    let ceiling = if args.study.calibrate {
        watch.announce("calibrating: what this client makes of a server that does nothing")?;
        Some(study::ceiling(plan, &mut |plan| watch.load(plan))?)
    } else {
        None
    };
    let (outcome, mut report) = load(args, plan, watch)?;
    report.ceiling = ceiling;
    if let Some(algorithm) = args.study.local_cost {
        for class in &mut report.classes {
            class.local_ns = study::local_cost(class.n, algorithm.into());
        }
    }
    let judge = |it: &fib_client::report::Threshold| it.judge(&report, &outcome.tally.classes);
    report.thresholds.extend(args.study.threshold.iter().map(judge).collect::<Vec<_>>());
    report.conclude();
    Ok(report)
}

fn load(args: &PerfArgs, plan: &Plan, watch: &mut Watch<'_>) -> Result<(Outcome, Report)> {
    if let Some(demand) = &args.study.find_max {
        let arrivals = args.load.arrivals;
        return Ok(study::search(plan, demand, arrivals, &mut |plan| watch.load(plan))?);
    }
    if let Some(long_n) = args.study.interference {
        let levels = args.study.interference_levels.clone();
        let disturbance = InterferencePlan { long_n, levels };
        let (outcome, interference) =
            study::interference(plan, &disturbance, &mut |plan| watch.load(plan))?;
        let mut report = Report::new(plan, &outcome);
        report.interference = interference;
        return Ok((outcome, report));
    }
    let outcome = watch.load(plan)?;
    let report = Report::new(plan, &outcome);
    Ok((outcome, report))
}

/// Wrong answers matter most; a load without a single right reply has failed.
fn exit_code(report: &Report, args: &PerfArgs, signal: usize) -> ExitCode {
    let is = |decision| report.thresholds.iter().any(|it| it.decision == decision);
    let is_doubtful =
        matches!(report.grade.verdict, Verdict::ClientLimited | Verdict::Inconclusive)
            || is(Decision::NotEnoughData);
    if report.wrong_answers > 0 {
        ExitCode::from(EXIT_WRONG_ANSWERS)
    } else if signal > 0 {
        ExitCode::from(EXIT_SIGNAL + u8::try_from(signal).unwrap_or_default())
    } else if report.replies == 0 {
        ExitCode::FAILURE
    } else if is(Decision::Fail) {
        ExitCode::from(cmd::EXIT_DEMAND)
    } else if args.study.strict && is_doubtful {
        ExitCode::from(EXIT_CLIENT_LIMITED)
    } else {
        ExitCode::SUCCESS
    }
}

impl From<LocalCost> for Workload {
    fn from(algorithm: LocalCost) -> Self {
        match algorithm {
            LocalCost::Doubling => Self::Doubling,
            LocalCost::Recursive => Self::Recursive,
        }
    }
}
