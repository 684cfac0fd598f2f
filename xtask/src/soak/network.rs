//! Everything at once, for as long as somebody has time: faults of the network, processes that are
//! killed, settings that change, clients that come and go, and at last servers that follow each
//! other.

use std::{
    fmt,
    iter::Sum,
    sync::{
        Arc,
        mpsc::{self, RecvTimeoutError},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use fastrand::Rng;

use super::{
    Plan,
    clients::hold_all,
    conversation::{Conversation, Endings, Wish},
    mix,
    model::Found,
    subject::Subject,
};
use crate::tools::to_f64;

/// What is held by then was needed; what is held later is a leak.
const WARM_UP: Duration = Duration::from_mins(1);

/// This part of the rest is for restarts, too. Before it each server is one process, which has its
/// memory as long as it lives.
const RESTARTS_PART: u32 = 3;

/// How long a server is left alone, at most.
const PEACE_MAX: Duration = Duration::from_secs(5);

/// What a server has gone through.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Outcome {
    pub(super) found: Found,
    pub(super) blows: Blows,
    /// The memory after the warm-up, and when restarts began.
    rss_bytes: [u64; 2],
}

/// What a server goes through, one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    WarmUp,
    /// Long, as one process.
    Life,
    Restarts,
}

/// What was done to a server meanwhile.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Blows {
    kills: u64,
    reloads: u64,
    restarts: u64,
}

impl Phase {
    const ALL: [Self; 3] = [Self::WarmUp, Self::Life, Self::Restarts];

    /// How long it is, of so much time for all of them.
    fn duration(self, all: Duration) -> Duration {
        let warm_up = WARM_UP.min(all / 3);
        let rest = all.saturating_sub(warm_up);
        match self {
            Self::WarmUp => warm_up,
            Self::Life => rest.saturating_sub(rest / RESTARTS_PART),
            Self::Restarts => rest / RESTARTS_PART,
        }
    }

    /// What the client of this conversation wants.
    const fn wish(self, number: u64) -> Wish {
        match self {
            Self::WarmUp => Wish::EveryLength,
            // Longer than a process stays that has a successor.
            Self::Restarts if number.is_multiple_of(2) => Wish::ToStay,
            _ => Wish::Usual,
        }
    }
}

impl Outcome {
    /// The memory when restarts began, as a multiple of that after the warm-up.
    pub(super) fn growth(&self) -> f64 {
        let [before, after] = self.rss_bytes.map(to_f64);
        after / before
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { found, blows, rss_bytes: [before, after] } = self;
        let growth = self.growth();
        write!(f, "{found}, {blows}; memory {before} -> {after} bytes, {growth:.3} times")
    }
}

impl Sum for Blows {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), |sum, it| Self {
            kills: sum.kills + it.kills,
            reloads: sum.reloads + it.reloads,
            restarts: sum.restarts + it.restarts,
        })
    }
}

impl fmt::Display for Blows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kills, reloads, restarts } = self;
        write!(f, "{kills} children killed, {reloads} reloads, {restarts} restarts")
    }
}

pub(super) fn run(plan: &Plan, subject: &Arc<Subject>) -> Result<Outcome> {
    let mut outcome = Outcome::default();
    for (first, phase) in (0..).step_by(1 << 32).zip(Phase::ALL) {
        let until = Instant::now() + phase.duration(plan.duration);
        let (found, blows) = Load { plan, subject, phase, first, until }.make()?;
        subject.check_rest()?;
        outcome.found += found;
        outcome.blows = [outcome.blows, blows].into_iter().sum();
        if let Some(memory) = outcome.rss_bytes.get_mut(phase as usize) {
            *memory = subject.rss_bytes()?;
        }
    }
    Ok(outcome)
}

struct Load<'a> {
    plan: &'a Plan,
    subject: &'a Arc<Subject>,
    phase: Phase,
    /// The number of the first conversation: each phase has others.
    first: u64,
    until: Instant,
}

impl Load<'_> {
    /// What was answered, and what was done to the server meanwhile.
    fn make(&self) -> Result<(Found, Blows)> {
        thread::scope(|scope| {
            let (calm, enough) = mpsc::channel();
            let striking = scope.spawn(move || self.strike(&enough));
            let found = self.hold_conversations();
            drop(calm);
            let blows = striking.join().expect("it does not panic")?;
            Ok((found?, blows))
        })
    }

    fn hold_conversations(&self) -> Result<Found> {
        let seed = self.plan.seed_of(self.subject.way);
        let (first, until, stop) = (self.first, self.until, Arc::clone(&self.plan.stop));
        // A child of it that is killed takes its clients with it.
        let is_prefork = self.subject.way.strategy == "prefork";
        let endings = if is_prefork { Endings::Any } else { Endings::InOrder };
        let phase = self.phase;
        hold_all(self.subject, endings, move |number| {
            let goes_on = Instant::now() < until && !stop.is_set();
            goes_on.then(|| Conversation::draw(phase.wish(number), mix(seed, first + number)))
        })
    }

    /// Kills a child, has the settings changed, or has another process serve, now and then, until
    /// it is told that this is enough.
    fn strike(&self, enough: &mpsc::Receiver<()>) -> Result<Blows> {
        let mut rng = Rng::with_seed(mix(self.plan.seed_of(self.subject.way), self.first));
        let mut blows = Blows::default();
        let has_restarts = self.phase == Phase::Restarts;
        if has_restarts {
            // However short the phase is.
            self.restart(&mut blows)?;
        }
        while enough.recv_timeout(PEACE_MAX.mul_f64(rng.f64())) == Err(RecvTimeoutError::Timeout) {
            match rng.u32(0..if has_restarts { 3 } else { 2 }) {
                0 => blows.kills += u64::from(self.subject.kill_a_child(&mut rng)?),
                1 => {
                    self.subject.reload(&mut rng)?;
                    blows.reloads += 1;
                }
                _ => self.restart(&mut blows)?,
            }
        }
        Ok(blows)
    }

    fn restart(&self, blows: &mut Blows) -> Result<()> {
        self.subject.restart().context("a restart")?;
        blows.restarts += 1;
        Ok(())
    }
}
