//! A conversation by a thread that waits for it: what the strategies without an event loop share.

use std::{
    io::{self, Read, Write},
    net::Shutdown,
    time::{Duration, Instant},
};

use socket2::Socket;
use tracing::warn;

use crate::{
    connection::Connection,
    context::Context,
    session::{CHUNK_LEN, LINGER, NEWLINE_HINT, Session},
    telemetry,
};

/// Talks with one client until the conversation is over, and logs how it ended.
pub(super) fn serve(mut connection: Connection, context: &Context) {
    telemetry::log_end(converse(&mut connection, context));
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
    while let Some(deadline) = session.deadline() {
        let patience = deadline.saturating_duration_since(Instant::now());
        socket.set_read_timeout(Some(patience.max(Duration::from_millis(1))))?;
        let result = socket.read(chunk);
        socket.set_read_timeout(None)?;
        match result {
            Err(error) if is_timeout(&error) => {
                if session.newline_is_missing(Instant::now()) {
                    warn!("{NEWLINE_HINT}");
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
    loop {
        match socket.read(chunk) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
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
