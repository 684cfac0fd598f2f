//! The line protocol of the Fibonacci service: bytes to requests, replies to bytes.
//!
//! It opens no socket and reads no clock: whoever owns the bytes calls it, so that every server
//! strategy, every client and every test speaks exactly the same language.
//!
//! ```text
//! request = *WSP ["+"] 1*DIGIT *WSP [CR] LF
//! reply   = 1*DIGIT LF  /  "ERR" SP code SP text LF
//! code    = "parse" / "range" / "too-long" / "busy" / "deadline" / "internal" / "shutdown"
//! ```
//!
//! One line in, one line out, always, in order. [`Dialect::Classic`] is for clients that send `30`
//! without a newline and wait.
//!
//! # Example
//!
//! ```
//! use fib_proto::{Decoder, Limits, Reply, encode_value, parse_reply};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let decoder = Decoder::new(Limits { max_n: 93, ..Limits::default() });
//! let decoded = decoder.decode(b"30\n20\n").ok_or("a whole line is there")?;
//! assert_eq!((decoded.request?.n, decoded.len), (30, 3));
//!
//! let mut wire = Vec::new();
//! encode_value(832_040, &mut wire);
//! assert_eq!(wire, b"832040\n");
//! assert_eq!(parse_reply(b"832040")?, Reply::Value("832040"));
//! # Ok(())
//! # }
//! ```

#![forbid(unsafe_code)]

mod address;
mod decode;
mod encode;
mod reply;
mod request;

pub use address::{Address, AddressError};
pub use decode::{Decoded, Decoder, Dialect, DialectError, Limits};
pub use encode::{encode_decimal, encode_error, encode_request, encode_value};
pub use reply::{ErrorCode, MalformedReply, Reply, parse_reply};
pub use request::{Quote, Request, RequestError};
