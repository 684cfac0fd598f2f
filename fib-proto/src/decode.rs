//! Bytes to requests.
//!
//! The decoder keeps nothing between calls: the caller holds the bytes, and calls again from the
//! start of an unfinished line when more have come. So however a stream is cut into pieces, the
//! requests are the same.

use std::{fmt, str::FromStr};

use thiserror::Error;

use crate::{Quote, Request, RequestError};

/// How requests are framed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dialect {
    /// A line is a request.
    #[default]
    Line,
    /// A received chunk is a request, with or without a newline, and every n ≤ 2 answers 1: what
    /// the clients of the original demo send and expect.
    Classic,
}

impl Dialect {
    /// Every dialect there is.
    pub const ALL: [Self; 2] = [Self::Line, Self::Classic];

    /// The name that users type.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Line => "line",
            Self::Classic => "classic",
        }
    }
}

impl fmt::Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Dialect {
    type Err = DialectError;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|dialect| dialect.name() == name).ok_or(DialectError)
    }
}

/// The text names no dialect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("expected line or classic")]
pub struct DialectError;

/// What a decoder accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How requests are framed.
    pub dialect: Dialect,
    /// The longest line, in bytes before the LF.
    pub max_line: usize,
    /// The largest n.
    pub max_n: u64,
}

impl Default for Limits {
    /// Lines of 64 bytes, and n up to 93: what fits a machine word.
    fn default() -> Self {
        Self { dialect: Dialect::Line, max_line: 64, max_n: 93 }
    }
}

/// A request or an error, and how many bytes of the input it took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decoded {
    /// What the client asked, or why that is not a request.
    pub request: Result<Request, RequestError>,
    /// How many bytes of the input it took.
    pub len: usize,
}

/// Turns bytes into requests.
///
/// # Examples
///
/// ```
/// use fib_proto::{Decoder, Limits};
///
/// let decoder = Decoder::new(Limits::default());
/// let mut input: &[u8] = b"1\n2\nx\n3";
/// let mut seen = Vec::new();
/// while let Some(decoded) = decoder.decode(input) {
///     seen.push(decoded.request.map(|request| request.n).ok());
///     input = &input[decoded.len..];
/// }
/// assert_eq!(seen, [Some(1), Some(2), None]);
/// assert_eq!(input, b"3"); // might become 30
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Decoder {
    limits: Limits,
}

impl Decoder {
    /// A decoder with these limits.
    #[must_use]
    pub const fn new(limits: Limits) -> Self {
        Self { limits }
    }

    /// What it accepts.
    #[must_use]
    pub const fn limits(&self) -> Limits {
        self.limits
    }

    /// The first request or error in `input`; `None` when it takes more bytes to tell.
    ///
    /// After [`RequestError::TooLong`] the stream has no more requests: the rest of the line could
    /// pass for some.
    #[inline]
    #[must_use]
    pub fn decode(&self, input: &[u8]) -> Option<Decoded> {
        match self.limits.dialect {
            Dialect::Line => self.decode_digits(input).or_else(|| self.decode_line(input)),
            Dialect::Classic => self.decode_chunk(input),
        }
    }

    /// What is left in `input` when no more will come: nothing, or a line without an end.
    ///
    /// It is never answered as if it were whole: `30` may be what arrived of `3000`.
    #[must_use]
    pub fn decode_rest(&self, input: &[u8]) -> Option<RequestError> {
        (!input.is_empty()).then(|| RequestError::Unterminated { found: Quote::new(input) })
    }

    /// The common line, digits and LF, in one pass over its bytes. `None` is for anything else.
    #[inline]
    fn decode_digits(&self, input: &[u8]) -> Option<Decoded> {
        let mut n = 0;
        // As many digits as can never overflow a u64.
        let len_max = self.limits.max_line.min(19);
        for (at, &byte) in input.iter().enumerate() {
            let digit = byte.wrapping_sub(b'0');
            if digit <= 9 && at < len_max {
                n = n * 10 + u64::from(digit);
            } else if byte == b'\n' && at > 0 && n <= self.limits.max_n {
                return Some(Decoded { request: Ok(Request { n }), len: at + 1 });
            } else {
                return None;
            }
        }
        None
    }

    #[cold]
    fn decode_line(&self, input: &[u8]) -> Option<Decoded> {
        let max_line = self.limits.max_line;
        let Some(end) = input.iter().take(max_line + 1).position(|&byte| byte == b'\n') else {
            return (input.len() > max_line).then(|| self.too_long(input));
        };
        let request = match parse(&input[..end]) {
            Some(Number::Value(n)) if n <= self.limits.max_n => Ok(Request { n }),
            Some(_) => Err(self.out_of_range(&input[..end])),
            None => Err(RequestError::Parse { found: Quote::new(&input[..end]) }),
        };
        Some(Decoded { request, len: end + 1 })
    }

    fn decode_chunk(&self, input: &[u8]) -> Option<Decoded> {
        if input.is_empty() {
            return None;
        }
        let line = input.strip_suffix(b"\n").unwrap_or(input);
        if line.len() > self.limits.max_line {
            return Some(self.too_long(input));
        }
        let request = match parse(line) {
            // The original function: 1 if n <= 2.
            Some(Number::Negative | Number::Value(0..=2)) => Ok(Request { n: 1 }),
            Some(Number::Value(n)) if n <= self.limits.max_n => Ok(Request { n }),
            Some(_) => Err(self.out_of_range(line)),
            None => Err(RequestError::Parse { found: Quote::new(line) }),
        };
        Some(Decoded { request, len: input.len() })
    }

    fn too_long(&self, input: &[u8]) -> Decoded {
        let max_line = self.limits.max_line;
        Decoded { request: Err(RequestError::TooLong { max_line }), len: input.len() }
    }

    fn out_of_range(&self, line: &[u8]) -> RequestError {
        RequestError::Range { found: Quote::new(line), max_n: self.limits.max_n }
    }
}

enum Number {
    Value(u64),
    Negative,
    OverU64,
}

/// Reads `*WSP [sign] 1*DIGIT *WSP [CR]`.
fn parse(line: &[u8]) -> Option<Number> {
    let line = trim_blanks(line.strip_suffix(b"\r").unwrap_or(line));
    let (negative, digits) = match line {
        [sign @ (b'+' | b'-'), digits @ ..] => (*sign == b'-', digits),
        digits => (false, digits),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    if negative {
        return Some(Number::Negative);
    }
    let n = digits
        .iter()
        .try_fold(0u64, |n, &byte| n.checked_mul(10)?.checked_add(u64::from(byte - b'0')));
    Some(n.map_or(Number::OverU64, Number::Value))
}

fn trim_blanks(mut line: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = line {
        line = rest;
    }
    line
}
