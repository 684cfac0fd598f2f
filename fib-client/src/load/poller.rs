//! Waits for sockets to be ready or for a moment to come, to the nanosecond.
//!
//! The wait of the usual libraries is rounded up to milliseconds: a request that is due in between
//! would always be late. So this is Linux' `epoll_pwait2`, and its timer has a slack of one.

use std::{
    num::NonZeroU64,
    os::fd::{AsFd, OwnedFd},
    time::Duration,
};

use rustix::{
    buffer::spare_capacity,
    event::{Timespec, epoll},
    io,
    thread::set_current_timer_slack,
};

/// How many ready sockets one wait may report; the next wait reports the others.
const EVENTS: usize = 256;

/// The sockets that a thread waits for.
#[derive(Debug)]
pub(crate) struct Poller {
    epoll: OwnedFd,
}

/// The sockets that a wait found ready.
pub(crate) struct Ready {
    events: Vec<epoll::Event>,
}

impl Poller {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self { epoll: epoll::create(epoll::CreateFlags::CLOEXEC)? })
    }

    /// Reports the socket under this number each time there is something new to read, room again
    /// to write, or an end. It is forgotten when it is closed.
    pub(crate) fn add(&self, socket: impl AsFd, number: usize) -> io::Result<()> {
        let wanted = epoll::EventFlags::IN | epoll::EventFlags::OUT | epoll::EventFlags::RDHUP;
        let flags = wanted | epoll::EventFlags::ET;
        epoll::add(&self.epoll, socket, epoll::EventData::new_u64(number as u64), flags)
    }

    /// Waits until a socket is ready, but no longer than this; an interrupted wait is one without
    /// events.
    pub(crate) fn wait(&self, ready: &mut Ready, most: Duration) {
        ready.events.clear();
        // Longer than the kernel can tell is as good as for ever.
        let timeout = Timespec::try_from(most).ok();
        let _ = epoll::wait(&self.epoll, spare_capacity(&mut ready.events), timeout.as_ref());
    }
}

impl Ready {
    pub(crate) fn new() -> Self {
        Self { events: Vec::with_capacity(EVENTS) }
    }

    pub(crate) fn len(&self) -> usize {
        self.events.len()
    }

    /// The numbers under which they were added, and whether it ends: then all there is has to be
    /// read, for nothing will ever be new.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (usize, bool)> {
        let ends = epoll::EventFlags::RDHUP | epoll::EventFlags::HUP | epoll::EventFlags::ERR;
        self.events.iter().map(move |event| {
            let number = usize::try_from(event.data.u64()).expect("it was one when it was added");
            (number, { event.flags }.intersects(ends))
        })
    }
}

/// Makes this thread wake up when it wants to, and not up to 50 µs later, when it suits the kernel.
pub(super) fn wake_in_time() {
    // Where it is refused, the lag shows it.
    let _ = set_current_timer_slack(NonZeroU64::new(1));
}
