//! What long requests do to short ones, in one run: the short ones go on all the time, the long
//! ones come and go.
//!
//! Quiet phases lie between the disturbed ones, so that a machine that becomes slower meanwhile
//! makes both slower.

use std::{
    io,
    num::NonZeroUsize,
    thread,
    time::{Duration, SystemTime},
};

use hdrhistogram::Histogram;

use crate::{
    dial::Target,
    load::{self, Mix, Outcome, Pace, Plan, Progress, Timeline, Until, histogram},
    report::{Interference, InterferenceLevel, Latency, per_second, to_f64},
    study::RunLoad,
};

/// What to disturb the short requests with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InterferencePlan {
    /// The number that the long requests ask for.
    pub long_n: u64,
    /// How many connections ask for it, over and over, one phase after the other.
    pub levels: Vec<usize>,
}

/// How long windows are at first: what a recovery time is told in.
const WINDOW: Duration = Duration::from_millis(10);

/// Enough to connect, so that all loads begin together.
const HEAD_START: Duration = Duration::from_millis(200);

/// Recovered is who has had this share of its rate again ...
const RECOVERED: f64 = 0.8;

/// ... for so many windows.
const RECOVERED_FOR: usize = 5;

/// Runs the plan as the short load, for its whole duration, and the long ones beside it. Gives the
/// outcome of the short load, too, and nothing else if it was interrupted before a phase with long
/// requests was over.
///
/// # Errors
///
/// Those of [`load::run`], also of the long loads.
///
/// # Panics
///
/// If a long load panics, which is a bug.
pub fn interference(
    plan: &Plan,
    disturbance: &InterferencePlan,
    run: &mut RunLoad<'_>,
) -> io::Result<(Outcome, Option<Interference>)> {
    // Before anything waits: a server that is not there shall not be waited for.
    drop(Target::resolve(&plan.address, plan.tls.as_ref())?.connect(HEAD_START)?);
    let begin = plan.start_at.unwrap_or_else(SystemTime::now) + HEAD_START;
    let short = Plan { window: WINDOW, start_at: Some(begin), ..plan.clone() };
    let phases = Phases::new(plan, disturbance.levels.len());
    let measured = begin + plan.warm_up;
    let loads = long_loads(plan, disturbance, measured, &phases);
    let (outcome, long) = thread::scope(|scope| {
        let long = scope.spawn(|| loads.iter().map(LongLoad::make).collect::<io::Result<Vec<_>>>());
        let outcome = run(&short);
        for load in &loads {
            load.progress.stop(); // it is over, or this is an interruption
        }
        (outcome, long.join().expect("the long load panicked"))
    });
    let (outcome, long_rates) = (outcome?, long?);
    let timeline = &outcome.tally.timeline;
    let quiet = phases.quiet(timeline);
    let mut levels = vec![quiet.level(0, 0.0, &quiet, None)];
    for (at, &connections) in disturbance.levels.iter().enumerate() {
        let span = phases.disturbed(at);
        if span.1 + phases.length > outcome.elapsed + timeline.length() {
            break; // of this phase, or of the quiet one after it, a part is missing
        }
        let measured = Measured::of(timeline, &[(span.0 + phases.length / 10, span.1)]);
        let recovery = recovery(timeline, span.1, quiet.rate() * RECOVERED);
        levels.push(measured.level(connections, long_rates[at], &quiet, recovery));
    }
    let isolation = levels.iter().map(|level| level.isolation).fold(1.0, f64::min);
    let short_n = plan.mix.classes()[0].n;
    let long_n = disturbance.long_n;
    let found = (levels.len() > 1).then_some(Interference { short_n, long_n, levels, isolation });
    Ok((outcome, found))
}

/// The long requests of one phase.
struct LongLoad {
    plan: Plan,
    progress: Progress,
}

/// One load for each phase that is disturbed.
fn long_loads(
    plan: &Plan,
    disturbance: &InterferencePlan,
    measured: SystemTime,
    phases: &Phases,
) -> Vec<LongLoad> {
    let load = |(at, &connections): (usize, &usize)| {
        let (from, to) = phases.disturbed(at);
        let plan = Plan {
            connections: NonZeroUsize::new(connections).unwrap_or(NonZeroUsize::MIN),
            depth: NonZeroUsize::MIN,
            threads: NonZeroUsize::MIN,
            busy_poll: Duration::ZERO,
            pace: Pace::Closed { think: Duration::ZERO },
            mix: Mix::only(disturbance.long_n),
            until: Until::Elapsed(to.saturating_sub(from)),
            warm_up: Duration::ZERO,
            drain: Duration::ZERO,
            start_at: Some(measured + from),
            ..plan.clone()
        };
        LongLoad { progress: Progress::new(&plan), plan }
    };
    disturbance.levels.iter().enumerate().map(load).collect()
}

impl LongLoad {
    /// Connects just before it begins, and says what rate it had.
    fn make(&self) -> io::Result<f64> {
        const NAP: Duration = Duration::from_millis(20);
        let begin = self.plan.start_at.unwrap_or(SystemTime::UNIX_EPOCH) - HEAD_START / 4;
        while SystemTime::now() < begin && !self.progress.is_stopped() {
            thread::sleep(NAP);
        }
        let outcome = load::run(&self.plan, &self.progress, None)?;
        Ok(per_second(outcome.tally.in_time, outcome.elapsed))
    }
}

/// When it is quiet, and when it is not, in turn, from quiet to quiet; all phases are equally long.
struct Phases {
    length: Duration,
    disturbed: usize,
}

impl Phases {
    fn new(plan: &Plan, disturbed: usize) -> Self {
        let total = match plan.until {
            Until::Elapsed(duration) => duration,
            Until::Requests(_) => Duration::from_secs(10),
        };
        let phases = u32::try_from(2 * disturbed + 1).unwrap_or(u32::MAX);
        Self { length: total / phases, disturbed }
    }

    fn disturbed(&self, at: usize) -> (Duration, Duration) {
        self.span(2 * at + 1)
    }

    fn span(&self, phase: usize) -> (Duration, Duration) {
        let phase = u32::try_from(phase).unwrap_or(u32::MAX);
        (self.length * phase, self.length * (phase + 1))
    }

    /// The first phase, and the second halves of the others that are quiet: by then it is.
    fn quiet(&self, timeline: &Timeline) -> Measured {
        let second_half = |at: usize| {
            let (from, to) = self.span(2 * at);
            (if at == 0 { from } else { from + self.length / 2 }, to)
        };
        let spans: Vec<_> = (0..=self.disturbed).map(second_half).collect();
        Measured::of(timeline, &spans)
    }
}

/// What happened in some spans of time.
struct Measured {
    elapsed: Duration,
    response: Histogram<u64>,
}

impl Measured {
    /// Of the windows that lie wholly in these spans.
    fn of(timeline: &Timeline, spans: &[(Duration, Duration)]) -> Self {
        let (mut elapsed, mut response) = (Duration::ZERO, histogram(2));
        for (begin, window) in windows(timeline) {
            let lies_in = |&(from, to): &(Duration, Duration)| {
                begin >= from && begin + timeline.length() <= to
            };
            if spans.iter().any(lies_in) {
                elapsed += timeline.length();
                response.add(&window.response).expect("the bounds are the same");
            }
        }
        Self { elapsed, response }
    }

    fn rate(&self) -> f64 {
        per_second(self.response.len(), self.elapsed)
    }

    fn p99(&self) -> f64 {
        to_f64(self.response.value_at_quantile(0.99))
    }

    fn level(
        &self,
        long_connections: usize,
        long_rate_per_s: f64,
        quiet: &Self,
        recovery_s: Option<f64>,
    ) -> InterferenceLevel {
        let rate_kept = self.rate() / quiet.rate();
        let tail_kept = quiet.p99() / self.p99();
        let isolation = if self.response.is_empty() || quiet.response.is_empty() {
            0.0
        } else {
            rate_kept.min(tail_kept).min(1.0)
        };
        InterferenceLevel {
            long_connections,
            elapsed_s: self.elapsed.as_secs_f64(),
            rate_per_s: self.rate(),
            response: Latency::of(&self.response),
            long_rate_per_s,
            isolation,
            recovery_s,
        }
    }
}

fn windows(timeline: &Timeline) -> impl Iterator<Item = (Duration, &load::Window)> {
    let begin = |at: usize| timeline.length() * u32::try_from(at).unwrap_or(u32::MAX);
    timeline.windows().iter().enumerate().map(move |(at, window)| (begin(at), window))
}

/// How long after `from` it took until this rate was there again for a while, in seconds.
fn recovery(timeline: &Timeline, from: Duration, rate: f64) -> Option<f64> {
    let later: Vec<_> = windows(timeline).filter(|(begin, _)| *begin >= from).collect();
    let wanted = rate * timeline.length().as_secs_f64() * to_f64(RECOVERED_FOR as u64);
    let runs = later.windows(RECOVERED_FOR);
    let mut runs = runs.map(|run| (run[0].0, run.iter().map(|(_, it)| it.response.len()).sum()));
    let recovered = runs.find(|&(_, replies): &(Duration, u64)| to_f64(replies) >= wanted);
    // When in the window it was is not known: at its end at the latest.
    recovered.map(|(begin, _)| (begin + timeline.length()).saturating_sub(from).as_secs_f64())
}
