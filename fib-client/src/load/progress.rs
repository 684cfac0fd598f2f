//! What others can see of a load while it runs, and how they can end it.

use std::{
    sync::{
        Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Instant,
};

use crate::load::{Plan, Window};

/// What others can see of a load while it runs, and how they can end it.
#[derive(Debug)]
pub struct Progress {
    workers: Vec<Published>,
    is_watched: bool,
    measured_from: OnceLock<Instant>,
    stop: AtomicBool,
}

/// Cache lines of its own for each worker: publishing must not slow its neighbour.
#[derive(Debug)]
#[repr(align(128))]
struct Published {
    replies: AtomicU64,
    /// What happened since it was taken. A worker brings it every now and then, not per request.
    recent: Mutex<Option<Window>>,
}

impl Progress {
    /// For the load of this plan; only the replies are counted.
    #[must_use]
    pub fn new(plan: &Plan) -> Self {
        Self::of(plan, false)
    }

    /// With latencies: recording them once more costs a worker some nanoseconds a reply.
    #[must_use]
    pub fn watched(plan: &Plan) -> Self {
        Self::of(plan, true)
    }

    fn of(plan: &Plan, is_watched: bool) -> Self {
        let published = |_| Published {
            replies: AtomicU64::new(0),
            recent: Mutex::new(is_watched.then(Window::new)),
        };
        Self {
            workers: (0..plan.running_threads()).map(published).collect(),
            is_watched,
            measured_from: OnceLock::new(),
            stop: AtomicBool::new(false),
        }
    }

    /// How many replies came so far, right or wrong, in the warm-up, too.
    #[must_use]
    pub fn replies(&self) -> u64 {
        self.workers.iter().map(|worker| worker.replies.load(Ordering::Relaxed)).sum()
    }

    /// What happened since this was called last; empty unless it is [watched](Self::watched).
    #[must_use]
    pub fn take_recent(&self) -> Window {
        let mut sum = Window::new();
        for worker in &self.workers {
            let mut recent = worker.recent.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(recent) = recent.as_mut() {
                sum.add(recent);
                recent.clear();
            }
        }
        sum
    }

    /// When the measured time begins; `None` before the load does.
    #[must_use]
    pub fn measured_from(&self) -> Option<Instant> {
        self.measured_from.get().copied()
    }

    /// Ends the load soon.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// Whether it was ended.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    pub(super) fn is_watched(&self) -> bool {
        self.is_watched
    }

    pub(super) fn workers(&self) -> usize {
        self.workers.len()
    }

    pub(super) fn begin(&self, measured_from: Instant) {
        // It is the first load of this progress, or the moment of the first one stays.
        let _ = self.measured_from.set(measured_from);
    }

    pub(super) fn count(&self, worker: usize, replies: u64) {
        self.workers[worker].replies.store(replies, Ordering::Relaxed);
    }

    /// Adds what a worker did since it did so last.
    pub(super) fn publish(&self, worker: usize, done: &mut Window) {
        // Whoever looks does so for a moment: a worker never waits, but brings it the next time.
        if let Ok(mut recent) = self.workers[worker].recent.try_lock()
            && let Some(recent) = recent.as_mut()
        {
            recent.add(done);
            done.clear();
        }
    }
}
