//! Requests and replies to bytes, appended to the buffer of whoever sends them.

use std::{fmt::Display, io::Write};

use crate::ErrorCode;

/// Appends the request line for n.
///
/// ```
/// let mut wire = Vec::new();
/// fib_proto::encode_request(30, &mut wire);
/// assert_eq!(wire, b"30\n");
/// ```
pub fn encode_request(n: u64, out: &mut Vec<u8>) {
    encode_value(n, out);
}

/// Appends the reply line for a value that fits a machine word.
///
/// ```
/// let mut wire = Vec::new();
/// fib_proto::encode_value(832_040, &mut wire);
/// assert_eq!(wire, b"832040\n");
/// ```
#[inline]
pub fn encode_value(value: u64, out: &mut Vec<u8>) {
    encode_decimal(itoa::Buffer::new().format(value), out);
}

/// Appends the reply line for a value already in decimal digits, which is not checked in release
/// builds.
///
/// ```
/// let mut wire = Vec::new();
/// fib_proto::encode_decimal("354224848179261915075", &mut wire);
/// assert_eq!(wire, b"354224848179261915075\n");
/// ```
#[inline]
pub fn encode_decimal(digits: &str, out: &mut Vec<u8>) {
    debug_assert!(digits.bytes().all(|byte| byte.is_ascii_digit()), "not a number: {digits}");
    out.reserve(digits.len() + 1);
    out.extend_from_slice(digits.as_bytes());
    out.push(b'\n');
}

/// Appends the reply line for a failure. A control character in `text` would break the line, and
/// becomes a space.
///
/// ```
/// use fib_proto::{ErrorCode, encode_error};
/// let mut wire = Vec::new();
/// encode_error(ErrorCode::Busy, &"too many connections", &mut wire);
/// assert_eq!(wire, b"ERR busy too many connections\n");
/// ```
pub fn encode_error(code: ErrorCode, text: &dyn Display, out: &mut Vec<u8>) {
    let start = out.len();
    write!(out, "ERR {code} {text}").expect("writing to a Vec cannot fail");
    for byte in &mut out[start..] {
        if byte.is_ascii_control() {
            *byte = b' ';
        }
    }
    out.push(b'\n');
}
