//! Coroutines on one thread over `io_uring`: the kernel is told what to do, not asked what could
//! be done.
//!
//! The lesson: the loop of `coroutines` asks which socket is ready, then calls for each of them.
//! Here clients are accepted without a call; what is to be received and to be sent is written down;
//! and one system call a turn hands all of it over and waits. What comes is put into a buffer that
//! the kernel chooses only then, so those who wait need none. The price is ownership: memory
//! belongs to an operation until the kernel says that it has ended, also when nobody wants it any
//! more.

mod socket;

use std::{
    collections::VecDeque,
    fs, io, mem,
    os::fd::{AsFd, OwnedFd},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, Result};
use rustix::{
    event::{EventfdFlags, eventfd},
    io::{Errno, write},
};
use slab::Slab;
use tracing::{debug, error};

use self::socket::{RingStream, Waits};

use crate::{
    connection::Connection,
    context::Context,
    listener::{Accepted, Listener, admit_accepted},
    shortage::{Shortage, is_short_of_resources},
    strategy::{BuildError, Strategy, conversation, executor::Executor},
    sys::ring::{Completion, Event, OperationId, Ring},
};

/// How many new clients begin their conversation before those that have one get their turn.
const ADMISSIONS_A_TURN: usize = 10;

/// Serves all clients by coroutines on the thread that calls it, over `io_uring`.
#[derive(Clone, Copy, Debug)]
pub struct IoUring(());

impl IoUring {
    /// Asks the kernel for a ring, to know whether it gives one.
    ///
    /// # Errors
    ///
    /// Where it does not.
    pub fn new() -> Result<Self, BuildError> {
        match Ring::<About>::new() {
            Ok(_) => Ok(Self(())),
            Err(error) => Err(BuildError::NoIoUring {
                reason: format!("no io_uring ({error}): {}", why_not(&error)),
            }),
        }
    }
}

impl Strategy for IoUring {
    fn serve(self: Box<Self>, listeners: Vec<Listener>, context: &Arc<Context>) -> Result<()> {
        let waits = Waits::new(Ring::new().context("creating the ring")?);
        EventLoop::new(listeners, &waits, context).context("creating the event loop")?.run()
    }
}

fn why_not(error: &io::Error) -> String {
    let sysctl = fs::read_to_string("/proc/sys/kernel/io_uring_disabled").unwrap_or_default();
    match (Errno::from_io_error(error), sysctl.trim()) {
        (Some(Errno::PERM), "1" | "2") => {
            format!("the sysctl kernel.io_uring_disabled is {}", sysctl.trim())
        }
        (Some(Errno::PERM | Errno::ACCESS), _) => {
            "a seccomp profile, as containers have one, or a security module forbids it".to_owned()
        }
        (Some(Errno::NOSYS | Errno::INVAL), _) => {
            "the kernel is older than Linux 6.0, or hides it".to_owned()
        }
        (Some(Errno::NOMEM), _) => "too little memory may be locked (ulimit -l)".to_owned(),
        _ => "that is all it says".to_owned(),
    }
}

/// What an operation is about.
#[derive(Clone, Copy, Debug)]
enum About {
    /// The latch, or an answer that another thread has computed.
    Interrupt(usize),
    Door(usize),
    Socket(usize),
}

struct EventLoop<'a> {
    context: &'a Context,
    waits: &'a Waits,
    executor: Executor<'a>,
    /// What ends the sleep of the loop besides clients.
    interrupts: [Arc<OwnedFd>; 2],
    doors: Slab<Door>,
    /// Clients that the kernel has accepted, and nobody has looked at.
    arrived: VecDeque<OwnedFd>,
    shortage: Shortage,
}

/// A listener, and the operation that accepts whoever comes, or tells of them.
///
/// To accept, the kernel wakes one of those who wait at a socket. Where others may have it, that
/// can be a server that was killed, whose ring lives on for a moment, and nobody accepts. So there
/// it only tells that somebody has come: that is told to all.
struct Door {
    listener: Arc<Listener>,
    operation: Option<OperationId>,
    /// Somebody has come and is to be accepted here.
    is_knocked_at: bool,
    is_closing: bool,
}

impl<'a> EventLoop<'a> {
    fn new(listeners: Vec<Listener>, waits: &'a Waits, context: &'a Context) -> io::Result<Self> {
        let interrupt = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
        let latch = Arc::new(context.latch().as_fd().try_clone_to_owned()?);
        let interrupts = [Arc::clone(&interrupt), latch];
        let executor = Executor::new(context.busy_poll(), move || {
            if let Err(error) = write(&interrupt, &1_u64.to_ne_bytes()) {
                error!("the event loop was not interrupted: {error}");
            }
        });
        let mut doors = Slab::new();
        for listener in listeners {
            listener.set_blocking(!listener.is_passed())?;
            let (listener, operation) = (Arc::new(listener), None);
            doors.insert(Door { listener, operation, is_knocked_at: false, is_closing: false });
        }
        let (arrived, shortage) = (VecDeque::new(), Shortage::new());
        let event_loop = Self { context, waits, executor, interrupts, doors, arrived, shortage };
        (0..event_loop.interrupts.len()).for_each(|index| event_loop.watch(index));
        Ok(event_loop)
    }

    /// Has the kernel tell whenever one of the interrupts becomes readable.
    fn watch(&self, index: usize) {
        let interrupt = Arc::clone(&self.interrupts[index]);
        self.waits.ring.borrow_mut().poll(interrupt, About::Interrupt(index));
    }

    fn run(mut self) -> Result<()> {
        let mut completions = Vec::new();
        loop {
            self.admit();
            self.accept();
            self.executor.run_ready();
            if self.doors.is_empty() && self.arrived.is_empty() && self.executor.is_empty() {
                return Ok(());
            }
            self.wait(&mut completions).context("waiting for completions")?;
            completions.drain(..).for_each(|completion| self.take_note(completion));
            self.waits.pauses.wake_due();
        }
    }

    /// Begins the conversations of a few who have arrived.
    fn admit(&mut self) {
        for _ in 0..ADMISSIONS_A_TURN {
            let Some(socket) = self.arrived.pop_front() else { return };
            if let Some(connection) = admit_accepted(socket.into(), self.context) {
                self.spawn(connection);
            }
        }
    }

    fn spawn(&mut self, connection: Connection) {
        let span = self.context.span(&connection);
        let stream = RingStream::new(&connection, self.waits);
        self.executor.spawn(span, conversation::serve(connection, stream, self.context));
    }

    /// Has the kernel accept at every door. It stops where it lacks a descriptor: then those who
    /// wait are accepted here, to be told so. Once the drain has begun, the rest is accepted here,
    /// and the doors are closed.
    fn accept(&mut self) {
        if self.shortage.time_left().is_some() {
            return;
        }
        let draining = self.context.latch().is_fired();
        let mut doors = mem::take(&mut self.doors);
        doors.retain(|key, door| {
            match door.operation {
                None if draining => return self.accept_here(door),
                None => {
                    if self.shortage.lasts() {
                        self.accept_here(door);
                    }
                    door.operation = Some(self.watch_door(&door.listener, About::Door(key)));
                }
                Some(operation) if draining && !mem::replace(&mut door.is_closing, true) => {
                    self.waits.ring.borrow_mut().cancel(operation);
                }
                Some(_) if door.is_knocked_at => door.is_knocked_at = self.accept_here(door),
                Some(_) => {}
            }
            true
        });
        self.doors = doors;
    }

    fn watch_door(&self, listener: &Arc<Listener>, about: About) -> OperationId {
        let (mut ring, file) = (self.waits.ring.borrow_mut(), Arc::clone(listener));
        if listener.is_passed() { ring.poll(file, about) } else { ring.accept(file, about) }
    }

    /// Accepts a few of those whom the kernel was not asked to accept; whether others may wait.
    fn accept_here(&mut self, door: &Door) -> bool {
        if self.context.has_successor() {
            // Which has the same socket, and wants it blocking.
            return false;
        }
        if door.listener.is_passed() {
            return self.accept_some(&door.listener);
        }
        if let Err(error) = door.listener.set_blocking(false) {
            error!("who had connected was not accepted: {error}");
            return false;
        }
        let others_wait = self.accept_some(&door.listener);
        if let Err(error) = door.listener.set_blocking(true) {
            error!("the kernel cannot accept: {error}");
        }
        others_wait
    }

    fn accept_some(&mut self, listener: &Listener) -> bool {
        for _ in 0..ADMISSIONS_A_TURN {
            match listener.accept(self.context, &mut self.shortage) {
                Accepted::Client(connection) => self.spawn(connection),
                Accepted::Nothing => {}
                Accepted::NobodyWaits => return false,
                Accepted::NoResources => return true,
            }
        }
        true
    }

    /// Hands the kernel all operations, and sleeps until one has something to report if nobody can
    /// run.
    fn wait(&self, completions: &mut Vec<Completion<About>>) -> io::Result<()> {
        let to_admit = (!self.arrived.is_empty()).then_some(Duration::ZERO);
        let to_accept =
            self.doors.iter().any(|(_, door)| door.operation.is_none() || door.is_knocked_at);
        let to_accept = to_accept.then(|| self.shortage.time_left().unwrap_or_default());
        let to_next = [to_admit, to_accept, self.waits.pauses.time_to_next()];
        let timeout = self.executor.fall_asleep(to_next.into_iter().flatten().min());
        let mut ring = self.waits.ring.borrow_mut();
        let result = ring.submit_and_wait(timeout);
        ring.take_completions(completions);
        self.executor.wake_up();
        result
    }

    fn take_note(&mut self, completion: Completion<About>) {
        let Completion { about, event, is_last } = completion;
        match (about, event) {
            (About::Socket(key), event) => self.waits.take_note(key, event),
            (About::Door(key), event) => {
                let door = &mut self.doors[key];
                door.operation.take_if(|_| is_last);
                match event {
                    Event::Accepted(result) => self.take_in(result),
                    _ => door.is_knocked_at = true,
                }
            }
            (About::Interrupt(index), _) if is_last => self.watch(index),
            _ => {}
        }
    }

    fn take_in(&mut self, accepted: io::Result<OwnedFd>) {
        match accepted {
            Ok(socket) => {
                self.shortage.end();
                self.arrived.push_back(socket);
            }
            Err(error) if is_short_of_resources(&error) => self.shortage.meet(&error),
            Err(error) => debug!("accepting has ended: {error}"),
        }
    }
}
