//! Coroutines on one thread over a readiness loop, by hand: the event loop of the talk.
//!
//! The lesson: a coroutine that would block leaves word what it waits for and steps aside; when
//! nobody can run, one question to the kernel waits for all of them. It is the talk's `run()` with
//! its tables of tasks that wait to receive, to send, and for a computed answer. What the talk's
//! leaves out: it is nobody else's turn while a task computes, so a long computation steps aside
//! after each slice; and neither new clients nor a client that never stops sending may take all
//! turns.

use std::{
    cell::RefCell,
    future, io, mem,
    os::fd::{AsFd, AsRawFd},
    sync::Arc,
    task::{self, Poll, Waker},
    time::Instant,
};

use anyhow::{Context as _, Result};
use mio::{Events, Interest, Registry, Token, event::Event, unix::SourceFd};
use rustix::net::RecvFlags;
use slab::Slab;
use socket2::Socket;
use tracing::error;

use crate::{
    connection::Connection,
    context::Context,
    listener::{Accepted, Listener},
    session::{CHUNK_LEN, Session},
    shortage::Shortage,
    strategy::{
        Strategy,
        conversation::{self, Received, Stream, read},
        executor::{Executor, Pauses},
    },
    telemetry,
};

/// What a listener and the latch are called in the loop; a socket has its key in the table.
const DOORS: Token = Token(usize::MAX);
/// What another thread is called that has computed an answer.
const INTERRUPT: Token = Token(usize::MAX - 1);

/// How many events one wait may report; the next wait reports the others.
const EVENTS: usize = 1024;

/// How many clients a listener takes in before those inside have their turn.
const ACCEPTS_A_TURN: usize = 10;

/// Serves all clients by coroutines on the thread that calls it.
#[derive(Clone, Copy, Debug)]
pub struct Coroutines;

impl Strategy for Coroutines {
    fn serve(self: Box<Self>, listeners: Vec<Listener>, context: &Arc<Context>) -> Result<()> {
        let poll = mio::Poll::new().context("creating the event loop")?;
        let waits = Waits::new(poll.registry().try_clone()?);
        EventLoop::new(poll, listeners, &waits, context).context("creating the event loop")?.run()
    }
}

struct EventLoop<'a> {
    context: &'a Context,
    poll: mio::Poll,
    waits: &'a Waits,
    executor: Executor<'a>,
    doors: Vec<Door>,
    shortage: Shortage,
}

/// A listener, and whether somebody may wait there.
struct Door {
    listener: Listener,
    is_knocked_at: bool,
}

impl<'a> EventLoop<'a> {
    fn new(
        poll: mio::Poll,
        listeners: Vec<Listener>,
        waits: &'a Waits,
        context: &'a Context,
    ) -> io::Result<Self> {
        let interrupt = mio::Waker::new(poll.registry(), INTERRUPT)?;
        let executor = Executor::new(context.busy_poll(), move || {
            if let Err(error) = interrupt.wake() {
                error!("the event loop was not interrupted: {error}");
            }
        });
        watch(poll.registry(), context.latch(), DOORS, Interest::READABLE)?;
        for listener in &listeners {
            watch(poll.registry(), listener, DOORS, Interest::READABLE)?;
        }
        let doors = listeners.into_iter().map(|it| Door { listener: it, is_knocked_at: true });
        Ok(Self {
            context,
            poll,
            waits,
            executor,
            doors: doors.collect(),
            shortage: Shortage::new(),
        })
    }

    fn run(mut self) -> Result<()> {
        let mut events = Events::with_capacity(EVENTS);
        loop {
            self.accept();
            self.executor.run_ready();
            if self.doors.is_empty() && self.executor.is_empty() {
                return Ok(());
            }
            self.wait(&mut events).context("waiting for events")?;
            self.wake(&events);
        }
    }

    /// Takes in a few of those who knock. Once the drain has begun and nobody knocks any more, the
    /// doors are closed.
    fn accept(&mut self) {
        if self.shortage.time_left().is_some() {
            return;
        }
        let draining = self.context.latch().is_fired();
        let mut doors = mem::take(&mut self.doors);
        doors.retain_mut(|door| {
            door.is_knocked_at |= draining;
            for _ in 0..ACCEPTS_A_TURN {
                if door.is_knocked_at && self.shortage.time_left().is_none() {
                    self.accept_one(door);
                }
            }
            let is_open = door.is_knocked_at || !draining;
            if !is_open {
                // Another process may have the same socket, and then closing it does not end this.
                let fd = door.listener.as_fd().as_raw_fd();
                let _ = self.waits.registry.deregister(&mut SourceFd(&fd));
            }
            is_open
        });
        self.doors = doors;
    }

    fn accept_one(&mut self, door: &mut Door) {
        match door.listener.accept(self.context, &mut self.shortage) {
            Accepted::Client(connection) => self.spawn(connection),
            Accepted::NobodyWaits => door.is_knocked_at = false,
            Accepted::Nothing | Accepted::NoResources => {}
        }
    }

    fn spawn(&mut self, connection: Connection) {
        let span = self.context.span(&connection);
        match SocketStream::new(&connection, self.waits) {
            Ok(stream) => {
                let conversation = conversation::serve(connection, stream, self.context);
                self.executor.spawn(span, conversation);
            }
            Err(error) => span.in_scope(|| telemetry::log_end(Err(error))),
        }
    }

    /// Asks the kernel what has happened, and sleeps until something has if nobody can run.
    fn wait(&mut self, events: &mut Events) -> io::Result<()> {
        let to_accept = self.doors.iter().any(|door| door.is_knocked_at);
        let to_accept = to_accept.then(|| self.shortage.time_left().unwrap_or_default());
        let to_next = [to_accept, self.waits.pauses.time_to_next()].into_iter().flatten().min();
        let timeout = self.executor.fall_asleep(to_next);
        let result = self.poll.poll(events, timeout);
        self.executor.wake_up();
        match result {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => Err(error),
            _ => Ok(()),
        }
    }

    /// Wakes the tasks that waited for what has happened, and one of those that only stepped aside.
    fn wake(&mut self, events: &Events) {
        for event in events {
            match event.token() {
                DOORS => self.doors.iter_mut().for_each(|door| door.is_knocked_at = true),
                INTERRUPT => {}
                Token(key) => self.waits.wake(key, event),
            }
        }
        self.waits.pauses.wake_due();
    }
}

/// Has the loop told of each change, until the descriptor is closed.
fn watch(registry: &Registry, fd: &impl AsFd, token: Token, interest: Interest) -> io::Result<()> {
    registry.register(&mut SourceFd(&fd.as_fd().as_raw_fd()), token, interest)
}

/// What tasks wait for. (Who waits for a computed answer is known to whoever computes it.)
#[derive(Debug)]
struct Waits {
    registry: Registry,
    sockets: RefCell<Slab<SocketWaits>>,
    pauses: Pauses,
}

/// Who waits for a socket.
#[derive(Debug, Default)]
struct SocketWaits {
    to_receive: Option<Waker>,
    to_send: Option<Waker>,
    /// Nothing is there to be received, and the loop will be told when that changes.
    is_drained: bool,
    /// The last that is to be received are an end and errors, of which the loop was told already.
    is_ended: bool,
}

impl Waits {
    fn new(registry: Registry) -> Self {
        Self { registry, sockets: RefCell::default(), pauses: Pauses::default() }
    }

    fn wake(&self, key: usize, event: &Event) {
        let mut sockets = self.sockets.borrow_mut();
        // An event of a socket that has just been closed tells the next one of its key nothing.
        let Some(socket) = sockets.get_mut(key) else { return };
        let is_ended = event.is_read_closed() || event.is_error();
        socket.is_ended |= is_ended;
        if event.is_readable() || is_ended {
            socket.is_drained = false;
            socket.to_receive.take().into_iter().for_each(Waker::wake);
        }
        if event.is_writable() || event.is_write_closed() || event.is_error() {
            socket.to_send.take().into_iter().for_each(Waker::wake);
        }
    }
}

/// A socket in the loop.
struct SocketStream<'a> {
    socket: Arc<Socket>,
    waits: &'a Waits,
    key: usize,
    /// Whether this turn is used up: a client that sends without pause has one chunk read in each.
    /// Less than a chunk is a pause, and behind it there may be the end, which must not wait for a
    /// turn: those who leave would pile up while others come.
    has_read_chunk: bool,
}

impl<'a> SocketStream<'a> {
    fn new(connection: &Connection, waits: &'a Waits) -> io::Result<Self> {
        let socket = Arc::clone(&connection.socket);
        socket.set_nonblocking(true)?;
        let key = waits.sockets.borrow_mut().insert(SocketWaits::default());
        let stream = Self { socket, waits, key, has_read_chunk: false };
        let interest = Interest::READABLE | Interest::WRITABLE;
        watch(&waits.registry, &stream.socket, Token(key), interest)?;
        Ok(stream)
    }

    /// Reads what there is, or leaves word that somebody waits for it.
    fn poll_read(
        &mut self,
        session: &mut Session,
        task: &task::Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let mut sockets = self.waits.sockets.borrow_mut();
        let waits = &mut sockets[self.key];
        if !waits.is_drained {
            match read(&self.socket, session, RecvFlags::empty()) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => {
                    // The queue is empty then: asking the kernel once more would only confirm it.
                    let is_short = result.as_ref().is_ok_and(|&len| len < CHUNK_LEN);
                    waits.is_drained = is_short && !waits.is_ended;
                    self.has_read_chunk = !is_short;
                    return Poll::Ready(result);
                }
            }
        }
        waits.to_receive = Some(task.waker().clone());
        self.has_read_chunk = false;
        Poll::Pending
    }

    /// Sends what there is room for, or leaves word that somebody waits for room.
    fn poll_send(&self, session: &mut Session, task: &task::Context<'_>) -> Poll<io::Result<()>> {
        while !session.output().is_empty() {
            match self.socket.send(session.output()) {
                Ok(len) => session.sent(len),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let mut sockets = self.waits.sockets.borrow_mut();
                    sockets[self.key].to_send = Some(task.waker().clone());
                    return Poll::Pending;
                }
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl Stream for SocketStream<'_> {
    async fn receive(
        &mut self,
        session: &mut Session,
        until: Option<Instant>,
    ) -> io::Result<Received> {
        if self.has_read_chunk && !self.waits.sockets.borrow()[self.key].is_drained {
            self.yield_now().await;
        }
        let mut alarm = self.waits.pauses.alarm(until);
        future::poll_fn(|task| match self.poll_read(session, task) {
            Poll::Ready(result) => Poll::Ready(result.map(Received::bytes)),
            Poll::Pending => alarm.poll(task).map(|()| Ok(Received::TimedOut)),
        })
        .await
    }

    async fn send(&mut self, session: &mut Session) -> io::Result<()> {
        future::poll_fn(|task| self.poll_send(session, task)).await
    }

    async fn yield_now(&mut self) {
        self.waits.pauses.next_turn().await;
    }
}

impl Drop for SocketStream<'_> {
    fn drop(&mut self) {
        self.waits.sockets.borrow_mut().remove(self.key);
        // Whoever computes for this client may keep the socket open a while longer. It fails if
        // the loop never came to know the socket.
        let _ = self.waits.registry.deregister(&mut SourceFd(&self.socket.as_raw_fd()));
    }
}
