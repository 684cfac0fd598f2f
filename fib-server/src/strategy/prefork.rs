//! A few processes on the same listening socket: what Apache began with, and nginx and Gunicorn do.
//!
//! The lesson: processes share nothing but what they are given, so a crash costs the clients of one
//! of them and no more, and no lock is ever waited for. What they must share after all, a limit and
//! the counters, needs memory that is made for it, and somebody who survives and puts it right.

use std::{
    io::{self, PipeReader, Read, Write},
    mem,
    num::NonZeroUsize,
    os::fd::AsFd,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::retry_on_intr,
};
use tracing::warn;

use crate::{
    child::{Backoff, Child, ChildSignals, Role, Trouble},
    context::Context,
    inheritance,
    listener::Listener,
    settings::Settings,
    strategy::{Coroutines, Strategy},
};

/// A child that has lived for so long has not failed to start.
const STEADY: Duration = Duration::from_secs(1);

/// Serves all clients by children of this process.
#[derive(Clone, Copy, Debug)]
pub struct Prefork {
    processes: Option<NonZeroUsize>,
}

impl Prefork {
    /// By so many processes, or one per core.
    #[must_use]
    pub const fn new(processes: Option<NonZeroUsize>) -> Self {
        Self { processes }
    }
}

/// What each of the processes runs.
pub(crate) fn event_loop() -> Box<dyn Strategy> {
    Box::new(Coroutines)
}

impl Strategy for Prefork {
    fn processes(&self) -> Option<NonZeroUsize> {
        self.processes.or_else(|| thread::available_parallelism().ok()).or(Some(NonZeroUsize::MIN))
    }

    fn serve(self: Box<Self>, listeners: Vec<Listener>, context: &Arc<Context>) -> Result<()> {
        let mut parent = Parent::new(listeners, context)?;
        while !context.latch().is_fired() {
            parent.wait()?;
            parent.pass_on_settings();
            parent.replace_lost();
        }
        parent.drain()
    }
}

struct Parent<'a> {
    context: &'a Context,
    listeners: Vec<Listener>,
    workers: Vec<Worker>,
    /// Readable when some child, or how to serve, has changed.
    changes: PipeReader,
    _signals: ChildSignals,
}

/// A child that serves.
#[derive(Debug)]
struct Running {
    child: Child,
    since: Instant,
    /// What it was told last.
    settings: Arc<Settings>,
}

/// A place for a child, which one after another may have.
#[derive(Debug, Default)]
struct Worker {
    /// Which of the counters are those of this place.
    process: usize,
    child: Option<Running>,
    /// When to start one, if that is to be.
    start_at: Option<Instant>,
    backoff: Backoff,
    /// Whether the log says that no child can be started here.
    warned: bool,
}

impl<'a> Parent<'a> {
    /// Starts all children, every one of which must start.
    fn new(listeners: Vec<Listener>, context: &'a Context) -> Result<Self> {
        let (changes, writer) = io::pipe().context("creating a pipe")?;
        let writer = Arc::new(writer);
        // It cannot fail while somebody reads, and nobody needs to know when nobody does.
        let tell = move || drop((&*writer).write(b"!"));
        context.connections().settings().on_change(tell.clone());
        let signals = ChildSignals::new(tell);
        let signals = signals.context("installing the handler of SIGCHLD")?;
        let mut parent =
            Self { context, listeners, workers: Vec::new(), changes, _signals: signals };
        for process in 0..context.counters().processes() {
            let child = parent.start(process).context("starting a child process")?;
            let child = Some(child);
            parent.workers.push(Worker { process, child, ..Worker::default() });
        }
        Ok(parent)
    }

    fn start(&self, process: usize) -> io::Result<Running> {
        let settings = self.context.connections().settings().load_full();
        let child = Child::start(Role::Prefork, &settings.typed)?;
        let counters = self.context.counters().memory();
        let descriptors: Vec<_> =
            counters.into_iter().flatten().chain(self.listeners.iter().map(AsFd::as_fd)).collect();
        inheritance::send(child.socket(), process, &descriptors)?;
        Ok(Running { child, since: Instant::now(), settings })
    }

    /// Waits until something has changed, or a child is to be started, or the drain begins.
    fn wait(&mut self) -> Result<()> {
        let next_start = self.workers.iter().filter_map(|worker| worker.start_at).min();
        let left = next_start.map(|at| at.saturating_duration_since(Instant::now()));
        let left = left.and_then(|left| Timespec::try_from(left).ok());
        let mut events = vec![PollFd::new(&self.changes, PollFlags::IN)];
        let latches = [self.context.latch(), self.context.draining()];
        let latches = latches.into_iter().filter(|latch| !latch.is_fired());
        events.extend(latches.map(|latch| PollFd::new(latch, PollFlags::IN)));
        retry_on_intr(|| poll(&mut events, left.as_ref())).context("waiting for children")?;
        if events[0].revents().contains(PollFlags::IN) {
            // All that is told is told by any of the bytes.
            self.changes.read(&mut [0; 64]).context("waiting for children")?;
        }
        Ok(())
    }

    /// Starts others in the place of those that are gone.
    fn replace_lost(&mut self) {
        for at in 0..self.workers.len() {
            self.workers[at].look(self.context);
            if self.workers[at].start_at.is_some_and(|time| time <= Instant::now()) {
                self.replace(at);
            }
        }
    }

    fn replace(&mut self, at: usize) {
        let started = self.start(at);
        if started.is_ok() {
            self.context.counters().replaced(at);
        }
        self.workers[at].begin(started);
    }

    /// Tells the children how to serve from now on, if that has changed.
    fn pass_on_settings(&mut self) {
        let settings = self.context.connections().settings().load_full();
        for worker in &mut self.workers {
            worker.tell(&settings, self.context);
        }
    }

    fn children(&self) -> impl Iterator<Item = &Child> {
        self.workers.iter().filter_map(|worker| Some(&worker.child.as_ref()?.child))
    }

    /// Lets the children finish, and waits for them.
    fn drain(mut self) -> Result<()> {
        if self.context.has_successor() {
            self.children().for_each(Child::close_doors);
        } else if self.children().next().is_none() {
            // Somebody must answer whoever waits to be accepted.
            self.replace(0);
        }
        self.listeners.clear();
        let mut is_told = false;
        while self.workers.iter().any(|worker| worker.child.is_some()) {
            if self.context.draining().is_fired() && !mem::replace(&mut is_told, true) {
                self.children().for_each(Child::end_input);
            }
            self.workers.iter_mut().for_each(|worker| worker.start_at = None);
            self.wait()?;
            self.workers.iter_mut().for_each(|worker| worker.look(self.context));
        }
        Ok(())
    }
}

impl Worker {
    /// Takes note of what has become of the child.
    fn look(&mut self, context: &Context) {
        let Some(Running { child, since, .. }) = &mut self.child else { return };
        let Some(trouble) = child.trouble() else { return };
        let is_done = context.latch().is_fired() && trouble == Trouble::Exited { status: 0 };
        if !is_done {
            child.log_loss(&trouble);
        }
        let now = Instant::now();
        self.start_at = if now - *since >= STEADY {
            self.backoff = Backoff::default();
            Some(now)
        } else {
            Some(now + self.backoff.next_pause(Some(&trouble)))
        };
        // One that was stopped is killed by that, and counts no more.
        self.child = None;
        context.counters().end(self.process);
    }

    /// Tells the child how to serve, unless it knows. One that does not listen is replaced.
    fn tell(&mut self, settings: &Arc<Settings>, context: &Context) {
        let Some(running) = &mut self.child else { return };
        if Arc::ptr_eq(&running.settings, settings) {
            return;
        }
        running.settings = Arc::clone(settings);
        if let Err(error) = running.child.tell(&settings.typed) {
            running.child.log_loss(&error);
            self.child = None;
            self.start_at = Some(Instant::now());
            context.counters().end(self.process);
        }
    }

    /// Takes note of an attempt to start a child.
    fn begin(&mut self, started: io::Result<Running>) {
        match started {
            Ok(child) => {
                self.child = Some(child);
                self.start_at = None;
                self.warned = false;
            }
            Err(error) => {
                if !mem::replace(&mut self.warned, true) {
                    warn!("a child process does not start: {error}; trying again");
                }
                self.start_at = Some(Instant::now() + self.backoff.next_pause(None));
            }
        }
    }
}
