//! A connection that is up: the wire of a conversation.

use std::{
    io::{self, Read, Write},
    time::{Duration, Instant},
};

use crate::{
    load::{
        Failure,
        conversation::Conversation,
        plan::Script,
        traffic::{Loss, Traffic},
    },
    wire::Wire,
};

#[derive(Debug)]
pub(super) struct Line {
    wire: Wire,
    conversation: Conversation,
    depth: usize,
    /// How many requests it may still send before it is to be renewed.
    share: u64,
}

impl Line {
    pub(super) fn new(wire: Wire, depth: usize, share: u64, scripts: &[Script]) -> Self {
        Self { wire, conversation: Conversation::new(depth, scripts), depth, share }
    }

    pub(super) fn conversation(&self) -> &Conversation {
        &self.conversation
    }

    /// How many more requests it may have under way.
    pub(super) fn room(&self) -> usize {
        let room = self.depth.saturating_sub(self.conversation.in_flight());
        usize::try_from(self.share).map_or(room, |share| share.min(room))
    }

    /// Whether it has had its share of requests, and their replies.
    pub(super) fn is_used_up(&self) -> bool {
        self.share == 0 && self.conversation.in_flight() == 0
    }

    /// Puts requests into the output.
    pub(super) fn ask(&mut self, traffic: &mut Traffic, due: Instant, wanted: usize) {
        let before = self.conversation.in_flight();
        let wanted = wanted.min(self.room());
        traffic.ask(&mut self.conversation, due, wanted);
        let asked = self.conversation.in_flight() - before;
        if self.share != u64::MAX {
            self.share -= asked as u64;
        }
    }

    /// Reads what has come, and judges it. Says how many replies there were.
    pub(super) fn receive(
        &mut self,
        traffic: &mut Traffic,
        chunk: &mut [u8],
        to_the_end: bool,
    ) -> Result<usize, Loss> {
        let before = self.conversation.in_flight();
        loop {
            let len = match self.wire.read(chunk) {
                Ok(0) => return Err(self.closed()),
                Ok(len) => len,
                Err(error) if is_transient(&error) => break,
                Err(error) => return Err(connection_loss(&error)),
            };
            traffic.now = Instant::now();
            let mut input = &chunk[..len];
            while let Some(verdict) = self.conversation.receive(&mut input, &traffic.scripts) {
                traffic.judge(&verdict)?;
            }
            if len < chunk.len() && !to_the_end {
                break; // the queue is empty: asking the kernel once more would only confirm it
            }
        }
        Ok(before - self.conversation.in_flight())
    }

    pub(super) fn flush(&mut self) -> Result<(), Loss> {
        while !self.conversation.output().is_empty() {
            match self.wire.write(self.conversation.output()) {
                Ok(len) => self.conversation.sent(len),
                Err(error) if is_transient(&error) => break, // writable will be an event
                Err(error) => return Err(connection_loss(&error)),
            }
        }
        match self.wire.flush() {
            Err(error) if !is_transient(&error) => Err(connection_loss(&error)),
            _ => Ok(()),
        }
    }

    pub(super) fn check_patience(&self, now: Instant, timeout: Duration) -> Result<(), Loss> {
        match self.conversation.oldest() {
            Some(sent_at) if now.saturating_duration_since(sent_at) > timeout => {
                Err((Failure::Timeout, format!("no reply within {timeout:?}")))
            }
            _ => Ok(()),
        }
    }

    fn closed(&self) -> Loss {
        let (failure, when) = if self.conversation.is_in_mid_reply() {
            (Failure::ClosedMidReply, "in the middle of a reply")
        } else if self.conversation.in_flight() > 0 {
            (Failure::Closed, "and owed a reply")
        } else {
            (Failure::ClosedIdle, "and owed nothing")
        };
        (failure, format!("the server closed the connection {when}"))
    }
}

fn is_transient(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

fn connection_loss(error: &io::Error) -> Loss {
    (Failure::of_connection(error), error.to_string())
}
