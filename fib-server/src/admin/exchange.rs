//! One HTTP exchange over a socket that never makes its thread wait: a head is read, a response
//! is written, and what else was sent is read away, because closing would otherwise reset it.

use std::{
    io::{self, Read, Write},
    mem::MaybeUninit,
    net::Shutdown,
    os::fd::{AsFd, BorrowedFd},
    time::{Duration, Instant},
};

use rustix::event::PollFlags;
use socket2::Socket;

use super::{
    Subject,
    response::{HEAD_LEN_MAX, respond},
};

/// How much is read at a time.
const CHUNK_LEN: usize = 1024;

/// One request and its response.
#[derive(Debug)]
pub(super) struct Exchange {
    socket: Socket,
    until: Instant,
    state: State,
}

#[derive(Debug)]
enum State {
    /// What has come of the head.
    Reading(Vec<u8>),
    /// The response, of which so much is sent.
    Writing(Vec<u8>, usize),
    /// The client is to close first.
    Lingering,
}

/// What has come of going on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// It waits for its socket.
    Waits,
    /// There is nothing more to be done.
    Over,
}

impl Exchange {
    /// One that must be over by then.
    pub(super) fn new(socket: Socket, until: Instant) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        Ok(Self { socket, until, state: State::Reading(Vec::new()) })
    }

    /// What its socket must be ready for, so that it can go on.
    pub(super) const fn awaits(&self) -> PollFlags {
        match self.state {
            State::Reading(_) | State::Lingering => PollFlags::IN,
            State::Writing(..) => PollFlags::OUT,
        }
    }

    /// How long it may still take.
    pub(super) fn time_left(&self) -> Duration {
        self.until.saturating_duration_since(Instant::now())
    }

    /// Goes on until it has to wait.
    pub(super) fn advance(&mut self, subject: &Subject) -> Progress {
        match self.try_advance(subject) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Progress::Waits,
            // A client that is gone has no use for a word about it.
            Ok(()) | Err(_) => Progress::Over,
        }
    }

    /// Returns when it is over.
    fn try_advance(&mut self, subject: &Subject) -> io::Result<()> {
        loop {
            match &mut self.state {
                State::Reading(head) => {
                    let mut chunk = [0; CHUNK_LEN];
                    let len = (&self.socket).read(&mut chunk)?;
                    head.extend_from_slice(&chunk[..len]);
                    if let Some(response) = respond(head, subject) {
                        self.state = State::Writing(response, 0);
                    } else if len == 0 {
                        return Ok(());
                    }
                }
                State::Writing(response, sent) if *sent < response.len() => {
                    *sent += (&self.socket).write(&response[*sent..])?;
                }
                State::Writing(..) => {
                    self.socket.shutdown(Shutdown::Write)?;
                    self.state = State::Lingering;
                }
                State::Lingering => {
                    let mut chunk = [MaybeUninit::uninit(); HEAD_LEN_MAX];
                    if self.socket.recv(&mut chunk)? == 0 {
                        return Ok(());
                    }
                }
            }
        }
    }
}

impl AsFd for Exchange {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
