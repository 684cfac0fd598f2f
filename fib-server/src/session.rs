//! One conversation without its socket: bytes in, requests and bytes out.
//!
//! Every strategy holds its conversations through this type, so that they can differ only in who
//! waits for what. It opens no socket and reads no clock: `now` is passed in.
//!
//! The owner of the socket repeats: [`receive`](Session::receive) what came; answer each
//! [`next_request`](Session::next_request); send [`output`](Session::output), and say what was
//! [`sent`](Session::sent); until the session [`is_over`](Session::is_over).

use std::{
    mem,
    sync::Arc,
    time::{Duration, Instant},
};

use fib_proto::{
    Decoder, Dialect, ErrorCode, Limits, Request, RequestError, encode_decimal, encode_error,
    encode_value,
};

use crate::{
    compute::{Answer, Outcome, Refusal},
    progress::{Progress, Waits},
};

/// How much to read from a socket at a time.
pub const CHUNK_LEN: usize = 4 * 1024;

/// How much output may wait before requests do: one client's answers must not fill the memory.
/// With one more that is cheap, the buffer still has 8 KiB.
const OUTPUT_HIGH_WATER: usize = 7 * 1024;

/// How large a buffer a quiet connection may keep.
const IDLE_CAPACITY: usize = 1024;

/// How much of its output a client has to read in the time of one `--write-timeout`.
const PART_LEN: u64 = 256 * 1024;

/// How long digits may wait for their newline before the log says what may be wrong.
const NEWLINE_PATIENCE: Duration = Duration::from_secs(1);

/// One conversation.
#[derive(Debug)]
pub struct Session {
    decoder: Decoder,
    /// Bytes received; those before `taken` are already decoded.
    input: Vec<u8>,
    taken: usize,
    input_state: InputState,
    /// How many bytes more are taken, if not all.
    input_left: Option<u64>,
    received_at: Instant,
    newline_hint: Hint,
    /// Replies; those before `sent` are gone.
    output: Vec<u8>,
    sent: usize,
    /// Whether the request that was given out last is not answered yet.
    in_progress: bool,
    counts: RequestCounts,
    /// How many requests are not in `counts` any more.
    requests_before: u64,
    bytes_sent: u64,
    progress: Arc<Progress>,
}

/// How many requests there were, and what became of them: `requests` is the sum of the others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RequestCounts {
    /// Lines that were received, those that are no request included.
    pub requests: u64,
    /// Answered with a value.
    pub ok: u64,
    /// Answered with an `ERR` line.
    pub err: u64,
    /// Not answered, because the client was gone.
    pub cancelled: u64,
}

/// Why no more input comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InputEnd {
    /// The client has sent all it wanted; it may still be reading.
    Client,
    /// The server is stopping.
    Drain,
    /// A line was not finished within that time.
    LineTimeout(Duration),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum InputState {
    Open,
    Ended(InputEnd),
    /// All input is decoded, or cannot be.
    Closed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hint {
    Open,
    Given,
}

impl Session {
    /// A conversation that begins now.
    #[must_use]
    pub fn new(limits: Limits, now: Instant) -> Self {
        Self {
            decoder: Decoder::new(limits),
            input: Vec::new(),
            taken: 0,
            input_state: InputState::Open,
            input_left: None,
            received_at: now,
            newline_hint: Hint::Open,
            output: Vec::new(),
            sent: 0,
            in_progress: false,
            counts: RequestCounts::default(),
            requests_before: 0,
            bytes_sent: 0,
            progress: Arc::default(),
        }
    }

    /// Takes what one read from the socket returned. After the end of input it is ignored.
    pub fn receive(&mut self, bytes: &[u8], now: Instant) {
        if self.input_state == InputState::Closed {
            return;
        }
        self.forget_taken_input();
        self.received_at = now;
        self.input.extend_from_slice(match &mut self.input_left {
            None => bytes,
            Some(left) => {
                let len = usize::try_from(*left).map_or(bytes.len(), |left| left.min(bytes.len()));
                *left -= len as u64;
                &bytes[..len]
            }
        });
    }

    /// Has it take so many bytes more, and none after them; what was said first holds. Whether it
    /// has all of them.
    pub fn limit_input(&mut self, len: u64) -> bool {
        *self.input_left.get_or_insert(len) == 0
    }

    /// Takes note that no more input will come. What was received is still answered.
    pub fn end_input(&mut self, end: InputEnd) {
        if self.input_state == InputState::Open {
            self.input_state = InputState::Ended(end);
        }
    }

    /// The next request to be answered. `None` until there is more input or less output.
    ///
    /// Lines that are no request are answered here.
    #[inline]
    pub fn next_request(&mut self) -> Option<Request> {
        while self.input_state != InputState::Closed && !self.output_is_high() {
            match self.decoder.decode(&self.input[self.taken..]) {
                Some(decoded) => {
                    self.taken += decoded.len;
                    self.counts.requests += 1;
                    match decoded.request {
                        Ok(request) => {
                            self.in_progress = true;
                            return Some(request);
                        }
                        Err(error) => self.refuse(&error),
                    }
                }
                None if self.input_state == InputState::Open => return None,
                None => self.close_input(),
            }
        }
        None
    }

    /// What was received, and is not decoded.
    pub(crate) fn input(&self) -> &[u8] {
        &self.input[self.taken..]
    }

    /// Takes note that so many bytes of the input are none of the client's.
    pub(crate) fn skip(&mut self, len: usize) {
        self.taken += len;
        debug_assert!(self.taken <= self.input.len(), "no more can be skipped than there is");
    }

    /// When the request that was given out last was received, at the latest.
    #[must_use]
    pub const fn received_at(&self) -> Instant {
        self.received_at
    }

    /// Answers the request that was given out last.
    #[expect(clippy::inline_always, reason = "measured: a tenth of what a cheap request costs")]
    #[inline(always)]
    pub fn answer(&mut self, outcome: &Outcome) {
        debug_assert!(self.in_progress, "a request is answered once");
        self.in_progress = false;
        match outcome {
            Ok(Answer::Word(word)) => encode_value(*word, &mut self.output),
            Ok(Answer::Decimal(decimal)) => encode_decimal(decimal.as_str(), &mut self.output),
            Err(Refusal::ClientGone) => return self.counts.cancelled += 1,
            Err(refusal) => return self.reply_error(refusal.code(), refusal),
        }
        self.counts.ok += 1;
    }

    /// What is to be sent.
    #[must_use]
    pub fn output(&self) -> &[u8] {
        &self.output[self.sent..]
    }

    /// Lends what is to be sent to whoever has to own it meanwhile: the bytes, and how many of them
    /// are gone.
    #[cfg(target_os = "linux")]
    pub(crate) fn lend_output(&mut self) -> (Vec<u8>, usize) {
        (mem::take(&mut self.output), self.sent)
    }

    /// Takes back what was lent.
    #[cfg(target_os = "linux")]
    pub(crate) fn take_back_output(&mut self, output: Vec<u8>) {
        debug_assert!(self.output.is_empty(), "nothing is answered meanwhile");
        self.output = output;
    }

    /// Takes note that so many bytes of the output were sent.
    pub fn sent(&mut self, len: usize) {
        self.sent += len;
        self.bytes_sent += len as u64;
        debug_assert!(self.sent <= self.output.len(), "no more can be sent than there is");
        if self.sent == self.output.len() {
            self.sent = 0;
            self.output.clear();
            give_back(&mut self.output);
        } else {
            self.await_room();
        }
    }

    /// How it gets on, for whoever ends those that do not.
    pub(crate) const fn progress(&self) -> &Arc<Progress> {
        &self.progress
    }

    /// Takes note that the client is to read what it is owed, before anything else happens.
    pub(crate) fn await_room(&self) {
        // It has got on when it is owed something else, or has read a part of it.
        self.progress.note(Waits::ForRoom, self.requests() + self.bytes_sent / PART_LEN);
    }

    /// Takes note that the client is to say something.
    pub(crate) fn await_input(&mut self) {
        self.forget_taken_input();
        let is_cut = !self.input.is_empty();
        let waits = if is_cut { Waits::ForRestOfLine } else { Waits::ForRequest };
        self.progress.note(waits, self.requests());
    }

    /// Takes note that the client has to wait.
    pub(crate) fn keep_waiting(&self) {
        self.progress.note(Waits::NotAtAll, self.requests());
    }

    const fn requests(&self) -> u64 {
        self.requests_before + self.counts.requests
    }

    /// Whether requests wait for the output to be sent.
    #[must_use]
    pub fn output_is_high(&self) -> bool {
        self.output.len() >= OUTPUT_HIGH_WATER
    }

    /// Whether everything is answered and sent, and nothing more can come.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.input_state == InputState::Closed && self.output.is_empty()
    }

    /// When to call [`newline_is_missing`](Self::newline_is_missing), if nothing comes before.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        let pending = &self.input[self.taken..];
        let suspicious = self.newline_hint == Hint::Open
            && self.decoder.limits().dialect == Dialect::Line
            && !pending.is_empty()
            && pending.iter().all(u8::is_ascii_digit);
        suspicious.then(|| self.received_at + NEWLINE_PATIENCE)
    }

    /// Whether digits have waited so long for a newline that somebody should be told; once.
    pub fn newline_is_missing(&mut self, now: Instant) -> bool {
        let missing = self.deadline().is_some_and(|deadline| deadline <= now);
        if missing {
            self.newline_hint = Hint::Given;
        }
        missing
    }

    /// What became of the requests since this was asked last; one that was given out and is not
    /// answered comes the next time.
    pub fn take_counts(&mut self) -> RequestCounts {
        let unanswered = u64::from(self.in_progress);
        let rest = RequestCounts { requests: unanswered, ..RequestCounts::default() };
        let RequestCounts { requests, .. } = self.counts;
        self.requests_before += requests - unanswered;
        RequestCounts { requests: requests - unanswered, ..mem::replace(&mut self.counts, rest) }
    }

    /// What became of the rest, for a conversation that ends now: a request that was given out and
    /// is not answered is cancelled.
    #[must_use]
    pub fn final_counts(&self) -> RequestCounts {
        let RequestCounts { cancelled, .. } = self.counts;
        RequestCounts { cancelled: cancelled + u64::from(self.in_progress), ..self.counts }
    }

    #[cold]
    fn refuse(&mut self, error: &RequestError) {
        self.reply_error(error.code(), error);
        if matches!(error, RequestError::TooLong { .. }) {
            self.forget_all_input();
        }
    }

    /// A line without an end is not a request, but its sender deserves to know.
    #[cold]
    fn close_input(&mut self) {
        if let Some(error) = self.decoder.decode_rest(&self.input[self.taken..]) {
            self.counts.requests += 1;
            match self.input_state {
                InputState::Ended(InputEnd::Drain) => {
                    self.reply_error(ErrorCode::Shutdown, "the server is stopping");
                }
                InputState::Ended(InputEnd::LineTimeout(limit)) => {
                    let limit = humantime::format_duration(limit);
                    let text = format!("the line was not finished within --line-timeout {limit}");
                    self.reply_error(ErrorCode::Deadline, text);
                }
                _ => self.reply_error(error.code(), error),
            }
        }
        self.forget_all_input();
    }

    #[cold]
    fn reply_error(&mut self, code: ErrorCode, text: impl std::fmt::Display) {
        encode_error(code, &text, &mut self.output);
        self.counts.err += 1;
    }

    fn forget_taken_input(&mut self) {
        self.input.drain(..self.taken);
        self.taken = 0;
        give_back(&mut self.input);
    }

    fn forget_all_input(&mut self) {
        self.input_state = InputState::Closed;
        self.taken = self.input.len();
        self.forget_taken_input();
    }
}

/// Gives a buffer's memory back, if it is more than a quiet connection may keep.
fn give_back(buffer: &mut Vec<u8>) {
    if buffer.capacity() > IDLE_CAPACITY {
        buffer.shrink_to_fit();
    }
}
