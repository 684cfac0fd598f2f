//! What can go wrong with a request, under names that stay.

use std::{collections::BTreeMap, io};

use fib_proto::{ErrorCode, Reply, parse_reply};
use rustix::io::Errno;

/// How a request, or its connection, failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Failure {
    /// Nobody listens there.
    ConnectRefused,
    /// The server did not take the connection in time.
    ConnectTimeout,
    /// This machine has no port left for another connection there.
    NoPorts,
    /// This process, or this machine, may open no more files.
    FdLimit,
    /// Client and server did not agree on how to encrypt, or on who they are.
    Tls,
    /// Connecting failed otherwise.
    ConnectFailed,
    /// The server reset the connection.
    Reset,
    /// The server closed the connection when it owed no reply.
    ClosedIdle,
    /// The server closed the connection instead of replying.
    Closed,
    /// The server closed the connection in the middle of a reply.
    ClosedMidReply,
    /// No reply came in time.
    Timeout,
    /// The connection failed otherwise.
    Io,
    /// The request was under way on a connection that was given up for another one's failure.
    Abandoned,
    /// The request was due, could not be sent, and the next one was due: `--late skip`.
    Skipped,
    /// The request was due, and could not be sent in time: `--late shed=...`.
    Shed,
    /// The reply is a number, and not F(n).
    WrongValue,
    /// The reply is no reply of the protocol.
    Malformed,
    /// The reply is longer than any that would be right.
    Oversize,
    /// A reply that nobody asked for.
    Unsolicited,
    /// `ERR parse`.
    ServerParse,
    /// `ERR range`.
    ServerRange,
    /// `ERR too-long`.
    ServerTooLong,
    /// `ERR busy`.
    ServerBusy,
    /// `ERR deadline`.
    ServerDeadline,
    /// `ERR internal`.
    ServerInternal,
    /// `ERR shutdown`.
    ServerShutdown,
}

impl Failure {
    /// All of them.
    pub const ALL: [Self; 26] = [
        Self::ConnectRefused,
        Self::ConnectTimeout,
        Self::NoPorts,
        Self::FdLimit,
        Self::Tls,
        Self::ConnectFailed,
        Self::Reset,
        Self::ClosedIdle,
        Self::Closed,
        Self::ClosedMidReply,
        Self::Timeout,
        Self::Io,
        Self::Abandoned,
        Self::Skipped,
        Self::Shed,
        Self::WrongValue,
        Self::Malformed,
        Self::Oversize,
        Self::Unsolicited,
        Self::ServerParse,
        Self::ServerRange,
        Self::ServerTooLong,
        Self::ServerBusy,
        Self::ServerDeadline,
        Self::ServerInternal,
        Self::ServerShutdown,
    ];

    /// The name in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ConnectRefused => "connect-refused",
            Self::ConnectTimeout => "connect-timeout",
            Self::NoPorts => "no-ports",
            Self::FdLimit => "fd-limit",
            Self::Tls => "tls",
            Self::ConnectFailed => "connect-failed",
            Self::Reset => "reset",
            Self::ClosedIdle => "closed-idle",
            Self::Closed => "closed",
            Self::ClosedMidReply => "closed-mid-reply",
            Self::Timeout => "timeout",
            Self::Io => "io",
            Self::Abandoned => "abandoned",
            Self::Skipped => "skipped",
            Self::Shed => "shed",
            Self::WrongValue => "wrong-value",
            Self::Malformed => "malformed",
            Self::Oversize => "oversize",
            Self::Unsolicited => "unsolicited",
            Self::ServerParse => "server-parse",
            Self::ServerRange => "server-range",
            Self::ServerTooLong => "server-too-long",
            Self::ServerBusy => "server-busy",
            Self::ServerDeadline => "server-deadline",
            Self::ServerInternal => "server-internal",
            Self::ServerShutdown => "server-shutdown",
        }
    }

    /// Whether the server gave an answer, and not the right one.
    #[must_use]
    pub const fn is_wrong_answer(self) -> bool {
        matches!(self, Self::WrongValue | Self::Malformed | Self::Oversize | Self::Unsolicited)
    }

    /// What is wrong with a reply line that is not the expected one.
    pub(super) fn of_reply(line: &[u8]) -> Self {
        match parse_reply(line) {
            Ok(Reply::Value(_)) => Self::WrongValue,
            Ok(Reply::Error { code, .. }) => match code {
                ErrorCode::Parse => Self::ServerParse,
                ErrorCode::Range => Self::ServerRange,
                ErrorCode::TooLong => Self::ServerTooLong,
                ErrorCode::Busy => Self::ServerBusy,
                ErrorCode::Deadline => Self::ServerDeadline,
                ErrorCode::Internal => Self::ServerInternal,
                ErrorCode::Shutdown => Self::ServerShutdown,
            },
            Err(_) => Self::Malformed,
        }
    }

    /// What is wrong with a connection that fails.
    #[must_use]
    pub fn of_connection(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => Self::Reset,
            io::ErrorKind::InvalidData => Self::Tls,
            _ => Self::Io,
        }
    }

    /// What is wrong when a connection cannot be made.
    #[must_use]
    pub fn of_connecting(error: &io::Error) -> Self {
        match Errno::from_io_error(error) {
            Some(Errno::CONNREFUSED) => Self::ConnectRefused,
            Some(Errno::TIMEDOUT) => Self::ConnectTimeout,
            Some(Errno::ADDRNOTAVAIL) => Self::NoPorts,
            Some(Errno::MFILE | Errno::NFILE) => Self::FdLimit,
            _ => match error.kind() {
                io::ErrorKind::TimedOut => Self::ConnectTimeout,
                // It was said by the other side, or was its silent end.
                io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => Self::Tls,
                _ => Self::ConnectFailed,
            },
        }
    }
}

/// How often each failure happened, with the first of each kind in words.
#[derive(Clone, Debug, Default)]
pub struct Failures {
    kinds: BTreeMap<Failure, (u64, String)>,
}

impl Failures {
    /// Every kind that happened: how often, and the first one in words.
    pub fn iter(&self) -> impl Iterator<Item = (Failure, u64, &str)> {
        self.kinds.iter().map(|(&failure, (count, first))| (failure, *count, first.as_str()))
    }

    pub(super) fn record(
        &mut self,
        failure: Failure,
        count: u64,
        describe: impl FnOnce() -> String,
    ) {
        if count > 0 {
            self.kinds.entry(failure).or_insert_with(|| (0, describe())).0 += count;
        }
    }

    pub(super) fn add(&mut self, other: &Self) {
        for (&failure, (count, first)) in &other.kinds {
            self.kinds.entry(failure).or_insert_with(|| (0, first.clone())).0 += count;
        }
    }
}
