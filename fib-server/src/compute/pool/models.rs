//! The pool's threads in every order, two of them and whoever asks: jobs arrive, are run in slices,
//! cut short, given up and answered, while the pool is closed.
#![expect(clippy::unwrap_used, reason = "a model that cannot go on has failed")]

use std::os::unix::net::UnixStream;

use loom::future::block_on;

use super::*;
use crate::{
    compute::{Algorithm, Answer},
    connection::Client,
    sync::{atomic::AtomicUsize, explore},
};

/// A slice of F(4), which is 9 calls, is not all of it; one of F(2) is.
const SLICE_CALLS: u64 = 5;

/// What lies outside of the model: it is the same in every order.
struct World {
    client: Client,
    _peer: UnixStream,
    counters: Arc<Counters>,
    costs: Costs,
}

/// A pool in one order of its threads.
struct Model<'a> {
    world: &'a World,
    pool: Pool,
    taken: Arc<AtomicUsize>,
}

impl World {
    fn new() -> Self {
        let (peer, client) = UnixStream::pair().unwrap();
        Self {
            client: Client::new(Arc::new(client.into())),
            _peer: peer,
            counters: Arc::new(Counters::alone(1)),
            costs: Costs::calibrate(Algorithm::Recursive),
        }
    }

    fn explore(
        self,
        threads: usize,
        interruptions_max: Option<usize>,
        model: impl Fn(Model<'_>) + Send + Sync + 'static,
    ) {
        explore(interruptions_max, move || model(Model::new(&self, threads)));
    }
}

impl<'a> Model<'a> {
    fn new(world: &'a World, threads: usize) -> Self {
        let state = State {
            queue: Queue::new(Schedule::Srpt, SLICE_CALLS),
            jobs: HashMap::new(),
            deadlines: BTreeSet::new(),
            next_id: 0,
            running: 0,
            idle: 0,
            calls_per_second: world.costs.calls_per_second(),
            closing: false,
        };
        let pool = Pool::run(Shared {
            schedule: Schedule::Srpt,
            threads,
            slice_calls: SLICE_CALLS,
            attention_calls: SLICE_CALLS,
            state: Mutex::new(state),
            work_waits: Condvar::new(),
            preempts_over: AtomicU64::new(u64::MAX),
            counters: Arc::clone(&world.counters),
        });
        Self { world, pool: pool.unwrap(), taken: Arc::default() }
    }

    fn submit(&self, n: u64) -> oneshot::Receiver<Outcome> {
        let World { client, costs, .. } = self.world;
        let job = Job {
            work: Work::new(costs, Algorithm::Recursive, n).unwrap(),
            terms: Terms::new(client.clone(), Instant::now(), None),
            permit: Permit::take(&self.taken, usize::MAX).unwrap(),
        };
        self.pool.submit(job).unwrap()
    }

    /// Ends the pool, which nothing may keep from it.
    fn close(self) {
        drop(self.pool);
        assert_eq!(self.taken.load(Ordering::Relaxed), 0, "every permit is given back");
    }
}

#[test]
fn every_job_is_answered() {
    World::new().explore(2, Some(2), |model| {
        let (long, short) = (model.submit(4), model.submit(2));
        assert_eq!(block_on(short), Ok(Ok(Answer::Word(1))));
        assert_eq!(block_on(long), Ok(Ok(Answer::Word(3))));
        model.close();
    });
}

/// Whoever leaves may do so at any time, and costs nobody else anything.
#[test]
fn to_cancel_races_with_to_finish() {
    World::new().explore(1, None, |model| {
        let (given_up, other) = (model.submit(4), model.submit(2));
        drop(given_up);
        assert_eq!(block_on(other), Ok(Ok(Answer::Word(1))));
        model.close();
    });
}

/// Who waits for an answer then gets it, or learns that there will be none.
#[test]
fn a_pool_ends_at_any_time() {
    World::new().explore(2, None, |model| {
        let answer = model.submit(4);
        model.close();
        let answer = block_on(answer);
        assert!(answer.is_err() || answer == Ok(Ok(Answer::Word(3))), "{answer:?}");
    });
}
