//! Coroutines on one thread over `io_uring`: the kernel is told what to do, not asked what could
//! be done.
//!
//! The lesson: the loop of `coroutines` asks which socket is ready, then calls for each of them.
//! Here clients are accepted and bytes received without a call, into buffers that the kernel
//! chooses when there is something to put into them; what is to be sent is written down; and one
//! system call a turn hands all of it over and waits. The price is ownership: memory belongs to an
//! operation until the kernel says that it has ended, also when nobody wants it any more, and
//! whoever receives without being asked must be stopped when too much comes.

use std::{
    cell::RefCell,
    collections::VecDeque,
    fs, future, io, mem,
    os::fd::{AsFd, OwnedFd},
    sync::Arc,
    task::{self, Poll, Waker},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use rustix::{
    event::{EventfdFlags, eventfd},
    io::{Errno, write},
};
use slab::Slab;
use socket2::Socket;
use tracing::{debug, error};

use crate::{
    connection::Connection,
    context::Context,
    listener::{Accepted, Listener, admit_accepted},
    session::{CHUNK_LEN, Session},
    shortage::{Shortage, is_short_of_resources},
    strategy::{
        BuildError, Strategy,
        conversation::{self, Received, SEND_LEN, Stream},
        executor::{Executor, Pauses},
    },
    sys::ring::{Buffer, Completion, Event, OperationId, RECEIVED_LEN_MAX, Ring},
};

/// How many new clients begin their conversation before those that have one get their turn.
const ADMISSIONS_A_TURN: usize = 10;

/// How much may have come for a conversation that does not want it yet, before the kernel is told
/// to leave the rest where it is. A few buffers more may be filled until it obeys.
const INBOX_HIGH_WATER: usize = 64 * 1024;

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
            (About::Socket(key), event) => self.waits.take_note(key, event, is_last),
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

/// What tasks wait for, and the ring that it comes from. (Who waits for a computed answer is known
/// to whoever computes it.)
struct Waits {
    ring: RefCell<Ring<About>>,
    sockets: RefCell<Slab<SocketWaits>>,
    pauses: Pauses,
}

/// What happens at a socket, and who waits for it.
#[derive(Default)]
struct SocketWaits {
    to_receive: Option<Waker>,
    to_send: Option<Waker>,
    receiving: Option<OperationId>,
    sending: Option<OperationId>,
    inbox: Inbox,
    sent: Option<io::Result<usize>>,
    /// Its conversation is over. The key is free for the next when its operations are too.
    is_closed: bool,
}

impl Waits {
    fn new(ring: Ring<About>) -> Self {
        let (sockets, pauses) = (RefCell::default(), Pauses::default());
        Self { ring: RefCell::new(ring), sockets, pauses }
    }

    fn take_note(&self, key: usize, event: Event, is_last: bool) {
        let mut sockets = self.sockets.borrow_mut();
        let socket = &mut sockets[key];
        match event {
            Event::Received(received) => {
                self.put(socket, received);
                socket.receiving.take_if(|_| is_last);
                socket.to_receive.take().into_iter().for_each(Waker::wake);
            }
            Event::Sent(sent) => {
                socket.sent = Some(sent);
                socket.sending.take_if(|_| is_last);
                socket.to_send.take().into_iter().for_each(Waker::wake);
            }
            Event::Accepted(_) | Event::Readable => {}
        }
        if socket.is_closed && socket.is_idle() {
            sockets.remove(key);
        }
    }

    /// Keeps what was received, and stops the kernel when that is too much to be kept.
    fn put(&self, socket: &mut SocketWaits, received: io::Result<Option<Buffer>>) {
        let was_high = socket.inbox.is_high();
        socket.inbox.put(received);
        if socket.inbox.is_high() && !was_high {
            socket.receiving.into_iter().for_each(|it| self.ring.borrow_mut().cancel(it));
        }
    }

    /// Ends what a conversation that is over has begun.
    fn close(&self, key: usize) {
        let mut sockets = self.sockets.borrow_mut();
        let socket = &mut sockets[key];
        socket.is_closed = true;
        socket.inbox = Inbox::default();
        if socket.is_idle() {
            sockets.remove(key);
        } else {
            let operations = [socket.receiving, socket.sending].into_iter().flatten();
            operations.for_each(|it| self.ring.borrow_mut().cancel(it));
        }
    }
}

impl SocketWaits {
    fn is_idle(&self) -> bool {
        self.receiving.is_none() && self.sending.is_none()
    }
}

/// What has come and is not wanted yet.
#[derive(Default)]
struct Inbox {
    /// As it came.
    buffer: Option<Buffer>,
    /// What came after it, copied: the kernel's buffers are for everybody.
    rest: Vec<u8>,
    /// What comes behind all of it: the end of input, or an error.
    end: Option<io::Result<()>>,
}

impl Inbox {
    fn put(&mut self, received: io::Result<Option<Buffer>>) {
        match received {
            Ok(Some(buffer)) if self.is_empty() && !buffer.is_scarce() => {
                self.buffer = Some(buffer);
            }
            Ok(Some(buffer)) => self.rest.extend_from_slice(&buffer),
            Ok(None) => self.end = Some(Ok(())),
            Err(error) if is_pause(&error) => {}
            Err(error) => self.end = Some(Err(error)),
        }
    }

    /// Gives the session the next piece; `None` if there is none.
    fn take(&mut self, session: &mut Session) -> Option<io::Result<Received>> {
        if let Some(buffer) = self.buffer.take() {
            session.receive(&buffer, Instant::now());
        } else if !self.rest.is_empty() {
            let len = self.rest.len().min(CHUNK_LEN);
            session.receive(&self.rest[..len], Instant::now());
            self.rest.drain(..len);
            if self.rest.is_empty() {
                self.rest = Vec::new();
            }
        } else {
            return Some(self.take_end()?.map(|()| Received::End));
        }
        Some(Ok(Received::Input))
    }

    /// The end of input remains; an error is told once.
    fn take_end(&mut self) -> Option<io::Result<()>> {
        let again = self.end.as_ref()?.is_ok().then_some(Ok(()));
        mem::replace(&mut self.end, again)
    }

    fn is_empty(&self) -> bool {
        self.buffer.is_none() && self.rest.is_empty()
    }

    fn len(&self) -> usize {
        self.buffer.as_ref().map_or(0, |it| it.len()) + self.rest.len()
    }

    fn is_high(&self) -> bool {
        self.rest.len() >= INBOX_HIGH_WATER
    }
}

/// Whether receiving has ended only until somebody asks for more: it was cancelled, or everybody
/// together had received more than there are buffers.
fn is_pause(error: &io::Error) -> bool {
    let errno = Errno::from_io_error(error);
    matches!(errno, Some(Errno::CANCELED | Errno::NOBUFS | Errno::INTR))
}

/// A socket whose operations are in the ring.
struct RingStream<'a> {
    socket: Arc<Socket>,
    waits: &'a Waits,
    key: usize,
    /// Whether this turn is used up: a client that sends without pause has one piece read in each.
    has_read: bool,
}

impl<'a> RingStream<'a> {
    fn new(connection: &Connection, waits: &'a Waits) -> Self {
        let key = waits.sockets.borrow_mut().insert(SocketWaits::default());
        Self { socket: Arc::clone(&connection.socket), waits, key, has_read: false }
    }

    /// Takes what has come, or leaves word that somebody waits for it.
    fn poll_receive(
        &mut self,
        session: &mut Session,
        task: &task::Context<'_>,
    ) -> Poll<io::Result<Received>> {
        let mut sockets = self.waits.sockets.borrow_mut();
        let waits = &mut sockets[self.key];
        let taken = waits.inbox.take(session);
        self.has_read = taken.is_some();
        if let Some(result) = taken {
            return Poll::Ready(result);
        }
        waits.receiving.get_or_insert_with(|| {
            let socket = Arc::clone(&self.socket);
            self.waits.ring.borrow_mut().receive(socket, About::Socket(self.key))
        });
        waits.to_receive = Some(task.waker().clone());
        Poll::Pending
    }

    /// Has the kernel send the first bytes of these.
    fn begin_send(&self, bytes: &[u8]) {
        let bytes = &bytes[..bytes.len().min(SEND_LEN)];
        let (socket, about) = (Arc::clone(&self.socket), About::Socket(self.key));
        let sending = self.waits.ring.borrow_mut().send(socket, bytes, about);
        self.waits.sockets.borrow_mut()[self.key].sending = Some(sending);
    }

    fn poll_sent(&self, task: &task::Context<'_>) -> Poll<io::Result<usize>> {
        let mut sockets = self.waits.sockets.borrow_mut();
        let waits = &mut sockets[self.key];
        if let Some(result) = waits.sent.take() {
            return Poll::Ready(result);
        }
        waits.to_send = Some(task.waker().clone());
        Poll::Pending
    }
}

impl Stream for RingStream<'_> {
    async fn receive(
        &mut self,
        session: &mut Session,
        until: Option<Instant>,
    ) -> io::Result<Received> {
        if self.has_read && !self.waits.sockets.borrow()[self.key].inbox.is_empty() {
            self.yield_now().await;
        }
        let mut alarm = self.waits.pauses.alarm(until);
        future::poll_fn(|task| match self.poll_receive(session, task) {
            Poll::Pending => alarm.poll(task).map(|()| Ok(Received::TimedOut)),
            received @ Poll::Ready(_) => received,
        })
        .await
    }

    async fn send(&mut self, session: &mut Session) -> io::Result<()> {
        while !session.output().is_empty() {
            self.begin_send(session.output());
            match future::poll_fn(|task| self.poll_sent(task)).await {
                Ok(len) => session.sent(len),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    async fn yield_now(&mut self) {
        self.waits.pauses.next_turn().await;
    }

    fn read_ahead(&self) -> usize {
        self.waits.sockets.borrow()[self.key].inbox.len() + RECEIVED_LEN_MAX
    }
}

impl Drop for RingStream<'_> {
    fn drop(&mut self) {
        self.waits.close(self.key);
    }
}
