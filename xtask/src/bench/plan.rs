//! Who goes through what, how often, and in which order.

use std::time::Duration;

use anyhow::Result;
use fastrand::Rng;

use crate::{
    bench::{
        record::{Excuse, Head, Participant},
        run::Run,
        scenario::Scenario,
    },
    flags::{BenchArgs, EffortArgs},
    peers::Peer,
};

/// How much of the developer's time a bench takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effort {
    Smoke,
    Quick,
    Full,
}

/// What that allows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Budget {
    pub(super) repetitions: usize,
    /// How long a load lasts, times its scenario's weight.
    pub(super) seconds: f64,
    /// How often a run is made again that the host of this machine disturbed.
    pub(super) retries: usize,
}

/// All that shall be measured.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) peers: Vec<Peer>,
    pub(super) cases: Vec<Case>,
    /// What some are not asked for, and why.
    pub(super) excused: Vec<(Case, &'static str)>,
    pub(super) budget: Budget,
}

/// One of the plan's servers, and what it goes through in every repetition.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Case {
    /// Its place among the plan's peers.
    pub(super) peer: usize,
    pub(super) scenario: &'static Scenario,
}

/// What a run takes besides its loads: starting the server and the clients, and ending them.
const OVERHEAD: Duration = Duration::from_millis(80);

impl Effort {
    pub(super) const fn of(args: &BenchArgs) -> Self {
        match args.effort {
            EffortArgs { full: true, .. } => Self::Full,
            EffortArgs { smoke: true, .. } => Self::Smoke,
            _ => Self::Quick,
        }
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Smoke => "smoke",
            Self::Quick => "quick",
            Self::Full => "full",
        }
    }
}

impl Head {
    /// As it was asked for.
    pub(super) fn effort(&self) -> Effort {
        let all = [Effort::Smoke, Effort::Full];
        all.into_iter().find(|it| it.name() == self.budget).unwrap_or(Effort::Quick)
    }
}

impl Plan {
    /// Learns who can take part, and forgets the cases of those who cannot.
    pub(super) fn call_the_roll(&mut self) -> Result<Vec<Participant>> {
        let servers: Vec<_> = self.peers.iter().map(Participant::of).collect::<Result<_>>()?;
        self.cases.retain(|case| servers[case.peer].absence.is_none());
        Ok(servers)
    }

    /// What some are not asked for, by name.
    pub(super) fn excuses(&self) -> Vec<Excuse> {
        let excuse = |(case, why): &(Case, &str)| Excuse {
            server: self.peers[case.peer].name.clone(),
            scenario: case.scenario.name.to_owned(),
            why: (*why).to_owned(),
        };
        self.excused.iter().map(excuse).collect()
    }

    /// All runs, the repetitions one after the other, each in an order of its own.
    pub(super) fn schedule(&self, seed: u64) -> Vec<Run<'_>> {
        let mut rng = Rng::with_seed(seed);
        let mut runs = Vec::new();
        for repetition in 0..self.budget.repetitions {
            let mut round: Vec<_> = self.cases.iter().collect();
            rng.shuffle(&mut round);
            runs.extend(round.into_iter().map(|&Case { peer, scenario }| {
                let (peer, seed) = (&self.peers[peer], rng.u64(..));
                Run { peer, scenario, repetition, seed }
            }));
        }
        runs
    }
}

/// Whether a name contains one of these texts; every name does if there are none.
pub(super) fn is_wanted(name: &str, only: &[String]) -> bool {
    let name = name.to_lowercase();
    only.is_empty() || only.iter().any(|text| name.contains(&text.to_lowercase()))
}

/// About how long these runs take.
pub(super) fn estimate<'a>(runs: impl Iterator<Item = &'a Run<'a>>, budget: Budget) -> Duration {
    runs.map(|run| run.scenario.estimate(budget.seconds) + OVERHEAD).sum()
}
