//! One loaded connection without its socket: what to send, and what to think of what comes.
//!
//! Replies come in the order of the requests, so the next byte is known beforehand. A right reply
//! is compared as it arrives, however long it is, and never stored. Requests that were sent at once
//! are kept as one batch, and so are the right replies to them: a deep pipeline costs the client
//! little more than the comparison.

use std::{collections::VecDeque, time::Instant};

use fib_proto::Quote;
use memchr::memchr;

use crate::load::{Failure, plan::Script};

/// How much of a reply that is not the expected one is kept, to tell what it is.
const ODD_REPLY_MAX: usize = 512;

/// Requests for the same, due and sent at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Batch {
    pub(super) class: usize,
    pub(super) due: Instant,
    pub(super) sent_at: Instant,
    pub(super) count: usize,
}

/// The state of one connection's requests.
#[derive(Debug)]
pub(super) struct Conversation {
    /// Without their replies; no batch is empty.
    pending: VecDeque<Batch>,
    in_flight: usize,
    /// How many bytes of the oldest request's expected reply have arrived.
    matched: usize,
    /// The beginning of the reply that arrives instead, if it is not the expected one.
    odd: Option<Vec<u8>>,
    /// Requests to be written.
    output: Vec<u8>,
    got_reply: bool,
}

/// What became of the oldest requests.
#[derive(Debug)]
pub(super) enum Verdict {
    /// The replies to all of these are right.
    Right(Batch),
    /// The reply to one is something else.
    Wrong { failure: Failure, found: Quote },
    /// No further reply can be told from another: the connection must be given up.
    Lost { failure: Failure, found: Quote },
}

impl Conversation {
    /// With room for as many requests as will ever be under way.
    pub(super) fn new(depth: usize, scripts: &[Script]) -> Self {
        let longest = scripts.iter().map(|script| script.request.len()).max().unwrap_or_default();
        Self {
            pending: VecDeque::with_capacity(depth),
            in_flight: 0,
            matched: 0,
            odd: None,
            output: Vec::with_capacity(depth * longest),
            got_reply: false,
        }
    }

    pub(super) fn ask(&mut self, batch: Batch, script: &Script) {
        for _ in 0..batch.count {
            self.output.extend_from_slice(&script.request);
        }
        self.in_flight += batch.count;
        let same = |last: &Batch| Batch { count: 0, ..*last } == Batch { count: 0, ..batch };
        match self.pending.back_mut() {
            Some(last) if same(last) => last.count += batch.count,
            _ => self.pending.push_back(batch),
        }
    }

    pub(super) fn in_flight(&self) -> usize {
        self.in_flight
    }

    pub(super) fn oldest(&self) -> Option<Instant> {
        self.pending.front().map(|batch| batch.sent_at)
    }

    /// The requests without their replies, from the oldest on.
    pub(super) fn pending(&self) -> impl Iterator<Item = &Batch> {
        self.pending.iter()
    }

    /// Whether a part of a reply has arrived.
    pub(super) fn is_in_mid_reply(&self) -> bool {
        self.matched > 0 || self.odd.is_some()
    }

    pub(super) fn got_reply(&self) -> bool {
        self.got_reply
    }

    pub(super) fn output(&self) -> &[u8] {
        &self.output
    }

    pub(super) fn sent(&mut self, len: usize) {
        if len == self.output.len() {
            self.output.clear();
        } else {
            self.output.drain(..len);
        }
    }

    /// Takes bytes from `input` up to the end of a reply, or of as many right ones as can be judged
    /// together. `None` when they end before it does.
    pub(super) fn receive(&mut self, input: &mut &[u8], scripts: &[Script]) -> Option<Verdict> {
        if input.is_empty() {
            return None;
        }
        let Some(&oldest) = self.pending.front() else {
            return Some(Verdict::Lost { failure: Failure::Unsolicited, found: Quote::new(input) });
        };
        if self.odd.is_none() {
            let reply = &*scripts[oldest.class].reply;
            let rest = &reply[self.matched..];
            let len = rest.len().min(input.len());
            if input[..len] == rest[..len] {
                *input = &input[len..];
                self.matched += len;
                if self.matched < reply.len() {
                    return None;
                }
                let count = 1 + take_equal(input, reply, oldest.count - 1);
                self.close_replies(count);
                self.got_reply = true;
                return Some(Verdict::Right(Batch { count, ..oldest }));
            }
            self.odd = Some(reply[..self.matched.min(ODD_REPLY_MAX)].to_vec());
        }
        self.receive_odd(input)
    }

    fn receive_odd(&mut self, input: &mut &[u8]) -> Option<Verdict> {
        let odd = self.odd.get_or_insert_default();
        let end = memchr(b'\n', input);
        let line = &input[..end.unwrap_or(input.len())];
        odd.extend_from_slice(&line[..line.len().min(ODD_REPLY_MAX.saturating_sub(odd.len()))]);
        // The whole input is taken up to the LF, of which nothing is kept.
        *input = end.map_or(&[], |end| &input[end + 1..]);
        let found = Quote::new(odd);
        let failure =
            if odd.len() < ODD_REPLY_MAX { Failure::of_reply(odd) } else { Failure::Oversize };
        if end.is_some() {
            self.close_replies(1);
            Some(Verdict::Wrong { failure, found })
        } else if odd.len() >= ODD_REPLY_MAX {
            Some(Verdict::Lost { failure, found })
        } else {
            None
        }
    }

    /// The oldest requests, of one batch, have had their replies.
    fn close_replies(&mut self, count: usize) {
        if let Some(oldest) = self.pending.front_mut() {
            oldest.count -= count;
            if oldest.count == 0 {
                self.pending.pop_front();
            }
        }
        self.in_flight -= count;
        self.matched = 0;
        self.odd = None;
    }
}

/// Takes whole replies from the front of `input`, at most so many, and says how many there were.
fn take_equal(input: &mut &[u8], reply: &[u8], most: usize) -> usize {
    let replies = input.chunks_exact(reply.len()).take(most);
    let count = replies.take_while(|&found| found == reply).count();
    *input = &input[count * reply.len()..];
    count
}
