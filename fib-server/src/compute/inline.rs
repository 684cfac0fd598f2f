//! Computes where the request was read: no hand-over, and nothing else happens on that thread but
//! between two slices.

use crate::compute::{Outcome, Refusal, job::Job};

/// A job for the thread that read it.
#[derive(Debug)]
pub struct InlineJob {
    /// `None` once the outcome is told.
    job: Option<Job>,
    slice_calls: u64,
}

impl InlineJob {
    pub(super) const fn new(job: Job, slice_calls: u64) -> Self {
        Self { job: Some(job), slice_calls }
    }

    /// Computes for a slice of time. The outcome, when that was the last one.
    pub fn run_slice(&mut self) -> Option<Outcome> {
        let mut job = self.job.take()?;
        if let Some(refusal) = job.terms.broken() {
            return Some(Err(refusal));
        }
        job.work.run(self.slice_calls);
        if job.work.remaining() == 0 {
            return Some(job.work.into_answer().ok_or(Refusal::Failed));
        }
        self.job = Some(job);
        None
    }
}
