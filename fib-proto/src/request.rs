//! What a client can ask, and every way of asking it wrongly.

use std::fmt;

use thiserror::Error;

use crate::ErrorCode;

/// A client's question: which number is F(n)?
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Request {
    /// The index of the wanted number, already within the decoder's limit.
    pub n: u64,
}

/// Why a line is not a request. The message is the text of the `ERR` reply.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum RequestError {
    /// The line is not one decimal number.
    #[error("expected a decimal number and a newline, not {found}")]
    Parse {
        /// The line.
        found: Quote,
    },
    /// The number is negative or over the limit.
    #[error("n must be from 0 to {max_n}, not {found}; --max-n raises the limit")]
    Range {
        /// The line.
        found: Quote,
        /// The largest n that is answered.
        max_n: u64,
    },
    /// The line does not end within the limit. Nothing after it can be understood.
    #[error("the line is longer than {max_line} bytes; --max-line raises the limit")]
    TooLong {
        /// The longest line that is read, in bytes before the LF.
        max_line: usize,
    },
    /// The input ended inside a line, which might have gone on.
    #[error("the input ended before a newline, after {found}")]
    Unterminated {
        /// The beginning of the line.
        found: Quote,
    },
}

impl RequestError {
    /// The code that stands before the text in the reply.
    #[must_use]
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::Parse { .. } | Self::Unterminated { .. } => ErrorCode::Parse,
            Self::Range { .. } => ErrorCode::Range,
            Self::TooLong { .. } => ErrorCode::TooLong,
        }
    }
}

/// The first bytes of somebody's input, safe to print: quoted, escaped and at most 32 of them.
///
/// # Examples
///
/// ```
/// use fib_proto::Quote;
/// assert_eq!(Quote::new(b"GET /\r\x00").to_string(), r#""GET /\r\x00""#);
/// assert_eq!(Quote::new(&[b'a'; 33]).to_string(), format!("\"{}\"...", "a".repeat(32)));
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Quote {
    bytes: [u8; Self::MAX_LEN],
    /// Of the whole input, to tell whether the quote is all of it.
    input_len: usize,
}

impl Quote {
    /// How many bytes of the input are quoted.
    pub const MAX_LEN: usize = 32;

    /// Quotes the beginning of `input`.
    #[must_use]
    pub fn new(input: &[u8]) -> Self {
        let mut bytes = [0; Self::MAX_LEN];
        for (slot, &byte) in bytes.iter_mut().zip(input) {
            *slot = byte;
        }
        Self { bytes, input_len: input.len() }
    }
}

impl fmt::Display for Quote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quoted = &self.bytes[..self.input_len.min(Self::MAX_LEN)];
        write!(f, "\"{}\"", quoted.escape_ascii())?;
        if self.input_len > Self::MAX_LEN { f.write_str("...") } else { Ok(()) }
    }
}

impl fmt::Debug for Quote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
