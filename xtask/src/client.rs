//! `cargo xtask client`: what the load tester itself costs.
//!
//! A load tester that is slower than it must be measures itself. So it is held against a minimal
//! client in C with blocking sockets, a thread for each connection, on the same server, in turn.

use std::{
    path::Path,
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use fib_client::report::Report;
use procfs::process::Process;
use xshell::Shell;

use crate::{
    bench::{Values, is_tolerable, number, while_measuring},
    build::Programs,
    flags::ClientArgs,
    line_client::{LineClient, Shape},
    server::Server,
    tools::{CC, say, to_f64},
};

/// Connections and depth.
const SHAPES: [(usize, usize); 6] = [(1, 1), (3, 1), (64, 1), (1, 512), (3, 512), (64, 512)];

/// What ours makes of what C's makes, at least.
const RATIO_MIN: f64 = 0.95;

/// How often a run is made again when the host of the machine disturbs it.
const ATTEMPTS: usize = 3;

pub(crate) fn run(sh: &Shell, args: &ClientArgs) -> Result<()> {
    let programs = Programs::build(sh)?;
    let mut serve = Command::new(&programs.server);
    serve.args(["--listen", "127.0.0.1:0"]);
    let server = Server::start(serve).context("starting fib-server")?;
    if CC.find_or_skip("the comparison with C")?.is_some() {
        let c = LineClient::compile(sh, "1")?;
        for shape in SHAPES {
            compare(&programs.client, &c, server.address(), shape, args)?;
        }
    }
    keep_a_schedule(&programs.client, server.address(), args)?;
    stay_small(&programs.client, server.address())?;
    server.stop()
}

/// Both clients in turn, with the best flags of each: C's has a thread for each connection.
fn compare(
    ours: &Path,
    c: &LineClient,
    address: &str,
    (connections, depth): (usize, usize),
    args: &ClientArgs,
) -> Result<()> {
    let (mut rates, mut ratios) = ([Vec::new(), Vec::new()], Vec::new());
    for _ in 0..args.repetitions {
        let pair = undisturbed(|| {
            let shape = Shape { connections, depth, threads: connections };
            let theirs = c.load(address, shape, Duration::from_secs(args.seconds))?;
            let shape = ["-c", &connections.to_string(), "--depth", &depth.to_string()];
            Ok([theirs.rate_per_s, perf(ours, address, &shape, args.seconds)?.rate_per_s])
        })?;
        rates.iter_mut().zip(pair).for_each(|(rates, rate)| rates.push(rate));
        ratios.push(pair[1] / pair[0]);
    }
    let ([theirs, ours], ratio) = (rates.map(Values::from), Values::from(ratios));
    let verdict = if ratio.median().unwrap_or(0.0) >= RATIO_MIN { "yes" } else { "NO" };
    say(&format!(
        "connections {connections:>2}, depth {depth:>3}: C {}, fib-client {}, ratio {}, >= {RATIO_MIN}: \
         {verdict}",
        theirs.told_with_spread(0),
        ours.told_with_spread(0),
        ratio.told_with_spread(2)
    ));
    Ok(())
}

/// An open loop at half of what the server can do.
fn keep_a_schedule(client: &Path, address: &str, args: &ClientArgs) -> Result<()> {
    let capacity = perf(client, address, &["-c", "64"], args.seconds)?.rate_per_s;
    let rate = format!("{:.0}", capacity / 2.0);
    let (mut lags, mut offered) = (Vec::new(), Vec::new());
    for _ in 0..args.repetitions {
        let report =
            undisturbed(|| perf(client, address, &["-c", "64", "--rate", &rate], args.seconds))?;
        lags.push(report.latency.lag.p50_ns.context("the load was too short")?);
        let half: f64 = rate.parse()?;
        // What was due and what was sent: both must be what was asked for.
        let sent = to_f64(report.sent) / report.elapsed_s;
        offered.push(100.0 * (sent - half).abs() / half);
    }
    let lags = Values::from(lags.into_iter().map(|it| to_f64(it) / 1e3).collect::<Vec<_>>());
    say(&format!(
        "half of {} reqs/s, 64 connections: lag p50 {} µs, <= 20: {}; rate off by {} %, <= 0.1: {}",
        number(capacity, 0),
        lags.told_with_spread(2),
        if lags.median().unwrap_or(f64::MAX) <= 20.0 { "yes" } else { "NO" },
        Values::from(offered.clone()).told_with_spread(4),
        if Values::from(offered).median().unwrap_or(f64::MAX) <= 0.1 { "yes" } else { "NO" },
    ));
    Ok(())
}

/// A hundred times the requests, and the same memory.
fn stay_small(client: &Path, address: &str) -> Result<()> {
    let shape = ["-c", "16", "--depth", "512"];
    let peak = |requests: &str| {
        peak_rss(client, address, &[&shape[..], &["--requests", requests]].concat())
    };
    let (few, many) = (peak("1000000")?, peak("100000000")?);
    let told = |bytes: u64| number(to_f64(bytes) / f64::from(1 << 20), 1);
    say(&format!("memory: {} MiB for 10^6 requests, {} MiB for 10^8", told(few), told(many)));
    Ok(())
}

/// The measurement from which the host took least, of a few.
fn undisturbed<T>(measure: impl Fn() -> Result<T>) -> Result<T> {
    let mut best = None;
    for _ in 0..ATTEMPTS {
        let (result, stolen) = while_measuring(&measure)?;
        if best.as_ref().is_none_or(|(least, _)| stolen < *least) {
            best = Some((stolen, result));
        }
        if is_tolerable(stolen) {
            break;
        }
    }
    Ok(best.context("there is at least one attempt")?.1)
}

fn perf(client: &Path, address: &str, load: &[&str], seconds: u64) -> Result<Report> {
    let output = Command::new(client)
        .args(["perf", "--server", address, "--warm-up", "0s", "--quiet", "--json", "-"])
        .args(["--duration", &format!("{seconds}s")])
        .args(load)
        .stderr(Stdio::null())
        .output()?;
    serde_json::from_slice(&output.stdout)
        .with_context(|| format!("fib-client ended with {} and no report", output.status))
}

fn peak_rss(client: &Path, address: &str, load: &[&str]) -> Result<u64> {
    let mut child = Command::new(client)
        .args(["perf", "--server", address, "--quiet"])
        .args(load)
        .stdout(Stdio::null())
        .spawn()?;
    let process = Process::new(i32::try_from(child.id())?)?;
    let mut peak = 0;
    loop {
        if let Some(kib) = process.status().ok().and_then(|it| it.vmhwm) {
            peak = peak.max(kib * 1024);
        }
        match child.try_wait()? {
            Some(status) if status.success() => return Ok(peak),
            Some(status) => bail!("fib-client ended with {status}"),
            None => thread::sleep(Duration::from_millis(20)),
        }
    }
}
