//! `cargo xtask soak`: whether the promises hold for long, and whatever the network does.
//!
//! All servers run at once, each with a proxy of faults before it and a model beside it that knows
//! every right reply. Whatever is drawn is drawn from one seed, which is said at the beginning.

mod clients;
mod conversation;
mod matrix;
mod model;
mod network;
mod subject;
mod tls;

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use xshell::{Shell, cmd};

use self::{
    model::Found,
    network::Blows,
    subject::{Subject, Way},
};
use crate::{
    build::Programs,
    flags::{SoakArgs, SoakPart},
    tools::{say, to_f64},
};

/// How often each fault is tried.
const SEEDS: u64 = 200;

/// How long everything takes that shows that it works.
const SMOKE_DURATION: Duration = Duration::from_secs(6);

/// From then on it is told whether memory grows.
const LONG: Duration = Duration::from_mins(3);

/// The memory at the end, as a multiple of that after the warm-up.
const GROWTH_MAX: f64 = 1.05;

/// How many right replies a second there are at least.
const RATE_MIN: f64 = 1e6 / 600.0;

/// What is done, and how.
#[derive(Debug)]
struct Plan {
    server: PathBuf,
    ways: Vec<Way>,
    seed: u64,
    /// How many of the following ones each fault is drawn from.
    seeds: u64,
    duration: Duration,
    stop: Arc<Stop>,
}

/// Set when something is wrong: nothing that comes later is of interest.
#[derive(Debug, Default)]
struct Stop(AtomicBool);

pub(crate) fn run(sh: &Shell, args: &SoakArgs) -> Result<()> {
    let seed = args.seed.unwrap_or_else(|| fastrand::u64(..));
    say(&format!("soak: what follows is drawn from --seed {seed}"));
    let runs = |part| args.parts.is_empty() || args.parts.contains(&part);
    let replay = |part: &str| format!("cargo xtask soak {part} --seed {seed} does the same again");
    if runs(SoakPart::Faults) || runs(SoakPart::Network) {
        let plan = Plan::new(sh, args, seed)?;
        if runs(SoakPart::Faults) {
            soak_faults(&plan).with_context(|| replay("faults"))?;
        }
        if runs(SoakPart::Network) {
            soak_network(&plan).with_context(|| replay("network"))?;
        }
    }
    // Their fast form runs with all tests.
    if runs(SoakPart::Promises) && !args.smoke {
        soak_promises(sh, seed).with_context(|| replay("promises"))?;
    }
    Ok(())
}

fn soak_faults(plan: &Plan) -> Result<()> {
    let each = plan.with_each_subject(|subject| matrix::run(plan, subject))?;
    let found = each.into_iter().map(|(_, found)| found).sum::<Found>();
    say(&format!("each fault for itself: {found}"));
    Ok(())
}

fn soak_network(plan: &Plan) -> Result<()> {
    let each = plan.with_each_subject(|subject| network::run(plan, subject))?;
    let found = each.iter().map(|(_, it)| it.found).sum::<Found>();
    let blows = each.iter().map(|(_, it)| it.blows).sum::<Blows>();
    say(&format!("all faults together: {found}, {blows}"));
    if plan.duration < LONG {
        return Ok(());
    }
    let mut has_grown = false;
    for (way, outcome) in &each {
        has_grown |= outcome.growth() > GROWTH_MAX;
        say(&format!("{way}: {outcome}"));
    }
    ensure!(!has_grown, "memory has grown to more than {GROWTH_MAX} times what it was");
    let rate = to_f64(found.right) / plan.duration.as_secs_f64();
    ensure!(rate >= RATE_MIN, "{rate:.0} right replies a second prove too little");
    Ok(())
}

fn soak_promises(sh: &Shell, seed: u64) -> Result<()> {
    let _long = sh.push_env("FIB_LONG", "1");
    let _seed = sh.push_env("FIB_SEED", seed.to_string());
    cmd!(sh, "cargo test -p fib-server --test main promises").run()?;
    Ok(cmd!(sh, "cargo test -p fib-proto").run()?)
}

impl Plan {
    fn new(sh: &Shell, args: &SoakArgs, seed: u64) -> Result<Self> {
        let is_wanted = |wanted: &[String], it| wanted.is_empty() || wanted.iter().any(|w| w == it);
        let ways = Way::all().filter(|it| {
            is_wanted(&args.strategy, it.strategy) && is_wanted(&args.compute, it.compute)
        });
        // A debug build is made faster, and knows more of what cannot be.
        let programs = if args.smoke { Programs::debug(sh) } else { Programs::build(sh) };
        Ok(Self {
            server: programs?.server,
            ways: ways.collect(),
            seed,
            seeds: if args.smoke { 1 } else { SEEDS },
            duration: if args.smoke { SMOKE_DURATION } else { args.duration },
            stop: Arc::default(),
        })
    }

    /// What is drawn for one of them does not depend on the others.
    fn seed_of(&self, way: Way) -> u64 {
        let at = Way::all().position(|it| it == way).unwrap_or_default();
        mix(self.seed, at as u64)
    }

    /// Starts all servers, has each go through it, on a thread of its own, and ends it.
    fn with_each_subject<T: Send>(
        &self,
        go_through: impl Fn(&Arc<Subject>) -> Result<T> + Sync,
    ) -> Result<Vec<(Way, T)>> {
        let of = |way: Way| -> Result<Option<(Way, T)>> {
            let Some(subject) = Subject::start(way, &self.server)? else { return Ok(None) };
            let subject = Arc::new(subject);
            let outcome = go_through(&subject)?;
            Arc::into_inner(subject).context("all its clients are gone")?.finish()?;
            Ok(Some((way, outcome)))
        };
        let and_stop = |way| {
            let outcome = of(way).with_context(|| way.to_string());
            outcome.inspect_err(|_| self.stop.set())
        };
        thread::scope(|scope| {
            let threads: Vec<_> =
                self.ways.iter().map(|&way| scope.spawn(move || and_stop(way))).collect();
            let outcomes = threads.into_iter().map(|it| it.join().expect("it does not panic"));
            outcomes.filter_map(Result::transpose).collect()
        })
    }
}

impl Stop {
    fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// A seed for each number.
fn mix(seed: u64, number: u64) -> u64 {
    fastrand::Rng::with_seed(seed ^ number.wrapping_mul(0x9E37_79B9_7F4A_7C15)).u64(..)
}
