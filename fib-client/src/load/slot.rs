//! A place for a connection, which may be down for a while.

use std::{
    mem,
    ops::{Index, IndexMut},
    slice,
    time::{Duration, Instant},
};

use fastrand::Rng;
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io,
};
use socket2::Socket;

use crate::{load::line::Line, wire::Wire};

/// The first pause before a failed connection is opened again; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(50);

/// ... but no longer than this.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

#[derive(Debug)]
pub(super) struct Slot {
    pub(super) state: State,
    pub(super) was_served: bool,
    /// Whether it waits for a request that is due, in an open loop.
    pub(super) is_free: bool,
    /// Whether it has requests that are to be written.
    is_touched: bool,
    /// Failures since the last reply.
    attempts: u32,
}

#[derive(Debug)]
pub(super) enum State {
    Up(Line),
    /// The kernel is connecting, or hands are being shaken.
    Opening {
        wire: Wire,
        since: Instant,
    },
    /// To be opened again then, if ever.
    Down {
        until: Option<Instant>,
    },
}

impl Slot {
    pub(super) fn new(line: Line) -> Self {
        Self {
            state: State::Up(line),
            was_served: false,
            is_free: false,
            is_touched: false,
            attempts: 0,
        }
    }

    /// Waits before the next attempt: longer each time, and not as long as the others, who have
    /// failed at the same moment.
    pub(super) fn go_down(&mut self, now: Instant, again: bool, rng: &mut Rng) {
        if let State::Up(line) = &self.state
            && line.conversation().got_reply()
        {
            (self.was_served, self.attempts) = (true, 0);
        }
        let pause = FIRST_PAUSE.saturating_mul(1 << self.attempts.min(16)).min(LONGEST_PAUSE);
        self.attempts += 1;
        let until = again.then(|| now + pause.mul_f64(0.5 + rng.f64() / 2.0));
        self.state = State::Down { until };
    }

    /// Whether a connection that comes up now comes up after a failure.
    pub(super) fn is_again(&self) -> bool {
        self.attempts > 0
    }
}

/// The places of a thread, by their numbers.
#[derive(Debug)]
pub(super) struct Slots {
    all: Vec<Slot>,
    /// Those with requests that are to be written.
    touched: Vec<usize>,
}

impl Slots {
    pub(super) fn with_capacity(capacity: usize) -> Self {
        Self { all: Vec::with_capacity(capacity), touched: Vec::with_capacity(capacity) }
    }

    pub(super) fn push(&mut self, slot: Slot) {
        self.all.push(slot);
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    pub(super) fn iter(&self) -> slice::Iter<'_, Slot> {
        self.all.iter()
    }

    pub(super) fn iter_mut(&mut self) -> slice::IterMut<'_, Slot> {
        self.all.iter_mut()
    }

    /// One has something to write.
    pub(super) fn touch(&mut self, at: usize) {
        if !mem::replace(&mut self.all[at].is_touched, true) {
            self.touched.push(at);
        }
    }

    /// One that has something to write, once.
    pub(super) fn take_touched(&mut self) -> Option<usize> {
        let at = self.touched.pop()?;
        self.all[at].is_touched = false;
        Some(at)
    }
}

impl Index<usize> for Slots {
    type Output = Slot;

    fn index(&self, at: usize) -> &Slot {
        &self.all[at]
    }
}

impl IndexMut<usize> for Slots {
    fn index_mut(&mut self, at: usize) -> &mut Slot {
        &mut self.all[at]
    }
}

/// Whether the kernel has an opinion on a socket that is connecting: when it has, a failed one has
/// an error.
pub(super) fn is_decided(socket: &Socket) -> io::Result<bool> {
    let mut wanted = [PollFd::new(socket, PollFlags::OUT)];
    Ok(poll(&mut wanted, Some(&Timespec::default()))? > 0)
}
