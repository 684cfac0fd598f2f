//! What makes requests due for a thread: answers, or a schedule.

use std::{
    collections::VecDeque,
    mem,
    time::{Duration, Instant},
};

use fastrand::Rng;

use crate::load::{Failure, Late, Pace, Plan, pace::DueTimes, slot::State, worker::Worker};

/// What makes requests due.
#[derive(Debug)]
pub(super) enum Demand {
    /// Answers do.
    Answers,
    /// Answers do, after a pause: connections that think, in the order in which they will be done.
    Thought { think: Duration, thinking: VecDeque<(Instant, usize)> },
    /// A schedule does. Connections with room take turns.
    Schedule { due: DueTimes, late: Late, free: VecDeque<usize>, touched: Vec<usize> },
}

impl Demand {
    pub(super) fn new(plan: &Plan, index: usize, slots: usize, rng: Rng) -> Self {
        match &plan.pace {
            Pace::Closed { think } if think.is_zero() => Self::Answers,
            Pace::Closed { think } => {
                let most = slots * (plan.depth.get() + 1);
                Self::Thought { think: *think, thinking: VecDeque::with_capacity(most) }
            }
            Pace::Open(schedule) => Self::Schedule {
                due: DueTimes::new(schedule, plan.warm_up, (index, plan.running_threads()), rng),
                late: schedule.late,
                free: VecDeque::with_capacity(slots),
                touched: Vec::with_capacity(slots),
            },
        }
    }
}

impl Worker {
    /// Sends what is due, and says when the next request will be.
    pub(super) fn send_what_is_due(&mut self) -> Option<Instant> {
        match &mut self.demand {
            Demand::Answers => None,
            Demand::Thought { .. } => self.send_what_is_thought(),
            Demand::Schedule { .. } => self.send_what_is_scheduled(),
        }
    }

    fn send_what_is_thought(&mut self) -> Option<Instant> {
        loop {
            let Demand::Thought { thinking, .. } = &mut self.demand else { return None };
            let &(done, at) = thinking.front()?;
            if done > self.traffic.now {
                return Some(done);
            }
            thinking.pop_front();
            if let State::Up(line) = &mut self.slots[at].state {
                line.ask(&mut self.traffic, done, 1);
                if let Err(loss) = line.flush() {
                    self.lose(at, loss);
                }
            }
        }
    }

    /// Requests that are due at the same time for the same connection are written at once.
    fn send_what_is_scheduled(&mut self) -> Option<Instant> {
        let span = self.traffic.span;
        let Demand::Schedule { due, late, free, touched } = &mut self.demand else { return None };
        let next = loop {
            let Some(moment) = due.peek().map(|it| span.begin + it) else { break None };
            if moment > self.traffic.now || moment >= span.end {
                break Some(moment);
            }
            let lag = self.traffic.now - moment;
            let left_out = match late {
                Late::CatchUp => None,
                Late::Shed(limit) => (lag > *limit).then_some(Failure::Shed),
                Late::Skip => {
                    let next = due.peek_second().map(|it| span.begin + it);
                    next.is_some_and(|it| it <= self.traffic.now).then_some(Failure::Skipped)
                }
            };
            if let Some(failure) = left_out {
                due.advance();
                self.traffic.leave_out(moment);
                self.traffic.fail(failure, 1, || format!("it was due {lag:.1?} ago"));
                continue;
            }
            let Some(at) = free.pop_front() else { break None };
            let slot = &mut self.slots[at];
            slot.is_free = false;
            let State::Up(line) = &mut slot.state else { continue };
            due.advance();
            line.ask(&mut self.traffic, moment, 1);
            if line.room() > 0 {
                slot.is_free = true;
                free.push_back(at);
            }
            if !slot.is_touched {
                slot.is_touched = true;
                touched.push(at);
            }
        };
        self.flush_touched();
        next
    }

    fn flush_touched(&mut self) {
        let Demand::Schedule { touched, .. } = &mut self.demand else { return };
        let mut lines = mem::take(touched);
        for at in lines.drain(..) {
            self.slots[at].is_touched = false;
            let State::Up(line) = &mut self.slots[at].state else { continue };
            if let Err(loss) = line.flush() {
                self.lose(at, loss);
            }
        }
        if let Demand::Schedule { touched, .. } = &mut self.demand {
            *touched = lines; // with the memory that it has
        }
    }
}
