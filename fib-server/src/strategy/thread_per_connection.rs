//! A thread for each client: the kernel's scheduler does the work.
//!
//! The lesson: a busy client takes its share of the CPU and no more, but each one costs a stack,
//! and a short request waits behind the time slices of the long ones.

use std::{
    sync::{Arc, mpsc},
    thread,
    time::Instant,
};

use anyhow::Result;
use tracing::{Span, warn};

use crate::{
    acceptor::Acceptor,
    context::Context,
    listener::Listener,
    strategy::{Strategy, blocking},
    telemetry::Seldom,
};

/// Room for the deepest thing a conversation does, the conversion of a large number to decimal.
const STACK_LEN: usize = 512 * 1024;

/// Serves each client on a thread of its own.
#[derive(Clone, Copy, Debug)]
pub struct ThreadPerConnection;

impl Strategy for ThreadPerConnection {
    fn serve(self: Box<Self>, listeners: Vec<Listener>, context: &Arc<Context>) -> Result<()> {
        // The registry of spans has room for 4,096 threads that open or close one. So this thread
        // does both, and gets each span back from the client's thread when that is done with it.
        let (done, spans) = mpsc::channel::<Span>();
        let failures = Seldom::new();
        // Returning from the scope joins every thread, which is the drain.
        thread::scope(|scope| {
            let mut acceptor = Acceptor::new(listeners, context);
            while let Some(connection) = acceptor.next_client()? {
                spans.try_iter().for_each(drop);
                let span = context.span(&connection);
                let done = done.clone();
                let client = move || {
                    span.in_scope(|| blocking::serve(connection, context));
                    // It cannot fail: the receiver outlives the scope.
                    let _ = done.send(span);
                };
                let thread = thread::Builder::new().name("conn".into()).stack_size(STACK_LEN);
                if let Err(error) = thread.spawn_scoped(scope, client)
                    && let Some(unlogged) = failures.ask(Instant::now())
                {
                    warn!(
                        unlogged,
                        "no thread for a client: {error}; --max-connections lowers their number"
                    );
                }
            }
            Ok(())
        })
    }
}
