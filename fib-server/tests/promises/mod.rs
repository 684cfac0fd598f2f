//! What the server promises under load, faults and bad input: docs/promises.md lists it.
//!
//! A promise is a test for every way of serving that can keep it, and ends with the same check:
//! nothing was lost sight of. Its fast form runs with all tests; with `FIB_LONG=1`, as `cargo xtask
//! soak` has it, it makes as many attempts as the promise is about.

mod access;
mod admin;
mod crash;
mod drain;
mod input;
mod limits;
#[cfg(debug_assertions)]
mod panics;
mod peers;
mod reload;
mod restart;
mod tls;
mod vanished;
mod workers;

use std::{
    fs,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    thread,
};

pub(crate) use crate::effort::{attempts, choices};
use crate::{
    support::{Client, Ended, Process, Server, Way, comes_true, wait_until},
    watched::Watched,
};

/// A server that must not lose sight of anything.
pub(crate) struct Subject {
    pub(crate) watched: Watched,
    before: Footprint,
}

impl Subject {
    /// Starts it, and has everything done once that is done when it is first needed.
    pub(crate) fn start(way: Way, flags: &[&str]) -> Self {
        Self::start_with(way, flags, workers(way))
    }

    /// The same, of which so many threads or processes compute.
    pub(crate) fn start_with(way: Way, flags: &[&str], workers: usize) -> Self {
        Self::settled(Watched::start(way, flags), workers)
    }

    /// One that is started in another manner, with these further flags.
    pub(crate) fn of(way: Way, start: impl FnOnce(&[&str]) -> Server) -> Self {
        Self::settled(Watched::of(start), workers(way))
    }

    fn settled(watched: Watched, workers: usize) -> Self {
        for request in ["1", "30", "20000"] {
            watched.server.connect().ask(request);
        }
        watched.wait_until_it_is("fib_connections_open", 0);
        watched.wait_until_it_is("fib_workers", workers);
        let before = Footprint::settled(&watched.server);
        Self { watched, before }
    }

    pub(crate) fn server(&self) -> &Server {
        &self.watched.server
    }

    /// Waits until it has no more than before there were clients.
    pub(crate) fn wait_until_it_holds_nothing(&self) {
        let before = self.before;
        let mut after = before;
        let is_as_before = || {
            after = Footprint::of(&self.watched.server);
            after == before
        };
        assert!(comes_true(is_as_before), "it holds {after:?}; {before:?} before");
    }

    /// Once all clients are gone: every connection and request is accounted for, nothing is held
    /// that was not held before, and the server ends in order.
    pub(crate) fn finish(self) -> Ended {
        self.watched.wait_until_it_is("fib_connections_open", 0);
        self.watched.wait_until_it_is("fib_jobs_in_flight", 0);
        self.wait_until_it_holds_nothing();
        let ended = self.watched.server.stop();
        ended.check_counts();
        ended
    }
}

/// Ends clients that look at it, in whatever way a test ends.
struct SetOnDrop<'a>(&'a AtomicBool);

impl Drop for SetOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

/// How many clients are served at once.
pub(crate) fn at_once(way: Way, clients: usize) -> usize {
    if way.strategy == "sequential" { 1 } else { clients }
}

/// Shown with `--nocapture`: no test asserts an absolute time.
#[expect(clippy::print_stdout, reason = "the test harness shows it to who wants to see it")]
pub(crate) fn tell(way: Way, finding: &str) {
    println!("{} {}: {finding}", way.strategy, way.compute);
}

/// Another client is answered all the while.
pub(crate) fn ask_if_any(canary: &mut Option<Client>) {
    if let Some(canary) = canary {
        assert_eq!(canary.ask("30"), "832040");
    }
}

/// How many threads or processes compute once all of them have started.
fn workers(way: Way) -> usize {
    let nobody = way.compute == "inline" && way.strategy != "prefork";
    if nobody { 0 } else { thread::available_parallelism().unwrap().get() }
}

/// How many threads a process has, without those that the kernel has for `io_uring`: it may keep
/// one when all is done.
fn threads(pid: i32) -> usize {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else { return 0 };
    let names = threads.flatten().map(|it| fs::read_to_string(it.path().join("comm")));
    names.flatten().filter(|name| !name.starts_with("iou-wrk")).count()
}

/// What a server and its children hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Footprint {
    processes: usize,
    threads: usize,
    descriptors: usize,
}

impl Footprint {
    fn of(server: &Server) -> Self {
        let family = server.descendants().into_iter().chain([server.pid().cast_signed()]);
        let mut footprint = Self { processes: 0, threads: 0, descriptors: 0 };
        for pid in family {
            footprint.processes += 1;
            footprint.descriptors += Process::descriptors(pid);
            footprint.threads += threads(pid);
        }
        footprint
    }

    /// Once it has stopped changing: what was begun may still be ending.
    fn settled(server: &Server) -> Self {
        let mut footprint = Self::of(server);
        let mut times_seen = 0;
        wait_until("what it holds stays the same", || {
            let now = Self::of(server);
            times_seen = if now == footprint { times_seen + 1 } else { 0 };
            footprint = now;
            times_seen == 25
        });
        footprint
    }
}
