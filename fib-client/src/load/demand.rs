//! What makes requests due for a thread: answers, or a schedule.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use fastrand::Rng;

use crate::load::{
    Failure, Late, Pace, Plan,
    pace::DueTimes,
    slot::{Slots, State},
    traffic::Traffic,
};

/// What makes requests due.
#[derive(Debug)]
pub(super) enum Demand {
    /// Answers do.
    Answers,
    /// Answers do, after a pause: connections that think, in the order in which they will be done.
    Thought { think: Duration, thinking: VecDeque<(Instant, usize)> },
    /// A schedule does. Connections with room take turns.
    Schedule { due: DueTimes, late: Late, free: VecDeque<usize> },
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
            },
        }
    }

    /// Puts requests that are due onto connections, and says when the next one will be.
    pub(super) fn ask(&mut self, slots: &mut Slots, traffic: &mut Traffic) -> Option<Instant> {
        match self {
            Self::Answers => None,
            Self::Thought { thinking, .. } => ask_who_has_thought(thinking, slots, traffic),
            Self::Schedule { due, late, free } => ask_by_schedule(due, *late, free, slots, traffic),
        }
    }
}

fn ask_who_has_thought(
    thinking: &mut VecDeque<(Instant, usize)>,
    slots: &mut Slots,
    traffic: &mut Traffic,
) -> Option<Instant> {
    loop {
        let &(done, at) = thinking.front()?;
        if done > traffic.now {
            return Some(done);
        }
        thinking.pop_front();
        if let State::Up(line) = &mut slots[at].state {
            line.ask(traffic, done, 1);
            slots.touch(at);
        }
    }
}

/// Each request goes to the connection that has had room for the longest time.
fn ask_by_schedule(
    due: &mut DueTimes,
    late: Late,
    free: &mut VecDeque<usize>,
    slots: &mut Slots,
    traffic: &mut Traffic,
) -> Option<Instant> {
    let span = traffic.span;
    loop {
        let moment = span.begin + due.peek()?;
        if moment > traffic.now || moment >= span.end {
            return Some(moment);
        }
        if let Some(failure) = left_out(due, late, moment, traffic) {
            due.advance();
            let lag = traffic.now - moment;
            traffic.leave_out(moment);
            traffic.fail(failure, 1, || format!("it was due {lag:.1?} ago"));
            continue;
        }
        let at = free.pop_front()?; // or it waits for room
        let slot = &mut slots[at];
        slot.is_free = false;
        let State::Up(line) = &mut slot.state else { continue };
        due.advance();
        line.ask(traffic, moment, 1);
        if line.room() > 0 {
            slot.is_free = true;
            free.push_back(at);
        }
        slots.touch(at);
    }
}

/// Whether a request that is due at this moment is not to be sent any more.
fn left_out(due: &DueTimes, late: Late, moment: Instant, traffic: &Traffic) -> Option<Failure> {
    match late {
        Late::CatchUp => None,
        Late::Shed(limit) => (traffic.now - moment > limit).then_some(Failure::Shed),
        Late::Skip => {
            let next = traffic.span.begin + due.peek_second()?;
            (next <= traffic.now).then_some(Failure::Skipped)
        }
    }
}
