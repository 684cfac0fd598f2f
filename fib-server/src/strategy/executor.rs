//! Coroutines on one thread: what the event loops share but the waiting for the kernel.
//!
//! A coroutine runs until it waits. Whatever it waits for keeps its [`Waker`], and waking puts it
//! into the ready queue: from the loop's own tables of waits, or, with an answer that was computed
//! elsewhere, from another thread, which then has to interrupt the loop's sleep.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, VecDeque},
    fmt, future, mem,
    pin::Pin,
    sync::{Arc, PoisonError},
    task::{self, Poll, Wake, Waker},
    time::{Duration, Instant},
};

use slab::Slab;
use tracing::Span;

use crate::sync::{Mutex, MutexGuard};

/// The conversations of a loop, as coroutines.
#[derive(Debug)]
pub(super) struct Executor<'a> {
    tasks: Slab<Task<'a>>,
    ready: Arc<ReadyQueue>,
    /// Those that run now; kept for its memory.
    running: Vec<usize>,
    busy_poll: Option<Duration>,
    /// When a task was ready last, if that is to be known.
    busy_at: Instant,
}

struct Task<'a> {
    coroutine: Pin<Box<dyn Future<Output = ()> + 'a>>,
    waker: Waker,
    span: Span,
}

impl<'a> Executor<'a> {
    /// Without tasks yet. `interrupt` ends the sleep of the loop, from any thread.
    pub(super) fn new(
        busy_poll: Option<Duration>,
        interrupt: impl Fn() + Send + Sync + 'static,
    ) -> Self {
        let ready = ReadyQueue { state: Mutex::default(), interrupt: Box::new(interrupt) };
        let (tasks, running) = (Slab::new(), Vec::new());
        Self { tasks, ready: Arc::new(ready), running, busy_poll, busy_at: Instant::now() }
    }

    /// Takes on a coroutine, which runs in the next turn. What it logs is in the span.
    pub(super) fn spawn(&mut self, span: Span, coroutine: impl Future<Output = ()> + 'a) {
        let vacant = self.tasks.vacant_entry();
        let key = vacant.key();
        let waker = Waker::from(Arc::new(MakeReady { key, ready: Arc::clone(&self.ready) }));
        vacant.insert(Task { coroutine: Box::pin(coroutine), waker, span });
        self.ready.push(key);
    }

    /// Runs each task that is ready until it waits. Those that become ready meanwhile have to let
    /// the loop look at the sockets first.
    pub(super) fn run_ready(&mut self) {
        let mut running = mem::take(&mut self.running);
        mem::swap(&mut running, &mut self.ready.state().keys);
        if self.busy_poll.is_some() && !running.is_empty() {
            self.busy_at = Instant::now();
        }
        running.drain(..).for_each(|key| self.run(key));
        self.running = running;
    }

    /// A task that has ended may still be woken, perhaps under the name of a later one; nothing
    /// comes of that, because whoever is woken looks for itself what has happened.
    fn run(&mut self, key: usize) {
        let Some(Task { coroutine, waker, span }) = self.tasks.get_mut(key) else { return };
        let mut context = task::Context::from_waker(waker);
        if span.in_scope(|| coroutine.as_mut().poll(&mut context)).is_ready() {
            self.tasks.remove(key);
        }
    }

    /// Whether all tasks have ended.
    pub(super) fn is_empty(&self) -> bool {
        self.tasks.is_empty()
    }

    /// How long the loop may sleep now, of `longest` (`None`: for ever). From here on, whoever
    /// becomes ready interrupts it.
    ///
    /// Not at all, while a task is ready, or was so recently that it is not worth it.
    pub(super) fn fall_asleep(&self, longest: Option<Duration>) -> Option<Duration> {
        let polls_busily = self.busy_poll.is_some_and(|limit| self.busy_at.elapsed() < limit);
        let mut state = self.ready.state();
        state.loop_sleeps = state.keys.is_empty() && !polls_busily;
        if state.loop_sleeps { longest } else { Some(Duration::ZERO) }
    }

    /// Takes note that the loop is awake.
    pub(super) fn wake_up(&self) {
        self.ready.state().loop_sleeps = false;
    }
}

impl fmt::Debug for Task<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Task").field("span", &self.span).finish_non_exhaustive()
    }
}

/// Who is to run next.
struct ReadyQueue {
    state: Mutex<ReadyState>,
    interrupt: Box<dyn Fn() + Send + Sync>,
}

#[derive(Debug, Default)]
struct ReadyState {
    keys: Vec<usize>,
    loop_sleeps: bool,
}

impl ReadyQueue {
    fn push(&self, key: usize) {
        let mut state = self.state();
        state.keys.push(key);
        let loop_sleeps = mem::take(&mut state.loop_sleeps);
        drop(state);
        if loop_sleeps {
            (self.interrupt)();
        }
    }

    /// Nothing panics while it is locked.
    fn state(&self) -> MutexGuard<'_, ReadyState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for ReadyQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadyQueue").field("state", &self.state).finish_non_exhaustive()
    }
}

/// What a task's waker does.
struct MakeReady {
    key: usize,
    ready: Arc<ReadyQueue>,
}

impl Wake for MakeReady {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.ready.push(self.key);
    }
}

/// Tasks that wait for nothing outside: for their turn, or for a time.
#[derive(Debug, Default)]
pub(super) struct Pauses {
    turns: RefCell<VecDeque<Waker>>,
    /// By the time, and by a number that tells apart those who wait for the same.
    times: RefCell<BTreeMap<(Instant, u64), Waker>>,
    last_id: Cell<u64>,
}

/// A time that a task waits for besides something else; `None` never comes.
#[derive(Debug)]
pub(super) struct Alarm<'a> {
    pauses: &'a Pauses,
    at: Option<Instant>,
    /// By which name it is waited for, once it is.
    key: Option<(Instant, u64)>,
}

impl Pauses {
    /// Waits for the next turn, because others should have theirs first.
    pub(super) async fn next_turn(&self) {
        let mut waited = false;
        let poll = |task: &mut task::Context<'_>| {
            if mem::replace(&mut waited, true) {
                return Poll::Ready(());
            }
            self.turns.borrow_mut().push_back(task.waker().clone());
            Poll::Pending
        };
        future::poll_fn(poll).await;
    }

    /// An alarm at that time.
    pub(super) const fn alarm(&self, at: Option<Instant>) -> Alarm<'_> {
        Alarm { pauses: self, at, key: None }
    }

    /// Wakes those whose time has come, and of those who wait for a turn the one that waits
    /// longest: between two long turns come all those that are ready for a short one.
    pub(super) fn wake_due(&self) {
        if let Some(waker) = self.turns.borrow_mut().pop_front() {
            waker.wake();
        }
        let mut times = self.times.borrow_mut();
        if times.is_empty() {
            return;
        }
        let now = Instant::now();
        while let Some(first) = times.first_entry().filter(|it| it.key().0 <= now) {
            first.remove().wake();
        }
    }

    /// How long until the next is to be woken.
    pub(super) fn time_to_next(&self) -> Option<Duration> {
        if !self.turns.borrow().is_empty() {
            return Some(Duration::ZERO);
        }
        let times = self.times.borrow();
        let ((at, _), _) = times.first_key_value()?;
        Some(at.saturating_duration_since(Instant::now()))
    }
}

impl Alarm<'_> {
    /// Ready once the time has come.
    pub(super) fn poll(&mut self, task: &task::Context<'_>) -> Poll<()> {
        let Some(at) = self.at else { return Poll::Pending };
        if at <= Instant::now() {
            return Poll::Ready(());
        }
        let Pauses { times, last_id, .. } = self.pauses;
        let key = *self.key.get_or_insert_with(|| {
            last_id.update(|id| id + 1);
            (at, last_id.get())
        });
        times.borrow_mut().insert(key, task.waker().clone());
        Poll::Pending
    }
}

impl Drop for Alarm<'_> {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            self.pauses.times.borrow_mut().remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn turns_are_given_one_by_one() {
        let (pauses, given) = (Pauses::default(), Cell::new(0));
        let mut executor = Executor::new(None, || ());
        for _ in 0..3 {
            executor.spawn(Span::none(), async {
                pauses.next_turn().await;
                given.update(|given| given + 1);
            });
        }
        for expected in 0..=3 {
            executor.run_ready();
            assert_eq!(given.get(), expected);
            pauses.wake_due();
        }
        assert_eq!(pauses.time_to_next(), None);
    }

    #[test]
    fn a_wake_interrupts_a_sleep_and_nothing_else() {
        let interrupts = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&interrupts);
        let interrupts = || interrupts.load(Ordering::Relaxed);
        let (answer, computed) = tokio::sync::oneshot::channel::<()>();
        let mut executor = Executor::new(None, move || {
            counted.fetch_add(1, Ordering::Relaxed);
        });
        executor.spawn(Span::none(), async { computed.await.expect("it is sent") });
        assert_eq!(executor.fall_asleep(None), Some(Duration::ZERO), "a task is ready");
        executor.run_ready();
        assert_eq!(executor.fall_asleep(None), None);
        std::thread::spawn(|| answer.send(())).join().expect("it ends").expect("it is awaited");
        assert_eq!((interrupts(), executor.fall_asleep(None)), (1, Some(Duration::ZERO)));
        executor.wake_up();
        executor.run_ready();
        assert!(executor.is_empty());
        assert_eq!(interrupts(), 1);
    }

    #[test]
    fn a_busy_loop_does_not_sleep_at_once() {
        let mut executor = Executor::new(Some(Duration::from_hours(1)), || ());
        executor.spawn(Span::none(), async {});
        executor.run_ready();
        assert_eq!(executor.fall_asleep(None), Some(Duration::ZERO));
    }

    #[test]
    fn an_alarm_that_is_dropped_is_forgotten() {
        let pauses = Pauses::default();
        let task = &task::Context::from_waker(Waker::noop());
        let mut alarm = pauses.alarm(Instant::now().checked_add(Duration::from_hours(1)));
        let mut due = pauses.alarm(Some(Instant::now()));
        assert!(alarm.poll(task).is_pending() && alarm.poll(task).is_pending());
        assert!(due.poll(task).is_ready());
        assert!(pauses.alarm(None).poll(task).is_pending());
        assert_eq!(pauses.times.borrow().len(), 1);
        drop(alarm);
        assert_eq!(pauses.time_to_next(), None);
    }
}

#[cfg(all(test, feature = "model"))]
mod models {
    use loom::sync::Notify;
    use tokio::sync::oneshot;

    use super::*;
    use crate::sync::{Builder, explore};

    /// Whenever an answer comes from another thread, the loop does not sleep through it.
    #[test]
    fn no_answer_is_slept_through() {
        explore(None, || {
            let alarm = Arc::new(Notify::new());
            let ring = Arc::clone(&alarm);
            let mut executor = Executor::new(None, move || ring.notify());
            let answer = || oneshot::channel::<()>();
            let threads = [answer(), answer()].map(|(sender, receiver)| {
                executor.spawn(Span::none(), async { receiver.await.unwrap() });
                Builder::new().spawn(|| sender.send(()).unwrap()).unwrap()
            });
            loop {
                executor.run_ready();
                if executor.is_empty() {
                    break;
                }
                if executor.fall_asleep(None).is_none() {
                    alarm.wait();
                }
                executor.wake_up();
            }
            for thread in threads {
                thread.join().unwrap();
            }
        });
    }
}
