//! The load on a server that has no fib, told as `fib-client` tells its own.

use std::time::Duration;

use anyhow::Result;

use crate::{
    bench::{found::Found, scenario::Load},
    line_client::{LineClient, Shape},
    tools::to_f64,
};

/// Makes a load of so many connections, depth and threads. It has no latencies.
pub(super) fn load(
    client: &LineClient,
    address: &str,
    load: &Load,
    duration: Duration,
) -> Result<Found> {
    let Load { connections, depth, threads, .. } = *load;
    let answered = client.load(address, Shape { connections, depth, threads }, duration)?;
    Ok(Found {
        connections,
        served: connections,
        elapsed_s: to_f64(answered.replies) / answered.rate_per_s,
        replies: answered.replies,
        rate_per_s: answered.rate_per_s,
        ..Found::default()
    })
}
