//! What a manager of services is told, in the protocol of `sd_notify`: that the server is ready,
//! that it lives, and that it stops. Without `NOTIFY_SOCKET` in the environment, nothing.

use std::{env, io, sync::Arc, thread, time::Duration};

use sd_notify::NotifyState;
use tracing::warn;

use crate::{
    context::Context,
    self_check::{Finding, SelfCheck},
};

/// What a manager tells the processes that it starts. Children of theirs are none of them.
pub(crate) const ENVIRONMENT: [&str; 6] = [
    "LISTEN_FDNAMES",
    "LISTEN_FDS",
    "LISTEN_PID",
    "NOTIFY_SOCKET",
    "WATCHDOG_PID",
    "WATCHDOG_USEC",
];

/// What of it is not for the process that takes the place of the one that was told.
pub(crate) const FOR_ONE_PROCESS: [&str; 4] =
    ["LISTEN_FDNAMES", "LISTEN_FDS", "LISTEN_PID", "WATCHDOG_PID"];

/// How long the first answer may take before the log says that it is missing.
const FIRST_PATIENCE: Duration = Duration::from_secs(5);

/// Says that the server is ready once it has answered, and goes on saying that it lives, as often
/// as that is wanted, as long as it answers.
pub(crate) fn report(check: SelfCheck, context: Arc<Context>) -> io::Result<()> {
    if env::var_os("NOTIFY_SOCKET").is_none() {
        return Ok(());
    }
    let report = move || Report { check, context }.run();
    thread::Builder::new().name("systemd".into()).spawn(report).map(drop)
}

/// Says that the server was told to stop.
pub(crate) fn tell_stopping() {
    tell(&[NotifyState::Stopping, NotifyState::Status("draining")]);
}

/// Says that another process is the server now.
pub(crate) fn tell_successor(pid: u32) {
    tell(&[NotifyState::MainPid(pid), NotifyState::Status("serving")]);
}

/// Says that the configuration is read again.
pub(crate) fn tell_reloading() {
    // As of now, so that it is not taken for the answer to an earlier request.
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(error) => warn!("the manager of services was not told: {error}"),
    }
}

/// Says that this is over, and what came of it.
pub(crate) fn tell_reloaded(status: &str) {
    tell(&[NotifyState::Ready, NotifyState::Status(status)]);
}

struct Report {
    check: SelfCheck,
    context: Arc<Context>,
}

impl Report {
    fn run(mut self) {
        self.check.forget_the_unreachable();
        let is_stopping = || self.context.is_stopping();
        while !is_stopping() && self.check.ask(FIRST_PATIENCE) == Finding::Silent {}
        if !is_stopping() {
            tell(&[NotifyState::Ready, NotifyState::Status("serving")]);
        }
        if let Some(timeout) = sd_notify::watchdog_enabled().filter(|it| !it.is_zero()) {
            self.feed_watchdog(timeout / 2);
        }
    }

    /// Tells it each half of the time after which the manager would end the server; or later, when
    /// the server is slow to answer.
    fn feed_watchdog(&self, pause: Duration) {
        while !self.context.has_successor() {
            thread::sleep(pause);
            if self.check.ask(pause) == Finding::Serves {
                tell(&[NotifyState::Watchdog]);
            }
        }
    }
}

fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        warn!("the manager of services was not told: {error}");
    }
}
