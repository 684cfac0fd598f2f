//! How the server stops: a latch that threads and event loops can wait for, and the signals.

use std::{
    io::{self, PipeReader, PipeWriter, Write},
    os::fd::{AsFd, BorrowedFd},
    process,
    sync::mpsc,
    thread,
    time::Duration,
};

use signal_hook::{
    consts::{SIGINT, SIGTERM},
    iterator::Signals,
};
use tracing::{error, info};

use crate::sync::atomic::{AtomicBool, Ordering};

/// The second signal cut the drain short.
const EXIT_FAILED: i32 = 1;
/// The drain took too long.
const EXIT_DEADLINE: i32 = 3;

/// Fires once, for good.
///
/// It is a pipe that becomes readable and stays so: one thing that a blocking `poll`, a readiness
/// loop and an async runtime can all wait for, any number of them at a time.
#[derive(Debug)]
pub struct Latch {
    fired: AtomicBool,
    reader: PipeReader,
    writer: PipeWriter,
}

impl Latch {
    /// A latch that has not fired.
    ///
    /// # Errors
    ///
    /// Where the system has no pipe left.
    pub fn new() -> io::Result<Self> {
        let (reader, writer) = io::pipe()?;
        Ok(Self { fired: AtomicBool::new(false), reader, writer })
    }

    /// Whether it has fired.
    #[must_use]
    pub fn is_fired(&self) -> bool {
        self.fired.load(Ordering::Acquire)
    }

    pub(crate) fn fire(&self) -> io::Result<()> {
        if self.fired.swap(true, Ordering::AcqRel) {
            Ok(())
        } else {
            (&self.writer).write_all(b"!")
        }
    }
}

/// Readable once the latch has fired. Nobody reads the byte.
impl AsFd for Latch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.reader.as_fd()
    }
}

/// When a drain begins, and how long it may take.
#[derive(Clone, Copy, Debug, Default)]
pub struct DrainTimes {
    /// So long after the server was told to stop it begins.
    pub delay: Duration,
    /// So long after its beginning the process ends, whoever is still there.
    pub timeout: Duration,
}

/// Why the server stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    Signal,
    /// Another process serves in its place.
    Successor,
}

/// How long clients have at least to end by themselves once another process serves: they are told
/// by nobody that they had better connect again.
const GRACE: Duration = Duration::from_secs(1);

/// Stops the server, as a signal would.
#[derive(Clone, Debug)]
pub(crate) struct Stop(mpsc::Sender<Cause>);

impl Stop {
    /// Another process serves now.
    pub(crate) fn succeeded(&self) {
        // Whoever listens ends with the process.
        let _ = self.0.send(Cause::Successor);
    }
}

/// The first SIGTERM or SIGINT is announced, and begins the drain after the delay. The second ends
/// the process at once, and so does the timeout.
pub(crate) fn on_signals(
    announce: impl FnOnce(Cause) + Send + 'static,
    begin_drain: impl FnOnce() -> io::Result<()> + Send + 'static,
    times: impl FnOnce() -> DrainTimes + Send + 'static,
) -> io::Result<Stop> {
    let mut signals = Signals::new([SIGTERM, SIGINT])?;
    let (sender, receiver) = mpsc::channel();
    let stop = Stop(sender.clone());
    thread::Builder::new().name("signals".into()).spawn(move || {
        signals.forever().take_while(|_| sender.send(Cause::Signal).is_ok()).for_each(drop);
    })?;
    let drain = move || {
        if let Ok(cause) = receiver.recv() {
            announce(cause);
            let mut times = times();
            if cause == Cause::Successor {
                times.delay = times.delay.max(GRACE);
            }
            drain(begin_drain, &receiver, times);
        }
    };
    thread::Builder::new().name("shutdown".into()).spawn(drain)?;
    Ok(stop)
}

#[expect(clippy::exit, reason = "clients that do not let go must not keep the process alive")]
fn drain(
    begin_drain: impl FnOnce() -> io::Result<()>,
    causes: &mpsc::Receiver<Cause>,
    times: DrainTimes,
) {
    let stop_at_second_signal_within = |duration| {
        if causes.recv_timeout(duration) == Ok(Cause::Signal) {
            error!("stopped by a second signal before all clients were gone");
            process::exit(EXIT_FAILED);
        }
    };
    if !times.delay.is_zero() {
        let delay = humantime::format_duration(times.delay);
        info!("not ready any more, stopping in {delay}; a second signal stops at once");
        stop_at_second_signal_within(times.delay);
    }
    info!("draining: answering what was received; a second signal stops at once");
    if let Err(error) = begin_drain() {
        error!("the drain could not begin: {error}");
        process::exit(EXIT_FAILED);
    }
    stop_at_second_signal_within(times.timeout);
    let timeout = humantime::format_duration(times.timeout);
    error!("clients remain after --drain-timeout {timeout}");
    process::exit(EXIT_DEADLINE);
}

#[cfg(all(test, feature = "model"))]
mod models {
    use std::sync::Arc;

    use rustix::{
        event::{PollFd, PollFlags, Timespec, poll},
        io::ioctl_fionread,
    };

    use super::*;
    use crate::sync::{Builder, explore};

    fn is_readable(latch: &Latch) -> bool {
        poll(&mut [PollFd::new(latch, PollFlags::IN)], Some(&Timespec::default())) == Ok(1)
    }

    /// Whoever is woken finds it fired, and however many fire it, it does so once.
    #[test]
    fn a_latch_fires_once_for_all() {
        explore(None, || {
            let latch = Arc::new(Latch::new().unwrap());
            let fire = || {
                let latch = Arc::clone(&latch);
                Builder::new().spawn(move || latch.fire().unwrap()).unwrap()
            };
            let threads = [fire(), fire()];
            for _ in 0..2 {
                if is_readable(&latch) {
                    // Loom does not know that the kernel orders what it is told: to change
                    // something, and only that, sees what is newest.
                    assert!(latch.fired.fetch_or(false, Ordering::AcqRel));
                }
                // Whatever it is, others get on meanwhile.
                let _ = latch.is_fired();
            }
            for thread in threads {
                thread.join().unwrap();
            }
            assert!(latch.is_fired() && is_readable(&latch));
            assert_eq!(ioctl_fionread(&latch.reader), Ok(1), "one byte for all");
        });
    }
}
