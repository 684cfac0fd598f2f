//! What is counted, and the one limit that depends on it: in ordinary memory, or in memory that
//! several processes share.
//!
//! Each process has a cell of its own and writes to no other, so that what one of them leaves
//! behind when it is killed can be told, and made good.

mod cell;
mod histogram;
mod job;
mod origins;

use std::{
    array, hint, io,
    os::fd::{BorrowedFd, OwnedFd},
    sync::atomic::{
        AtomicU64,
        Ordering::{Relaxed, SeqCst},
    },
};

use self::origins::Origins;
pub(crate) use self::{cell::Cell, origins::Origin};
pub use self::{histogram::Times, job::JobCounts};
use crate::{progress::Verdict, rejection::Rejection, session::RequestCounts, sys::shared::Shared};

/// What happened so far. A connection's requests are counted before their answers are sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Connections that were taken on: as many as are closed and open.
    pub accepted: u64,
    /// Those of them that have ended.
    pub closed: u64,
    /// Connections that were not served, by why.
    pub refused: [u64; Rejection::ALL.len()],
    /// Connections that the server ended, because they kept it waiting: idle, in the middle of a
    /// line, not reading, and not reading while others needed the room.
    pub timed_out: [u64; Verdict::ALL.len()],
    /// Handshakes of TLS, by what became of them.
    pub handshakes: [u64; Handshake::ALL.len()],
    /// Bytes of large answers that are computed, or wait to be read.
    pub output: u64,
    /// What became of the requests.
    pub requests: RequestCounts,
    /// What became of those that take time.
    pub jobs: JobCounts,
    /// Threads or processes that compute now.
    pub workers: u64,
    /// Processes that were started in the place of others.
    pub restarts: u64,
    /// Bugs that cost somebody an answer or a connection.
    pub panics: u64,
}

/// What became of a handshake of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Handshake {
    Ok,
    Failed,
    TimedOut,
}

impl Handshake {
    pub(crate) const ALL: [Self; 3] = [Self::Ok, Self::Failed, Self::TimedOut];

    /// What it is called for who watches.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Failed => "failed",
            Self::TimedOut => "timeout",
        }
    }
}

/// The counters of all processes that serve the same clients.
#[derive(Debug)]
pub struct Counters {
    cells: Cells,
    /// From where connections come.
    origins: Origins,
    /// Which of the cells is this process's.
    own: usize,
}

#[derive(Debug)]
enum Cells {
    Alone(Box<Cell>),
    Shared(Shared<Cell>),
}

/// Whoever computes, as long as this lives.
#[derive(Debug)]
pub(crate) struct Worker<'a>(&'a Cell);

impl Drop for Worker<'_> {
    fn drop(&mut self) {
        self.0.workers.fetch_sub(1, Relaxed);
    }
}

impl Counters {
    /// For a process that serves alone, and about so many connections.
    #[must_use]
    pub fn alone(connections: usize) -> Self {
        let origins = Origins::alone(connections);
        Self { cells: Cells::Alone(Box::default()), origins, own: 0 }
    }

    /// For so many processes that this one will start, and about so many connections.
    pub(crate) fn shared(processes: usize, connections: usize) -> io::Result<Self> {
        let origins = Origins::shared(processes, connections)?;
        Ok(Self { cells: Cells::Shared(Shared::new(processes)?), origins, own: 0 })
    }

    /// Those that another process has made, in one of the processes that it has started.
    pub(crate) fn inherited(memory: [OwnedFd; 2], process: usize) -> io::Result<Self> {
        let [cells, origins] = memory;
        let cells = Shared::<Cell>::map(cells)?;
        if process < cells.len() {
            let origins = Origins::inherited(origins, cells.len(), process)?;
            Ok(Self { cells: Cells::Shared(cells), origins, own: process })
        } else {
            Err(io::ErrorKind::InvalidInput.into())
        }
    }

    /// The memory, to be handed to other processes, if they can share it.
    pub(crate) fn memory(&self) -> Option<[BorrowedFd<'_>; 2]> {
        match &self.cells {
            Cells::Alone(_) => None,
            Cells::Shared(cells) => Some([cells.memory(), self.origins.memory()?]),
        }
    }

    /// How many processes there are.
    pub(crate) const fn processes(&self) -> usize {
        match &self.cells {
            Cells::Alone(_) => 1,
            Cells::Shared(cells) => cells.len(),
        }
    }

    /// Takes one of `max` places for a connection. Whether there was one.
    pub(crate) fn open(&self, max: u64) -> bool {
        let own = self.own();
        loop {
            own.open.fetch_add(1, SeqCst);
            if self.open_everywhere() <= max {
                own.accepted.fetch_add(1, Relaxed);
                return true;
            }
            own.open.fetch_sub(1, SeqCst);
            // Unless somebody else wanted the last place just now, and both have stepped back.
            if self.open_everywhere() >= max {
                return false;
            }
            hint::spin_loop();
        }
    }

    /// Adds what has become of requests of the connection of this number.
    pub(crate) fn count(&self, connection: u64, counts: RequestCounts) {
        let RequestCounts { ok, err, cancelled, .. } = counts;
        let cells = self.own().requests_of(connection);
        // To add nothing costs as much as to add something.
        if ok > 0 {
            cells.ok.fetch_add(ok, Relaxed);
        }
        if err > 0 {
            cells.err.fetch_add(err, Relaxed);
        }
        if cancelled > 0 {
            cells.cancelled.fetch_add(cancelled, Relaxed);
        }
    }

    /// Has so many bytes of output count as so many others.
    pub(crate) fn hold_output(&self, before: u64, bytes: u64) {
        self.own().output.fetch_add(bytes.wrapping_sub(before), SeqCst);
    }

    /// How many bytes of output count.
    pub(crate) fn output(&self) -> u64 {
        self.all().iter().map(|cell| cell.output.load(SeqCst)).sum()
    }

    /// Takes note that a connection is not served for this reason.
    pub(crate) fn refuse(&self, why: Rejection) {
        self.own().refused[why as usize].fetch_add(1, Relaxed);
    }

    /// Takes note that a connection was ended for this reason.
    pub(crate) fn timed_out(&self, verdict: Verdict) {
        self.own().timed_out[verdict as usize].fetch_add(1, Relaxed);
    }

    /// Takes one of `max` places for a connection from there, if any is left.
    pub(crate) fn open_from(&self, origin: Origin, max: u64) -> Option<usize> {
        self.origins.claim(origin, max)
    }

    /// Gives that place back.
    pub(crate) fn close_from(&self, place: usize) {
        self.origins.release(place);
    }

    /// Takes note of what became of a handshake.
    pub(crate) fn shaken_hands(&self, outcome: Handshake) {
        self.own().handshakes[outcome as usize].fetch_add(1, Relaxed);
    }

    /// Gives a connection's place back.
    pub(crate) fn close(&self) {
        let own = self.own();
        own.closed.fetch_add(1, Relaxed);
        own.open.fetch_sub(1, SeqCst);
    }

    /// Has all processes know from which port the server asks itself; 0 is from none.
    pub(crate) fn set_own_port(&self, port: u16) {
        self.own().own_port.store(port.into(), SeqCst);
    }

    /// From which port the server asks itself; 0 while it does not.
    pub(crate) fn own_port(&self) -> u16 {
        let port = self.all().iter().map(|cell| cell.own_port.load(SeqCst)).max();
        port.and_then(|it| it.try_into().ok()).unwrap_or_default()
    }

    /// Counts one more thread or process that computes, as long as the returned value lives.
    pub(crate) fn worker(&self) -> Worker<'_> {
        let own = self.own();
        own.workers.fetch_add(1, Relaxed);
        Worker(own)
    }

    /// Takes note that a process that computes was started in the place of another.
    pub(crate) fn restarted(&self) {
        self.own().restarts.fetch_add(1, Relaxed);
    }

    /// Takes note of a panic.
    pub(crate) fn panicked(&self) {
        self.own().panics.fetch_add(1, Relaxed);
    }

    /// Takes note that one of those that serve was.
    pub(crate) fn replaced(&self, process: usize) {
        self.all()[process].restarts.fetch_add(1, Relaxed);
    }

    /// Takes note that a process is gone: its connections are closed, and its jobs cancelled.
    pub(crate) fn end(&self, process: usize) {
        let cell = &self.all()[process];
        cell.closed.store(cell.accepted.load(Relaxed), Relaxed);
        cell.jobs.cancel_all();
        cell.workers.store(0, Relaxed);
        cell.output.store(0, SeqCst);
        cell.open.store(0, SeqCst);
        self.origins.end(process);
    }

    /// The sum over all processes.
    #[must_use]
    pub fn tally(&self) -> Tally {
        let sum = |counter: fn(&Cell) -> &AtomicU64| -> u64 {
            self.all().iter().map(|cell| counter(cell).load(Relaxed)).sum()
        };
        Tally {
            // Before those that were accepted: what is closed meanwhile was accepted before.
            closed: sum(|it| &it.closed),
            accepted: sum(|it| &it.accepted),
            refused: self.sums(|it| &it.refused),
            timed_out: self.sums(|it| &it.timed_out),
            handshakes: self.sums(|it| &it.handshakes),
            output: self.output(),
            requests: self.requests(),
            jobs: self.all().iter().map(|cell| cell.jobs.read()).sum(),
            workers: sum(|it| &it.workers),
            restarts: sum(|it| &it.restarts),
            panics: sum(|it| &it.panics),
        }
    }

    fn sums<const N: usize>(&self, counters: fn(&Cell) -> &[AtomicU64; N]) -> [u64; N] {
        array::from_fn(|at| self.all().iter().map(|it| counters(it)[at].load(Relaxed)).sum())
    }

    fn requests(&self) -> RequestCounts {
        let mut counts = RequestCounts::default();
        for cells in self.all().iter().flat_map(|cell| &cell.requests) {
            counts.ok += cells.ok.load(Relaxed);
            counts.err += cells.err.load(Relaxed);
            counts.cancelled += cells.cancelled.load(Relaxed);
        }
        counts.requests = counts.ok + counts.err + counts.cancelled;
        counts
    }

    fn open_everywhere(&self) -> u64 {
        self.all().iter().map(|cell| cell.open.load(SeqCst)).sum()
    }

    fn own(&self) -> &Cell {
        &self.all()[self.own]
    }

    fn all(&self) -> &[Cell] {
        match &self.cells {
            Cells::Alone(cell) => std::slice::from_ref(cell),
            Cells::Shared(cells) => cells,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{mem, thread, time::Instant};

    use super::*;
    use crate::compute::Answer;

    const REQUESTS: RequestCounts = RequestCounts { requests: 6, ok: 1, err: 2, cancelled: 3 };

    /// As two processes have them, in one.
    fn two() -> [Counters; 2] {
        let first = Counters::shared(2, 10).unwrap();
        let memory = first.memory().unwrap().map(|it| it.try_clone_to_owned().unwrap());
        let second = Counters::inherited(memory, 1).unwrap();
        [first, second]
    }

    #[test]
    fn each_counts_for_all() {
        let [first, second] = two();
        assert!(first.open(3) && second.open(3) && second.open(3));
        assert!(!first.open(3) && !second.open(3));
        first.refuse(Rejection::Busy);
        second.refuse(Rejection::Busy);
        for (counters, connection) in [(&first, 1), (&second, 17)] {
            counters.count(connection, REQUESTS);
            counters.close();
        }
        let requests = RequestCounts { requests: 12, ok: 2, err: 4, cancelled: 6 };
        let mut tally = Tally { accepted: 3, closed: 2, requests, ..Tally::default() };
        tally.refused[Rejection::Busy as usize] = 2;
        assert_eq!((first.tally(), second.tally()), (tally, tally));
    }

    #[test]
    fn what_a_dead_process_held_is_given_back() {
        let [first, second] = two();
        assert!(first.open(2) && second.open(2) && !first.open(2));
        first.end(1);
        assert_eq!((first.tally().accepted, first.tally().closed), (2, 1));
        assert!(first.open(2) && !first.open(2));
    }

    #[test]
    fn the_jobs_of_a_dead_process_are_cancelled() {
        let [first, second] = two();
        first.begin_job(Instant::now()).end(&Ok(Answer::Word(1)));
        drop(first.begin_job(Instant::now()));
        mem::forget((second.begin_job(Instant::now()), second.worker()));
        let tally = first.tally();
        assert_eq!((tally.jobs.in_flight(), tally.jobs.cancelled, tally.workers), (1, 1, 1));
        first.end(1);
        let tally = first.tally();
        assert_eq!((tally.jobs.in_flight(), tally.jobs.cancelled, tally.workers), (0, 2, 0));
        assert_eq!((tally.jobs.ok, tally.jobs.times.count()), (1, 2));
    }

    #[test]
    fn the_memory_of_another_count_of_processes_is_refused() {
        let memory = || two()[0].memory().unwrap().map(|it| it.try_clone_to_owned().unwrap());
        assert!(Counters::inherited(memory(), 1).is_ok());
        assert!(Counters::inherited(memory(), 2).is_err());
    }

    /// Neither one too many, nor nobody where there is a place.
    #[test]
    fn the_last_place_is_taken_by_one() {
        const ROUNDS: u64 = 20_000;
        let both = two();
        thread::scope(|scope| {
            for counters in &both {
                scope.spawn(move || {
                    for _ in 0..ROUNDS {
                        if counters.open(1) {
                            assert_eq!(counters.open_everywhere().min(1), 1);
                            counters.close();
                        }
                    }
                });
            }
        });
        let Tally { accepted, closed, .. } = both[0].tally();
        assert_eq!(accepted, closed);
        assert!(both[0].open(1) && !both[1].open(1));
    }
}
