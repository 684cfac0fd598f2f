//! A request that takes time: its work, and what can end it early.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{
    compute::{Refusal, work::Work},
    connection::Client,
    sync::atomic::{AtomicUsize, Ordering},
};

/// One request that is computed.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) work: Work,
    pub(crate) terms: Terms,
    pub(crate) permit: Permit,
}

/// On what terms: for whom, and until when.
#[derive(Debug)]
pub(crate) struct Terms {
    client: Client,
    received_at: Instant,
    /// When it must be done, and how long after its arrival that is.
    deadline: Option<(Instant, Duration)>,
}

impl Terms {
    pub(crate) fn new(client: Client, received_at: Instant, deadline: Option<Duration>) -> Self {
        let deadline = deadline.and_then(|it| Some((received_at.checked_add(it)?, it)));
        Self { client, received_at, deadline }
    }

    /// How long ago it arrived.
    pub(crate) fn age(&self) -> Duration {
        self.received_at.elapsed()
    }

    /// When it must be done, and how long after its arrival that is.
    pub(crate) const fn deadline(&self) -> Option<(Instant, Duration)> {
        self.deadline
    }

    /// Why it need not be computed any further, if so.
    pub(crate) fn broken(&self) -> Option<Refusal> {
        if self.client.is_gone() { Some(Refusal::ClientGone) } else { self.late() }
    }

    /// The same, as far as the clock can tell.
    pub(crate) fn late(&self) -> Option<Refusal> {
        let (at, deadline) = self.deadline?;
        (at <= Instant::now()).then_some(Refusal::Deadline { deadline })
    }
}

/// The right to be one of the requests that are computed at once. Dropping it gives it back.
#[derive(Debug)]
pub(crate) struct Permit(Arc<AtomicUsize>);

impl Permit {
    /// `None` when `max` are taken.
    pub(crate) fn take(taken: &Arc<AtomicUsize>, max: usize) -> Option<Self> {
        let one_more = |taken| (taken < max).then_some(taken + 1);
        taken.fetch_update(Ordering::AcqRel, Ordering::Acquire, one_more).ok()?;
        Some(Self(Arc::clone(taken)))
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(all(test, feature = "model"))]
mod models {
    use super::*;
    use crate::sync::{Builder, explore};

    /// Never more are taken than there are, and all are given back.
    #[test]
    fn permits_are_counted() {
        explore(None, || {
            let (taken, holders) = (Arc::default(), Arc::new(std::sync::Mutex::new(0)));
            let work = || {
                let (taken, holders) = (Arc::clone(&taken), Arc::clone(&holders));
                move || {
                    let permit = Permit::take(&taken, 1)?;
                    *holders.lock().unwrap() += 1;
                    assert_eq!((taken.load(Ordering::Relaxed), *holders.lock().unwrap()), (1, 1));
                    *holders.lock().unwrap() -= 1;
                    drop(permit);
                    Some(())
                }
            };
            let threads = [work(), work()].map(|work| Builder::new().spawn(work).unwrap());
            let served = threads.map(|thread| thread.join().unwrap());
            assert!(served.iter().any(Option::is_some), "one of them gets it");
            assert_eq!(taken.load(Ordering::Relaxed), 0);
        });
    }
}
