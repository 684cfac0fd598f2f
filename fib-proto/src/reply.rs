//! What a server can answer, and how a client reads it.

use std::{fmt, str};

use thiserror::Error;

use crate::Quote;

/// One answer, borrowed from the line that carried it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply<'a> {
    /// The digits of F(n).
    Value(&'a str),
    /// Why there is no value.
    Error {
        /// What kind of failure it is.
        code: ErrorCode,
        /// The explanation, for people.
        text: &'a str,
    },
}

/// Reads one reply line, given without its LF.
///
/// # Errors
///
/// [`MalformedReply`] for a line that is neither digits nor `ERR code text`: the peer speaks
/// another protocol, or the connection lost its step.
///
/// # Examples
///
/// ```
/// use fib_proto::{ErrorCode, Reply, parse_reply};
///
/// # fn main() -> Result<(), fib_proto::MalformedReply> {
/// assert_eq!(parse_reply(b"55")?, Reply::Value("55"));
/// let busy = Reply::Error { code: ErrorCode::Busy, text: "too many connections" };
/// assert_eq!(parse_reply(b"ERR busy too many connections")?, busy);
/// assert!(parse_reply(b"HTTP/1.1 400 Bad Request").is_err());
/// # Ok(())
/// # }
/// ```
pub fn parse_reply(line: &[u8]) -> Result<Reply<'_>, MalformedReply> {
    let malformed = || MalformedReply { found: Quote::new(line) };
    let text = str::from_utf8(line).map_err(|_| malformed())?;
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(Reply::Value(text));
    }
    let rest = text.strip_prefix("ERR ").ok_or_else(malformed)?;
    let (code, text) = rest.split_once(' ').ok_or_else(malformed)?;
    let code = ErrorCode::from_name(code).ok_or_else(malformed)?;
    Ok(Reply::Error { code, text })
}

/// A line that is no reply of this protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("not a reply of this protocol: {found}")]
pub struct MalformedReply {
    /// The line.
    pub found: Quote,
}

/// The kinds of failure that a reply can name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorCode {
    /// The line is not a number.
    Parse,
    /// The number is negative or too large.
    Range,
    /// The line is too long; the server closes the connection.
    TooLong,
    /// The server has no room for more.
    Busy,
    /// The answer would come, or came, too late.
    Deadline,
    /// The server failed; the request was good.
    Internal,
    /// The server is stopping.
    Shutdown,
}

impl ErrorCode {
    /// Every code there is.
    pub const ALL: [Self; 7] = [
        Self::Parse,
        Self::Range,
        Self::TooLong,
        Self::Busy,
        Self::Deadline,
        Self::Internal,
        Self::Shutdown,
    ];

    /// The name on the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Parse => "parse",
            Self::Range => "range",
            Self::TooLong => "too-long",
            Self::Busy => "busy",
            Self::Deadline => "deadline",
            Self::Internal => "internal",
            Self::Shutdown => "shutdown",
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|code| code.name() == name)
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
