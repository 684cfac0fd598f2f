//! A conversation over TLS: a handshake, and then the same as in clear text.

use std::{
    future, io,
    mem::MaybeUninit,
    net::Shutdown,
    pin::Pin,
    sync::Arc,
    task::{self, Poll, ready},
    time::{Duration, Instant},
};

use rustix::net::{RecvFlags, recv};
use socket2::Socket;
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf, unix::AsyncFd},
    task::yield_now,
    time,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tracing::debug;

use crate::{
    connection::Connection,
    context::Context,
    counters::Handshake,
    session::{CHUNK_LEN, Session},
    strategy::conversation::{self, Received, Stream},
    sys,
    tls::Tls,
};

/// How long a client may take from connecting to the end of its handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);

/// How much of the output is encrypted at a time, as one record of TLS: so much there is of it
/// twice.
const RECORD_LEN: usize = 16 * 1024;

/// How much TLS may have received that no session has: what it has decrypted of one record, and the
/// beginning of another, each at most as long as on the wire (RFC 5246, section 6.2.3).
const READ_AHEAD_MAX: usize = 2 * (5 + (1 << 14) + 2048);

/// Shakes hands with a client, talks with it until the conversation is over, and logs how it ended.
pub(super) async fn serve(connection: Connection, tls: &Tls, context: &Context) {
    let handshake = EncryptedStream::accept(&connection, tls);
    let result = time::timeout(HANDSHAKE_TIMEOUT, handshake).await;
    let outcome = match &result {
        Ok(Ok(_)) => Handshake::Ok,
        Ok(Err(_)) => Handshake::Failed,
        Err(_) => Handshake::TimedOut,
    };
    context.counters().shaken_hands(outcome);
    match result {
        Ok(Ok(stream)) => conversation::serve(connection, stream, context).await,
        Ok(Err(error)) => {
            debug!("no handshake of TLS: {error}");
            // The client can read the alert that it has been sent, which says what was wrong.
            context.connections().leave(&connection.socket);
        }
        Err(_) => debug!("no handshake of TLS within {HANDSHAKE_TIMEOUT:?}"),
    }
}

/// A socket for the event loop of the current runtime, behind a layer of TLS.
struct EncryptedStream {
    tls: TlsStream<AsyncSocket>,
}

impl EncryptedStream {
    async fn accept(connection: &Connection, tls: &Tls) -> io::Result<Self> {
        connection.socket.set_nonblocking(true)?;
        let socket = AsyncSocket(sys::register(Arc::clone(&connection.socket))?);
        Ok(Self { tls: TlsAcceptor::from(tls.server()).accept(socket).await? })
    }

    /// Gives the session what has come; how many bytes there were.
    fn poll_read(
        &mut self,
        session: &mut Session,
        waker: &mut task::Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let mut chunk = [MaybeUninit::uninit(); CHUNK_LEN];
        let mut chunk = ReadBuf::uninit(&mut chunk);
        match ready!(Pin::new(&mut self.tls).poll_read(waker, &mut chunk)) {
            Ok(()) => {}
            // TCP has ended and TLS has not been told, as by a client that half-closes its socket,
            // or by the server itself in a drain. Whoever cuts a connection off can make no other
            // request of it, because a line without its newline is none.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {}
            Err(error) => return Poll::Ready(Err(error)),
        }
        let bytes = chunk.filled();
        if !bytes.is_empty() {
            session.receive(bytes, Instant::now());
        }
        Poll::Ready(Ok(bytes.len()))
    }

    async fn wait_and_read(&mut self, session: &mut Session) -> io::Result<Received> {
        let len = future::poll_fn(|waker| self.poll_read(session, waker)).await?;
        if len == CHUNK_LEN {
            // A client that sends without pause has one chunk answered in a turn.
            yield_now().await;
        }
        Ok(Received::bytes(len))
    }
}

impl Stream for EncryptedStream {
    async fn receive(
        &mut self,
        session: &mut Session,
        until: Option<Instant>,
    ) -> io::Result<Received> {
        let Some(until) = until else { return self.wait_and_read(session).await };
        let in_time = time::timeout_at(until.into(), self.wait_and_read(session)).await;
        in_time.unwrap_or(Ok(Received::TimedOut))
    }

    /// Output is sent once the kernel has it: what TLS keeps is still owed to the client.
    async fn send(&mut self, session: &mut Session) -> io::Result<()> {
        while !session.output().is_empty() {
            let output = session.output();
            let len = output.len().min(RECORD_LEN);
            self.tls.write_all(&output[..len]).await?;
            self.tls.flush().await?;
            session.sent(len);
        }
        Ok(())
    }

    /// Says so in TLS first: the client can tell it from a connection that was cut off.
    async fn end_output(&mut self, _: &Socket) -> io::Result<()> {
        self.tls.shutdown().await
    }

    async fn yield_now(&mut self) {
        yield_now().await;
    }

    /// At most: it cannot be asked. What is too much only lets those who never stop go on so long.
    fn read_ahead(&self) -> usize {
        READ_AHEAD_MAX
    }
}

/// A socket in the event loop, as TLS reads and writes it.
struct AsyncSocket(AsyncFd<Arc<Socket>>);

impl AsyncRead for AsyncSocket {
    fn poll_read(
        self: Pin<&mut Self>,
        waker: &mut task::Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            let mut ready = ready!(self.0.poll_read_ready(waker))?;
            let room = buffer.initialize_unfilled();
            let wanted = room.len();
            let received = ready
                .try_io(|socket| Ok(recv(socket.get_ref(), &mut *room, RecvFlags::empty())?.1));
            match received {
                Err(_would_block) => {}
                Ok(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(Err(error)) => return Poll::Ready(Err(error)),
                Ok(Ok(len)) => {
                    if len < wanted {
                        // The queue is empty: asking the kernel again would only confirm it.
                        ready.clear_ready();
                    }
                    buffer.advance(len);
                    return Poll::Ready(Ok(()));
                }
            }
        }
    }
}

impl AsyncWrite for AsyncSocket {
    /// Tries before it waits: a socket that was idle has room.
    fn poll_write(
        self: Pin<&mut Self>,
        waker: &mut task::Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        loop {
            match self.0.get_ref().send(bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    ready!(self.0.poll_write_ready(waker))?.clear_ready();
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => return Poll::Ready(result),
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut task::Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut task::Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.0.get_ref().shutdown(Shutdown::Write))
    }
}
