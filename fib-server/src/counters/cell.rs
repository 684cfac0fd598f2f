//! The counters of one process, as they lie in memory.

use std::sync::atomic::AtomicU64;

use super::histogram::Histogram;
use crate::{counters::Handshake, progress::Verdict, rejection::Rejection};

/// Into how many lines of the cache the counters of requests are spread. Connections are dealt out
/// to them, so that two cores that answer at the same time seldom want the same one.
const STRIPES: usize = 16;

/// The counters of one process, beginning on a line of the cache. All bytes zero are a new one.
#[derive(Debug, Default)]
#[repr(C, align(64))]
pub(crate) struct Cell {
    /// Connections that are open, or about to be.
    pub(super) open: AtomicU64,
    pub(super) accepted: AtomicU64,
    pub(super) closed: AtomicU64,
    pub(super) refused: [AtomicU64; Rejection::ALL.len()],
    pub(super) timed_out: [AtomicU64; Verdict::ALL.len()],
    pub(super) handshakes: [AtomicU64; Handshake::ALL.len()],
    /// Bytes of large answers that are computed, or wait to be read.
    pub(super) output: AtomicU64,
    /// Threads or processes that compute.
    pub(super) workers: AtomicU64,
    /// From which port the server asks itself whether it serves; 0 while it does not.
    pub(super) own_port: AtomicU64,
    /// Processes that were started in the place of others.
    pub(super) restarts: AtomicU64,
    pub(super) panics: AtomicU64,
    pub(super) jobs: Jobs,
    pub(super) requests: [Requests; STRIPES],
}

/// What became of requests, in a line of the cache to themselves.
#[derive(Debug, Default)]
#[repr(C, align(64))]
pub(super) struct Requests {
    pub(super) ok: AtomicU64,
    pub(super) err: AtomicU64,
    pub(super) cancelled: AtomicU64,
}

/// What became of requests that take time. Those that are under way are in no counter of their
/// own: they are what was started and has not ended, also after the process was killed.
#[derive(Debug, Default)]
#[repr(C)]
pub(super) struct Jobs {
    pub(super) started: AtomicU64,
    pub(super) ok: AtomicU64,
    pub(super) deadline: AtomicU64,
    pub(super) failed: AtomicU64,
    pub(super) cancelled: AtomicU64,
    pub(super) refused_busy: AtomicU64,
    pub(super) refused_deadline: AtomicU64,
    pub(super) refused_output: AtomicU64,
    pub(super) slices: AtomicU64,
    pub(super) steals: AtomicU64,
    pub(super) waits: Histogram,
    pub(super) times: Histogram,
}

impl Cell {
    /// Where the requests of a connection of this number are counted.
    pub(super) fn requests_of(&self, connection: u64) -> &Requests {
        &self.requests[usize::try_from(connection % STRIPES as u64).unwrap_or_default()]
    }
}
