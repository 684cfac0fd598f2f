//! Everything at once, for as long as somebody has time: faults of the network, processes that are
//! killed, clients that come and go.

use std::{
    sync::{Arc, mpsc},
    thread,
    time::{Duration, Instant},
};

use anyhow::Result;
use fastrand::Rng;

use super::{
    Plan,
    clients::hold_all,
    conversation::{Conversation, Endings},
    model::Found,
    subject::Subject,
};

/// What is held by then was needed; what is held later is a leak.
const WARM_UP: Duration = Duration::from_mins(1);

/// How long the children of a server are left alone, at most.
const PEACE_MAX: Duration = Duration::from_secs(10);

/// What a server has gone through.
#[derive(Clone, Copy, Debug)]
pub(super) struct Outcome {
    pub(super) found: Found,
    pub(super) kills: u64,
    /// The memory after the warm-up and at the end.
    pub(super) rss_bytes: [u64; 2],
}

pub(super) fn run(plan: &Plan, subject: &Arc<Subject>) -> Result<Outcome> {
    let warm_up = WARM_UP.min(plan.duration / 2);
    let mut outcome = Outcome { found: Found::default(), kills: 0, rss_bytes: [0; 2] };
    let mut first = 0;
    for (at, duration) in [warm_up, plan.duration.saturating_sub(warm_up)].into_iter().enumerate() {
        let load = Load { plan, subject, first, until: Instant::now() + duration };
        let (found, kills) = load.make()?;
        subject.check_rest()?;
        outcome.found += found;
        outcome.kills += kills;
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
    /// What was answered, and how many children were killed meanwhile.
    fn make(&self) -> Result<(Found, u64)> {
        thread::scope(|scope| {
            let (calm, killing_is_over) = mpsc::channel();
            let killing = scope.spawn(move || self.kill(&killing_is_over));
            let found = self.hold_conversations();
            drop(calm);
            let kills = killing.join().expect("it does not panic")?;
            Ok((found?, kills))
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
            goes_on.then(|| Conversation::draw(super::mix(seed, first + number)))
        })
    }

    /// Kills a child now and then, until it is told that this is enough.
    fn kill(&self, enough: &mpsc::Receiver<()>) -> Result<u64> {
        let mut rng = Rng::with_seed(super::mix(self.plan.seed_of(self.subject.way), self.first));
        let mut kills = 0;
        loop {
            let peace = PEACE_MAX.mul_f64(rng.f64());
            if enough.recv_timeout(peace) != Err(mpsc::RecvTimeoutError::Timeout) {
                return Ok(kills);
            }
            kills += u64::from(self.subject.kill_a_child(&mut rng)?);
        }
    }
}
