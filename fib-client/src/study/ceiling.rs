//! How much of a result is the client's own: the same load on a server that does nothing.

use std::{io, time::Duration};

use crate::{
    load::{Pace, Plan, Until},
    report::{Ceiling, Report},
    study::{NullServer, RunLoad},
};

/// Long enough for a rate to a few percent.
const DURATION: Duration = Duration::from_secs(1);

/// Measures what this client makes of a [`NullServer`] on this machine, as fast as it can, with the
/// connections, depth, threads and mix of the plan.
///
/// # Errors
///
/// Those of [`load::run`](crate::load::run).
pub fn ceiling(plan: &Plan, run: &mut RunLoad<'_>) -> io::Result<Ceiling> {
    let server = NullServer::start(plan)?;
    let plan = Plan {
        address: server.address().clone(),
        pace: Pace::Closed { think: Duration::ZERO },
        until: Until::Elapsed(DURATION),
        warm_up: DURATION / 10,
        start_at: None,
        tls: None,
        ..plan.clone()
    };
    let report = Report::new(&plan, &run(&plan)?);
    Ok(Ceiling { rate_per_s: report.rate_per_s, response: report.latency.response })
}
