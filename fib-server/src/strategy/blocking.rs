//! A conversation by a thread that waits for it: what the strategies without an event loop share.

use std::{
    hint,
    io::{self, Write},
    pin::{Pin, pin},
    sync::Arc,
    task::{self, Poll, Wake, Waker},
    thread::{self, Thread},
    time::{Duration, Instant},
};

use rustix::net::RecvFlags;
use socket2::Socket;

use crate::{
    connection::Connection,
    context::Context,
    session::Session,
    strategy::conversation::{self, Received, SEND_LEN, Stream, read},
    telemetry,
};

/// Talks with one client until the conversation is over, and logs how it ended.
pub(crate) fn serve(connection: Connection, context: &Context) {
    let socket = Arc::clone(&connection.socket);
    if let Err(error) = socket.set_nonblocking(false) {
        return telemetry::log_end(Err(error));
    }
    let stream = BlockingStream { socket, busy_poll: context.busy_poll() };
    block_on(pin!(conversation::serve(connection, stream, context)));
}

/// Runs a coroutine on this thread, which sleeps while there is nothing to do.
fn block_on<T>(mut coroutine: Pin<&mut impl Future<Output = T>>) -> T {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = task::Context::from_waker(&waker);
    loop {
        match coroutine.as_mut().poll(&mut context) {
            Poll::Ready(value) => return value,
            Poll::Pending => thread::park(),
        }
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// A socket whose operations return when they are done.
struct BlockingStream {
    socket: Arc<Socket>,
    busy_poll: Option<Duration>,
}

impl Stream for BlockingStream {
    async fn receive(
        &mut self,
        session: &mut Session,
        until: Option<Instant>,
    ) -> io::Result<Received> {
        if let Some(received) = self.poll_busily(session)? {
            return Ok(received);
        }
        match self.read_until(session, until) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Received::TimedOut),
            result => result.map(Received::bytes),
        }
    }

    async fn send(&mut self, session: &mut Session) -> io::Result<()> {
        while !session.output().is_empty() {
            let output = session.output();
            let part = &output[..output.len().min(SEND_LEN)];
            match (&*self.socket).write(part) {
                Ok(len) => session.sent(len),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// The kernel gives the others their turns.
    async fn yield_now(&mut self) {}
}

impl BlockingStream {
    /// Asks again and again for a while. `None` when that was in vain.
    fn poll_busily(&self, session: &mut Session) -> io::Result<Option<Received>> {
        let Some(duration) = self.busy_poll else { return Ok(None) };
        let begin = Instant::now();
        while begin.elapsed() < duration {
            match read(&self.socket, session, RecvFlags::DONTWAIT) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => hint::spin_loop(),
                result => return result.map(|len| Some(Received::bytes(len))),
            }
        }
        Ok(None)
    }

    fn read_until(&self, session: &mut Session, until: Option<Instant>) -> io::Result<usize> {
        let Some(until) = until else { return read(&self.socket, session, RecvFlags::empty()) };
        // A timeout of zero would mean none at all.
        let left = until.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
        self.socket.set_read_timeout(Some(left))?;
        let result = read(&self.socket, session, RecvFlags::empty());
        self.socket.set_read_timeout(None)?;
        result
    }
}
