//! A task for each client on Tokio's work-stealing runtime: what a Go program does with goroutines.
//!
//! The lesson: tasks are cheap and short requests fast, but nothing preempts a task. As many long
//! requests as there are worker threads stop everything else.

use std::{
    io::{self, Read},
    net::Shutdown,
    num::NonZeroUsize,
    sync::Arc,
    time::Instant,
};

use anyhow::{Context as _, Result};
use socket2::Socket;
use tokio::{
    io::unix::{AsyncFd, AsyncFdReadyGuard},
    runtime,
    task::JoinSet,
    time,
};
use tracing::{Instrument, warn};

use crate::{
    connection::Connection,
    context::Context,
    listener::{Listener, accept_any},
    session::{CHUNK_LEN, LINGER, NEWLINE_HINT, Session},
    strategy::Strategy,
    sys, telemetry,
};

/// Serves each client in a task.
#[derive(Clone, Copy, Debug)]
pub struct TokioTasks {
    io_threads: Option<NonZeroUsize>,
}

impl TokioTasks {
    /// On so many worker threads, or one per core.
    #[must_use]
    pub const fn new(io_threads: Option<NonZeroUsize>) -> Self {
        Self { io_threads }
    }
}

impl Strategy for TokioTasks {
    fn serve(self: Box<Self>, listeners: Vec<Listener>, context: &Arc<Context>) -> Result<()> {
        let mut builder = runtime::Builder::new_multi_thread();
        if let Some(threads) = self.io_threads {
            builder.worker_threads(threads.get());
        }
        let runtime = builder.enable_all().build().context("building the Tokio runtime")?;
        let mut tasks = JoinSet::new();
        // This thread has nothing else to do, and unlike a worker it is never held up by a task.
        while let Some(connection) = accept_any(&listeners, context)? {
            tasks.spawn_on(serve(connection, Arc::clone(context)), runtime.handle());
            while tasks.try_join_next().is_some() {} // so that the set holds only those that live
        }
        drop(listeners);
        // A task that panicked has ended as well; the panic is already on stderr.
        runtime.block_on(async { while tasks.join_next().await.is_some() {} });
        Ok(())
    }
}

async fn serve(mut connection: Connection, context: Arc<Context>) {
    let span = context.span(&connection);
    let conversation = converse(&mut connection, &context).instrument(span.clone());
    let result = conversation.await;
    span.in_scope(|| telemetry::log_end(result));
}

async fn converse(connection: &mut Connection, context: &Context) -> io::Result<()> {
    let Connection { socket, session, .. } = connection;
    socket.set_nonblocking(true)?;
    let socket = sys::register(Arc::clone(socket))?;
    loop {
        context.compute().answer_all(session);
        let held_back = session.output_is_high();
        send(&socket, session).await?;
        if session.is_over() {
            return linger(&socket).await;
        }
        if !held_back {
            receive(&socket, session, context).await?;
        }
    }
}

/// Tries before it waits: a socket that was idle has room.
async fn send(socket: &AsyncFd<Arc<Socket>>, session: &mut Session) -> io::Result<()> {
    while !session.output().is_empty() {
        match socket.get_ref().send(session.output()) {
            Ok(len) => session.sent(len),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                socket.writable().await?.clear_ready();
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

async fn receive(
    socket: &AsyncFd<Arc<Socket>>,
    session: &mut Session,
    context: &Context,
) -> io::Result<()> {
    loop {
        let Some(mut ready) = readable(socket, session).await? else { continue };
        let mut chunk = [0; CHUNK_LEN];
        let Ok(len) = ready.try_io(|socket| read(socket, &mut chunk)) else {
            continue;
        };
        match len? {
            0 => session.end_input(context.input_end()),
            len => {
                session.receive(&chunk[..len], Instant::now());
                if len < CHUNK_LEN {
                    // The queue is empty: asking the kernel once more would only confirm it.
                    ready.clear_ready();
                }
            }
        }
        return Ok(());
    }
}

/// Waits for input; while digits wait for their newline, only until the log should say so.
async fn readable<'a>(
    socket: &'a AsyncFd<Arc<Socket>>,
    session: &mut Session,
) -> io::Result<Option<AsyncFdReadyGuard<'a, Arc<Socket>>>> {
    let Some(deadline) = session.deadline() else { return socket.readable().await.map(Some) };
    if let Ok(ready) = time::timeout_at(deadline.into(), socket.readable()).await {
        return ready.map(Some);
    }
    if session.newline_is_missing(Instant::now()) {
        warn!("{NEWLINE_HINT}");
    }
    Ok(None)
}

/// Ends the output, then reads the client's leftovers away, so that closing does not reset the
/// connection before the client has read its last reply.
async fn linger(socket: &AsyncFd<Arc<Socket>>) -> io::Result<()> {
    socket.get_ref().shutdown(Shutdown::Write)?;
    time::timeout(LINGER, discard_all(socket)).await.unwrap_or(Ok(()))
}

/// A chunk each time it waits: a client that never stops must not keep the worker to itself.
async fn discard_all(socket: &AsyncFd<Arc<Socket>>) -> io::Result<()> {
    loop {
        let mut ready = socket.readable().await?;
        if let Ok(len) = ready.try_io(|socket| read(socket, &mut [0; CHUNK_LEN]))
            && len? == 0
        {
            return Ok(());
        }
    }
}

fn read(socket: &AsyncFd<Arc<Socket>>, chunk: &mut [u8]) -> io::Result<usize> {
    let mut socket: &Socket = socket.get_ref();
    socket.read(chunk)
}
