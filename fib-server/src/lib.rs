//! The Fibonacci service as a library: one conversation, and many ways of holding many of them.
//!
//! A reading tour: [`session`] is one conversation without its socket. [`strategy`] decides who
//! owns the sockets, [`compute`] who burns the CPU. [`context`] is what all strategies share, and
//! `child` how this program starts itself once more.

mod acceptor;
pub mod access;
mod admin;
mod arguments;
mod child;
mod cli;
pub mod compute;
mod config;
mod config_file;
pub mod connection;
pub mod context;
mod cores;
pub mod counters;
mod entrance;
mod farewell;
mod inheritance;
pub mod listener;
mod panics;
pub mod peer;
mod progress;
pub mod reaper;
mod rejection;
mod reload;
mod reserve;
mod restart;
mod self_check;
pub mod session;
mod settings;
mod shortage;
pub mod shutdown;
pub mod strategy;
mod sync;
mod sys;
mod systemd;
pub mod telemetry;
mod tls;

use std::{ffi::OsString, iter, sync::Arc};

use anyhow::{Context as _, Result};
use tracing::{error, info};

use crate::{
    admin::{Admin, Identity, ProcessTree, Subject},
    compute::{Compute, ComputeKind, ComputeOptions},
    connection::Connections,
    context::Context,
    counters::{Counters, Tally},
    entrance::{Entrance, Entrances},
    listener::Listener,
    reaper::Reaper,
    restart::{Handover, Predecessor},
    self_check::SelfCheck,
    session::RequestCounts,
    shutdown::{Cause, Latch, Stop},
};
pub use crate::{
    arguments::{Arguments, ArgumentsError},
    child::Role,
    cli::Cli,
    config::{Config, ConfigError},
    config_file::{ConfigFile, ConfigFileError},
    settings::Settings,
};

/// Plays the part that this process was started for.
pub fn run(config: Config) -> Result<()> {
    #[cfg(debug_assertions)]
    panics::injected::want(config.injected);
    match config.role {
        Role::Server | Role::Successor => serve(config),
        Role::Compute => compute::serve_as_child(config.compute.algorithm),
        Role::Prefork => serve_as_child(&config),
    }
}

/// Listens, serves until a signal begins the drain, and returns when the last client is gone.
fn serve(mut config: Config) -> Result<()> {
    if let Some(cores) = config.cores {
        cores::limit_to(cores)?;
    }
    let others = config.compute.descriptors() + admin::DESCRIPTORS + farewell::AT_ONCE;
    let max_connections = config.settings.limits.max_connections;
    connection::reserve_descriptors(max_connections, others)?;
    let mut predecessor = match config.role {
        Role::Successor => Some(Predecessor::meet(config.kind)?),
        _ => None,
    };
    let entrances = Entrances::open(&config, &mut predecessor)?;
    let identity = Identity::new(&config);
    let has_children = config.has_children();
    let counters = match config.strategy.processes() {
        None => Counters::alone(max_connections),
        Some(processes) => {
            config.compute = config.compute.by_nobody();
            let counters = Counters::shared(processes.get(), max_connections);
            counters.context("sharing memory with children")?
        }
    };
    let context = new_context(&config, config.compute, counters)?;
    let stop = stop_on_signals(&context)?;
    reload::on_signal(&context, others).context("installing the handler of SIGHUP")?;
    let all = entrances.clients.iter().chain(&entrances.admin);
    let close_admin = Arc::new(Latch::new().context("creating a latch")?);
    Handover::new(&context, config.kind, all, Arc::clone(&close_admin), stop)?
        .on_signal()
        .context("installing the handler of SIGUSR2")?;
    let clients = || entrances.clients.iter().filter_map(|it| it.listeners.first());
    let check = SelfCheck::new(clients(), config.strategy.turns(), &context);
    let reporting = if let Some(predecessor) = predecessor {
        predecessor.relieve(check, &context)
    } else {
        entrances.announce()?;
        systemd::report(check, Arc::clone(&context))
    };
    reporting.context("starting a thread")?;
    let process_tree = ProcessTree::new(has_children);
    let subject = Subject { context: Arc::clone(&context), identity, process_tree };
    let _reaper = Reaper::start(&context).context("starting a thread")?;
    let listeners = |entrances: Vec<Entrance>| entrances.into_iter().flat_map(|it| it.listeners);
    let _admin = Admin::start(listeners(entrances.admin).collect(), subject, close_admin)?;
    let listeners = listeners(entrances.clients).collect();
    let Config { strategy, kind, .. } = config;
    strategy.serve(listeners, &context).with_context(|| format!("serving as {kind}"))?;
    context.compute().close();
    let Tally { accepted, closed, refused, requests, .. } = context.counters().tally();
    let RequestCounts { requests, ok, err, cancelled } = requests;
    let refused: u64 = refused.iter().sum();
    info!(accepted, closed, refused, requests, ok, err, cancelled, "drained");
    Ok(())
}

fn stop_on_signals(context: &Arc<Context>) -> Result<Stop> {
    let [stopping, draining, times] = [(); 3].map(|()| Arc::clone(context));
    let announce_stop = move |cause| {
        stopping.announce_stop();
        if cause == Cause::Signal {
            systemd::tell_stopping();
        }
    };
    let times = move || times.settings().drain;
    shutdown::on_signals(announce_stop, move || draining.begin_drain(), times)
        .context("installing the signal handlers")
}

/// Serves a part of the clients of the server that has started this process, until it says that
/// this is enough, and the last of them is gone.
fn serve_as_child(config: &Config) -> Result<()> {
    let server = child::begin()?;
    let (process, inherited) = inheritance::receive(&server).context("receiving what is shared")?;
    let mut inherited = inherited.into_iter();
    let mut memory = || inherited.next().context("receiving the counters");
    let counters =
        Counters::inherited([memory()?, memory()?], process).context("sharing the counters")?;
    let listeners = inherited.map(Listener::inherited).collect::<Result<_>>()?;
    let compute = config.compute.shared_by(counters.processes());
    let context = new_context(config, compute, counters)?;
    let [changing, closing, draining] = [(); 3].map(|()| Arc::clone(&context));
    let others = config.compute.descriptors();
    let change = move |arguments| obey(&changing, arguments, others);
    // Where nobody else computes for it, it does.
    let computes = config.compute.kind == ComputeKind::Inline;
    let _worker = computes.then(|| context.counters().worker());
    let _reaper = Reaper::start(&context).context("starting a thread")?;
    let close_doors = move || closing.hand_over();
    let begin_drain = move || draining.begin_drain();
    child::obey(server, change, close_doors, begin_drain).context("starting a thread")?;
    strategy::prefork_loop().serve(listeners, &context)?;
    context.compute().close();
    Ok(())
}

/// Serves from now on as the server says that has started this process.
fn obey(context: &Context, arguments: Vec<OsString>, others: usize) {
    let name = OsString::from("fib-server");
    let arguments = Arguments::of(iter::once(name).chain(arguments).collect());
    match arguments.and_then(Arguments::into_settings) {
        Ok(settings) => reload::change(context, settings, others),
        // The server has obeyed the same.
        Err(error) => error!("it cannot serve as the server does: {error}"),
    }
}

fn new_context(
    config: &Config,
    compute: ComputeOptions,
    counters: Counters,
) -> Result<Arc<Context>> {
    let counters = Arc::new(counters);
    let settings = config.settings.clone();
    let compute = Compute::new(compute, &settings.typed, Arc::clone(&counters));
    let compute = compute.context("starting whoever computes")?;
    let connections = Connections::new(settings, counters);
    let strategy = config.kind.to_string();
    let context = Context::new(strategy, compute, connections, config.busy_poll);
    Ok(Arc::new(context.context("creating the latch")?))
}
