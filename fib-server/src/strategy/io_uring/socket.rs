//! The sockets of a ring's conversations: an operation is begun when a conversation waits for what
//! comes of it, so that nothing is received ahead.

use std::{
    cell::RefCell,
    future, io, mem,
    sync::Arc,
    task::{self, Poll, Waker, ready},
    time::Instant,
};

use rustix::io::Errno;
use slab::Slab;
use socket2::Socket;

use super::About;
use crate::{
    connection::Connection,
    session::Session,
    strategy::{
        conversation::{Received, SEND_LEN, Stream},
        executor::Pauses,
    },
    sys::ring::{BUFFER_LEN, Buffer, Event, OperationId, Ring},
};

/// What tasks wait for, and the ring that it comes from. (Who waits for a computed answer is known
/// to whoever computes it.)
pub(super) struct Waits {
    pub(super) ring: RefCell<Ring<About>>,
    sockets: RefCell<Slab<SocketWaits>>,
    pub(super) pauses: Pauses,
}

/// What is under way at a socket.
#[derive(Default)]
struct SocketWaits {
    receiving: Operation<io::Result<Option<Buffer>>>,
    sending: Operation<(Vec<u8>, io::Result<usize>)>,
    /// Its conversation is over. The key is free for the next when its operations are too.
    is_closed: bool,
}

impl Waits {
    pub(super) fn new(ring: Ring<About>) -> Self {
        let (sockets, pauses) = (RefCell::default(), Pauses::default());
        Self { ring: RefCell::new(ring), sockets, pauses }
    }

    pub(super) fn take_note(&self, key: usize, event: Event) {
        let mut sockets = self.sockets.borrow_mut();
        let socket = &mut sockets[key];
        match event {
            Event::Received(received) => socket.receiving.end(received),
            Event::Sent(bytes, sent) => socket.sending.end((bytes, sent)),
            Event::Accepted(_) | Event::Readable => {}
        }
        if socket.is_closed && socket.under_way().next().is_none() {
            sockets.remove(key);
        }
    }

    /// Ends what a conversation that is over has begun.
    fn close(&self, key: usize) {
        let mut sockets = self.sockets.borrow_mut();
        let socket = &mut sockets[key];
        socket.is_closed = true;
        if socket.under_way().next().is_none() {
            sockets.remove(key);
        } else {
            socket.under_way().for_each(|it| self.ring.borrow_mut().cancel(it));
        }
    }
}

impl SocketWaits {
    fn under_way(&self) -> impl Iterator<Item = OperationId> {
        [self.receiving.id, self.sending.id].into_iter().flatten()
    }
}

/// An operation that a conversation waits for: not begun, under way, or ended.
struct Operation<T> {
    id: Option<OperationId>,
    result: Option<T>,
    waiter: Option<Waker>,
}

impl<T> Operation<T> {
    /// Takes its result. As long as there is none it is under way, and leaves word who waits.
    fn poll(&mut self, task: &task::Context<'_>, begin: impl FnOnce() -> OperationId) -> Poll<T> {
        if let Some(result) = self.result.take() {
            return Poll::Ready(result);
        }
        self.id.get_or_insert_with(begin);
        self.waiter = Some(task.waker().clone());
        Poll::Pending
    }

    const fn is_idle(&self) -> bool {
        self.id.is_none() && self.result.is_none()
    }

    fn end(&mut self, result: T) {
        (self.id, self.result) = (None, Some(result));
        self.waiter.take().into_iter().for_each(Waker::wake);
    }
}

impl<T> Default for Operation<T> {
    fn default() -> Self {
        Self { id: None, result: None, waiter: None }
    }
}

/// A socket whose operations are in the ring.
pub(super) struct RingStream<'a> {
    socket: Arc<Socket>,
    waits: &'a Waits,
    key: usize,
    /// Whether this turn is used up: a client that sends without pause has one buffer read in each.
    has_read_buffer: bool,
}

impl<'a> RingStream<'a> {
    pub(super) fn new(connection: &Connection, waits: &'a Waits) -> Self {
        let key = waits.sockets.borrow_mut().insert(SocketWaits::default());
        Self { socket: Arc::clone(&connection.socket), waits, key, has_read_buffer: false }
    }

    /// Has the kernel receive what comes next. Where everybody together had received more than
    /// there are buffers, it is asked again: by then they are free.
    fn poll_receive(
        &mut self,
        session: &mut Session,
        task: &task::Context<'_>,
    ) -> Poll<io::Result<Received>> {
        let Self { socket, waits, key, has_read_buffer } = self;
        let begin =
            || waits.ring.borrow_mut().receive(Arc::clone(socket) as _, About::Socket(*key));
        let mut sockets = waits.sockets.borrow_mut();
        loop {
            return match ready!(sockets[*key].receiving.poll(task, begin)) {
                Ok(Some(buffer)) => {
                    *has_read_buffer = buffer.is_full();
                    session.receive(&buffer, Instant::now());
                    Poll::Ready(Ok(Received::Input))
                }
                Ok(None) => Poll::Ready(Ok(Received::End)),
                Err(error) if is_pause(&error) => continue,
                Err(error) => Poll::Ready(Err(error)),
            };
        }
    }

    /// Has the kernel send the first of the output.
    fn poll_send(&self, session: &mut Session, task: &task::Context<'_>) -> Poll<io::Result<()>> {
        let begin = || {
            let (bytes, sent) = session.lend_output();
            let part = sent..bytes.len().min(sent + SEND_LEN);
            let (socket, about) = (Arc::clone(&self.socket), About::Socket(self.key));
            self.waits.ring.borrow_mut().send(socket, bytes, part, about)
        };
        let mut sockets = self.waits.sockets.borrow_mut();
        let (bytes, sent) = ready!(sockets[self.key].sending.poll(task, begin));
        session.take_back_output(bytes);
        Poll::Ready(sent.map(|len| session.sent(len)))
    }
}

/// Whether it is worth another try.
fn is_pause(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::NOBUFS | Errno::INTR))
}

impl Stream for RingStream<'_> {
    async fn receive(
        &mut self,
        session: &mut Session,
        until: Option<Instant>,
    ) -> io::Result<Received> {
        if mem::take(&mut self.has_read_buffer) {
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
            match future::poll_fn(|task| self.poll_send(session, task)).await {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    async fn yield_now(&mut self) {
        self.waits.pauses.next_turn().await;
    }

    /// At most: a receive that nobody waits for any more may end meanwhile.
    fn read_ahead(&self) -> usize {
        let is_idle = self.waits.sockets.borrow()[self.key].receiving.is_idle();
        if is_idle { 0 } else { BUFFER_LEN }
    }
}

impl Drop for RingStream<'_> {
    fn drop(&mut self) {
        self.waits.close(self.key);
    }
}
