//! Threads that do nothing but compute: the scheduler of jobs whose cost is known.
//!
//! A thread takes the next job of the [`Queue`], runs a slice of it, and puts it back. A shorter
//! job that arrives cuts the slice short. While threads have nothing to do, the job in front is
//! split among them. All of them give way to the threads that talk with clients.

use std::{
    cmp::min,
    collections::{BTreeSet, HashMap},
    fmt, mem,
    num::NonZeroUsize,
    sync::{Arc, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use tokio::sync::oneshot;

use crate::{
    compute::{
        Outcome, Refusal, SLICE, Schedule,
        costs::{Costs, to_f64},
        job::{Job, Permit, Terms},
        queue::{JobId, Next, Place, Queue},
        work::Work,
    },
    counters::Counters,
    panics,
    sync::{
        Builder, Condvar, JoinHandle, Mutex, MutexGuard,
        atomic::{AtomicU64, Ordering},
    },
    sys,
};

/// How soon a running job notices that it shall give way.
const ATTENTION: Duration = Duration::from_micros(20);

/// How much of the speed that admission goes by is the last slice's.
const SPEED_WEIGHT: f64 = 0.1;

/// The threads.
#[derive(Debug)]
pub(crate) struct Pool {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

struct Shared {
    schedule: Schedule,
    threads: usize,
    slice_calls: u64,
    attention_calls: u64,
    state: Mutex<State>,
    work_waits: Condvar,
    /// A copy of [`Queue::preempts_over`], to be read without the lock.
    preempts_over: AtomicU64,
    counters: Arc<Counters>,
}

struct State {
    queue: Queue,
    jobs: HashMap<JobId, Entry>,
    deadlines: BTreeSet<(Instant, JobId)>,
    next_id: JobId,
    /// Threads that run a part.
    running: usize,
    /// Threads that sleep.
    idle: usize,
    /// Of one thread, as measured while others want the cores as well.
    calls_per_second: f64,
    closing: bool,
}

/// A job, as long as it is not answered.
struct Entry {
    place: Place,
    /// What nobody runs of it; not in the queue if nothing remains of that.
    waiting: Option<Work>,
    has_begun: bool,
    /// How many threads run a part of it.
    running: usize,
    terms: Arc<Terms>,
    outcome: oneshot::Sender<Outcome>,
    _permit: Permit,
}

/// What a thread runs: a job, or a part of one.
struct Part {
    next: Next,
    /// Of the whole job.
    remaining: u64,
    work: Work,
    terms: Arc<Terms>,
    turn: Turn,
}

/// What a slice is in the life of its job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    /// Nobody has computed anything of it yet.
    First,
    /// Nobody computes at the moment.
    Further,
    /// Another thread computes as well.
    Help,
}

/// What came of a slice.
struct Ran {
    next: Next,
    /// The work, or why there is no need for it.
    work: Result<Work, Refusal>,
    made: u64,
    took: Duration,
}

/// Answers to be sent once the lock is given back, because that wakes somebody.
type Finished = Vec<(oneshot::Sender<Outcome>, Outcome)>;

impl Pool {
    /// Starts so many threads.
    pub(crate) fn start(
        threads: NonZeroUsize,
        schedule: Schedule,
        costs: &Costs,
        counters: Arc<Counters>,
    ) -> Result<Self> {
        let slice_calls = costs.calls_in(SLICE);
        let state = State {
            queue: Queue::new(schedule, slice_calls),
            jobs: HashMap::new(),
            deadlines: BTreeSet::new(),
            next_id: 0,
            running: 0,
            idle: 0,
            calls_per_second: costs.calls_per_second(),
            closing: false,
        };
        Self::run(Shared {
            schedule,
            threads: threads.get(),
            slice_calls,
            attention_calls: costs.calls_in(ATTENTION),
            state: Mutex::new(state),
            work_waits: Condvar::new(),
            preempts_over: AtomicU64::new(u64::MAX),
            counters,
        })
    }

    fn run(shared: Shared) -> Result<Self> {
        let mut pool = Self { shared: Arc::new(shared), threads: Vec::new() };
        for _ in 0..pool.shared.threads {
            let shared = Arc::clone(&pool.shared);
            let thread = Builder::new().name("compute".into());
            pool.threads.push(thread.spawn(move || shared.compute()).context("a compute thread")?);
        }
        Ok(pool)
    }

    /// Takes a job on, unless it could not be done before its deadline.
    pub(crate) fn submit(&self, job: Job) -> Result<oneshot::Receiver<Outcome>, Refusal> {
        let (sender, receiver) = oneshot::channel();
        let mut state = self.shared.state();
        self.shared.admit(&state, &job)?;
        state.arrive(job, sender);
        self.shared.tell(&state);
        Ok(receiver)
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.state().closing = true;
        self.shared.work_waits.notify_all();
        for thread in self.threads.drain(..) {
            // One that panicked has ended, too.
            let _ = thread.join();
        }
    }
}

impl Shared {
    /// What a compute thread does.
    fn compute(&self) {
        let _worker = self.counters.worker();
        sys::give_way();
        let mut ran = None;
        while let Some(part) = self.next(ran.take()) {
            ran = Some(self.run(part));
        }
    }

    /// Puts back what was run, and takes what is next, waiting for it; `None` at the end.
    fn next(&self, ran: Option<Ran>) -> Option<Part> {
        let mut state = self.state();
        if let Some(ran) = ran {
            let finished = state.put_back(ran);
            let part = state.take(self.threads);
            self.tell(&state);
            drop(state);
            for (sender, outcome) in finished {
                // Whoever asked may be gone.
                let _ = sender.send(outcome);
            }
            if part.is_some() {
                return part;
            }
            state = self.state();
        }
        while !state.closing {
            if let Some(part) = state.take(self.threads) {
                self.tell(&state);
                return Some(part);
            }
            state.idle += 1;
            state = self.work_waits.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.idle -= 1;
        }
        None
    }

    /// Runs a slice, shorter if a shorter job arrives.
    fn run(&self, part: Part) -> Ran {
        let Part { next, remaining, mut work, terms, turn } = part;
        if let Some(refusal) = terms.broken() {
            return Ran { next, work: Err(refusal), made: 0, took: Duration::ZERO };
        }
        self.count(turn, &terms);
        let begin = Instant::now();
        let mut made = 0;
        let slice = panics::contain(&self.counters, || {
            while work.remaining() > 0 && made < self.slice_calls {
                made += work.run(min(self.attention_calls, self.slice_calls - made));
                let shorter_waits = self.preempts_over.load(Ordering::Relaxed) < remaining - made;
                if shorter_waits && !next.by_turn {
                    break;
                }
            }
        });
        let work = slice.map(|()| work).ok_or(Refusal::Failed);
        Ran { next, work, made, took: begin.elapsed() }
    }

    fn count(&self, turn: Turn, terms: &Terms) {
        self.counters.slice();
        match turn {
            Turn::First => self.counters.job_waited(terms.age()),
            Turn::Further => {}
            Turn::Help => self.counters.steal(),
        }
    }

    /// Tells those who run and those who sleep what has changed.
    fn tell(&self, state: &State) {
        self.preempts_over.store(state.queue.preempts_over(), Ordering::Relaxed);
        if state.idle > 0 && !state.queue.is_empty() {
            self.work_waits.notify_one();
        }
    }

    /// Refuses a job that would not be done in time: what goes before it, and the job itself, are
    /// more calls than all threads make until its deadline.
    fn admit(&self, state: &State, job: &Job) -> Result<(), Refusal> {
        let Some((at, deadline)) = job.terms.deadline() else { return Ok(()) };
        let calls = job.work.remaining();
        let speed = state.calls_per_second * to_f64(self.threads as u64);
        let time = at.saturating_duration_since(Instant::now()).as_secs_f64();
        let mut affordable = time * speed - to_f64(calls);
        for entry in state.jobs.values() {
            let remaining = entry.place.remaining();
            affordable -= to_f64(match self.schedule {
                Schedule::Fifo => remaining,
                Schedule::RoundRobin => min(remaining, calls),
                Schedule::Srpt if remaining <= calls => remaining,
                // Its turns.
                Schedule::Srpt => min(remaining, calls / 3),
            });
            if affordable < 0.0 {
                break;
            }
        }
        if affordable < 0.0 { Err(Refusal::TooLate { deadline }) } else { Ok(()) }
    }

    /// A panic never happens under the lock.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn arrive(&mut self, job: Job, outcome: oneshot::Sender<Outcome>) {
        let Job { work, terms, permit } = job;
        let id = self.next_id;
        self.next_id += 1;
        let place = self.queue.arrive(work.remaining());
        self.queue.push(id, place);
        self.deadlines.extend(terms.deadline().map(|(at, _)| (at, id)));
        let (waiting, terms) = (Some(work), Arc::new(terms));
        let entry =
            Entry { place, waiting, has_begun: false, running: 0, terms, outcome, _permit: permit };
        self.jobs.insert(id, entry);
    }

    /// Takes what is next. If that was all, and threads are free, a half is left for them.
    fn take(&mut self, threads: usize) -> Option<Part> {
        let next = self.queue.pop()?;
        let entry = self.jobs.get_mut(&next.job)?;
        let mut work = entry.waiting.take()?;
        let turn = match (entry.running, mem::replace(&mut entry.has_begun, true)) {
            (0, false) => Turn::First,
            (0, true) => Turn::Further,
            _ => Turn::Help,
        };
        self.running += 1;
        entry.running += 1;
        if self.queue.is_empty() && self.running < threads {
            entry.waiting = work.split();
            if entry.waiting.is_some() {
                self.queue.push(next.job, entry.place);
            }
        }
        let (remaining, terms) = (entry.place.remaining(), Arc::clone(&entry.terms));
        Some(Part { next, remaining, work, terms, turn })
    }

    fn put_back(&mut self, ran: Ran) -> Finished {
        let Ran { next, work, made, took } = ran;
        self.running -= 1;
        self.measure(made, took);
        // It is gone if another thread found that nobody needs it.
        if let Some(entry) = self.jobs.get_mut(&next.job) {
            entry.running -= 1;
            self.queue.remove(entry.place);
            entry.place = self.queue.after(entry.place, made);
        }
        let finished = match work {
            Ok(work) => self.join(next.job, work),
            Err(refusal) => self.finish(next.job, Err(refusal)),
        };
        self.queue.account(next, made);
        let mut finished: Finished = finished.into_iter().collect();
        self.expire(&mut finished);
        finished
    }

    /// Joins a part with what waits of its job, which waits again or is done.
    fn join(&mut self, job: JobId, part: Work) -> Option<(oneshot::Sender<Outcome>, Outcome)> {
        let entry = self.jobs.get_mut(&job)?;
        let mut work = part;
        if let Some(waiting) = entry.waiting.take() {
            work.join(waiting);
        }
        if work.remaining() == 0 && entry.running == 0 {
            return self.finish(job, work.into_answer().ok_or(Refusal::Failed));
        }
        if entry.outcome.is_closed() {
            return self.finish(job, Err(Refusal::ClientGone));
        }
        if work.remaining() > 0 {
            self.queue.push(job, entry.place);
        }
        entry.waiting = Some(work);
        None
    }

    fn finish(
        &mut self,
        job: JobId,
        outcome: Outcome,
    ) -> Option<(oneshot::Sender<Outcome>, Outcome)> {
        let entry = self.jobs.remove(&job)?;
        self.queue.remove(entry.place);
        if let Some((at, _)) = entry.terms.deadline() {
            self.deadlines.remove(&(at, job));
        }
        Some((entry.outcome, outcome))
    }

    /// Ends the jobs that wait in vain: their deadline has passed.
    fn expire(&mut self, finished: &mut Finished) {
        while let Some(&(at, job)) = self.deadlines.first()
            && at <= Instant::now()
        {
            self.deadlines.pop_first();
            let refusal = self.jobs.get(&job).and_then(|entry| entry.terms.deadline());
            if let Some((_, deadline)) = refusal {
                finished.extend(self.finish(job, Err(Refusal::Deadline { deadline })));
            }
        }
    }

    fn measure(&mut self, made: u64, took: Duration) {
        // The clock says little of a slice that was cut short.
        if took * 2 > SLICE {
            let speed = to_f64(made) / took.as_secs_f64();
            self.calls_per_second += SPEED_WEIGHT * (speed - self.calls_per_second);
        }
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("threads", &self.threads).finish_non_exhaustive()
    }
}

#[cfg(all(test, feature = "model"))]
mod models;

#[cfg(test)]
mod tests {
    use std::{net::Shutdown, os::unix::net::UnixStream, thread};

    use fastrand::Rng;
    use proptest::prelude::*;
    use socket2::Socket;

    use super::*;
    use crate::{
        compute::{Algorithm, Answer},
        connection::Client,
        sync::atomic::AtomicUsize,
    };

    /// A scheduler without threads, a client that stays, and the jobs' answers.
    struct Bench {
        state: State,
        costs: Costs,
        client: Socket,
        peer: UnixStream,
        taken: Arc<AtomicUsize>,
    }

    impl Bench {
        fn new(slice_calls: u64) -> Self {
            let costs = Costs::calibrate(Algorithm::Recursive);
            let (peer, client) = UnixStream::pair().expect("a pair of sockets");
            let state = State {
                queue: Queue::new(Schedule::Srpt, slice_calls),
                jobs: HashMap::new(),
                deadlines: BTreeSet::new(),
                next_id: 0,
                running: 0,
                idle: 0,
                calls_per_second: costs.calls_per_second(),
                closing: false,
            };
            Self { state, costs, client: client.into(), peer, taken: Arc::default() }
        }

        fn submit(&mut self, n: u64, deadline: Option<Duration>) -> oneshot::Receiver<Outcome> {
            let client = Client::new(Arc::new(self.client.try_clone().expect("a descriptor")));
            let job = Job {
                work: Work::new(&self.costs, Algorithm::Recursive, n).expect("n is small"),
                terms: Terms::new(client, Instant::now(), deadline),
                permit: Permit::take(&self.taken, usize::MAX).expect("there is no limit"),
            };
            let (sender, receiver) = oneshot::channel();
            self.state.arrive(job, sender);
            receiver
        }

        /// What a thread would do with a part, for so many calls.
        fn put_back(&mut self, mut part: Part, calls: u64) {
            let made = part.work.run(calls);
            let ran = Ran { next: part.next, work: Ok(part.work), made, took: Duration::ZERO };
            for (sender, outcome) in self.state.put_back(ran) {
                let _ = sender.send(outcome);
            }
        }
    }

    proptest! {
        /// Whoever runs which part of a job for how long, the answers are right.
        #[test]
        fn parts_come_together(
            ns in prop::collection::vec(1u64..28, 1..6),
            threads in 1usize..5,
            seed: u64,
        ) {
            let mut rng = Rng::with_seed(seed);
            let mut bench = Bench::new(20_000);
            let mut answers: Vec<_> = ns.iter().map(|&n| (n, bench.submit(n, None))).collect();
            let mut held = Vec::new();
            loop {
                while held.len() < threads && let Some(part) = bench.state.take(threads) {
                    held.push(part);
                }
                if held.is_empty() {
                    break;
                }
                let part = held.swap_remove(rng.usize(..held.len()));
                bench.put_back(part, rng.u64(1..40_000));
            }
            for (n, answer) in &mut answers {
                let word = fib_core::fib(*n).map(Answer::Word);
                prop_assert_eq!(answer.try_recv().ok(), word.map(Ok), "F({})", n);
            }
            prop_assert!(bench.state.jobs.is_empty() && bench.state.queue.is_empty());
            prop_assert_eq!(bench.taken.load(Ordering::Relaxed), 0, "every permit is given back");
        }
    }

    #[test]
    fn what_waits_too_long_is_ended() {
        let deadline = Duration::from_millis(1);
        let mut bench = Bench::new(1_000);
        let mut answer = bench.submit(25, Some(deadline));
        let mut other = bench.submit(10, None);
        let part = bench.state.take(1).expect("two wait");
        assert_eq!(part.next.job, 1, "the shorter one goes first");
        thread::sleep(deadline * 2);
        bench.put_back(part, u64::MAX);
        assert_eq!(answer.try_recv(), Ok(Err(Refusal::Deadline { deadline })));
        assert_eq!(other.try_recv(), Ok(Ok(Answer::Word(55))));
        assert!(bench.state.take(1).is_none(), "nothing is left");
    }

    #[test]
    fn nobody_computes_for_a_waiter_who_left() {
        let mut bench = Bench::new(1_000);
        drop(bench.submit(25, None));
        let part = bench.state.take(1).expect("it waits");
        bench.put_back(part, 1_000);
        assert!(bench.state.jobs.is_empty());
    }

    #[test]
    fn a_client_who_hangs_up_breaks_the_terms() {
        let mut bench = Bench::new(1_000);
        let _answer = bench.submit(25, None);
        let part = bench.state.take(1).expect("it waits");
        bench.peer.shutdown(Shutdown::Write).expect("it is connected");
        assert_eq!(part.terms.broken(), None, "a half-close is none");
        bench.peer.shutdown(Shutdown::Both).expect("it is connected");
        assert_eq!(part.terms.broken(), Some(Refusal::ClientGone));
    }
}
