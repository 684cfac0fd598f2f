//! What is counted of jobs, the requests that are not answered at once.

use std::{
    iter::Sum,
    ops::Add,
    sync::atomic::Ordering::Relaxed,
    time::{Duration, Instant},
};

use super::{Counters, cell, histogram::Times};
use crate::compute::{Outcome, Refusal};

/// What became of jobs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JobCounts {
    /// Those that were taken on.
    pub started: u64,
    /// Those of them that were answered with a value,
    pub ok: u64,
    /// that were not done in time,
    pub deadline: u64,
    /// that the server failed at,
    pub failed: u64,
    /// and that were given up, because the client was gone.
    pub cancelled: u64,
    /// Not taken on, because there were too many.
    pub refused_busy: u64,
    /// Not taken on, because they could not be done in time.
    pub refused_deadline: u64,
    /// Not taken on, because there was no room for their answers.
    pub refused_output: u64,
    /// How often somebody computed for one of them.
    pub slices: u64,
    /// How often that was to help another thread.
    pub steals: u64,
    /// From their arrival until they were begun with.
    pub waits: Times,
    /// From their arrival until they were done.
    pub times: Times,
}

/// A job that was taken on. Dropping it, unless it has ended, means that it is given up.
#[derive(Debug)]
pub(crate) struct JobInFlight<'a> {
    cells: &'a cell::Jobs,
    received_at: Instant,
    has_ended: bool,
}

impl JobCounts {
    /// How many are under way.
    #[must_use]
    pub const fn in_flight(&self) -> u64 {
        self.started.saturating_sub(self.ok + self.deadline + self.failed + self.cancelled)
    }
}

impl Counters {
    /// Counts a job that is taken on.
    pub(crate) fn begin_job(&self, received_at: Instant) -> JobInFlight<'_> {
        let cells = &self.own().jobs;
        cells.started.fetch_add(1, Relaxed);
        JobInFlight { cells, received_at, has_ended: false }
    }

    /// Counts a job that is not.
    pub(crate) fn refuse_job(&self, refusal: Refusal) {
        let cells = &self.own().jobs;
        match refusal {
            Refusal::TooMany { .. } => cells.refused_busy.fetch_add(1, Relaxed),
            Refusal::TooLate { .. } => cells.refused_deadline.fetch_add(1, Relaxed),
            Refusal::NoRoom { .. } => cells.refused_output.fetch_add(1, Relaxed),
            Refusal::Deadline { .. } | Refusal::ClientGone | Refusal::Failed => 0,
        };
    }

    /// Counts how long a job has waited until it was begun with.
    pub(crate) fn job_waited(&self, time: Duration) {
        self.own().jobs.waits.record(time);
    }

    /// Counts that somebody computed.
    pub(crate) fn slice(&self) {
        self.own().jobs.slices.fetch_add(1, Relaxed);
    }

    /// Counts that it was to help somebody else.
    pub(crate) fn steal(&self) {
        self.own().jobs.steals.fetch_add(1, Relaxed);
    }
}

impl JobInFlight<'_> {
    /// Counts what has come of it.
    pub(crate) fn end(mut self, outcome: &Outcome) {
        self.count(outcome);
    }

    fn count(&mut self, outcome: &Outcome) {
        self.has_ended = true;
        self.cells.times.record(self.received_at.elapsed());
        let ended = match outcome {
            Ok(_) => &self.cells.ok,
            Err(Refusal::Deadline { .. }) => &self.cells.deadline,
            Err(Refusal::ClientGone) => &self.cells.cancelled,
            Err(_) => &self.cells.failed,
        };
        ended.fetch_add(1, Relaxed);
    }
}

impl Drop for JobInFlight<'_> {
    fn drop(&mut self) {
        if !self.has_ended {
            self.count(&Err(Refusal::ClientGone));
        }
    }
}

impl cell::Jobs {
    /// Gives up those that are under way: whoever was to compute them is gone.
    pub(super) fn cancel_all(&self) {
        self.cancelled.fetch_add(self.read().in_flight(), Relaxed);
    }

    pub(super) fn read(&self) -> JobCounts {
        JobCounts {
            // Before those that were started: what ends meanwhile was started before.
            ok: self.ok.load(Relaxed),
            deadline: self.deadline.load(Relaxed),
            failed: self.failed.load(Relaxed),
            cancelled: self.cancelled.load(Relaxed),
            started: self.started.load(Relaxed),
            refused_busy: self.refused_busy.load(Relaxed),
            refused_deadline: self.refused_deadline.load(Relaxed),
            refused_output: self.refused_output.load(Relaxed),
            slices: self.slices.load(Relaxed),
            steals: self.steals.load(Relaxed),
            waits: self.waits.read(),
            times: self.times.read(),
        }
    }
}

impl Add for JobCounts {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            started: self.started + other.started,
            ok: self.ok + other.ok,
            deadline: self.deadline + other.deadline,
            failed: self.failed + other.failed,
            cancelled: self.cancelled + other.cancelled,
            refused_busy: self.refused_busy + other.refused_busy,
            refused_deadline: self.refused_deadline + other.refused_deadline,
            refused_output: self.refused_output + other.refused_output,
            slices: self.slices + other.slices,
            steals: self.steals + other.steals,
            waits: self.waits.and(other.waits),
            times: self.times.and(other.times),
        }
    }
}

impl Sum for JobCounts {
    fn sum<I: Iterator<Item = Self>>(counts: I) -> Self {
        counts.fold(Self::default(), Add::add)
    }
}
