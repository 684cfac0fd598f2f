//! One client at a time: the baseline, and the server that everybody writes first.
//!
//! The lesson: until a client leaves, the next one waits, however little either of them asks.

use std::sync::Arc;

use anyhow::Result;

use crate::{
    acceptor::Acceptor,
    context::Context,
    listener::Listener,
    strategy::{Strategy, Turns, blocking},
};

/// Serves one client at a time.
#[derive(Clone, Copy, Debug)]
pub struct Sequential;

impl Strategy for Sequential {
    fn turns(&self) -> Turns {
        Turns::OneAfterTheOther
    }

    fn serve(self: Box<Self>, listeners: Vec<Listener>, context: &Arc<Context>) -> Result<()> {
        let mut acceptor = Acceptor::new(listeners, context);
        while let Some(connection) = acceptor.next_client()? {
            context.span(&connection).in_scope(|| blocking::serve(connection, context));
        }
        Ok(())
    }
}
