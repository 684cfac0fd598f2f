//! Everything at once, for as long as somebody has time: faults of the network, processes that are
//! killed, settings that change, clients that come and go.

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

use anyhow::Result;
use fastrand::Rng;

use super::{
    Plan,
    clients::hold_all,
    conversation::{Conversation, Endings},
    mix,
    model::Found,
    subject::Subject,
};
use crate::tools::to_f64;

/// What is held by then was needed; what is held later is a leak.
const WARM_UP: Duration = Duration::from_mins(1);

/// How long a server is left alone, at most.
const PEACE_MAX: Duration = Duration::from_secs(5);

/// What a server has gone through.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Outcome {
    pub(super) found: Found,
    pub(super) blows: Blows,
    /// The memory after the warm-up and at the end.
    rss_bytes: [u64; 2],
}

/// What was done to a server meanwhile.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Blows {
    kills: u64,
    reloads: u64,
}

impl Outcome {
    /// The memory at the end, as a multiple of that after the warm-up.
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
        })
    }
}

impl fmt::Display for Blows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} children killed, {} reloads", self.kills, self.reloads)
    }
}

pub(super) fn run(plan: &Plan, subject: &Arc<Subject>) -> Result<Outcome> {
    let warm_up = WARM_UP.min(plan.duration / 2);
    let mut outcome = Outcome::default();
    let mut first = 0;
    for (at, duration) in [warm_up, plan.duration.saturating_sub(warm_up)].into_iter().enumerate() {
        let load = Load { plan, subject, first, until: Instant::now() + duration };
        let (found, blows) = load.make()?;
        subject.check_rest()?;
        outcome.found += found;
        outcome.blows = [outcome.blows, blows].into_iter().sum();
        outcome.rss_bytes[at] = subject.rss_bytes()?;
        // Other conversations than those before.
        first += 1 << 32;
    }
    Ok(outcome)
}

struct Load<'a> {
    plan: &'a Plan,
    subject: &'a Arc<Subject>,
    /// The number of the first conversation.
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
        hold_all(self.subject, endings, move |number| {
            let goes_on = Instant::now() < until && !stop.is_set();
            goes_on.then(|| Conversation::draw(mix(seed, first + number)))
        })
    }

    /// Kills a child or has the settings changed now and then, until it is told that this is
    /// enough.
    fn strike(&self, enough: &mpsc::Receiver<()>) -> Result<Blows> {
        let mut rng = Rng::with_seed(mix(self.plan.seed_of(self.subject.way), self.first));
        let mut blows = Blows::default();
        while enough.recv_timeout(PEACE_MAX.mul_f64(rng.f64())) == Err(RecvTimeoutError::Timeout) {
            if rng.bool() {
                blows.kills += u64::from(self.subject.kill_a_child(&mut rng)?);
            } else {
                self.subject.reload(&mut rng)?;
                blows.reloads += 1;
            }
        }
        Ok(blows)
    }
}
