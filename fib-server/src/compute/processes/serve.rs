//! The child's side: one conversation over its stdin, and no other client.

use std::sync::Arc;

use anyhow::{Context as _, Result};
use fib_proto::Limits;

use crate::{
    arguments::Typed,
    child,
    compute::{Algorithm, Compute, ComputeKind, ComputeOptions, Schedule},
    connection::Connections,
    context::Context,
    counters::Counters,
    panics,
    peer::Peer,
    settings::Settings,
    strategy,
};

/// How much less of a core a child takes than its server, which has clients to talk to.
const NICENESS: i32 = 10;

/// Answers the server that has started this process, until it hangs up.
pub(crate) fn serve(algorithm: Algorithm) -> Result<()> {
    let socket = child::begin()?;
    panics::end_process();
    // It cannot be refused, and a child that is not nice is still a good one.
    let _ = rustix::process::nice(NICENESS);
    let options = ComputeOptions {
        kind: ComputeKind::Inline,
        compute_threads: None,
        algorithm,
        schedule: Schedule::default(),
    };
    let counters = Arc::new(Counters::alone(1));
    let compute = Compute::new(options, &Typed::default(), Arc::clone(&counters))?;
    // The server is its only client, has looked at what it asks, and reads when it wants.
    let settings = Settings::unlimited(Limits { max_n: u64::MAX, ..Limits::default() }, 1);
    let connections = Connections::new(settings, counters);
    let context = Context::new("compute".to_owned(), compute, connections, None);
    let context = Arc::new(context.context("creating the latch")?);
    let connection = context.admit(socket, Peer::Local);
    strategy::serve_blocking(connection.context("admitting the server")?, &context);
    Ok(())
}
