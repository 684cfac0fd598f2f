//! A conversation over TLS: a handshake, and then the same as in clear text. Where a proxy says for
//! whom it speaks, it does so in clear text, before the handshake.

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

use super::AsyncStream;
use crate::{
    access::Standing,
    connection::Connection,
    context::Context,
    counters::Handshake,
    session::{CHUNK_LEN, Session},
    strategy::{
        conversation::{self, Received, Stream},
        introduction,
    },
    sys, telemetry,
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
pub(super) async fn serve(mut connection: Connection, tls: &Tls, context: &Context) {
    let begun = match introduce(&mut connection, context).await {
        Ok(Some(begun)) => begun,
        Ok(None) => return,
        Err(error) => return telemetry::log_end(Err(error)),
    };
    let handshake = EncryptedStream::accept(&connection, begun, tls);
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

/// Hears who the client is, where there is a proxy to say so, and returns what came with that of
/// the handshake. `None` if the client is not to be served.
async fn introduce(connection: &mut Connection, context: &Context) -> io::Result<Option<Vec<u8>>> {
    if connection.standing != Standing::Proxy {
        return Ok(Some(Vec::new()));
    }
    let mut stream = AsyncStream::new(connection, context)?;
    if !introduction::hear(connection, &mut stream, context).await? {
        return Ok(None);
    }
    let begun = connection.session.input().to_vec();
    connection.session.skip(begun.len());
    Ok(Some(begun))
}

/// A socket for the event loop of the current runtime, behind a layer of TLS.
struct EncryptedStream {
    tls: TlsStream<AsyncSocket>,
}

impl EncryptedStream {
    /// Shakes hands with a client that has `begun` with these bytes already.
    async fn accept(connection: &Connection, begun: Vec<u8>, tls: &Tls) -> io::Result<Self> {
        connection.socket.set_nonblocking(true)?;
        let socket = AsyncSocket { begun, socket: sys::register(Arc::clone(&connection.socket))? };
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
struct AsyncSocket {
    /// What was received from it before.
    begun: Vec<u8>,
    socket: AsyncFd<Arc<Socket>>,
}

impl AsyncRead for AsyncSocket {
    fn poll_read(
        self: Pin<&mut Self>,
        waker: &mut task::Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Self { begun, socket } = self.get_mut();
        if !begun.is_empty() {
            let len = begun.len().min(buffer.remaining());
            buffer.put_slice(&begun[..len]);
            *begun = begun.split_off(len);
            return Poll::Ready(Ok(()));
        }
        loop {
            let mut ready = ready!(socket.poll_read_ready(waker))?;
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
            match self.socket.get_ref().send(bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    ready!(self.socket.poll_write_ready(waker))?.clear_ready();
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
        Poll::Ready(self.socket.get_ref().shutdown(Shutdown::Write))
    }
}
