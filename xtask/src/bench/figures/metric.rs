//! Numbers that are read from one run of a scenario.

use fib_client::report::Latency;

use crate::{
    bench::{
        columns::micros,
        figures::list::HEAD_START,
        found::{ClassFound, Found},
        record::{Cell, Counters, Endings},
    },
    tools::to_f64,
};

/// A number of one run, with its unit.
#[derive(Clone, Copy, Debug)]
pub(super) struct Metric {
    pub(super) name: &'static str,
    pub(super) decimals: usize,
    pub(super) of: fn(&Cell) -> Option<f64>,
    /// What it is at least, where there were too few replies to tell it.
    pub(super) floor: fn(&Cell) -> Option<f64>,
}

pub(super) const RATE: Metric =
    Metric::new("req/s", 0, |cell| Some(found(cell, "load")?.rate_per_s));

pub(super) const MEAN: Metric =
    Metric::new("mean ms", 2, |cell| Some(found(cell, "load")?.response.mean_ns? / 1e6));

pub(super) const P99_9: Metric = Metric {
    floor: |cell| known_tail(&found(cell, "load")?.response),
    ..Metric::new("p99.9 µs", 0, |cell| micros(found(cell, "load")?.response.p99_9_ns))
};

pub(super) const CANARY_P99_9: Metric = Metric {
    floor: |cell| known_tail(&found(cell, "canary")?.response),
    ..Metric::new("canary p99.9 µs", 0, |cell| micros(found(cell, "canary")?.response.p99_9_ns))
};

pub(super) const CANARY_RATE: Metric =
    Metric::new("canary req/s", 0, |cell| Some(found(cell, "canary")?.rate_per_s));

pub(super) const LONG_RATE: Metric =
    Metric::new("long/s", 1, |cell| Some(found(cell, "long")?.rate_per_s));

/// How long the last of the long requests took.
pub(super) const LONG_DONE: Metric =
    Metric::new("all long done, s", 3, |cell| Some(found(cell, "long")?.elapsed_s));

/// How long everything took, the short requests too.
pub(super) const ALL_DONE: Metric = Metric::new("everything done, s", 3, |cell| {
    let (long, beside) = (found(cell, "long")?, found(cell, "beside")?);
    Some(long.elapsed_s.max(HEAD_START.as_secs_f64() + beside.elapsed_s))
});

/// What long requests add to the latency of short ones.
pub(super) const WAIT_P99: Metric = Metric::new("p99 minus p99 alone, µs", 0, |cell| {
    let p99 = |name| micros(found(cell, name)?.response.p99_ns);
    Some(p99("beside")? - p99("alone")?)
});

/// How many times longer a request took than it takes alone: the mean over all requests.
pub(super) const SLOWDOWN: Metric = Metric::new("mean slowdown", 2, |cell| {
    let (alone, batch) = (found(cell, "alone")?, found(cell, "batch")?);
    let of_class = |class: &ClassFound| {
        let mean = |found: &Found| found.classes.iter().find(|it| it.n == class.n)?.mean_ns;
        Some(to_f64(class.replies) * mean(batch)? / mean(alone)?)
    };
    let sum: Option<f64> = batch.classes.iter().map(of_class).sum();
    Some(sum? / to_f64(batch.replies))
});

/// Memory of the server's whole process tree.
pub(super) const IDLE_KIB: Metric = Metric::new("KiB an idle connection", 2, |cell| {
    let idle = cell.idle?;
    let grown = to_f64(idle.rss_bytes_after) - to_f64(idle.rss_bytes_before);
    Some(grown / 1024.0 / to_f64(idle.connections as u64))
});

/// How much of its rate a load keeps beside others.
pub(super) const KEPT_RATE: Metric = Metric::new("% of the rate without", 1, |cell| {
    Some(100.0 * found(cell, "beside")?.rate_per_s / found(cell, "alone")?.rate_per_s)
});

pub(super) const RESET_MS: Metric =
    Metric::new("slowest to stop, ms", 2, |cell| Some(cell.endings?.slowest_ms));

pub(super) const CANCELLED: Metric = Metric::new("% cancelled", 1, |cell| {
    let Endings { clients, counted, .. } = cell.endings?;
    Some(100.0 * to_f64(counted.cancelled) / to_f64(clients))
});

pub(super) const ANSWERED: Metric = Metric::new("% right answers", 2, |cell| {
    let Endings { clients, answered, .. } = cell.endings?;
    Some(100.0 * to_f64(answered) / to_f64(clients))
});

/// How far the server's counters are from what its clients did, and from adding up.
pub(super) const MISCOUNTED: Metric = Metric::new("miscounted", 0, |cell| {
    let Endings { clients, answered, counted, .. } = cell.endings?;
    let Counters { accepted, closed, requests, ok, err, cancelled } = counted;
    let pairs = [
        (accepted, clients),
        (closed, clients),
        (requests, ok + err + cancelled),
        (ok, answered),
        (cancelled, clients - answered),
    ];
    Some(to_f64(pairs.into_iter().map(|(counted, real)| counted.abs_diff(real)).sum()))
});

impl Metric {
    const fn new(name: &'static str, decimals: usize, of: fn(&Cell) -> Option<f64>) -> Self {
        Self { name, decimals, of, floor: of }
    }
}

fn found<'a>(cell: &'a Cell, load: &str) -> Option<&'a Found> {
    cell.found(load)
}

/// The highest percentile up to 99.9 that has enough samples: the 99.9th is not below it.
fn known_tail(latency: &Latency) -> Option<f64> {
    micros(latency.p99_9_ns.or(latency.p99_ns).or(latency.p90_ns).or(latency.p50_ns))
}
