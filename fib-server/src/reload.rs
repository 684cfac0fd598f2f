//! SIGHUP: all that says how to serve is read again, and what may change while the server runs is
//! changed, all of it or nothing.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    thread,
};

use anyhow::{Result, ensure};
use signal_hook::{consts::SIGHUP, iterator::Signals};
use tracing::{error, info, warn};

use crate::{
    Arguments, connection,
    context::Context,
    settings::{CHANGEABLE, Settings},
    systemd,
};

/// How often that was tried, and what came of it.
#[derive(Debug, Default)]
pub(crate) struct Reloads {
    ok: AtomicU64,
    refused: AtomicU64,
    is_last_refused: AtomicBool,
}

/// The same, at a moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReloadCounts {
    pub(crate) ok: u64,
    pub(crate) refused: u64,
    pub(crate) is_last_refused: bool,
}

impl Reloads {
    pub(crate) fn counts(&self) -> ReloadCounts {
        ReloadCounts {
            ok: self.ok.load(Relaxed),
            refused: self.refused.load(Relaxed),
            is_last_refused: self.is_last_refused.load(Relaxed),
        }
    }

    fn count<T>(&self, result: &Result<T>) {
        let counter = if result.is_ok() { &self.ok } else { &self.refused };
        counter.fetch_add(1, Relaxed);
        self.is_last_refused.store(result.is_err(), Relaxed);
    }
}

/// Reloads whenever SIGHUP comes. `others` are the descriptors that are no client's.
pub(crate) fn on_signal(context: &Arc<Context>, others: usize) -> io::Result<()> {
    let mut signals = Signals::new([SIGHUP])?;
    let context = Arc::clone(context);
    let wait = move || signals.forever().for_each(|_| reload(&context, others));
    thread::Builder::new().name("reload".into()).spawn(wait).map(drop)
}

fn reload(context: &Context, others: usize) {
    systemd::tell_reloading();
    let result = read_again(context).map(|(settings, changed)| {
        change(context, settings, others);
        changed
    });
    // Whoever sees it counted or told finds the new settings in force.
    context.reloads().count(&result);
    let status = match result {
        Ok(changed) => {
            info!(changed = changed.join(" "), "the configuration is reloaded");
            "serving".to_owned()
        }
        Err(refusal) => {
            error!("the configuration stays as it was: {refusal:#}");
            format!("serving; the last reload was refused: {refusal:#}")
        }
    };
    systemd::tell_reloaded(&status);
}

/// The settings that are wanted now, and what is another in them.
fn read_again(context: &Context) -> Result<(Settings, Vec<String>)> {
    ensure!(!context.is_stopping(), "the server is stopping");
    let arguments = Arguments::read()?;
    let settings = context.settings();
    let changed = arguments.typed.changed_from(&settings.typed);
    let fixed: Vec<_> = changed.iter().copied().filter(|key| !CHANGEABLE.contains(key)).collect();
    ensure!(fixed.is_empty(), "it takes a restart to change {}", fixed.join(", "));
    let changed = changed.into_iter().map(str::to_owned).collect();
    let was_encrypted = settings.tls.is_some();
    drop(settings);
    let settings = arguments.into_settings()?;
    let is_encrypted = settings.tls.is_some();
    ensure!(is_encrypted == was_encrypted, "it takes a restart to begin or to end with TLS");
    Ok((settings, changed))
}

/// Puts other settings into force in this process.
pub(crate) fn change(context: &Context, settings: Settings, others: usize) {
    let max_connections = settings.limits.max_connections;
    if let Err(error) = connection::reserve_descriptors(max_connections, others) {
        warn!("--max-connections {max_connections}: {error:#}");
    }
    context.change_settings(settings);
}
