//! A conversation as a task on a Tokio runtime: what the strategies that have one share.

mod encrypted;

use std::{
    hint, io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use rustix::net::RecvFlags;
use socket2::Socket;
use tokio::{io::unix::AsyncFd, task, time};
use tracing::Instrument;

use crate::{
    connection::Connection,
    context::Context,
    session::{CHUNK_LEN, Session},
    strategy::conversation::{self, Received, Stream, read},
    sys, telemetry,
};

/// How often sockets are asked, when polling busily, before other tasks have their turn. A yield
/// costs as much as many tries: the runtime wakes another worker to see whether it can take over.
const TRIES_A_TURN: usize = 64;

/// How many conversations poll busily: they share the tries, so that none waits long for its turn.
static POLLING: AtomicUsize = AtomicUsize::new(0);

/// Talks with one client until the conversation is over, and logs how it ended.
pub(super) fn serve(connection: Connection, context: Arc<Context>) -> impl Future<Output = ()> {
    // No `async fn`: in its future, the arguments would have two places.
    let span = context.span(&connection);
    let conversation = async move {
        match context.tls() {
            None => match AsyncStream::new(&connection, &context) {
                Ok(stream) => conversation::serve(connection, stream, &context).await,
                Err(error) => telemetry::log_end(Err(error)),
            },
            // In memory of its own, which a conversation in clear text does without.
            Some(tls) => Box::pin(encrypted::serve(connection, &tls, &context)).await,
        }
    };
    conversation.instrument(span)
}

/// A conversation that polls busily, among others.
struct Polling;

impl Polling {
    fn begin() -> Self {
        POLLING.fetch_add(1, Ordering::Relaxed);
        Self
    }

    fn tries_a_turn() -> usize {
        (TRIES_A_TURN / POLLING.load(Ordering::Relaxed)).max(1)
    }
}

impl Drop for Polling {
    fn drop(&mut self) {
        POLLING.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A socket for the event loop of the current runtime.
struct AsyncStream {
    socket: Arc<Socket>,
    /// The same, while it is in the event loop.
    registered: Option<AsyncFd<Arc<Socket>>>,
    busy_poll: Option<Duration>,
}

impl AsyncStream {
    fn new(connection: &Connection, context: &Context) -> io::Result<Self> {
        connection.socket.set_nonblocking(true)?;
        let socket = Arc::clone(&connection.socket);
        Ok(Self { socket, registered: None, busy_poll: context.busy_poll() })
    }

    /// Puts the socket into the event loop, unless it is there.
    fn registered(&mut self) -> io::Result<&AsyncFd<Arc<Socket>>> {
        let socket = match self.registered.take() {
            Some(socket) => socket,
            None => sys::register(Arc::clone(&self.socket))?,
        };
        Ok(self.registered.insert(socket))
    }

    /// Asks again and again for a while, and lets other tasks run in between. `None` when that was
    /// in vain.
    async fn poll_busily(&mut self, session: &mut Session) -> io::Result<Option<Received>> {
        let Some(duration) = self.busy_poll else { return Ok(None) };
        // Each arrival would wake another worker, only to take the core from somebody who needs it.
        self.registered = None;
        let _polling = Polling::begin();
        let begin = Instant::now();
        while begin.elapsed() < duration {
            for _ in 0..Polling::tries_a_turn() {
                match read(&self.socket, session, RecvFlags::empty()) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => hint::spin_loop(),
                    result => return result.map(|len| Some(Received::bytes(len))),
                }
            }
            task::yield_now().await;
        }
        Ok(None)
    }

    async fn wait_and_read(&mut self, session: &mut Session) -> io::Result<Received> {
        let registered = self.registered()?;
        loop {
            let mut ready = registered.readable().await?;
            let read = ready.try_io(|socket| read(socket.get_ref(), session, RecvFlags::empty()));
            if let Ok(result) = read {
                let len = result?;
                if len < CHUNK_LEN {
                    // The queue is empty: asking the kernel once more would only confirm it.
                    ready.clear_ready();
                } else {
                    // A client that sends without pause has one chunk answered in a turn.
                    task::yield_now().await;
                }
                return Ok(Received::bytes(len));
            }
        }
    }
}

impl Stream for AsyncStream {
    async fn receive(
        &mut self,
        session: &mut Session,
        until: Option<Instant>,
    ) -> io::Result<Received> {
        if let Some(received) = self.poll_busily(session).await? {
            return Ok(received);
        }
        let Some(until) = until else { return self.wait_and_read(session).await };
        let in_time = time::timeout_at(until.into(), self.wait_and_read(session)).await;
        in_time.unwrap_or(Ok(Received::TimedOut))
    }

    /// Tries before it waits: a socket that was idle has room.
    async fn send(&mut self, session: &mut Session) -> io::Result<()> {
        while !session.output().is_empty() {
            match self.socket.send(session.output()) {
                Ok(len) => session.sent(len),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.registered()?.writable().await?.clear_ready();
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    async fn yield_now(&mut self) {
        task::yield_now().await;
    }
}
