//! Makes load, and measures it: in a closed loop, or on a schedule, over many connections.
//!
//! Each worker thread owns its connections, its histograms and its counters, from the first byte
//! to the last: nothing is locked, shared or allocated per request. They are added up at the end.
//!
//! A reply's time is read once for all replies that one read of the socket brought.

mod conversation;
mod demand;
mod draw;
mod failure;
mod line;
mod pace;
mod plan;
mod poller;
mod progress;
mod samples;
mod slot;
mod tally;
mod timeline;
mod traffic;
mod use_of_time;
mod worker;

use std::{
    io,
    sync::mpsc,
    thread,
    time::{Duration, Instant, SystemTime},
};

use rustix::{
    io::Errno,
    time::{ClockId, clock_gettime},
};

pub use self::{
    failure::{Failure, Failures},
    pace::{Arrivals, Late, Pace, Rates, RatesError, Schedule, Stage},
    plan::{Class, Mix, MixError, Plan, Reconnect, Until},
    progress::Progress,
    tally::{Latencies, Tally},
    timeline::{Timeline, Window},
    use_of_time::UseOfTime,
};
pub(crate) use plan::Script;
pub(crate) use poller::{Poller, Ready};
pub(crate) use samples::histogram;

use crate::{dial::Target, host::CpuClock};
use traffic::Span;
use worker::Worker;

/// What a load found out.
#[derive(Debug)]
pub struct Outcome {
    /// When the measured time began.
    pub began: SystemTime,
    /// How long it was.
    pub elapsed: Duration,
    /// The replies and failures of all workers.
    pub tally: Tally,
    /// CPU time of this process meanwhile, in user mode and in the kernel.
    pub cpu: Duration,
    /// What each worker did with its time.
    pub workers: Vec<UseOfTime>,
    /// The share of the CPU time wanted on this machine that its host gave to others.
    pub stolen: Option<f64>,
    /// Whether it was stopped before its end.
    pub interrupted: bool,
}

/// Runs a plan to its end, or until `progress` is stopped.
///
/// With `each_reply`, the service time of every reply is sent there as it comes: for loads so slow
/// that a person can read along.
///
/// # Errors
///
/// Where the name cannot be looked up, or a first connection fails. A failure after the first
/// request is counted instead.
///
/// # Panics
///
/// If `progress` was made for another plan, or a worker panics, which is a bug.
pub fn run(
    plan: &Plan,
    progress: &Progress,
    each_reply: Option<&mpsc::Sender<Duration>>,
) -> io::Result<Outcome> {
    assert_eq!(progress.workers(), plan.running_threads(), "progress of another plan");
    let target = Target::resolve(&plan.address, plan.tls.as_ref())?;
    let mut workers = Vec::new();
    for index in 0..plan.running_threads() {
        let worker = Worker::connect(plan, &target, index, each_reply.cloned());
        workers.push(worker.map_err(|error| name_the_limit(&error))?);
    }
    wait_for(plan.start_at, progress);
    let (clock, cpu_before) = (CpuClock::now(), cpu_time());
    let (began, span) = (SystemTime::now() + plan.warm_up, Span::new(Instant::now(), plan));
    progress.begin(span.measured);
    let ends = drive(workers, progress, span);
    let cpu = cpu_time().saturating_sub(cpu_before);
    let end = ends.iter().map(|(_, end, _)| *end).max().unwrap_or(span.measured);
    let (parts, workers): (Vec<_>, _) =
        ends.into_iter().map(|(it, _, use_of_time)| (it, use_of_time)).unzip();
    let tally = parts.into_iter().reduce(|mut sum, part| {
        sum.add(&part);
        sum
    });
    Ok(Outcome {
        began,
        elapsed: end.saturating_duration_since(span.measured),
        tally: tally.expect("there is at least one worker"),
        cpu,
        workers,
        stolen: clock.and_then(CpuClock::stolen_since),
        interrupted: progress.is_stopped(),
    })
}

/// Sleeps until the moment that several programs agreed on.
fn wait_for(start: Option<SystemTime>, progress: &Progress) {
    const NAP: Duration = Duration::from_millis(50);
    while let Some(left) = start.and_then(|it| it.duration_since(SystemTime::now()).ok())
        && !left.is_zero()
        && !progress.is_stopped()
    {
        thread::sleep(left.min(NAP));
    }
}

/// Tells what to change where the system's own words do not.
fn name_the_limit(error: &io::Error) -> io::Error {
    let failure = Failure::of_connecting(error);
    let advice = match Errno::from_io_error(error) {
        Some(Errno::MFILE | Errno::NFILE) => "ulimit -n bounds --connections",
        Some(Errno::ADDRNOTAVAIL) => "net.ipv4.ip_local_port_range bounds --connections",
        _ => return io::Error::new(error.kind(), format!("{}: {error}", failure.name())),
    };
    io::Error::other(format!("{}: {error}; {advice}", failure.name()))
}

/// Runs the workers side by side, the first one on this thread.
fn drive(
    mut workers: Vec<Worker>,
    progress: &Progress,
    span: Span,
) -> Vec<(Tally, Instant, UseOfTime)> {
    let others = workers.split_off(1);
    let run = |worker: Worker| worker.run(span, progress);
    thread::scope(|scope| {
        let threads: Vec<_> =
            others.into_iter().map(|other| scope.spawn(move || run(other))).collect();
        let mut ends: Vec<_> = workers.into_iter().map(run).collect();
        ends.extend(threads.into_iter().map(|thread| thread.join().expect("a worker panicked")));
        ends
    })
}

fn cpu_time() -> Duration {
    clock_gettime(ClockId::ProcessCPUTime).try_into().unwrap_or_default()
}
