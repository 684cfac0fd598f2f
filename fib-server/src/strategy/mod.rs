//! How connections are served: one room per strategy, each holding nothing but its loop.

mod asynchronous;
mod blocking;
mod conversation;
mod coroutines;
mod executor;
mod introduction;
#[cfg(target_os = "linux")]
mod io_uring;
mod prefork;
mod sequential;
mod thread_per_connection;
mod thread_per_core;
#[cfg(target_os = "linux")]
mod thread_pool;
mod tokio_tasks;

use std::{fmt, num::NonZeroUsize, sync::Arc};

use anyhow::Result;
use clap::ValueEnum;
use thiserror::Error;

#[cfg(target_os = "linux")]
pub use self::io_uring::IoUring;
#[cfg(target_os = "linux")]
pub use self::thread_pool::ThreadPool;
pub(crate) use self::{blocking::serve as serve_blocking, prefork::event_loop as prefork_loop};
pub use self::{
    coroutines::Coroutines, prefork::Prefork, sequential::Sequential,
    thread_per_connection::ThreadPerConnection, thread_per_core::ThreadPerCore,
    tokio_tasks::TokioTasks,
};
use crate::{context::Context, listener::Listener};

/// Who has to wait for whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turns {
    /// Nobody: whoever asks is answered.
    Together,
    /// Everybody for the client in front, however long that one stays.
    OneAfterTheOther,
}

/// One way of serving many clients. `tests/conformance.rs` proves the contract for each.
///
/// Requests of one connection are answered in their order. A half-closed connection is answered
/// to its end. When the context's latch fires, what was received is answered, then it returns.
pub trait Strategy: fmt::Debug + Send {
    /// How many listening sockets it wants for each address. If more than one, they share the
    /// port, and the kernel spreads the clients over them.
    fn sockets_per_address(&self) -> usize {
        1
    }

    /// How many other processes serve the clients and compute for them, if not this one.
    fn processes(&self) -> Option<NonZeroUsize> {
        None
    }

    /// Whether a client may have to wait until another one leaves.
    fn turns(&self) -> Turns {
        Turns::Together
    }

    /// Whether its conversations can be encrypted.
    fn has_tls(&self) -> bool {
        false
    }

    /// Serves whoever connects until the latch fires and every client is gone.
    ///
    /// It blocks its caller: a strategy that needs a runtime builds it inside.
    ///
    /// # Errors
    ///
    /// Only when serving cannot go on at all; one client's failure is logged, never returned.
    fn serve(self: Box<Self>, listeners: Vec<Listener>, context: &Arc<Context>) -> Result<()>;
}

/// The names of the strategies, as `--strategy` takes them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum StrategyKind {
    /// One client at a time: the baseline
    Sequential,
    /// An operating system's thread for each client
    ThreadPerConnection,
    /// A few threads for all clients, taking them from a queue
    #[cfg(target_os = "linux")]
    ThreadPool,
    /// A task for each client, on the Tokio runtime
    #[default]
    TokioTasks,
    /// A pinned, single-threaded runtime for each core, all on the same port
    ThreadPerCore,
    /// A coroutine for each client, on one thread with a readiness loop of our own
    Coroutines,
    /// A coroutine for each client, on one thread with the kernel's own queues; only on Linux
    IoUring,
    /// A few processes on the same listening socket, each with the loop of coroutines
    Prefork,
}

/// What can be set on a strategy.
#[derive(Clone, Copy, Debug, Default)]
pub struct Knobs {
    /// Threads, or processes, that serve clients.
    pub io_threads: Option<NonZeroUsize>,
}

/// A strategy that does not exist here, or a knob that it has no use for.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum BuildError {
    /// The number of its threads is no choice.
    #[error("--io-threads has no meaning with --strategy {strategy}: it has no pool of threads")]
    IoThreads {
        /// The strategy.
        strategy: StrategyKind,
    },
    /// It is made of one system's own calls.
    #[error("--strategy {strategy} needs Linux; --strategy coroutines does without")]
    OnlyLinux {
        /// The strategy.
        strategy: StrategyKind,
    },
    /// The kernel does not give what it is made of.
    #[error("--strategy io-uring: {reason}; --strategy coroutines does without")]
    NoIoUring {
        /// Why not, as far as that can be known.
        reason: String,
    },
}

impl StrategyKind {
    /// The strategy of this name. The only `match` over strategies that there is.
    ///
    /// # Errors
    ///
    /// Where this system has no such strategy, or a knob is set that it has no use for.
    pub fn build(self, mut knobs: Knobs) -> Result<Box<dyn Strategy>, BuildError> {
        let strategy: Box<dyn Strategy> = match self {
            Self::Sequential => Box::new(Sequential),
            Self::ThreadPerConnection => Box::new(ThreadPerConnection),
            #[cfg(target_os = "linux")]
            Self::ThreadPool => Box::new(ThreadPool::new(knobs.io_threads.take())),
            Self::TokioTasks => Box::new(TokioTasks::new(knobs.io_threads.take())),
            Self::ThreadPerCore => Box::new(ThreadPerCore::new(knobs.io_threads.take())),
            Self::Coroutines => Box::new(Coroutines),
            #[cfg(target_os = "linux")]
            Self::IoUring => Box::new(IoUring::new()?),
            #[cfg(not(target_os = "linux"))]
            Self::IoUring => return Err(BuildError::OnlyLinux { strategy: self }),
            Self::Prefork => Box::new(Prefork::new(knobs.io_threads.take())),
        };
        match knobs {
            Knobs { io_threads: None } => Ok(strategy),
            Knobs { io_threads: Some(_) } => Err(BuildError::IoThreads { strategy: self }),
        }
    }
}

impl fmt::Display for StrategyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.to_possible_value();
        f.pad(value.as_ref().map_or("", |value| value.get_name()))
    }
}
