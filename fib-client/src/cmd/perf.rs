//! `fib-client perf`: loads a server, tells how it goes each second, and what came of it.

use std::{
    fs::File,
    io::{self, Write},
    path::Path,
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use clap::{CommandFactory, error::ErrorKind};
use fib_client::{
    load::{self, Mix, Outcome, Plan, Progress, Until},
    report::Report,
};
use fib_proto::Dialect;
use signal_hook::consts::SIGINT;

use crate::cli::{Cli, PerfArgs, Preset};

const EXIT_WRONG_ANSWERS: u8 = 4;
const EXIT_INTERRUPTED: u8 = 130;

pub(crate) fn run(args: &PerfArgs) -> Result<ExitCode> {
    if args.server.dialect == Dialect::Classic && args.depth.get() > 1 {
        let told = "--depth must be 1 with --dialect classic: it has no end of a request";
        Cli::command().error(ErrorKind::ArgumentConflict, told).exit();
    }
    let plan = plan(args);
    let interrupted = Arc::new(AtomicBool::new(false));
    signal_hook::flag::register(SIGINT, Arc::clone(&interrupted)).context("handling Ctrl-C")?;
    let mut people = people(args.json.as_deref());
    let outcome = load(&plan, args.preset, &interrupted, &mut people)
        .with_context(|| format!("loading {}", plan.address))?;
    let report = Report::new(&plan, &outcome);
    write!(people, "{report}").context("writing the report")?;
    if let Some(path) = &args.json {
        write_json(&report, path).with_context(|| format!("--json {}", path.display()))?;
    }
    Ok(exit_code(&report, interrupted.load(Ordering::Relaxed)))
}

fn plan(args: &PerfArgs) -> Plan {
    let n = args.n.unwrap_or(match args.preset {
        Some(Preset::Perf1) => 30,
        Some(Preset::Perf2) | None => 1,
    });
    Plan {
        address: args.server.server.clone(),
        dialect: args.server.dialect,
        connections: args.connections,
        depth: args.depth,
        threads: args.threads,
        busy_poll: args.busy_poll,
        mix: args.mix.clone().unwrap_or_else(|| Mix::only(n)),
        until: args.requests.map_or(Until::Elapsed(args.duration), Until::Requests),
        timeout: args.server.timeout,
        seed: args.seed,
    }
}

/// Where words go: not where the JSON goes.
fn people(json: Option<&Path>) -> Box<dyn Write> {
    if json == Some(Path::new("-")) { Box::new(io::stderr()) } else { Box::new(io::stdout()) }
}

/// Runs the load on threads of its own, and tells meanwhile how it goes.
fn load(
    plan: &Plan,
    preset: Option<Preset>,
    interrupted: &AtomicBool,
    people: &mut dyn Write,
) -> Result<Outcome> {
    let progress = Progress::new(plan);
    let (sender, each_reply) = mpsc::channel();
    let sender = (preset == Some(Preset::Perf1)).then_some(sender);
    let watcher = thread::current();
    thread::scope(|scope| {
        let load = scope.spawn(|| {
            let outcome = load::run(plan, &progress, sender.as_ref());
            watcher.unpark();
            outcome
        });
        let mut ticker = Ticker::new();
        let told = loop {
            if load.is_finished() {
                break tell_each(&each_reply, people);
            }
            let told = match preset {
                Some(Preset::Perf1) => tell_each(&each_reply, people),
                Some(Preset::Perf2) | None => ticker.tell(&progress, people),
            };
            if told.is_err() || interrupted.load(Ordering::Relaxed) {
                progress.stop();
            }
            if told.is_err() {
                break told;
            }
            thread::park_timeout(ticker.nap());
        };
        let outcome = load.join().expect("the load panicked")?;
        told.context("telling how it goes")?;
        Ok(outcome)
    })
}

/// Tells a rate each second, as the original demo's second client did.
struct Ticker {
    last: Instant,
    told: u64,
}

impl Ticker {
    const PERIOD: Duration = Duration::from_secs(1);
    /// How soon Ctrl-C is noticed, and a reply of perf1 is told.
    const NAP: Duration = Duration::from_millis(50);

    fn new() -> Self {
        Self { last: Instant::now(), told: 0 }
    }

    fn nap(&self) -> Duration {
        Self::PERIOD.saturating_sub(self.last.elapsed()).min(Self::NAP)
    }

    /// The rate since it was told last: over the time that it really was, not over one second.
    #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
    fn tell(&mut self, progress: &Progress, people: &mut dyn Write) -> io::Result<()> {
        let (now, replies) = (Instant::now(), progress.replies());
        let elapsed = now - self.last;
        if elapsed < Self::PERIOD {
            return Ok(());
        }
        let rate = (replies - self.told) as f64 / elapsed.as_secs_f64();
        (self.last, self.told) = (now, replies);
        writeln!(people, "{rate:.0} reqs/s")
    }
}

fn tell_each(each_reply: &mpsc::Receiver<Duration>, people: &mut dyn Write) -> io::Result<()> {
    each_reply.try_iter().try_for_each(|it| writeln!(people, "{:.6}", it.as_secs_f64()))
}

fn write_json(report: &Report, path: &Path) -> Result<()> {
    let json = serde_json::to_string_pretty(report)?;
    if path == Path::new("-") {
        return Ok(writeln!(io::stdout(), "{json}")?);
    }
    Ok(writeln!(File::create(path)?, "{json}")?)
}

/// Wrong answers matter most; a load without a single right reply has failed.
fn exit_code(report: &Report, interrupted: bool) -> ExitCode {
    if report.wrong_answers > 0 {
        ExitCode::from(EXIT_WRONG_ANSWERS)
    } else if interrupted {
        ExitCode::from(EXIT_INTERRUPTED)
    } else if report.replies == 0 {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}
