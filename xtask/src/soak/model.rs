//! What a server may answer to the bytes that have reached it.
//!
//! It shares no code with the server's: it reads a line in its own way, and checks a number by a
//! residue, where the server computes it.

use std::{
    collections::VecDeque,
    fmt,
    iter::Sum,
    ops::AddAssign,
    time::{Duration, Instant},
};

use fib_core::Decimal;

use crate::faults::Witness;

/// The longest line, before its newline, and the largest n.
const MAX_LINE: usize = 64;
pub(super) const MAX_N: u64 = 200_000;

/// One conversation, as it should be.
#[derive(Debug)]
pub(super) struct Model {
    /// What has come of a line.
    line: Vec<u8>,
    /// No more lines are to be answered.
    is_closed: bool,
    /// What is to be replied, and since when.
    owed: VecDeque<(Owed, Instant)>,
    /// What has come of a reply.
    reply: Vec<u8>,
    /// The reply that nothing may follow has come.
    has_ended: bool,
    /// The server has said that it is stopping.
    is_stopped: bool,
    wrong: Option<String>,
    silence: Silence,
    found: Found,
}

/// The longest time in which nothing reached the server.
#[derive(Debug)]
pub(super) struct Silence {
    last_asked: Instant,
    before: Duration,
}

/// What was found right.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// Replies that are those to their requests.
    pub(super) right: u64,
    /// Requests that were refused, as a server may that has too much to do.
    pub(super) refused: u64,
    pub(super) conversations: u64,
}

impl AddAssign for Found {
    fn add_assign(&mut self, other: Self) {
        self.conversations += other.conversations;
        self.right += other.right;
        self.refused += other.refused;
    }
}

impl Sum for Found {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), |mut sum, it| {
            sum += it;
            sum
        })
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { conversations, right, refused } = self;
        write!(
            f,
            "{right} right replies, 0 wrong, {refused} refused in {conversations} conversations"
        )
    }
}

/// The right reply to a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Owed {
    Fib(u64),
    /// An error with this code.
    Error(&'static str),
    /// The same, and then nothing.
    LastError(&'static str),
}

impl Model {
    pub(super) fn new() -> Self {
        Self {
            line: Vec::new(),
            is_closed: false,
            owed: VecDeque::new(),
            reply: Vec::new(),
            has_ended: false,
            is_stopped: false,
            wrong: None,
            silence: Silence::begin(),
            found: Found { conversations: 1, ..Found::default() },
        }
    }

    /// The first reply that is not right.
    pub(super) fn wrong(&self) -> Option<&str> {
        self.wrong.as_deref()
    }

    /// Whether the reply has come that nothing may follow.
    pub(super) const fn has_ended(&self) -> bool {
        self.has_ended
    }

    pub(super) const fn found(&self) -> Found {
        self.found
    }

    /// Why the server should not have ended the conversation in order, if its client was not silent
    /// for so long, and the server did not drain before the time that is given. In a drain all that
    /// was there before is answered.
    pub(super) fn early_end(&self, timeout: Duration, drain: Option<Instant>) -> Option<String> {
        let drained_by = |time| drain.is_some_and(|began| began <= time);
        match self.owed.front() {
            _ if self.has_ended => None,
            _ if !self.reply.is_empty() => Some("it ended within a reply".to_owned()),
            _ if self.silence.may_be(timeout) => None,
            Some((_, since)) if drained_by(*since) => None,
            Some((owed, _)) => {
                Some(format!("it ended without {} replies, {owed:?} first", self.owed.len()))
            }
            None if self.is_closed || drained_by(Instant::now()) => None,
            None => Some("it ended though more could have come".to_owned()),
        }
    }

    pub(super) const fn silence(&self) -> &Silence {
        &self.silence
    }

    fn take(&mut self, byte: u8) {
        if byte == b'\n' {
            self.owed.push_back((owed_for(&self.line), Instant::now()));
            self.line.clear();
        } else {
            self.line.push(byte);
            if self.line.len() > MAX_LINE {
                self.close(Owed::LastError("too-long"));
            }
        }
    }

    fn close(&mut self, last: Owed) {
        self.owed.push_back((last, Instant::now()));
        self.is_closed = true;
        self.line.clear();
    }

    fn check(&mut self, reply: &[u8]) {
        let Ok(reply) = str::from_utf8(reply) else {
            return self.blame(format!("no text: \"{}\"", reply.escape_ascii()));
        };
        if self.has_ended || self.is_stopped {
            return self.blame(format!("{reply:?} behind the last reply"));
        }
        let has_asked = !(self.line.is_empty() && self.owed.is_empty());
        if error_code(reply) == Some("shutdown") && has_asked {
            // It had a part of a line. What more has come by now is owed, or not, by its time.
            return self.is_stopped = true;
        }
        let owed = self.owed.pop_front().map(|(owed, _)| owed);
        match (owed, error_code(reply)) {
            (Some(Owed::Fib(n)), None) if is_fib(n, reply) => self.found.right += 1,
            (Some(Owed::Fib(_)), Some("busy" | "deadline")) if !is_of_a_line(reply) => {
                self.found.refused += 1;
            }
            (Some(Owed::Error(code)), Some(found)) if code == found => self.found.right += 1,
            (Some(Owed::LastError(code)), Some(found)) if code == found => {
                self.found.right += 1;
                self.has_ended = true;
            }
            // What it had of a line when time was up; more may have come since.
            (_, Some("deadline")) if is_of_a_line(reply) => self.has_ended = true,
            (Some(owed), _) => self.blame(format!("{} instead of {owed:?}", shown(reply))),
            (None, _) => self.blame(format!("{} to no request", shown(reply))),
        }
    }

    fn blame(&mut self, wrong: String) {
        self.wrong.get_or_insert(wrong);
    }
}

impl Witness for Model {
    fn asked(&mut self, bytes: &[u8]) {
        self.silence.asked(bytes);
        if bytes.is_empty() && !self.line.is_empty() {
            // It may be the beginning of a longer one.
            self.close(Owed::LastError("parse"));
        }
        self.is_closed |= bytes.is_empty();
        for &byte in bytes {
            if !self.is_closed {
                self.take(byte);
            }
        }
    }

    fn answered(&mut self, bytes: &[u8]) {
        for part in bytes.split_inclusive(|&byte| byte == b'\n') {
            self.reply.extend(part);
            if let Some(reply) = self.reply.strip_suffix(b"\n") {
                let reply = reply.to_vec();
                self.reply.clear();
                self.check(&reply);
            }
        }
    }
}

impl Silence {
    pub(super) fn begin() -> Self {
        Self { last_asked: Instant::now(), before: Duration::ZERO }
    }

    pub(super) fn time(&self) -> Duration {
        self.before.max(self.last_asked.elapsed())
    }

    /// Whether it may have been so long for the server.
    pub(super) fn may_be(&self, timeout: Duration) -> bool {
        // Half of it: who measures is not always awake when the server is.
        self.time() >= timeout / 2
    }
}

impl Witness for Silence {
    fn asked(&mut self, _: &[u8]) {
        *self = Self { before: self.time(), ..Self::begin() };
    }

    fn answered(&mut self, _: &[u8]) {}
}

/// `*WSP ["+"] 1*DIGIT *WSP [CR]`
fn owed_for(line: &[u8]) -> Owed {
    let text = String::from_utf8_lossy(line);
    let number = text.strip_suffix('\r').unwrap_or(&text).trim_matches([' ', '\t']);
    let digits = number.strip_prefix(['+', '-']).unwrap_or(number);
    if digits.is_empty() || digits.contains(|it: char| !it.is_ascii_digit()) {
        return Owed::Error("parse");
    }
    match digits.trim_start_matches('0').parse() {
        _ if number.starts_with('-') => Owed::Error("range"),
        Ok(n) if n <= MAX_N => Owed::Fib(n),
        // Nothing but zeros.
        Err(_) if digits.bytes().all(|it| it == b'0') => Owed::Fib(0),
        _ => Owed::Error("range"),
    }
}

fn is_fib(n: u64, digits: &str) -> bool {
    match fib_core::fib_u128(n) {
        Some(word) => digits == word.to_string(),
        None => Decimal::verified(n, digits.to_owned()).is_some(),
    }
}

/// `ERR code text`
fn error_code(reply: &str) -> Option<&str> {
    let (code, text) = reply.strip_prefix("ERR ")?.split_once(' ')?;
    (!text.is_empty() && !text.contains(|it: char| it.is_ascii_control())).then_some(code)
}

/// Whether a deadline was that for a line to be finished.
fn is_of_a_line(reply: &str) -> bool {
    reply.contains("--line-timeout")
}

/// Its beginning: it may have a million digits.
fn shown(reply: &str) -> String {
    format!("{:?} ({} bytes)", reply.chars().take(64).collect::<String>(), reply.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUT: Duration = Duration::from_mins(1);

    /// A conversation of these bytes.
    fn held(asked: &str, answered: &str) -> Model {
        let mut model = Model::new();
        model.asked(asked.as_bytes());
        model.answered(answered.as_bytes());
        model
    }

    fn assert_right(asked: &str, answered: &str) {
        let mut model = held(asked, answered);
        model.asked(b"");
        assert_eq!(model.wrong(), None, "{asked:?}, {answered:?}");
        assert_eq!(model.early_end(TIMEOUT, None), None, "{asked:?}, {answered:?}");
    }

    #[test]
    fn what_is_right_is_known() {
        assert_right("", "");
        assert_right(
            "30\n +7\t\r\n000\n187\n",
            "832040\n13\n0\n538522340430300790495419781092981030533\n",
        );
        assert_right(
            "x\n\n-1\n200001\n99999999999999999999999\n+\n1\n",
            "ERR parse a\nERR parse \
            a\nERR range a\nERR range a\nERR range a\nERR parse a\n1\n",
        );
        assert_right("1\n2\n", "ERR busy a\nERR deadline not done\n");
        assert_right(&"1".repeat(65), "ERR too-long a\n");
        assert_right("30", "ERR deadline --line-timeout 1s\n");
    }

    #[test]
    fn what_is_wrong_is_found() {
        for (asked, answered) in [
            ("30\n", "832041\n"),
            ("30\n", "832040 \n"),
            ("30\n", "ERR parse a\n"),
            ("30\n", "ERR internal a\n"),
            ("30\n", "ERR busy\n"),
            ("187\n", "538522340430300790495419781092981030534\n"),
            ("30", "832040\n"),
            ("", "ERR busy too many\n"),
            ("1\n30\n", "832040\n1\n"),
            ("x\n", "ERR range a\n"),
            ("1\n", "1\n1\n"),
        ] {
            assert!(held(asked, answered).wrong().is_some(), "{asked:?}, {answered:?}");
        }
        let long = "1".repeat(65);
        assert!(held(&long, "ERR too-long a\n1\n").wrong().is_some(), "nothing may follow");
    }

    #[test]
    fn what_is_missing_is_found() {
        for (asked, answered) in [("1\n30\n", "1\n"), ("30\n", "8320"), ("1\n", "1\n")] {
            let model = held(asked, answered);
            assert_eq!(model.wrong(), None);
            assert!(model.early_end(TIMEOUT, None).is_some(), "{asked:?}, {answered:?}");
        }
        assert_eq!(held("1\n", "1\n").early_end(Duration::ZERO, None), None, "time was up");
    }

    #[test]
    fn a_drain_owes_what_was_there_before() {
        let before = Instant::now();
        for (asked, answered, is_owed_more) in
            [("1\n30\n", "1\n", true), ("30", "ERR shutdown a\n", false), ("1\n", "1\n", false)]
        {
            let model = held(asked, answered);
            let after = Instant::now();
            assert_eq!(model.wrong(), None, "{asked:?}, {answered:?}");
            assert_eq!(model.early_end(TIMEOUT, Some(before)), None, "{asked:?}, {answered:?}");
            assert_eq!(model.early_end(TIMEOUT, Some(after)).is_some(), is_owed_more, "{asked:?}");
            assert!(model.early_end(TIMEOUT, None).is_some(), "there was none");
        }
        assert!(held("30\n", "832040\nERR shutdown a\n").wrong().is_some(), "to no request");
        assert!(held("30", "ERR shutdown a\n1\n").wrong().is_some(), "nothing may follow");
        let model = held("1\n30\n", "1\n8320");
        assert!(model.early_end(TIMEOUT, Some(before)).is_some(), "within a reply");
    }

    #[test]
    fn it_does_not_matter_how_bytes_are_cut() {
        let mut model = Model::new();
        for byte in b"30\nx\n4" {
            model.asked(&[*byte]);
        }
        model.asked(b"");
        for byte in b"832040\nERR parse x\nERR parse 4\n" {
            model.answered(&[*byte]);
        }
        assert_eq!((model.wrong(), model.early_end(TIMEOUT, None)), (None, None));
        assert_eq!(model.found(), Found { right: 3, refused: 0, conversations: 1 });
    }
}
