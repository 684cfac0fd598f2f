//! From flags to a plan.

use std::{fs, path::Path, time::Duration};

use anyhow::{Context, Result};
use fib_client::load::{Mix, Pace, Plan, Rates, Schedule, Until};

use crate::cli::{LoadArgs, PerfArgs, Preset};

/// How long is measured when nothing else is said.
const DURATION: Duration = Duration::from_secs(10);

/// How long each probe of a search is measured.
const PROBE: Duration = Duration::from_secs(2);

/// The longest warm-up that nobody asked for.
const WARM_UP_MAX: Duration = Duration::from_secs(1);

pub(super) fn plan(args: &PerfArgs) -> Result<Plan> {
    let load = &args.load;
    let duration = duration(args);
    let warm_up = match load.requests {
        Some(_) => load.warm_up.unwrap_or_default(),
        None => warm_up(load, duration),
    };
    Ok(Plan {
        dialect: args.server.dialect,
        connections: load.connections,
        depth: load.depth,
        threads: load.threads,
        busy_poll: load.busy_poll,
        pace: pace(load),
        mix: mix(args)?,
        until: load.requests.map_or(Until::Elapsed(duration), Until::Requests),
        warm_up,
        drain: load.drain,
        timeout: args.server.timeout,
        reconnect: load.reconnect,
        seed: load.seed,
        start_at: load.start_at,
        tls: args.server.tls.read()?,
        ..Plan::new(args.server.server.clone())
    })
}

fn warm_up(load: &LoadArgs, duration: Duration) -> Duration {
    load.warm_up.unwrap_or_else(|| (duration / 10).min(WARM_UP_MAX))
}

/// Stages say themselves how long they take; their warm-up comes before them, at the first rate.
fn duration(args: &PerfArgs) -> Duration {
    let stages = args.load.rate.as_ref().map_or(Duration::ZERO, Rates::duration);
    if !stages.is_zero() {
        return stages;
    }
    let default = if args.study.find_max.is_some() { PROBE } else { DURATION };
    args.load.duration.unwrap_or(default)
}

fn pace(load: &LoadArgs) -> Pace {
    match &load.rate {
        None => Pace::Closed { think: load.think },
        Some(rates) => {
            let (arrivals, late) = (load.arrivals, load.late);
            Pace::Open(Schedule { rates: rates.clone(), arrivals, late })
        }
    }
}

fn mix(args: &PerfArgs) -> Result<Mix> {
    if let Some(file) = &args.load.replay {
        return replay(file).with_context(|| format!("--replay {}", file.display()));
    }
    let n = args.load.n.unwrap_or(match args.preset {
        Some(Preset::Perf1) => 30,
        Some(Preset::Perf2) | None => 1,
    });
    Ok(args.load.mix.clone().unwrap_or_else(|| Mix::only(n)))
}

fn replay(file: &Path) -> Result<Mix> {
    let text = fs::read_to_string(file)?;
    let number = |(at, line): (usize, &str)| {
        line.trim().parse().with_context(|| format!("line {}: {line:?} is no number", at + 1))
    };
    let numbers: Vec<u64> = text.lines().enumerate().map(number).collect::<Result<_>>()?;
    Ok(Mix::replay(&numbers)?)
}
