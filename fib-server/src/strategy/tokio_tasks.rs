//! A task for each client on Tokio's work-stealing runtime: what a Go program does with goroutines.
//!
//! The lesson: tasks are cheap and short requests fast, but nothing preempts a task. As many long
//! requests as there are worker threads stop everything else.

use std::{num::NonZeroUsize, sync::Arc};

use anyhow::{Context as _, Result};
use tokio::{runtime, task::JoinSet};

use crate::{
    acceptor::Acceptor,
    context::Context,
    listener::Listener,
    strategy::{Strategy, asynchronous},
};

/// Serves each client in a task.
#[derive(Clone, Copy, Debug)]
pub struct TokioTasks {
    io_threads: Option<NonZeroUsize>,
}

impl TokioTasks {
    /// On so many worker threads, or one per core.
    #[must_use]
    pub const fn new(io_threads: Option<NonZeroUsize>) -> Self {
        Self { io_threads }
    }
}

impl Strategy for TokioTasks {
    fn has_tls(&self) -> bool {
        true
    }

    fn serve(self: Box<Self>, listeners: Vec<Listener>, context: &Arc<Context>) -> Result<()> {
        let mut builder = runtime::Builder::new_multi_thread();
        if let Some(threads) = self.io_threads {
            builder.worker_threads(threads.get());
        }
        let runtime = builder.enable_all().build().context("building the Tokio runtime")?;
        let mut tasks = JoinSet::new();
        // This thread has nothing else to do, and unlike a worker it is never held up by a task.
        let mut acceptor = Acceptor::new(listeners, context);
        while let Some(connection) = acceptor.next_client()? {
            tasks.spawn_on(asynchronous::serve(connection, Arc::clone(context)), runtime.handle());
            while tasks.try_join_next().is_some() {} // so that the set holds only those that live
        }
        drop(acceptor);
        runtime.block_on(async { while tasks.join_next().await.is_some() {} });
        Ok(())
    }
}
