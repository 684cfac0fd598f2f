//! What waits to be computed, first come, first served, and what its supervisors wait for.

use std::{
    collections::VecDeque,
    mem,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio::sync::oneshot;

use crate::compute::{
    Outcome, Refusal,
    job::{Permit, Terms},
};

/// How often a request is handed to a child before the server gives it up.
const ATTEMPTS: u32 = 3;

/// How often a request that waits, or is computed, is looked after.
pub(super) const TICK: Duration = Duration::from_millis(5);

/// One request that waits for a child.
#[derive(Debug)]
pub(super) struct Task {
    pub(super) n: u64,
    /// How long an undisturbed child will need.
    pub(super) predicted: Duration,
    terms: Terms,
    permit: Permit,
    reply: oneshot::Sender<Outcome>,
    attempts_left: u32,
}

/// What a supervisor has to do.
#[derive(Debug)]
pub(super) enum Event {
    /// A request is to be computed.
    Task(Task),
    /// Some child has changed.
    ChildChanged,
}

/// The requests that wait, shared by all supervisors.
#[derive(Debug, Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    /// There is an [`Event`], or there will be none any more.
    changed: Condvar,
    closed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    tasks: VecDeque<Task>,
    /// How many times children have changed.
    child_changes: u64,
    is_closed: bool,
}

impl Task {
    /// The request, and where its outcome will be.
    pub(super) fn new(
        n: u64,
        predicted: Duration,
        terms: Terms,
        permit: Permit,
    ) -> (Self, oneshot::Receiver<Outcome>) {
        let (reply, outcome) = oneshot::channel();
        (Self { n, predicted, terms, permit, reply, attempts_left: ATTEMPTS }, outcome)
    }

    /// Why it need not be computed any further, if so.
    pub(super) fn broken(&self) -> Option<Refusal> {
        if self.reply.is_closed() { Some(Refusal::ClientGone) } else { self.terms.broken() }
    }

    /// Whether no child has begun with it.
    pub(super) const fn is_new(&self) -> bool {
        self.attempts_left == ATTEMPTS
    }

    /// How long ago it arrived.
    pub(super) fn age(&self) -> Duration {
        self.terms.age()
    }

    pub(super) fn answer(self, outcome: Outcome) {
        // First, so that whoever has its answer may ask again.
        drop(self.permit);
        // Whoever does not wait any more has no use for it.
        let _ = self.reply.send(outcome);
    }
}

impl Queue {
    /// Hands a request to the next supervisor that is free.
    pub(super) fn push(&self, task: Task) {
        self.state().tasks.push_back(task);
        self.changed.notify_one();
    }

    /// Takes back a request that a child did not begin with. It goes to the front.
    pub(super) fn put_back(&self, task: Task) {
        self.state().tasks.push_front(task);
        self.changed.notify_one();
    }

    /// Takes back a request whose child failed. It goes to the front, unless that was its last
    /// attempt.
    pub(super) fn retry(&self, mut task: Task) {
        task.attempts_left -= 1;
        if task.attempts_left == 0 {
            task.answer(Err(Refusal::Failed));
        } else {
            self.put_back(task);
        }
    }

    /// Takes note that some child has ended or stopped.
    pub(super) fn child_changed(&self) {
        self.state().child_changes += 1;
        self.changed.notify_all();
    }

    /// Lets the supervisors go. What waits is dropped.
    pub(super) fn close(&self) {
        let mut state = self.state();
        state.is_closed = true;
        state.tasks.clear();
        self.changed.notify_all();
        self.closed.notify_all();
    }

    pub(super) fn is_closed(&self) -> bool {
        self.state().is_closed
    }

    /// Waits for something to do, at first to look at the child. `None` when there will be nothing
    /// any more. `seen_changes` is for this function to remember.
    pub(super) fn next(&self, seen_changes: &mut Option<u64>) -> Option<Event> {
        let mut state = self.state();
        loop {
            if state.is_closed {
                return None;
            }
            if seen_changes.replace(state.child_changes) != Some(state.child_changes) {
                return Some(Event::ChildChanged);
            }
            if let Some(task) = state.tasks.pop_front() {
                return Some(Event::Task(task));
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Waits so long, or until it is closed, and looks after the requests meanwhile.
    pub(super) fn pause(&self, duration: Duration) {
        let end = Instant::now() + duration;
        while Instant::now() < end && !self.is_closed() {
            self.refuse_late();
            let state = self.state();
            let _ = self.closed.wait_timeout_while(state, TICK, |state| !state.is_closed);
        }
    }

    /// Answers those that wait and whose deadline has passed. To be called by supervisors that
    /// cannot take one: while one can, nothing waits.
    pub(super) fn refuse_late(&self) {
        let mut state = self.state();
        if state.tasks.iter().any(|task| task.terms.late().is_some()) {
            for task in mem::take(&mut state.tasks) {
                match task.terms.late() {
                    Some(refusal) => task.answer(Err(refusal)),
                    None => state.tasks.push_back(task),
                }
            }
        }
    }

    /// A panic elsewhere cannot leave the queue half-changed, so a poisoned lock is a good one.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
