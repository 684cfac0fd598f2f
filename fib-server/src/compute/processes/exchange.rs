//! One question to a child, and its answer, which is believed only when it is checked.

use std::{
    io::{self, Write},
    time::{Duration, Instant},
};

use fib_core::{Decimal, decimal_len, fib};
use fib_proto::encode_request;
use rustix::{
    buffer::spare_capacity,
    event::{PollFd, PollFlags, Timespec, poll},
    io::{Errno, read},
};
use thiserror::Error;

use crate::{
    child::{Child, Trouble},
    compute::{Answer, Refusal, processes::queue::TICK},
};

/// A child that has answered nothing after so many times the predicted time, and some more, hangs.
const PATIENCE_FACTOR: u32 = 20;
const PATIENCE_AT_LEAST: Duration = Duration::from_secs(2);

/// How much room a read has at least, unless less is expected.
const CHUNK_LEN: usize = 64 * 1024;

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Failure {
    /// Nobody wants it any more.
    Unwanted(Refusal),
    /// The child is to blame.
    Child(Loss),
}

/// How a child failed.
#[derive(Debug, Error)]
pub(super) enum Loss {
    #[error(transparent)]
    Trouble(#[from] Trouble),
    #[error("it does not answer")]
    Hangs,
    #[error("its answer is wrong")]
    Wrong,
    #[error(transparent)]
    System(#[from] io::Error),
}

impl Loss {
    /// What has become of the process, if that was it.
    pub(super) const fn trouble(&self) -> Option<&Trouble> {
        if let Self::Trouble(trouble) = self { Some(trouble) } else { None }
    }
}

/// Asks a child for F(n). While it computes, `unwanted` tells now and then if it need not go on.
///
/// After a failure the child may be in the middle of anything, and must not be asked again.
pub(super) fn ask(
    child: &mut Child,
    n: u64,
    predicted: Duration,
    mut unwanted: impl FnMut() -> Option<Refusal>,
) -> Result<Answer, Failure> {
    let mut reply = Reply::new(n);
    send(child, n).map_err(Failure::Child)?;
    let mut watchdog = Watchdog::new(predicted);
    loop {
        if reply.receive(child).map_err(Failure::Child)? {
            return reply.into_answer().ok_or(Failure::Child(Loss::Wrong));
        }
        if let Some(refusal) = unwanted() {
            return Err(Failure::Unwanted(refusal));
        }
        if let Some(trouble) = child.trouble() {
            return Err(Failure::Child(trouble.into()));
        }
        if watchdog.barks_at(child) {
            return Err(Failure::Child(Loss::Hangs));
        }
    }
}

fn send(child: &mut Child, n: u64) -> Result<(), Loss> {
    let mut line = Vec::new();
    encode_request(n, &mut line);
    child.socket().write_all(&line).map_err(|_| child.kill().into())
}

/// What has come of the answer.
struct Reply {
    n: u64,
    line: Vec<u8>,
    /// With its newline.
    expected_len: u64,
}

impl Reply {
    fn new(n: u64) -> Self {
        Self { n, line: Vec::new(), expected_len: decimal_len(n).saturating_add(1) }
    }

    /// Waits for a tick at most, and takes what has come; whether that was the end.
    fn receive(&mut self, child: &mut Child) -> Result<bool, Loss> {
        if !is_readable(child) {
            return Ok(false);
        }
        let len = self.line.len();
        let missing = self.expected_len - len as u64;
        self.line.reserve(usize::try_from(missing).unwrap_or(CHUNK_LEN).min(CHUNK_LEN));
        match read(child.socket(), spare_capacity(&mut self.line)) {
            Ok(1..) => {}
            Err(Errno::INTR) => return Ok(false),
            // A socket ends or fails with the process that held its other end.
            Ok(0) | Err(_) => return Err(child.kill().into()),
        }
        let is_cut = !self.line[len..].iter().all(u8::is_ascii_digit);
        Ok(is_cut || self.line.len() as u64 >= self.expected_len)
    }

    /// The answer, if it is the right one.
    fn into_answer(mut self) -> Option<Answer> {
        let newline = self.line.pop();
        let digits = String::from_utf8(self.line).ok().filter(|_| newline == Some(b'\n'))?;
        match fib(self.n) {
            Some(word) => (digits == word.to_string()).then_some(Answer::Word(word)),
            None => Decimal::verified(self.n, digits).map(Answer::Decimal),
        }
    }
}

/// Waits for a tick at most.
fn is_readable(child: &Child) -> bool {
    let mut events = [PollFd::new(child.socket(), PollFlags::IN)];
    let tick = Timespec::try_from(TICK).unwrap_or_default();
    poll(&mut events, Some(&tick)).is_ok_and(|ready| ready > 0)
}

/// Notices a child that neither answers nor ends.
struct Watchdog {
    begin: Instant,
    patience: Duration,
    /// How long the child had waited for a core when it was first looked at.
    waited_before: Option<Duration>,
}

impl Watchdog {
    fn new(predicted: Duration) -> Self {
        let patience = predicted.saturating_mul(PATIENCE_FACTOR).saturating_add(PATIENCE_AT_LEAST);
        Self { begin: Instant::now(), patience, waited_before: None }
    }

    /// To be called with every tick. Children are nice: as long as others need all the cores, one
    /// waits for its turn, and that is not its fault.
    fn barks_at(&mut self, child: &Child) -> bool {
        let before = *self.waited_before.get_or_insert_with(|| child.waited_for_core());
        let elapsed = self.begin.elapsed();
        let waited = || child.waited_for_core().saturating_sub(before);
        elapsed > self.patience && elapsed.saturating_sub(waited()) > self.patience
    }
}
