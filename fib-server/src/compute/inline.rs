//! Computes where the request was read: no hand-over, and nothing else happens on that thread but
//! between two slices.

use std::{mem, sync::Arc};

use crate::{
    compute::{Outcome, Refusal, job::Job},
    counters::Counters,
    panics,
};

/// A job for the thread that read it.
#[derive(Debug)]
pub struct InlineJob {
    /// `None` once the outcome is told.
    job: Option<Job>,
    slice_calls: u64,
    has_begun: bool,
    counters: Arc<Counters>,
}

impl InlineJob {
    pub(super) const fn new(job: Job, slice_calls: u64, counters: Arc<Counters>) -> Self {
        Self { job: Some(job), slice_calls, has_begun: false, counters }
    }

    /// Computes for a slice of time. The outcome, when that was the last one.
    pub fn run_slice(&mut self) -> Option<Outcome> {
        let mut job = self.job.take()?;
        if let Some(refusal) = job.terms.broken() {
            return Some(Err(refusal));
        }
        if !mem::replace(&mut self.has_begun, true) {
            self.counters.job_waited(job.terms.age());
        }
        self.counters.slice();
        if panics::contain(&self.counters, || job.work.run(self.slice_calls)).is_none() {
            return Some(Err(Refusal::Failed));
        }
        if job.work.remaining() == 0 {
            return Some(job.work.into_answer().ok_or(Refusal::Failed));
        }
        self.job = Some(job);
        None
    }
}
