//! A conversation by a thread that waits for it: what the strategies without an event loop share.

use std::{
    io::{self, Read, Write},
    net::Shutdown,
    panic::{self, AssertUnwindSafe},
    time::{Duration, Instant},
};

use socket2::Socket;
use tracing::{error, warn};

use crate::{
    connection::Connection,
    context::Context,
    session::{CHUNK_LEN, LINGER, NEWLINE_HINT, Session},
    telemetry,
};

/// Talks with one client until the conversation is over, and logs how it ended.
///
/// A panic is a bug, and costs the client who met it its connection, and nobody else anything.
pub(super) fn serve(mut connection: Connection, context: &Context) {
    let conversation = AssertUnwindSafe(|| converse(&mut connection, context));
    if let Ok(result) = panic::catch_unwind(conversation) {
        telemetry::log_end(result);
    } else {
        error!("the conversation panicked");
    }
}

fn converse(connection: &mut Connection, context: &Context) -> io::Result<()> {
    let Connection { socket, session, .. } = connection;
    let mut socket: &Socket = socket;
    socket.set_nonblocking(false)?;
    let mut chunk = [0; CHUNK_LEN];
    loop {
        context.compute().answer_all(session);
        let held_back = session.output_is_high();
        send(socket, session)?;
        if session.is_over() {
            return linger(socket);
        }
        if !held_back {
            match read(&mut socket, session, &mut chunk)? {
                0 => session.end_input(context.input_end()),
                len => session.receive(&chunk[..len], Instant::now()),
            }
        }
    }
}

fn send(mut socket: &Socket, session: &mut Session) -> io::Result<()> {
    let output = session.output();
    let len = output.len();
    socket.write_all(output)?;
    session.sent(len);
    Ok(())
}

/// One read. While digits wait for their newline, it also looks at the clock.
fn read(socket: &mut &Socket, session: &mut Session, chunk: &mut [u8]) -> io::Result<usize> {
    loop {
        let result = match session.deadline() {
            Some(deadline) => read_until(deadline, socket, chunk),
            None => socket.read(chunk),
        };
        match result {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if is_timeout(&error) => {
                if session.newline_is_missing(Instant::now()) {
                    warn!("{NEWLINE_HINT}");
                }
            }
            result => return result,
        }
    }
}

fn read_until(deadline: Instant, socket: &mut &Socket, chunk: &mut [u8]) -> io::Result<usize> {
    // A timeout of zero would mean none at all.
    let left = deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
    socket.set_read_timeout(Some(left))?;
    let result = socket.read(chunk);
    socket.set_read_timeout(None)?;
    result
}

/// Ends the output, then reads the client's leftovers away, so that closing does not reset the
/// connection before the client has read its last reply.
fn linger(mut socket: &Socket) -> io::Result<()> {
    socket.shutdown(Shutdown::Write)?;
    let end = Instant::now() + LINGER;
    let mut discarded = [0; CHUNK_LEN];
    loop {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        socket.set_read_timeout(Some(left))?;
        match socket.read(&mut discarded) {
            Ok(0) => return Ok(()),
            Err(error) if is_timeout(&error) => return Ok(()),
            Err(error) => return Err(error),
            Ok(_) => {}
        }
    }
}

/// A socket's read timeout shows as either.
fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}
