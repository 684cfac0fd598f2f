//! A single-threaded runtime for each core, pinned to it: nothing is shared but the port.
//!
//! The lesson: a connection stays on the core where the kernel has put it, so no lock, no queue and
//! no cache line goes from core to core. The price is that nobody steals work either: what lands on
//! a busy core waits for it, though another may be idle.

use std::{num::NonZeroUsize, os::fd::AsFd, sync::Arc, thread};

use anyhow::{Context as _, Result};
use tokio::{
    runtime,
    task::{self, JoinSet},
    time,
};

use crate::{
    context::Context,
    cores,
    listener::{Accepted, Listener, Shortage},
    strategy::{Strategy, asynchronous},
    sys,
};

/// How many clients a core takes in before those inside have their turn.
const ACCEPTS_A_TURN: usize = 10;

/// Serves each client on one of some pinned threads, each with an event loop of its own.
#[derive(Clone, Copy, Debug)]
pub struct ThreadPerCore {
    io_threads: Option<NonZeroUsize>,
}

impl ThreadPerCore {
    /// On so many threads, or one per core.
    #[must_use]
    pub const fn new(io_threads: Option<NonZeroUsize>) -> Self {
        Self { io_threads }
    }

    fn threads(self) -> usize {
        let cores = || thread::available_parallelism().ok();
        self.io_threads.or_else(cores).map_or(1, NonZeroUsize::get)
    }
}

impl Strategy for ThreadPerCore {
    fn sockets_per_address(&self) -> usize {
        self.threads()
    }

    fn serve(self: Box<Self>, listeners: Vec<Listener>, context: &Arc<Context>) -> Result<()> {
        let threads = self.threads();
        let mut shares: Vec<_> = (0..threads).map(|_| Vec::new()).collect();
        for (at, listener) in listeners.into_iter().enumerate() {
            shares[at % threads].push(listener);
        }
        thread::scope(|scope| {
            let start = |(core, share)| {
                let thread = thread::Builder::new().name(format!("core {core}"));
                thread.spawn_scoped(scope, move || serve_core(core, share, context))
            };
            let threads: Vec<_> = shares.into_iter().enumerate().map(start).collect();
            for thread in threads {
                let thread = thread.context("starting a thread for a core")?;
                thread.join().expect("a panic ends a task, not its runtime")?;
            }
            Ok(())
        })
    }
}

/// One core's loop: a coroutine for each listener, which ends with the last of its clients.
fn serve_core(core: usize, listeners: Vec<Listener>, context: &Arc<Context>) -> Result<()> {
    cores::pin_to(core).context("pinning a thread to its core")?;
    let mut builder = runtime::Builder::new_current_thread();
    let runtime = builder.enable_all().build().context("building a Tokio runtime")?;
    runtime.block_on(async {
        let mut doors = JoinSet::new();
        for listener in listeners {
            doors.spawn(serve_listener(listener, Arc::clone(context)));
        }
        while let Some(ended) = doors.join_next().await {
            ended.context("a listener's task panicked")??;
        }
        Ok(())
    })
}

async fn serve_listener(listener: Listener, context: Arc<Context>) -> Result<()> {
    let mut tasks = JoinSet::new();
    accept_all(&listener, &context, &mut tasks).await?;
    // Whoever connects from now on is told so, instead of waiting for nothing.
    drop(listener);
    while tasks.join_next().await.is_some() {}
    Ok(())
}

/// Takes in clients until the drain has begun and nobody waits any more: what is queued in a socket
/// that shares its port is lost when that is closed.
async fn accept_all(
    listener: &Listener,
    context: &Arc<Context>,
    tasks: &mut JoinSet<()>,
) -> Result<()> {
    let door = sys::register_owned(listener.as_fd().try_clone_to_owned()?)?;
    let latch = sys::register_owned(context.latch().as_fd().try_clone_to_owned()?)?;
    let mut shortage = Shortage::default();
    let mut accepts = 0;
    loop {
        let draining = context.latch().is_fired();
        match listener.accept(context) {
            Accepted::Client(connection) => {
                tasks.spawn(asynchronous::serve(connection, Arc::clone(context)));
                while tasks.try_join_next().is_some() {} // so that it holds only those that live
            }
            Accepted::Nothing => {}
            Accepted::NobodyWaits if draining => return Ok(()),
            Accepted::NobodyWaits => tokio::select! {
                ready = door.readable() => ready?.clear_ready(),
                ready = latch.readable() => ready?.retain_ready(),
            },
            Accepted::NoResources(error) => {
                shortage.meet(&error);
                time::sleep(shortage.time_left().unwrap_or_default()).await;
            }
        }
        accepts += 1;
        if accepts % ACCEPTS_A_TURN == 0 {
            task::yield_now().await;
        }
    }
}
