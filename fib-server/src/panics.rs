//! Panics. Each is a bug, and costs whoever has met it an answer or a connection, and nobody else
//! anything.
//!
//! They are contained in two places: around each run of a conversation, and around each slice of a
//! computation. A process that only computes is its own containment, and ends.

use std::{
    backtrace::{Backtrace, BacktraceStatus},
    future,
    panic::{self, AssertUnwindSafe, PanicHookInfo},
    pin::pin,
    process,
    task::Poll,
};

use tracing::error;

use crate::counters::Counters;

/// What a process ends with that a panic has ended.
pub(crate) const EXIT_PANICKED: i32 = 101;

/// Runs what may panic; `None` if it has.
pub(crate) fn contain<T>(counters: &Counters, run: impl FnOnce() -> T) -> Option<T> {
    // What it was about is given up, so nobody will see that half-changed.
    let result = panic::catch_unwind(AssertUnwindSafe(run));
    result.inspect_err(|_| counters.panicked()).ok()
}

/// The same for a coroutine, whenever it runs.
pub(crate) async fn contain_coroutine<T>(
    counters: &Counters,
    coroutine: impl Future<Output = T>,
) -> Option<T> {
    let mut coroutine = pin!(coroutine);
    future::poll_fn(|task| match contain(counters, || coroutine.as_mut().poll(task)) {
        Some(poll) => poll.map(Some),
        None => Poll::Ready(None),
    })
    .await
}

/// Has each panic of this process logged, as all else is. Whoever contains it need not.
pub(crate) fn log_all() {
    panic::set_hook(Box::new(log));
}

/// Has each panic end this process, once it is logged.
#[expect(clippy::exit, reason = "whoever waits for an answer learns from it that there is none")]
pub(crate) fn end_process() {
    panic::set_hook(Box::new(|panic| {
        log(panic);
        process::exit(EXIT_PANICKED);
    }));
}

fn log(panic: &PanicHookInfo<'_>) {
    let place = panic.location().map(ToString::to_string).unwrap_or_default();
    let said = panic.payload_as_str().unwrap_or_default().escape_debug();
    let backtrace = Backtrace::capture();
    if backtrace.status() == BacktraceStatus::Captured {
        error!(place, %backtrace, "panicked: {said}");
    } else {
        error!(place, "panicked: {said}");
    }
}

/// Panics on purpose, for tests: only debug builds can.
#[cfg(debug_assertions)]
pub(crate) mod injected {
    use std::sync::OnceLock;

    static WANTED: OnceLock<Injected> = OnceLock::new();

    /// Where to panic.
    #[derive(Clone, Copy, Debug)]
    pub(crate) struct Injected {
        /// In the computation of this F(n), if it takes time.
        pub(crate) computation: Option<u64>,
        /// In the conversation of whoever asks for this one, if it takes time.
        pub(crate) conversation: Option<u64>,
    }

    /// Has this process panic there.
    pub(crate) fn want(injected: Injected) {
        // It is said once.
        let _ = WANTED.set(injected);
    }

    /// Whether the computation of F(n) is to panic.
    pub(crate) fn in_computation(n: u64) -> bool {
        WANTED.get().is_some_and(|it| it.computation == Some(n))
    }

    /// Panics, if the conversation that is about F(n) is to.
    pub(crate) fn in_conversation(n: u64) {
        let is_wanted = WANTED.get().is_some_and(|it| it.conversation == Some(n));
        assert!(!is_wanted, "--panic-in-conversation {n}");
    }
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Waker};

    use super::*;

    #[test]
    fn a_panic_is_counted_and_goes_no_further() {
        let counters = Counters::alone(1);
        assert_eq!(contain(&counters, || 7), Some(7));
        assert_eq!(contain::<()>(&counters, || panic!("a test's own")), None);
        assert_eq!(counters.tally().panics, 1);
    }

    #[test]
    fn a_coroutine_that_panics_is_over() {
        let counters = Counters::alone(1);
        let coroutine = contain_coroutine(&counters, async {
            future::ready(()).await;
            panic!("a test's own")
        });
        let mut task = Context::from_waker(Waker::noop());
        let mut coroutine = pin!(coroutine);
        assert_eq!(coroutine.as_mut().poll(&mut task), Poll::<Option<()>>::Ready(None));
        assert_eq!(counters.tally().panics, 1);
    }
}
