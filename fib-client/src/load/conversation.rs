//! One loaded connection without its socket: what to send, and what to think of what comes.
//!
//! Replies come in the order of the requests, so the next byte is known beforehand. A right reply
//! is compared as it arrives, however long it is, and never stored.

use std::{collections::VecDeque, time::Instant};

use fib_proto::Quote;
use memchr::memchr;

use crate::load::{Failure, plan::Script};

/// How much of a reply that is not the expected one is kept, to tell what it is.
const ODD_REPLY_MAX: usize = 512;

/// A request without its reply.
#[derive(Clone, Copy, Debug)]
struct Pending {
    class: usize,
    sent_at: Instant,
}

/// The state of one connection's requests.
#[derive(Debug)]
pub(super) struct Conversation {
    in_flight: VecDeque<Pending>,
    /// How many bytes of the oldest request's expected reply have arrived.
    matched: usize,
    /// The beginning of the reply that arrives instead, if it is not the expected one.
    odd: Option<Vec<u8>>,
    /// Requests to be written.
    output: Vec<u8>,
    got_reply: bool,
}

/// What became of one request.
#[derive(Debug)]
pub(super) enum Verdict {
    /// Its reply is right.
    Right { class: usize, sent_at: Instant },
    /// Its reply is something else.
    Wrong { failure: Failure, found: Quote },
    /// No further reply can be told from another: the connection must be given up.
    Lost { failure: Failure, found: Quote },
}

impl Conversation {
    /// With room for as many requests as will ever be under way.
    pub(super) fn new(depth: usize, scripts: &[Script]) -> Self {
        let longest = scripts.iter().map(|script| script.request.len()).max().unwrap_or_default();
        Self {
            in_flight: VecDeque::with_capacity(depth),
            matched: 0,
            odd: None,
            output: Vec::with_capacity(depth * longest),
            got_reply: false,
        }
    }

    pub(super) fn ask(&mut self, class: usize, script: &Script, now: Instant) {
        self.output.extend_from_slice(&script.request);
        self.in_flight.push_back(Pending { class, sent_at: now });
    }

    pub(super) fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    pub(super) fn oldest(&self) -> Option<Instant> {
        self.in_flight.front().map(|pending| pending.sent_at)
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

    /// Takes bytes from `input` up to the end of one reply. `None` when they end before it does.
    pub(super) fn receive(&mut self, input: &mut &[u8], scripts: &[Script]) -> Option<Verdict> {
        if input.is_empty() {
            return None;
        }
        let Some(&Pending { class, sent_at }) = self.in_flight.front() else {
            return Some(Verdict::Lost { failure: Failure::Unsolicited, found: Quote::new(input) });
        };
        if self.odd.is_none() {
            let reply = &scripts[class].reply;
            let rest = &reply[self.matched..];
            let len = rest.len().min(input.len());
            if input[..len] == rest[..len] {
                *input = &input[len..];
                self.matched += len;
                if self.matched < reply.len() {
                    return None;
                }
                self.close_reply();
                self.got_reply = true;
                return Some(Verdict::Right { class, sent_at });
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
        let (failure, found) = (Failure::of_reply(odd), Quote::new(odd));
        if end.is_some() {
            self.close_reply();
            Some(Verdict::Wrong { failure, found })
        } else if odd.len() >= ODD_REPLY_MAX {
            Some(Verdict::Lost { failure, found })
        } else {
            None
        }
    }

    fn close_reply(&mut self) {
        self.in_flight.pop_front();
        self.matched = 0;
        self.odd = None;
    }
}
