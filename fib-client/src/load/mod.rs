//! Makes load, and measures it: a closed loop over many connections.
//!
//! Each worker thread owns its connections, its histograms and its counters, from the first byte
//! to the last: nothing is locked, shared or allocated per request. They are added up at the end.

mod conversation;
mod failure;
mod plan;
mod tally;
mod worker;

use std::{
    io,
    sync::{
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use rustix::{
    io::Errno,
    time::{ClockId, clock_gettime},
};

pub use self::{
    failure::{Failure, Failures},
    plan::{Class, Mix, MixError, Plan, Until},
    tally::Tally,
};
use crate::dial::Target;
use worker::Worker;

/// What others can see of a load while it runs, and how they can end it.
#[derive(Debug, Default)]
pub struct Progress {
    replies: Vec<Padded>,
    stop: AtomicBool,
}

/// A cache line of its own for each worker's counter: publishing must not slow its neighbour.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Padded(AtomicU64);

impl Progress {
    /// For the load of this plan.
    #[must_use]
    pub fn new(plan: &Plan) -> Self {
        Self {
            replies: (0..plan.running_threads()).map(|_| Padded::default()).collect(),
            stop: AtomicBool::new(false),
        }
    }

    /// How many replies came so far, right or wrong.
    #[must_use]
    pub fn replies(&self) -> u64 {
        self.replies.iter().map(|counter| counter.0.load(Ordering::Relaxed)).sum()
    }

    /// Ends the load soon.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// What a load found out.
#[derive(Debug)]
pub struct Outcome {
    /// From the first request until the load ended.
    pub elapsed: Duration,
    /// The replies and failures of all workers.
    pub tally: Tally,
    /// CPU time of this process meanwhile, in user mode and in the kernel.
    pub cpu: Duration,
}

/// Runs a plan to its end, or until `progress` is stopped.
///
/// With `each_reply`, the latency of every reply is sent there as it comes: for loads so slow that
/// a person can read along.
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
    assert_eq!(progress.replies.len(), plan.running_threads(), "progress of another plan");
    let target = Target::resolve(&plan.address)?;
    let mut workers = Vec::new();
    for index in 0..plan.running_threads() {
        let worker = Worker::connect(plan, &target, index, each_reply.cloned());
        workers.push(worker.map_err(name_the_limit)?);
    }
    let cpu_before = cpu_time();
    let begin = Instant::now();
    let ends = drive(workers, progress, begin);
    let elapsed = ends.iter().map(|(_, end)| *end).max().unwrap_or(begin) - begin;
    let cpu = cpu_time().saturating_sub(cpu_before);
    let mut tally = Tally::new(plan.mix.classes().len());
    for (part, _) in &ends {
        tally.add(part);
    }
    Ok(Outcome { elapsed, tally, cpu })
}

/// Tells what to change where the system's own words do not.
fn name_the_limit(error: io::Error) -> io::Error {
    match Errno::from_io_error(&error) {
        Some(Errno::MFILE) => io::Error::other(format!("{error}; ulimit -n bounds --connections")),
        _ => error,
    }
}

/// Runs the workers side by side, the first one on this thread.
fn drive(mut workers: Vec<Worker>, progress: &Progress, begin: Instant) -> Vec<(Tally, Instant)> {
    let others = workers.split_off(1);
    let run = |(worker, replies): (Worker, &Padded)| worker.run(begin, &replies.0, &progress.stop);
    let (first_counter, other_counters) = progress.replies.split_at(1);
    thread::scope(|scope| {
        let others = others.into_iter().zip(other_counters);
        let threads: Vec<_> = others.map(|other| scope.spawn(move || run(other))).collect();
        let mut ends: Vec<_> = workers.into_iter().zip(first_counter).map(run).collect();
        ends.extend(threads.into_iter().map(|thread| thread.join().expect("a worker panicked")));
        ends
    })
}

fn cpu_time() -> Duration {
    clock_gettime(ClockId::ProcessCPUTime).try_into().unwrap_or_default()
}
