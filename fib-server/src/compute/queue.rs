//! Which job is next: the order of a pool, without its threads and without a clock.
//!
//! Under [`Schedule::Srpt`] the job with the least remaining work goes first, which gives the least
//! mean time of all orders ([Schrage 1968](https://doi.org/10.1287/opre.16.3.687)). Alone it would
//! let a stream of short jobs starve a long one. So a quarter of all work is given out by turns:
//! whoever waits longest has a slice. With N jobs waiting each gets at least a quarter of an Nth.

use std::collections::{BTreeMap, BTreeSet};

use clap::ValueEnum;

/// The order in which jobs are computed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Schedule {
    /// Shortest remaining processing time first, with a quarter of the work by turns
    #[default]
    Srpt,
    /// In the order of arrival, each to its end
    Fifo,
    /// By turns, a slice for each
    RoundRobin,
}

/// For each call by turns, so many by the schedule's order: a share of a quarter.
const CALLS_PER_CALL_BY_TURNS: u64 = 3;

/// The jobs that wait. A job is a number to it.
#[derive(Debug)]
pub(crate) struct Queue {
    schedule: Schedule,
    /// How many calls a turn is.
    slice_calls: u64,
    by_turn: BTreeMap<u64, (JobId, u64)>,
    by_remaining: BTreeSet<(u64, u64)>,
    next_turn: u64,
    /// Calls that were not by turns, less those that paid for them.
    owed: u64,
}

pub(crate) type JobId = u64;

/// Where a job stands. It keeps its turn until it has used up a slice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    turn: u64,
    remaining: u64,
    used: u64,
}

/// The job to be run now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Next {
    pub(crate) job: JobId,
    /// It is its turn: shorter ones must wait for a slice.
    pub(crate) by_turn: bool,
}

impl Place {
    /// How many calls of the job remain.
    pub(crate) const fn remaining(self) -> u64 {
        self.remaining
    }
}

impl Queue {
    pub(crate) fn new(schedule: Schedule, slice_calls: u64) -> Self {
        let (by_turn, by_remaining) = (BTreeMap::new(), BTreeSet::new());
        Self { schedule, slice_calls, by_turn, by_remaining, next_turn: 0, owed: 0 }
    }

    /// A place for a job that arrives.
    pub(crate) fn arrive(&mut self, remaining: u64) -> Place {
        Place { turn: self.take_number(), remaining, used: 0 }
    }

    /// The place of a job after so many of its calls were made.
    pub(crate) fn after(&mut self, place: Place, made: u64) -> Place {
        let (remaining, used) = (place.remaining.saturating_sub(made), place.used + made);
        if self.schedule == Schedule::Fifo || used < self.slice_calls {
            return Place { turn: place.turn, remaining, used };
        }
        Place { turn: self.take_number(), remaining, used: 0 }
    }

    /// Lets a job wait.
    pub(crate) fn push(&mut self, job: JobId, place: Place) {
        self.by_turn.insert(place.turn, (job, place.remaining));
        self.by_remaining.insert((place.remaining, place.turn));
    }

    /// Lets a job wait no longer, if it does.
    pub(crate) fn remove(&mut self, place: Place) {
        if let Some((_, remaining)) = self.by_turn.remove(&place.turn) {
            self.by_remaining.remove(&(remaining, place.turn));
        }
    }

    /// Takes the job that is next.
    pub(crate) fn pop(&mut self) -> Option<Next> {
        let (&oldest, _) = self.by_turn.first_key_value()?;
        let turn = match self.schedule {
            Schedule::Srpt if self.owed < CALLS_PER_CALL_BY_TURNS * self.slice_calls => {
                self.by_remaining.first().map_or(oldest, |&(_, turn)| turn)
            }
            _ => oldest,
        };
        let (job, remaining) = self.by_turn.remove(&turn)?;
        self.by_remaining.remove(&(remaining, turn));
        Some(Next { job, by_turn: turn == oldest })
    }

    /// Takes note of what came of `next`: so many calls.
    pub(crate) fn account(&mut self, next: Next, made: u64) {
        self.owed = match next.by_turn {
            _ if self.is_empty() => 0,
            true => self.owed.saturating_sub(CALLS_PER_CALL_BY_TURNS * made),
            false => self.owed + made,
        };
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.by_turn.is_empty()
    }

    /// What must remain of a running job for it to be cut short: the shortest waiting one is
    /// shorter. `u64::MAX`, of which no job has more, while none is.
    pub(crate) fn preempts_over(&self) -> u64 {
        match (self.schedule, self.by_remaining.first()) {
            (Schedule::Srpt, Some(&(remaining, _))) => remaining,
            _ => u64::MAX,
        }
    }

    fn take_number(&mut self) -> u64 {
        self.next_turn += 1;
        self.next_turn
    }
}

#[cfg(test)]
#[expect(clippy::cast_precision_loss, reason = "a simulation needs no more than 53 bits")]
mod tests {
    use std::collections::HashMap;

    use fastrand::Rng;
    use proptest::prelude::*;

    use super::*;

    const SLICE: u64 = 100;

    /// A pool of one thread that computes one call per unit of time.
    struct Simulation {
        queue: Queue,
        waiting: HashMap<JobId, (Place, u64)>,
        now: u64,
    }

    impl Simulation {
        fn new(schedule: Schedule) -> Self {
            Self { queue: Queue::new(schedule, SLICE), waiting: HashMap::new(), now: 0 }
        }

        fn arrive(&mut self, job: JobId, calls: u64) {
            let place = self.queue.arrive(calls);
            self.queue.push(job, place);
            self.waiting.insert(job, (place, calls));
        }

        /// Runs one slice; returns the job, how much was made, and whether it is done.
        fn step(&mut self) -> Option<(JobId, u64, bool)> {
            let next = self.queue.pop()?;
            let (place, remaining) = self.waiting.remove(&next.job).expect("it waits");
            let made = remaining.min(SLICE);
            self.now += made;
            if made < remaining {
                let place = self.queue.after(place, made);
                self.queue.push(next.job, place);
                self.waiting.insert(next.job, (place, remaining - made));
            }
            self.queue.account(next, made);
            Some((next.job, made, made == remaining))
        }
    }

    /// When each job of (arrival, calls) is done, less its arrival, in units of its calls.
    fn mean_slowdown(schedule: Schedule, jobs: &[(u64, u64)]) -> f64 {
        let mut simulation = Simulation::new(schedule);
        let (mut slowdowns, mut arrived) = (0.0, 0);
        for _ in 0.. {
            while arrived < jobs.len() && jobs[arrived].0 <= simulation.now {
                simulation.arrive(arrived as JobId, jobs[arrived].1);
                arrived += 1;
            }
            match simulation.step() {
                Some((job, _, true)) => {
                    let (arrival, calls) = jobs[usize::try_from(job).unwrap()];
                    slowdowns += (simulation.now - arrival) as f64 / calls as f64;
                }
                Some(_) => {}
                None if arrived < jobs.len() => simulation.now = jobs[arrived].0,
                None => break,
            }
        }
        slowdowns / jobs.len() as f64
    }

    #[test]
    fn short_jobs_overtake_long_ones() {
        let mut simulation = Simulation::new(Schedule::Srpt);
        simulation.arrive(1, 100_000);
        simulation.step();
        simulation.arrive(2, 90);
        assert_eq!(simulation.step(), Some((2, 90, true)));
    }

    #[test]
    #[cfg_attr(miri, ignore = "thousands of jobs take hours")]
    fn srpt_slows_jobs_down_least() {
        // Nine short jobs for each long one, at a load of 80 %.
        let mut rng = Rng::with_seed(7);
        let mut at = 0;
        let jobs: Vec<_> = (0..2_000)
            .map(|_| {
                let calls =
                    if rng.u8(0..10) == 0 { rng.u64(5_000..20_000) } else { rng.u64(10..500) };
                at += rng.u64(0..3_700);
                (at, calls)
            })
            .collect();
        let [srpt, fifo, turns] = [Schedule::Srpt, Schedule::Fifo, Schedule::RoundRobin]
            .map(|schedule| mean_slowdown(schedule, &jobs));
        assert!(srpt < turns && turns < fifo, "srpt {srpt}, round-robin {turns}, fifo {fifo}");
    }

    #[test]
    fn fifo_finishes_what_it_began() {
        let mut simulation = Simulation::new(Schedule::Fifo);
        (1..=3).for_each(|job| simulation.arrive(job, 1_000 / job));
        let order: Vec<_> = std::iter::from_fn(|| simulation.step())
            .filter_map(|(job, _, done)| done.then_some(job))
            .collect();
        assert_eq!(order, [1, 2, 3]);
    }

    proptest! {
        /// However many short jobs stream in, nobody gets less than a quarter of its fair share.
        #[test]
        fn nobody_starves(longs in 1u64..20, short in 1u64..300, seed: u64) {
            let mut rng = Rng::with_seed(seed);
            let mut simulation = Simulation::new(Schedule::Srpt);
            (0..longs).for_each(|job| simulation.arrive(job, u64::MAX / 2));
            let mut served = vec![0; usize::try_from(longs).unwrap()];
            let (window, mut next_short) = (longs * SLICE * 40, longs);
            while simulation.now < window {
                // There is always a shorter job, and often several.
                for _ in 0..=rng.u8(0..3) {
                    simulation.arrive(next_short, short);
                    next_short += 1;
                }
                let (job, made, _) = simulation.step().unwrap();
                if let Some(served) = usize::try_from(job).ok().and_then(|it| served.get_mut(it)) {
                    *served += made;
                }
            }
            // Those that arrive wait for their turns as well: at most this many share it.
            let fair = window / (longs + simulation.waiting.len() as u64);
            for calls in served {
                prop_assert!(calls >= fair / 4, "{calls} of {fair}");
            }
        }
    }
}
