//! A single-threaded runtime for each core, pinned to it: nothing is shared but the port.
//!
//! The lesson: a connection stays on the core where the kernel has put it, so no lock, no queue and
//! no cache line goes from core to core. The price is that nobody steals work either: what lands on
//! a busy core waits for it, though another may be idle.

use std::{
    io,
    num::NonZeroUsize,
    os::fd::{AsFd, OwnedFd},
    sync::Arc,
    thread,
};

use anyhow::{Context as _, Result};
use tokio::{
    io::unix::AsyncFd,
    runtime::{self, Runtime},
    task::{self, JoinSet},
    time,
};

use crate::{
    context::Context,
    cores,
    listener::{Accepted, Listener},
    shortage::Shortage,
    strategy::{Strategy, asynchronous},
    sys,
};

/// How many clients a core takes in before those inside have their turn.
const ACCEPTS_A_TURN: u64 = 10;

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

    fn has_tls(&self) -> bool {
        true
    }

    fn serve(self: Box<Self>, listeners: Vec<Listener>, context: &Arc<Context>) -> Result<()> {
        let threads = self.threads();
        let mut shares: Vec<_> = (0..threads).map(|_| Vec::new()).collect();
        for (at, listener) in listeners.into_iter().enumerate() {
            shares[at % threads].push(listener);
        }
        // All of them before the first client: later there may be no descriptor left for them.
        let cores = shares.into_iter().map(|share| Core::new(share, context));
        let cores = cores.collect::<Result<Vec<_>>>()?;
        thread::scope(|scope| {
            let start = |(number, core): (usize, Core)| {
                let thread = thread::Builder::new().name(format!("core {number}"));
                thread.spawn_scoped(scope, move || core.serve(number))
            };
            let threads: Vec<_> = cores.into_iter().enumerate().map(start).collect();
            for thread in threads {
                let thread = thread.context("starting a thread for a core")?;
                thread.join().expect("a panic ends a task, not its runtime")?;
            }
            Ok(())
        })
    }
}

/// What a core has to itself: a runtime, and a coroutine for each of its listening sockets.
struct Core {
    runtime: Runtime,
    doors: JoinSet<Result<()>>,
}

impl Core {
    fn new(listeners: Vec<Listener>, context: &Arc<Context>) -> Result<Self> {
        let mut builder = runtime::Builder::new_current_thread();
        let runtime = builder.enable_all().build().context("building a Tokio runtime")?;
        let mut doors = JoinSet::new();
        let entered = runtime.enter();
        for listener in listeners {
            let door = Door::new(listener, context).context("watching a listening socket")?;
            doors.spawn(door.serve(Arc::clone(context)));
        }
        drop(entered);
        Ok(Self { runtime, doors })
    }

    fn serve(mut self, number: usize) -> Result<()> {
        cores::pin_to(number).context("pinning a thread to its core")?;
        self.runtime.block_on(async {
            while let Some(ended) = self.doors.join_next().await {
                ended.context("a listener's task panicked")??;
            }
            Ok(())
        })
    }
}

/// A listening socket, and the latch, in a core's event loop.
struct Door {
    listener: Listener,
    client_waits: AsyncFd<OwnedFd>,
    latch: AsyncFd<OwnedFd>,
}

impl Door {
    fn new(listener: Listener, context: &Context) -> io::Result<Self> {
        let client_waits = sys::register_owned(listener.as_fd().try_clone_to_owned()?)?;
        let latch = sys::register_owned(context.latch().as_fd().try_clone_to_owned()?)?;
        Ok(Self { listener, client_waits, latch })
    }

    /// Serves whoever comes in here, until the drain has begun and all are gone.
    async fn serve(self, context: Arc<Context>) -> Result<()> {
        let mut tasks = JoinSet::new();
        self.accept_all(&context, &mut tasks).await?;
        // Whoever connects from now on is told so, instead of waiting for nothing.
        drop(self);
        while tasks.join_next().await.is_some() {}
        Ok(())
    }

    /// Takes in clients until the drain has begun and nobody waits any more: what is queued in a
    /// socket that shares its port is lost when that is closed.
    async fn accept_all(&self, context: &Arc<Context>, tasks: &mut JoinSet<()>) -> Result<()> {
        let mut shortage = Shortage::new();
        for accepts in 1_u64.. {
            let draining = context.latch().is_fired();
            match self.listener.accept(context, &mut shortage) {
                Accepted::Client(connection) => {
                    tasks.spawn(asynchronous::serve(connection, Arc::clone(context)));
                    while tasks.try_join_next().is_some() {} // so that it holds those that live
                }
                Accepted::Nothing => {}
                Accepted::NobodyWaits if draining => break,
                Accepted::NobodyWaits => tokio::select! {
                    ready = self.client_waits.readable() => ready?.clear_ready(),
                    ready = self.latch.readable() => ready?.retain_ready(),
                },
                Accepted::NoResources => {
                    time::sleep(shortage.time_left().unwrap_or_default()).await;
                }
            }
            if accepts % ACCEPTS_A_TURN == 0 {
                task::yield_now().await;
            }
        }
        Ok(())
    }
}
