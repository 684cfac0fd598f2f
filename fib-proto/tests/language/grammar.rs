//! The grammar of docs/protocol.md, read a second time: a machine with five states that takes a
//! byte at a time, and numbers that stay the digits they were written with.
//!
//! It shares nothing with the decoder, so that a mistake would have to be made twice. The fuzz
//! target uses it too.

use std::cmp::Ordering;

use fib_proto::Limits;

/// What a line asks for, or the `ERR` line that it gets.
pub(crate) type Reply = Result<u64, String>;

/// Where a line has got to.
enum State {
    /// `*WSP`
    Begin,
    /// `["+"]`, or a minus, which is understood and refused
    Sign,
    /// `1*DIGIT`
    Digits,
    /// `*WSP`
    Trail,
    /// `[CR]`
    Return,
}

/// A number as it was written.
struct Number<'a> {
    is_negative: bool,
    /// Without leading zeros.
    digits: &'a str,
}

/// The replies to all that a client sends before it ends its output, in the line dialect.
pub(crate) fn replies(mut stream: &[u8], limits: Limits) -> Vec<Reply> {
    let mut replies = Vec::new();
    while !stream.is_empty() {
        let end = stream.iter().position(|&byte| byte == b'\n');
        let line = &stream[..end.unwrap_or(stream.len())];
        if line.len() > limits.max_line {
            replies.push(too_long(limits));
            break;
        }
        let Some(end) = end else {
            let text = format!("the input ended before a newline, after {}", quote(line));
            replies.push(Err(format!("ERR parse {text}")));
            break;
        };
        replies.push(reply_to_line(line, limits));
        stream = &stream[end + 1..];
    }
    replies
}

/// The reply to a chunk, in the classic dialect.
pub(crate) fn reply_to_chunk(chunk: &[u8], limits: Limits) -> Reply {
    let line = chunk.strip_suffix(b"\n").unwrap_or(chunk);
    if line.len() > limits.max_line {
        return too_long(limits);
    }
    match read(line) {
        Some(number) if number.is_negative || number.is_at_most(2) => Ok(1),
        number => reply(number, line, limits),
    }
}

fn reply_to_line(line: &[u8], limits: Limits) -> Reply {
    reply(read(line), line, limits)
}

fn reply(number: Option<Number<'_>>, line: &[u8], Limits { max_n, .. }: Limits) -> Reply {
    let quote = quote(line);
    match number {
        None => Err(format!("ERR parse expected a decimal number and a newline, not {quote}")),
        Some(number) if number.is_negative || !number.is_at_most(max_n) => {
            let wanted = format!("n must be from 0 to {max_n}, not {quote}");
            Err(format!("ERR range {wanted}; --max-n raises the limit"))
        }
        Some(number) => {
            Ok(format!("0{}", number.digits).parse().expect("no more than a u64 holds"))
        }
    }
}

fn too_long(Limits { max_line, .. }: Limits) -> Reply {
    let text = format!("the line is longer than {max_line} bytes; --max-line raises the limit");
    Err(format!("ERR too-long {text}"))
}

/// At most 32 bytes of the input, and none that could pass for something else than text.
fn quote(line: &[u8]) -> String {
    let quoted = line.iter().take(32).map(|&byte| match byte {
        b'\t' => "\\t".to_owned(),
        b'\r' => "\\r".to_owned(),
        b'\n' => "\\n".to_owned(),
        b'"' | b'\'' | b'\\' => format!("\\{}", char::from(byte)),
        b' '..=b'~' => char::from(byte).to_string(),
        _ => format!("\\x{byte:02x}"),
    });
    let more = if line.len() > 32 { "..." } else { "" };
    format!("\"{}\"{more}", quoted.collect::<String>())
}

fn read(line: &[u8]) -> Option<Number<'_>> {
    let (mut state, mut is_negative, mut first) = (State::Begin, false, 0);
    let mut last = 0;
    for (at, &byte) in line.iter().enumerate() {
        state = match (state, byte) {
            (State::Begin, b' ' | b'\t') => State::Begin,
            (State::Begin, b'+' | b'-') => {
                is_negative = byte == b'-';
                State::Sign
            }
            (from @ (State::Begin | State::Sign | State::Digits), b'0'..=b'9') => {
                if !matches!(from, State::Digits) {
                    first = at;
                }
                last = at;
                State::Digits
            }
            (State::Digits | State::Trail, b' ' | b'\t') => State::Trail,
            (State::Digits | State::Trail, b'\r') => State::Return,
            _ => return None,
        };
    }
    if matches!(state, State::Begin | State::Sign) {
        return None;
    }
    let digits = str::from_utf8(&line[first..=last]).expect("they are digits");
    Some(Number { is_negative, digits: digits.trim_start_matches('0') })
}

impl Number<'_> {
    /// As at school: the longer one is the larger one, and else the first difference decides.
    fn is_at_most(&self, max: u64) -> bool {
        let max = if max == 0 { String::new() } else { max.to_string() };
        let order = self.digits.len().cmp(&max.len()).then_with(|| self.digits.cmp(&max));
        order != Ordering::Greater
    }
}
