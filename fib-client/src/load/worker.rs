//! One thread of a load: its connections, and the loop that drives them.

use std::{
    io, mem,
    sync::mpsc,
    time::{Duration, Instant},
};

use fastrand::Rng;

use crate::{
    dial::Target,
    load::{
        Failure, Plan, Progress, Reconnect, Tally, Until, UseOfTime,
        demand::Demand,
        draw::Draw,
        line::Line,
        poller::{Poller, Ready, wake_in_time},
        samples::nanos,
        slot::{Slot, Slots, State, is_decided},
        traffic::{Loss, Span, Traffic},
    },
    wire::Wire,
};

/// How often timeouts, reconnects and the wish to stop are looked at.
const TICK: Duration = Duration::from_millis(20);

/// How long before a request is due its thread stops to sleep: waking up takes that long, on a
/// virtual machine whose processor sleeps, too.
const EARLY: Duration = Duration::from_micros(60);

/// How long connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// How much is read from a socket at a time.
const CHUNK_LEN: usize = 64 * 1024;

/// A thread's share of a load.
#[derive(Debug)]
pub(super) struct Worker {
    index: usize,
    target: Target,
    depth: usize,
    timeout: Duration,
    drain: Duration,
    busy_poll: Duration,
    reconnect: Reconnect,
    poller: Poller,
    slots: Slots,
    traffic: Traffic,
    demand: Demand,
    rng: Rng,
    chunk: Vec<u8>,
    use_of_time: UseOfTime,
}

impl Worker {
    /// Connects this thread's share of the plan's connections.
    pub(super) fn connect(
        plan: &Plan,
        target: &Target,
        index: usize,
        each_reply: Option<mpsc::Sender<Duration>>,
    ) -> io::Result<Self> {
        let threads = plan.running_threads();
        let budget = match plan.until {
            Until::Elapsed(_) => u64::MAX,
            Until::Requests(requests) => share(requests, threads as u64, index as u64),
        };
        let mut rng = Rng::with_seed(plan.seed.wrapping_add(index as u64));
        let draw = Draw::new(&plan.mix, threads, index, rng.fork());
        let slots = (index..plan.connections.get()).step_by(threads).count();
        let mut worker = Self {
            index,
            target: target.clone(),
            depth: plan.depth.get(),
            timeout: plan.timeout,
            drain: plan.drain,
            busy_poll: plan.busy_poll,
            reconnect: plan.reconnect,
            poller: Poller::new()?,
            slots: Slots::with_capacity(slots),
            traffic: Traffic::new(plan, draw, budget, each_reply),
            demand: Demand::new(plan, index, slots, rng.fork()),
            rng,
            chunk: vec![0; CHUNK_LEN],
            use_of_time: UseOfTime::begin(),
        };
        for at in 0..slots {
            let before = Instant::now();
            let wire = worker.target.connect(CONNECT_TIMEOUT)?;
            worker.traffic.tally.connecting.saturating_record(nanos(before.elapsed()));
            wire.socket().set_nonblocking(true)?;
            worker.poller.add(wire.socket(), at)?;
            worker.slots.push(Slot::new(worker.line(wire)));
        }
        Ok(worker)
    }

    /// Drives the load to its end; returns what it counted and when it ended.
    pub(super) fn run(mut self, span: Span, progress: &Progress) -> (Tally, Instant, UseOfTime) {
        wake_in_time();
        self.use_of_time = UseOfTime::begin();
        self.traffic.span = span;
        self.traffic.now = Instant::now();
        if progress.is_watched() {
            self.traffic.be_watched();
        }
        let mut ready = Ready::new();
        self.begin();
        let end = self.load(progress, &mut ready);
        self.use_of_time.end(end.saturating_duration_since(span.begin));
        let use_of_time = self.use_of_time.clone();
        let has_sent_all = self.traffic.budget == 0;
        self.traffic.close();
        if !progress.is_stopped() {
            self.wait_for_the_last(end + self.drain, &mut ready);
        }
        self.traffic.publish(progress, self.index);
        (self.finish(end, has_sent_all), end, use_of_time)
    }

    fn begin(&mut self) {
        let (begin, slots) = (self.traffic.now, self.slots.len());
        match &mut self.demand {
            Demand::Answers => (0..slots).for_each(|at| self.refill(at, begin)),
            // Not all at once: those who think for long would ever after ask at the same moment.
            Demand::Thought { think, thinking } => {
                let count = u32::try_from(slots * self.depth).unwrap_or(u32::MAX);
                let phase = |at: u32| *think * at / count;
                thinking.extend((0..count).map(|at| (begin + phase(at), at as usize % slots)));
            }
            Demand::Schedule { free, .. } => {
                free.extend(0..slots);
                self.slots.iter_mut().for_each(|slot| slot.is_free = true);
            }
        }
    }

    fn load(&mut self, progress: &Progress, ready: &mut Ready) -> Instant {
        let span = self.traffic.span;
        let end = span.end;
        let mut next_tick = self.traffic.now;
        let mut sleeps_at = self.traffic.now + self.busy_poll;
        loop {
            let now = self.traffic.now;
            if now >= end || self.is_done() || progress.is_stopped() {
                self.send_what_is_due(); // what became due while the last replies were read
                self.traffic.settle();
                return now.min(end);
            }
            if now >= next_tick {
                self.tick(now);
                self.traffic.publish(progress, self.index);
                next_tick = now + TICK;
            }
            // A sleeping thread wakes up late, so it gets up before the next request is due.
            let alarm = self.send_what_is_due().map(|due| due.checked_sub(EARLY).unwrap_or(due));
            let wake = alarm.map_or(next_tick, |alarm| alarm.min(next_tick)).min(end);
            let is_soon = wake <= self.traffic.now;
            self.wait(ready, wake, is_soon || self.traffic.now < sleeps_at);
            if ready.len() > 0 && !self.busy_poll.is_zero() {
                sleeps_at = self.traffic.now + self.busy_poll;
            }
            ready.iter().for_each(|(at, ends)| self.serve(at, ends));
            progress.count(self.index, self.traffic.replies);
        }
    }

    /// Receives what is still on its way when the load has ended.
    fn wait_for_the_last(&mut self, deadline: Instant, ready: &mut Ready) {
        while self.traffic.in_flight > 0 && self.traffic.now < deadline {
            let tick = (self.traffic.now + TICK).min(deadline);
            self.wait(ready, tick, false);
            ready.iter().for_each(|(at, ends)| self.serve(at, ends));
            self.give_up_the_late(self.traffic.now);
        }
    }

    fn wait(&mut self, ready: &mut Ready, until: Instant, poll_only: bool) {
        let from = self.traffic.now;
        let until = if poll_only { from } else { until.max(from) };
        self.poller.wait(ready, until - from);
        self.traffic.now = Instant::now();
        self.use_of_time.waited(from, until, self.traffic.now, ready.len() > 0);
    }

    /// A connection has something to read, or room to write.
    fn serve(&mut self, at: usize, ends: bool) {
        if let State::Opening { .. } = self.slots[at].state {
            return self.complete(at);
        }
        let State::Up(line) = &mut self.slots[at].state else { return };
        let due = self.traffic.now;
        let result = match line.receive(&mut self.traffic, &mut self.chunk, ends) {
            Ok(answered) => {
                match &mut self.demand {
                    Demand::Answers => line.ask(&mut self.traffic, due, self.depth),
                    Demand::Thought { think, thinking } => {
                        let done = self.traffic.now + *think;
                        thinking.extend((0..answered).map(|_| (done, at)));
                    }
                    Demand::Schedule { .. } => {}
                }
                line.flush()
            }
            Err(loss) => Err(loss),
        };
        match result {
            Err(loss) => self.lose(at, loss),
            Ok(()) if self.reconnect != Reconnect::OnError => self.renew(at),
            Ok(()) => {}
        }
        self.offer_room(at);
    }

    /// In a closed loop, a connection asks again.
    fn refill(&mut self, at: usize, due: Instant) {
        let State::Up(line) = &mut self.slots[at].state else { return };
        line.ask(&mut self.traffic, due, self.depth);
        if let Err(loss) = line.flush() {
            self.lose(at, loss);
        }
    }

    /// In an open loop, a connection waits for its turn.
    fn offer_room(&mut self, at: usize) {
        let Demand::Schedule { free, .. } = &mut self.demand else { return };
        let slot = &mut self.slots[at];
        let State::Up(line) = &slot.state else { return };
        if !slot.is_free && line.room() > 0 {
            slot.is_free = true;
            free.push_back(at);
        }
    }

    /// Requests that are due at the same time for the same connection are written at once.
    fn send_what_is_due(&mut self) -> Option<Instant> {
        let next = self.demand.ask(&mut self.slots, &mut self.traffic);
        while let Some(at) = self.slots.take_touched() {
            let State::Up(line) = &mut self.slots[at].state else { continue };
            if let Err(loss) = line.flush() {
                self.lose(at, loss);
            }
        }
        next
    }

    fn tick(&mut self, now: Instant) {
        self.traffic.settle();
        self.give_up_the_late(now);
        for at in 0..self.slots.len() {
            match &self.slots[at].state {
                State::Opening { since, .. } if now.duration_since(*since) > CONNECT_TIMEOUT => {
                    let told = format!("not connected within {CONNECT_TIMEOUT:?}");
                    self.lose(at, (Failure::ConnectTimeout, told));
                }
                State::Down { until: Some(until) } if now >= *until => self.open(at),
                _ => {}
            }
        }
    }

    fn give_up_the_late(&mut self, now: Instant) {
        for at in 0..self.slots.len() {
            let State::Up(line) = &self.slots[at].state else { continue };
            if let Err(loss) = line.check_patience(now, self.timeout) {
                self.lose(at, loss);
            }
        }
    }

    /// Takes a connection down, with all requests that are under way on it.
    fn lose(&mut self, at: usize, (failure, evidence): Loss) {
        let slot = &mut self.slots[at];
        self.traffic.fail(failure, 1, || evidence);
        if let State::Up(line) = &slot.state {
            let in_flight = line.conversation().in_flight();
            let others = in_flight.saturating_sub(1) as u64;
            self.traffic.fail(Failure::Abandoned, others, || "its connection was given up".into());
            self.traffic.answered(in_flight);
            for batch in line.conversation().pending() {
                self.traffic.censor(batch.class, batch.due, batch.count as u64);
            }
        }
        let again = self.reconnect != Reconnect::Never;
        slot.go_down(self.traffic.now, again, &mut self.rng);
    }

    /// A connection that has had its share of requests makes room for a new one.
    fn renew(&mut self, at: usize) {
        let slot = &mut self.slots[at];
        if let State::Up(line) = &slot.state
            && line.is_used_up()
        {
            slot.was_served |= line.conversation().got_reply();
            self.traffic.tally.renewals += 1;
            self.open(at);
        }
    }

    /// Begins to connect.
    fn open(&mut self, at: usize) {
        let opened = self.target.begin_to_connect().and_then(|wire| {
            self.poller.add(wire.socket(), at)?;
            Ok(wire)
        });
        match opened {
            Ok(wire) => {
                self.slots[at].state = State::Opening { wire, since: Instant::now() };
            }
            Err(error) => self.lose(at, connecting_loss(&error)),
        }
    }

    /// The kernel has connected, or has given up; or there is news of the handshake.
    fn complete(&mut self, at: usize) {
        let State::Opening { wire, since } = &mut self.slots[at].state else { return };
        match is_decided(wire.socket()) {
            Ok(true) => {}
            Ok(false) | Err(_) => return, // the event was one of an earlier connection
        }
        if let Ok(Some(error)) | Err(error) = wire.socket().take_error() {
            return self.lose(at, connecting_loss(&error));
        }
        match wire.shake_hands() {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
            Err(error) => return self.lose(at, connecting_loss(&error)),
            Ok(()) => {}
        }
        let took = since.elapsed();
        let state = mem::replace(&mut self.slots[at].state, State::Down { until: None });
        let State::Opening { wire, .. } = state else { return };
        let line = self.line(wire);
        self.slots[at].state = State::Up(line);
        self.traffic.tally.connecting.saturating_record(nanos(took));
        self.traffic.tally.reconnects += u64::from(self.slots[at].is_again());
        self.traffic.now = Instant::now();
        match &mut self.demand {
            Demand::Answers => self.refill(at, self.traffic.now),
            Demand::Thought { thinking, .. } => {
                (0..self.depth).for_each(|_| thinking.push_front((self.traffic.now, at)));
            }
            Demand::Schedule { .. } => self.offer_room(at),
        }
    }

    fn line(&self, wire: Wire) -> Line {
        let share = match self.reconnect {
            Reconnect::Every(requests) => requests.get(),
            Reconnect::Never | Reconnect::OnError => u64::MAX,
        };
        Line::new(wire, self.depth, share, &self.traffic.scripts)
    }

    fn is_done(&self) -> bool {
        let never_again = |slot: &Slot| matches!(slot.state, State::Down { until: None });
        self.traffic.in_flight == 0
            && (self.traffic.budget == 0 || self.slots.iter().all(never_again))
    }

    /// What was under way is counted, and how long it was.
    fn finish(mut self, end: Instant, has_sent_all: bool) -> Tally {
        for slot in self.slots.iter() {
            let mut was_served = slot.was_served;
            if let State::Up(line) = &slot.state {
                was_served |= line.conversation().got_reply();
                self.traffic.tally.in_flight_at_end += line.conversation().in_flight() as u64;
                for batch in line.conversation().pending() {
                    self.traffic.censor(batch.class, batch.due, batch.count as u64);
                }
            }
            self.traffic.tally.served_connections += usize::from(was_served);
        }
        if let Demand::Schedule { due, .. } = &mut self.demand
            && !has_sent_all
        {
            while let Some(moment) = due.peek().map(|it| self.traffic.span.begin + it)
                && moment < end
            {
                due.advance();
                self.traffic.leave_out(moment);
                self.traffic.tally.unsent_at_end += u64::from(moment >= self.traffic.span.measured);
            }
        }
        self.traffic.tally
    }
}

/// What one of several gets of a total, so that all get the whole.
const fn share(total: u64, among: u64, index: u64) -> u64 {
    total / among + if index < total % among { 1 } else { 0 }
}

fn connecting_loss(error: &io::Error) -> Loss {
    (Failure::of_connecting(error), error.to_string())
}
