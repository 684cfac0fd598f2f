//! What is counted, and the one limit that depends on it: in ordinary memory, or in memory that
//! several processes share.
//!
//! Each process has a cell of its own and writes to no other, so that what one of them leaves
//! behind when it is killed can be told, and made good.

use std::{
    hint, io,
    os::fd::{BorrowedFd, OwnedFd},
    sync::atomic::{
        AtomicU64,
        Ordering::{Relaxed, SeqCst},
    },
};

use crate::{session::RequestCounts, sys::shared::SharedCells};

/// What happened so far. A connection's requests are counted when it closes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Connections that were taken on: as many as are closed and open.
    pub accepted: u64,
    /// Those of them that have ended.
    pub closed: u64,
    /// Connections that were refused because there were too many.
    pub refused: u64,
    /// What became of the requests.
    pub requests: RequestCounts,
}

/// The counters of all processes that serve the same clients.
#[derive(Debug)]
pub struct Counters {
    cells: Cells,
    /// Which of the cells is this process's.
    own: usize,
}

#[derive(Debug)]
enum Cells {
    Alone(Cell),
    Shared(SharedCells),
}

/// The counters of one process, in a cache line to themselves. All bytes zero are a new one.
#[derive(Debug, Default)]
#[repr(C, align(64))]
pub(crate) struct Cell {
    /// Connections that are open, or about to be.
    open: AtomicU64,
    accepted: AtomicU64,
    closed: AtomicU64,
    refused: AtomicU64,
    ok: AtomicU64,
    err: AtomicU64,
    cancelled: AtomicU64,
}

impl Counters {
    /// For a process that serves alone.
    #[must_use]
    pub fn alone() -> Self {
        Self { cells: Cells::Alone(Cell::default()), own: 0 }
    }

    /// For so many processes that this one will start.
    pub(crate) fn shared(processes: usize) -> io::Result<Self> {
        Ok(Self { cells: Cells::Shared(SharedCells::new(processes)?), own: 0 })
    }

    /// Those that another process has made, in one of the processes that it has started.
    pub(crate) fn inherited(memory: OwnedFd, process: usize) -> io::Result<Self> {
        let cells = SharedCells::map(memory)?;
        if process < cells.len() {
            Ok(Self { cells: Cells::Shared(cells), own: process })
        } else {
            Err(io::ErrorKind::InvalidInput.into())
        }
    }

    /// The memory, to be handed to other processes, if they can share it.
    pub(crate) fn memory(&self) -> Option<BorrowedFd<'_>> {
        match &self.cells {
            Cells::Alone(_) => None,
            Cells::Shared(cells) => Some(cells.memory()),
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
                own.refused.fetch_add(1, Relaxed);
                return false;
            }
            hint::spin_loop();
        }
    }

    /// Gives a connection's place back. The sum of its requests is that of the others.
    pub(crate) fn close(&self, RequestCounts { ok, err, cancelled, .. }: RequestCounts) {
        let own = self.own();
        own.ok.fetch_add(ok, Relaxed);
        own.err.fetch_add(err, Relaxed);
        own.cancelled.fetch_add(cancelled, Relaxed);
        own.closed.fetch_add(1, Relaxed);
        own.open.fetch_sub(1, SeqCst);
    }

    /// Takes note that a process is gone: its connections are closed.
    pub(crate) fn end(&self, process: usize) {
        let cell = &self.all()[process];
        cell.closed.store(cell.accepted.load(Relaxed), Relaxed);
        cell.open.store(0, SeqCst);
    }

    /// The sum over all processes.
    #[must_use]
    pub fn tally(&self) -> Tally {
        let sum = |counter: fn(&Cell) -> &AtomicU64| -> u64 {
            self.all().iter().map(|cell| counter(cell).load(Relaxed)).sum()
        };
        let (ok, err, cancelled) = (sum(|it| &it.ok), sum(|it| &it.err), sum(|it| &it.cancelled));
        Tally {
            accepted: sum(|it| &it.accepted),
            closed: sum(|it| &it.closed),
            refused: sum(|it| &it.refused),
            requests: RequestCounts { requests: ok + err + cancelled, ok, err, cancelled },
        }
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
    use std::thread;

    use super::*;

    const REQUESTS: RequestCounts = RequestCounts { requests: 6, ok: 1, err: 2, cancelled: 3 };

    /// As two processes have them, in one.
    fn two() -> [Counters; 2] {
        let first = Counters::shared(2).unwrap();
        let memory = first.memory().unwrap().try_clone_to_owned().unwrap();
        let second = Counters::inherited(memory, 1).unwrap();
        [first, second]
    }

    #[test]
    fn each_counts_for_all() {
        let [first, second] = two();
        assert!(first.open(3) && second.open(3) && second.open(3));
        assert!(!first.open(3) && !second.open(3));
        first.close(REQUESTS);
        second.close(REQUESTS);
        let requests = RequestCounts { requests: 12, ok: 2, err: 4, cancelled: 6 };
        let tally = Tally { accepted: 3, closed: 2, refused: 2, requests };
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
    fn the_memory_of_another_count_of_processes_is_refused() {
        let memory = || two()[0].memory().unwrap().try_clone_to_owned().unwrap();
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
                            counters.close(RequestCounts::default());
                        }
                    }
                });
            }
        });
        let Tally { accepted, closed, refused, .. } = both[0].tally();
        assert_eq!((accepted, closed, refused), (closed, accepted, 2 * ROUNDS - accepted));
        assert!(both[0].open(1) && !both[1].open(1));
    }
}
