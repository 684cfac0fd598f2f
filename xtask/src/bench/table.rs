//! The result as one table: a row for each server, the median of its repetitions in each column.

use std::ops::RangeInclusive;

use anyhow::Result;
use fib_client::report::{Latency, Report};
use xshell::Shell;

use crate::{
    bench::{
        plan::{Budget, Case, Effort, Plan, is_wanted},
        record::{Cell, Participant, Record},
        scenario::{CANARY, LONG, ONE_CLIENT, Scenario, TABLE, THREE_CLIENTS},
        sheet::{Excerpt, Sheet},
        statistics::Values,
    },
    build::Programs,
    flags::BenchArgs,
    peers::{self, COMPUTES, STRATEGIES},
    tools::to_f64,
};

const HEADER: [&str; 11] = [
    "server",
    "fib(30) ms",
    "1 client req/s",
    "p50 / p99 / p99.9 µs",
    "3 clients req/s",
    "p50 / p99 / p99.9 µs",
    "CPU µs/req",
    "RSS MiB",
    "canary req/s",
    "p50 / p99 / p99.9 µs",
    "long/s",
];

/// What the reader must know to read it.
const LEGEND: &str = "\
Medians of the repetitions, ± half their spread. fib(30): mean time of one request on one
connection; ours run --algorithm recursive, so everybody makes the same calls. req/s and
latencies: fib(1), closed loop. CPU (user + system) and RSS: the server's whole process tree
with 3 clients. Canary: one connection asks fib(1) beside four that ask fib(40), of which
long/s are answered.";

/// Every server goes through every scenario.
pub(super) fn plan(sh: &Shell, programs: &Programs, args: &BenchArgs) -> Result<Plan> {
    let mut peers = peers::all(sh, programs)?;
    peers.retain(|peer| is_wanted(&peer.name, &args.only));
    let cases = (0..peers.len()).flat_map(|peer| TABLE.map(|scenario| Case { peer, scenario }));
    let budget = match Effort::of(args) {
        Effort::Smoke => Budget { repetitions: 1, seconds: 0.15, retries: 0 },
        Effort::Quick => Budget { repetitions: 2, seconds: 0.15, retries: 1 },
        Effort::Full => Budget { repetitions: 6, seconds: 1.0, retries: 3 },
    };
    Ok(Plan { cases: cases.collect(), peers, budget })
}

pub(super) fn sheet(record: &Record, _args: &BenchArgs) -> Sheet {
    Sheet {
        name: "bench",
        documents: &["README.md", "docs/benchmarks.md"],
        header: &HEADER,
        rows: record.servers.iter().map(|server| row(record, server)).collect(),
        legend: LEGEND,
        excerpts: STRATEGIES.map(|strategy| excerpt(record, strategy)).into(),
    }
}

/// One strategy with every way to compute, and the columns in which they differ.
fn excerpt(record: &Record, strategy: &str) -> Excerpt {
    const COLUMNS: RangeInclusive<usize> = 4..=10;
    let row = |compute: &str| {
        let name = peers::name_of(strategy, compute);
        let server = record.servers.iter().find(|it| it.name == name)?;
        Some([&[format!("`{compute}`")], &row(record, server)[COLUMNS]].concat())
    };
    Excerpt {
        document: "docs/strategies.md",
        name: strategy.to_owned(),
        header: [&["`--compute`"], &HEADER[COLUMNS]].concat(),
        rows: COMPUTES.into_iter().filter_map(row).collect(),
    }
}

fn row(record: &Record, server: &Participant) -> Vec<String> {
    let mut row = vec![server.name.clone()];
    if let Some(absence) = &server.absence {
        row.push(absence.word().to_owned());
        row.resize(HEADER.len(), "-".to_owned());
        return row;
    }
    let cells = |scenario: &Scenario| record.cells(&server.name, scenario.name);
    let three = cells(&THREE_CLIENTS);
    let mean = |cell: &Cell| load(cell)?.latency.response.mean_ns.map(|ns| ns / 1e6);
    row.push(Values::of(&cells(&LONG), mean).told_with_spread(2));
    row.extend(fast(&cells(&ONE_CLIENT), load));
    row.extend(fast(&three, load));
    row.push(Values::of(&three, cpu_us_per_reply).told_with_spread(1));
    row.push(
        Values::of(&three, |it| Some(to_f64(it.rss_bytes) / f64::from(1 << 20)))
            .told_with_spread(1),
    );
    let canary = cells(&CANARY);
    row.extend(fast(&canary, |cell| cell.reports.get("canary")));
    let long = |cell: &Cell| Some(cell.reports.get("long")?.rate_per_s);
    row.push(Values::of(&canary, long).told_with_spread(1));
    row
}

/// What the only client of a scenario found.
fn load(cell: &Cell) -> Option<&Report> {
    cell.reports.get("load")
}

/// The two columns of a load of short requests.
fn fast(cells: &[&Cell], report: impl Fn(&Cell) -> Option<&Report>) -> [String; 2] {
    let rate = Values::of(cells, |cell| Some(report(cell)?.rate_per_s)).told_with_spread(0);
    let micros = |percentile: fn(&Latency) -> Option<u64>| {
        Values::of(cells, |cell| Some(to_f64(percentile(&report(cell)?.latency.response)?) / 1e3))
    };
    let p50 = micros(|it| it.p50_ns).told(0);
    let p99 = micros(|it| it.p99_ns).told(0);
    let p99_9 = micros(|it| it.p99_9_ns).told_with_spread(0);
    let starved = starved(cells.iter().filter_map(|cell| report(cell)));
    [rate + &starved, format!("{p50} / {p99} / {p99_9}")]
}

/// How many connections got no answer, where there were any: their wait is in no latency.
fn starved<'a>(reports: impl Iterator<Item = &'a Report>) -> String {
    let connections = reports.map(|it| it.connections);
    match connections.min_by_key(|it| it.served) {
        Some(it) if it.served < it.open => format!(" ({} of {} served)", it.served, it.open),
        _ => String::new(),
    }
}

fn cpu_us_per_reply(cell: &Cell) -> Option<f64> {
    let replies = load(cell)?.replies;
    (replies > 0).then(|| cell.server_cpu_s * 1e6 / to_f64(replies))
}
