//! Child processes compute: what one of them does, suffers or breaks is its own.
//!
//! The lesson: another process is the strongest wall there is, and the most expensive hand-over.
//! A request costs two system calls and a switch each way, but its computation can be killed at
//! any point, and whatever kills it is survived.
//!
//! Each child has a supervisor, a thread that hands it one request at a time. A child that ends,
//! stops, hangs or answers wrongly is replaced, and its request runs again with whoever is free.

mod exchange;
mod queue;
mod serve;

use std::{
    fmt, io,
    num::NonZeroUsize,
    ops::ControlFlow,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use anyhow::{Context as _, Result};
use tokio::sync::oneshot;
use tracing::{info, warn};

pub(crate) use self::serve::serve;
use self::{
    exchange::{Failure, Loss, ask},
    queue::{Event, Queue, Task},
};
use crate::{
    arguments::Typed,
    child::{Backoff, Child, ChildSignals, Role, Trouble},
    compute::{
        Outcome, Refusal,
        job::{Permit, Terms},
    },
    counters::Counters,
    panics::EXIT_PANICKED,
};

/// How a child ends that has met a bug.
const PANICKED: Trouble = Trouble::Exited { status: EXIT_PANICKED };

/// The children, their supervisors, and the requests that wait for them. Dropping it ends them.
pub(super) struct Processes {
    shared: Arc<Shared>,
    supervisors: Mutex<Vec<JoinHandle<()>>>,
    _signals: ChildSignals,
}

/// What the supervisors share.
struct Shared {
    queue: Queue,
    start: Box<dyn Fn() -> io::Result<Child> + Send + Sync>,
    counters: Arc<Counters>,
    /// Whether the log says that children cannot be started.
    warned: AtomicBool,
}

impl Processes {
    /// Starts so many children of this program.
    pub(super) fn new(
        children: NonZeroUsize,
        typed: Typed,
        counters: Arc<Counters>,
    ) -> Result<Self> {
        Self::with_start(children, counters, move || Child::start(Role::Compute, &typed))
    }

    fn with_start(
        children: NonZeroUsize,
        counters: Arc<Counters>,
        start: impl Fn() -> io::Result<Child> + Send + Sync + 'static,
    ) -> Result<Self> {
        let start = Box::new(start);
        let (queue, warned) = (Queue::default(), false.into());
        let shared = Arc::new(Shared { queue, start, counters, warned });
        let watcher = Arc::clone(&shared);
        let signals = ChildSignals::new(move || watcher.queue.child_changed())
            .context("installing the handler of SIGCHLD")?;
        let processes = Self { shared, supervisors: Mutex::default(), _signals: signals };
        for _ in 0..children.get() {
            let child = (processes.shared.start)().context("starting a child process")?;
            let shared = Arc::clone(&processes.shared);
            let supervisor = thread::Builder::new().name("supervisor".into());
            let supervisor = supervisor.spawn(move || shared.supervise(child));
            processes.supervisors().push(supervisor.context("starting a thread")?);
        }
        Ok(processes)
    }

    /// Hands in a request; where its outcome will be.
    pub(super) fn submit(
        &self,
        n: u64,
        predicted: Duration,
        terms: Terms,
        permit: Permit,
    ) -> oneshot::Receiver<Outcome> {
        let (task, outcome) = Task::new(n, predicted, terms, permit);
        self.shared.queue.push(task);
        outcome
    }

    /// Ends the children and waits for them.
    pub(super) fn close(&self) {
        self.shared.queue.close();
        for supervisor in self.supervisors().drain(..) {
            // A panic of it is on stderr already.
            let _ = supervisor.join();
        }
    }

    /// A panic cannot leave the list half-changed, so a poisoned lock is a good one.
    fn supervisors(&self) -> MutexGuard<'_, Vec<JoinHandle<()>>> {
        self.supervisors.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Processes {
    fn drop(&mut self) {
        self.close();
    }
}

impl fmt::Debug for Processes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Processes").field("supervisors", &self.supervisors).finish_non_exhaustive()
    }
}

impl Shared {
    /// Looks after one child, and its successors.
    fn supervise(&self, first: Child) {
        let mut child = self.greet(first).ok().or_else(|| self.start_child());
        while let Some(current) = child {
            self.employ(current);
            child = self.start_child();
        }
    }

    /// Gives a child work until it is lost, or there will be no more.
    fn employ(&self, mut child: Child) {
        let _worker = self.counters.worker();
        let mut seen_changes = None;
        while let Some(event) = self.queue.next(&mut seen_changes) {
            let trouble = child.trouble();
            match event {
                Event::Task(task) if trouble.is_some() => self.queue.put_back(task),
                Event::Task(task) => {
                    if self.compute(&mut child, task).is_break() {
                        return;
                    }
                }
                Event::ChildChanged => {}
            }
            if let Some(trouble) = trouble {
                return child.log_loss(&trouble);
            }
        }
        child.close();
    }

    /// Has a request computed. It breaks a child that fails, or is not to finish.
    fn compute(&self, child: &mut Child, task: Task) -> ControlFlow<()> {
        if let Some(refusal) = task.broken() {
            task.answer(Err(refusal));
            return ControlFlow::Continue(());
        }
        let unwanted = || {
            self.queue.refuse_late();
            task.broken()
        };
        self.counters.slice();
        if task.is_new() {
            self.counters.job_waited(task.age());
        }
        match ask(child, task.n, task.predicted, unwanted) {
            Ok(answer) => {
                task.answer(Ok(answer));
                return ControlFlow::Continue(());
            }
            Err(Failure::Unwanted(refusal)) => task.answer(Err(refusal)),
            Err(Failure::Child(loss)) => {
                child.log_loss(&loss);
                if loss.trouble() == Some(&PANICKED) {
                    self.counters.panicked();
                }
                self.queue.retry(task);
            }
        }
        ControlFlow::Break(())
    }

    /// Tries until a child has started; `None` when there will be no more work for it.
    fn start_child(&self) -> Option<Child> {
        let mut backoff = Backoff::default();
        while !self.queue.is_closed() {
            match (self.start)().map_err(Loss::from).and_then(|child| self.greet(child)) {
                Ok(child) => {
                    self.counters.restarted();
                    if self.warned.swap(false, Ordering::Relaxed) {
                        info!("child processes start again");
                    }
                    return Some(child);
                }
                Err(loss) => {
                    if !self.warned.swap(true, Ordering::Relaxed) {
                        warn!("a child process does not start: {loss}; trying again");
                    }
                    self.queue.pause(backoff.next_pause(loss.trouble()));
                }
            }
        }
        None
    }

    /// Waits until a new child answers, so that its failure can be told from a request's.
    fn greet(&self, mut child: Child) -> Result<Child, Loss> {
        let unwanted = || {
            self.queue.refuse_late();
            self.queue.is_closed().then_some(Refusal::ClientGone)
        };
        match ask(&mut child, 0, Duration::ZERO, unwanted) {
            Ok(_) | Err(Failure::Unwanted(_)) => Ok(child),
            Err(Failure::Child(loss)) => Err(loss),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{BufRead, BufReader, Write},
        os::unix::net::UnixStream,
        process::Command,
        sync::atomic::AtomicUsize,
        time::Instant,
    };

    use super::*;
    use crate::{
        compute::{Answer, job::Permit},
        connection::Client,
    };

    const ONE: NonZeroUsize = NonZeroUsize::MIN;

    /// Children that are a process which sleeps, and a thread that answers in its place: `reply` is
    /// told which child it plays, and what n it is asked for. It hangs up after a reply that ends
    /// with a digit, and instead of one that is empty.
    fn start_played(
        reply: impl Fn(usize, u64) -> String + Send + Sync + 'static,
    ) -> impl Fn() -> io::Result<Child> {
        let (reply, started) = (Arc::new(reply), AtomicUsize::new(0));
        move || {
            let number = started.fetch_add(1, Ordering::Relaxed);
            let (ours, theirs) = UnixStream::pair()?;
            let reply = Arc::clone(&reply);
            thread::spawn(move || {
                for line in BufReader::new(&theirs).lines().map_while(Result::ok) {
                    let n = line.parse().expect("a request is a number");
                    let text = if n == 0 { "0\n".to_owned() } else { reply(number, n) };
                    let is_cut = text.ends_with(|it: char| it.is_ascii_digit());
                    if (&theirs).write_all(text.as_bytes()).is_err() || text.is_empty() || is_cut {
                        return;
                    }
                }
            });
            Ok(Child::new(&Command::new("sleep").arg("1000").spawn()?, ours))
        }
    }

    fn counters() -> Arc<Counters> {
        Arc::new(Counters::alone(1))
    }

    fn outcome_of(processes: &Processes, n: u64) -> Outcome {
        let (ours, _theirs) = UnixStream::pair().unwrap();
        let permit = Permit::take(&Arc::default(), 1).unwrap();
        let client = Client::new(Arc::new(ours.into()));
        let terms = Terms::new(client, Instant::now(), None);
        let outcome = processes.submit(n, Duration::ZERO, terms, permit);
        outcome.blocking_recv().expect("every request has an outcome")
    }

    fn right(n: u64) -> String {
        format!("{}\n", fib_core::exact(n))
    }

    /// Whatever comes in its place, the client gets F(n).
    #[test]
    fn a_garbled_answer_is_computed_again() {
        const N: u64 = 300;
        let digit_changed = |at| {
            let mut digits = right(N).into_bytes();
            digits[at] = if digits[at] == b'9' { b'0' } else { b'9' };
            String::from_utf8(digits).unwrap()
        };
        for garbled in [
            digit_changed(0),
            digit_changed(30),
            digit_changed(62),
            right(N)[1..].to_owned(),
            right(N).replace('\n', "0\n"),
            right(N + 1),
            right(30),
            "\n".to_owned(),
            "ERR internal no answer could be computed\n".to_owned(),
            right(N).trim().to_owned() + "\0",
            String::new(), // it hangs up
        ] {
            let told = format!("{garbled:?}");
            let start =
                start_played(move |number, n| if number == 0 { garbled.clone() } else { right(n) });
            let processes = Processes::with_start(ONE, counters(), start).unwrap();
            let answer = Answer::Decimal(fib_core::exact(N));
            assert_eq!(outcome_of(&processes, N), Ok(answer), "instead of {told}");
        }
    }

    #[test]
    fn a_child_that_dies_anywhere_in_its_answer_is_replaced() {
        let answers =
            [(40, Answer::Word(102_334_155)), (300, Answer::Decimal(fib_core::exact(300)))];
        for (n, answer) in answers {
            for len in 0..right(n).len() {
                let start =
                    start_played(
                        move |number, n| {
                            if number == 0 { right(n)[..len].to_owned() } else { right(n) }
                        },
                    );
                let processes = Processes::with_start(ONE, counters(), start).unwrap();
                assert_eq!(outcome_of(&processes, n).as_ref(), Ok(&answer), "after {len} bytes");
            }
        }
    }

    #[test]
    fn small_numbers_are_compared() {
        let start = start_played(|number, n| right(n + u64::from(number == 0)));
        let processes = Processes::with_start(ONE, counters(), start).unwrap();
        assert_eq!(outcome_of(&processes, 90), Ok(Answer::Word(2_880_067_194_370_816_120)));
    }

    #[test]
    fn the_third_wrong_answer_is_the_last() {
        let start = start_played(|number, n| right(n + u64::from(number < 3)));
        let processes = Processes::with_start(ONE, counters(), start).unwrap();
        assert_eq!(outcome_of(&processes, 40), Err(Refusal::Failed));
        assert_eq!(outcome_of(&processes, 40), Ok(Answer::Word(102_334_155)));
    }

    #[test]
    fn what_a_child_says_unasked_is_no_answer_to_the_next_request() {
        let start = start_played(|number, n| right(n) + if number == 0 { "55\n" } else { "" });
        let processes = Processes::with_start(ONE, counters(), start).unwrap();
        assert_eq!(outcome_of(&processes, 40), Ok(Answer::Word(102_334_155)));
        assert_eq!(outcome_of(&processes, 41), Ok(Answer::Word(165_580_141)));
    }

    #[test]
    fn a_child_that_hangs_is_replaced() {
        let start = start_played(|number, n| {
            if number == 0 {
                thread::sleep(Duration::MAX);
            }
            right(n)
        });
        let processes = Processes::with_start(ONE, counters(), start).unwrap();
        assert_eq!(outcome_of(&processes, 40), Ok(Answer::Word(102_334_155)));
    }

    #[test]
    fn children_that_do_not_start_are_tried_again() {
        let (start, attempts) = (start_played(|_, n| right(n + 1)), AtomicUsize::new(0));
        let good = start_played(|_, n| right(n));
        let processes = Processes::with_start(ONE, counters(), move || {
            match attempts.fetch_add(1, Ordering::Relaxed) {
                0 => start(),
                1..4 => Err(io::ErrorKind::OutOfMemory.into()),
                _ => good(),
            }
        });
        assert_eq!(outcome_of(&processes.unwrap(), 40), Ok(Answer::Word(102_334_155)));
    }

    #[test]
    fn the_first_child_must_start() {
        let error =
            Processes::with_start(ONE, counters(), || Err(io::ErrorKind::OutOfMemory.into()));
        assert!(format!("{:#}", error.unwrap_err()).starts_with("starting a child process: "));
    }
}
