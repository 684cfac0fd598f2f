//! Redis' own load tester, for a server that has no fib: it asks PING, inline, as often as it can.

use std::{process::Command, time::Duration};

use anyhow::{Context, Result, ensure};
use fib_client::report::{Connections, Report, SCHEMA_VERSION, Setup};

use crate::{
    bench::scenario::Load,
    tools::{REDIS_BENCHMARK, to_f64},
};

/// About what Redis answers in a millisecond: its load tester counts requests, not time.
const REQUESTS_PER_MS: u64 = 1_000;

/// Makes a load of so many connections, depth and threads, told as `fib-client` tells its own.
pub(super) fn load(address: &str, load: &Load, duration: Duration) -> Result<Report> {
    let (host, port) = address.rsplit_once(':').context("an address has a port")?;
    let requests = u64::try_from(duration.as_millis())? * REQUESTS_PER_MS;
    let program = REDIS_BENCHMARK.find()?.context("redis-benchmark is missing")?;
    let output = Command::new(program)
        .args(["-h", host, "-p", port, "-t", "ping_inline", "--csv"])
        .args(["-n", &requests.to_string(), "-c", &load.connections.to_string()])
        .args(["-P", &load.depth.to_string(), "--threads", &load.threads.to_string()])
        .output()
        .context("running redis-benchmark")?;
    ensure!(output.status.success(), "redis-benchmark ended with {}", output.status);
    let csv = String::from_utf8_lossy(&output.stdout);
    let rate = rate_per_s(&csv).with_context(|| format!("redis-benchmark said {csv:?}"))?;
    Ok(report(address, load, requests, rate))
}

/// Its last line is the only test's: `"PING_INLINE","1174623.62",` and latencies.
fn rate_per_s(csv: &str) -> Option<f64> {
    csv.trim().lines().last()?.split(',').nth(1)?.trim_matches('"').parse().ok()
}

/// Its latencies are left out: of a pipeline, it measures another moment than `fib-client`.
fn report(address: &str, load: &Load, requests: u64, rate_per_s: f64) -> Report {
    let connections =
        Connections { open: load.connections, served: load.connections, ..Connections::default() };
    let setup = Setup {
        dialect: "redis".to_owned(),
        connections: load.connections,
        depth: load.depth,
        threads: load.threads,
        ..Setup::default()
    };
    Report {
        schema_version: SCHEMA_VERSION,
        server: address.to_owned(),
        setup,
        connections,
        elapsed_s: to_f64(requests) / rate_per_s,
        replies: requests,
        rate_per_s,
        ..Report::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rate_is_read_from_its_csv() {
        let csv = "\"test\",\"rps\",\"avg_latency_ms\"\n\"PING_INLINE\",\"1174623.62\",\"6.362\"\n";
        assert_eq!(rate_per_s(csv), Some(1_174_623.62));
        assert_eq!(rate_per_s("Could not connect"), None);
    }
}
