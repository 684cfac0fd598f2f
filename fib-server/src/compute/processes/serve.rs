//! The child's side: one conversation over its stdin, and no other client.

use std::sync::Arc;

use anyhow::{Context as _, Result};
use fib_proto::{Dialect, Limits};

use crate::{
    child,
    compute::{Algorithm, Compute, ComputeKind, ComputeOptions, Schedule},
    connection::{ConnectionLimits, Connections},
    context::Context,
    counters::Counters,
    peer::Peer,
    strategy,
};

/// How much less of a core a child takes than its server, which has clients to talk to.
const NICENESS: i32 = 10;

/// Answers the server that has started this process, until it hangs up.
pub(crate) fn serve(algorithm: Algorithm, max_n: u64) -> Result<()> {
    let socket = child::begin()?;
    // It cannot be refused, and a child that is not nice is still a good one.
    let _ = rustix::process::nice(NICENESS);
    let options = ComputeOptions {
        kind: ComputeKind::Inline,
        compute_threads: None,
        algorithm,
        schedule: Schedule::default(),
        max_in_flight: 1,
        deadline: None,
    };
    let counters = Arc::new(Counters::alone());
    let compute = Compute::new(options, Arc::clone(&counters))?;
    let limits = Limits { dialect: Dialect::Line, max_n, ..Limits::default() };
    // The server is its only client, and reads when it wants.
    let connections = Connections::new(ConnectionLimits::none(1), counters);
    let context = Context::new("compute".to_owned(), limits, compute, connections, None);
    let context = Arc::new(context.context("creating the latch")?);
    let connection = context.admit(socket, Peer::Local);
    strategy::serve_blocking(connection.context("admitting the server")?, &context);
    Ok(())
}
