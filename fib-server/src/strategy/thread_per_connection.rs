//! A thread for each client: the kernel's scheduler does the work.
//!
//! The lesson: a busy client takes its share of the CPU and no more, but each one costs a stack,
//! and a short request waits behind the time slices of the long ones.

use std::{sync::Arc, thread};

use anyhow::Result;
use tracing::warn;

use crate::{
    context::Context,
    listener::{Listener, accept_any},
    strategy::{Strategy, blocking},
};

/// Room for the deepest thing a conversation does, the conversion of a large number to decimal.
const STACK_LEN: usize = 512 * 1024;

/// Serves each client on a thread of its own.
#[derive(Clone, Copy, Debug)]
pub struct ThreadPerConnection;

impl Strategy for ThreadPerConnection {
    fn serve(self: Box<Self>, listeners: Vec<Listener>, context: &Arc<Context>) -> Result<()> {
        // Returning from the scope joins every thread, which is the drain.
        thread::scope(|scope| {
            while let Some(connection) = accept_any(&listeners, context)? {
                let thread = thread::Builder::new().name("conn".into()).stack_size(STACK_LEN);
                if let Err(error) =
                    thread.spawn_scoped(scope, move || blocking::serve(connection, context))
                {
                    warn!("no thread for a client: {error}; --max-connections lowers their number");
                }
            }
            drop(listeners);
            Ok(())
        })
    }
}
