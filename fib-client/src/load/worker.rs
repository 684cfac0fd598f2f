//! One thread of a load: its connections, and the loop that drives them.

use std::{
    collections::VecDeque,
    fs, io, mem,
    sync::mpsc,
    time::{Duration, Instant},
};

use fastrand::Rng;
use hdrhistogram::Histogram;
use rustix::time::{ClockId, clock_gettime};
use socket2::Socket;

use crate::{
    dial::Target,
    load::{
        Failure, Late, Pace, Plan, Progress, Reconnect, Tally, Until,
        draw::Draw,
        line::Line,
        pace::DueTimes,
        poller::{Poller, Ready, wake_in_time},
        slot::{Slot, State, is_decided},
        tally::{histogram, nanos},
        traffic::{Loss, Span, Traffic},
    },
};

/// How often timeouts, reconnects and the wish to stop are looked at.
const TICK: Duration = Duration::from_millis(20);

/// How long before a request is due its thread stops to sleep: waking up takes that long, on a
/// virtual machine whose processor sleeps, too.
const EARLY: Duration = Duration::from_micros(60);

/// A wake-up that is later than this is one that the thread was kept from.
const HELD_UP: Duration = Duration::from_millis(1);

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
    slots: Vec<Slot>,
    traffic: Traffic,
    demand: Demand,
    rng: Rng,
    chunk: Vec<u8>,
    use_of_time: UseOfTime,
}

/// What makes requests due.
#[derive(Debug)]
enum Demand {
    /// Answers do.
    Answers,
    /// Answers do, after a pause: connections that think, in the order in which they will be done.
    Thought { think: Duration, thinking: VecDeque<(Instant, usize)> },
    /// A schedule does. Connections with room take turns.
    Schedule { due: DueTimes, late: Late, free: VecDeque<usize>, touched: Vec<usize> },
}

/// What a worker did with its time: how far its own numbers can be trusted.
#[derive(Clone, Debug)]
pub struct UseOfTime {
    /// How long it ran.
    pub elapsed: Duration,
    /// How much of that it had nothing to do.
    pub waited: Duration,
    /// The CPU time of its thread, in user mode and in the kernel.
    pub cpu: Duration,
    /// How much of it it was ready to run, and another thread did.
    pub queued: Duration,
    /// How much of it it did not run although it wanted to be woken: stopped, or its machine was.
    pub held_up: Duration,
    /// How much later than it wanted to it woke up, in nanoseconds.
    pub overslept: Histogram<u64>,
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
            slots: Vec::with_capacity(slots),
            traffic: Traffic::new(plan, draw, budget, each_reply),
            demand: Demand::new(plan, index, slots, rng.fork()),
            rng,
            chunk: vec![0; CHUNK_LEN],
            use_of_time: UseOfTime::new(),
        };
        for at in 0..slots {
            let before = Instant::now();
            let socket = worker.target.connect(CONNECT_TIMEOUT)?;
            worker.traffic.tally.connecting.saturating_record(nanos(before.elapsed()));
            socket.set_nonblocking(true)?;
            worker.poller.add(&socket, at)?;
            worker.slots.push(Slot::new(worker.line(socket)));
        }
        Ok(worker)
    }

    /// Drives the load to its end; returns what it counted and when it ended.
    pub(super) fn run(mut self, span: Span, progress: &Progress) -> (Tally, Instant, UseOfTime) {
        wake_in_time();
        let (cpu_before, queued_before) = (cpu_time_of_thread(), time_in_run_queue());
        self.traffic.span = span;
        self.traffic.now = Instant::now();
        if progress.is_watched() {
            self.traffic.be_watched();
        }
        let mut ready = Ready::new();
        self.begin();
        let end = self.load(progress, &mut ready);
        self.use_of_time.elapsed = end.saturating_duration_since(span.begin);
        self.use_of_time.cpu = cpu_time_of_thread().saturating_sub(cpu_before);
        self.use_of_time.queued = time_in_run_queue().saturating_sub(queued_before);
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
                let phase =
                    |at: usize| *think * at.try_into().unwrap_or(0) / slots.try_into().unwrap_or(1);
                thinking.extend((0..slots).map(|at| (begin + phase(at), at)));
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
        let before = self.traffic.now;
        let most = if poll_only { Duration::ZERO } else { until.saturating_duration_since(before) };
        self.poller.wait(ready, most);
        let now = Instant::now();
        self.traffic.now = now;
        if !most.is_zero() || ready.len() == 0 {
            self.use_of_time.waited += now - before;
        }
        // Whoever is not woken in time has been kept from working, whatever it finds then.
        let late = now.saturating_duration_since(until.max(before));
        if !most.is_zero() && !late.is_zero() {
            self.use_of_time.overslept.saturating_record(nanos(late));
        }
        if late > HELD_UP {
            self.use_of_time.held_up += late;
        }
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

    /// Sends what is due, and says when the next request will be.
    fn send_what_is_due(&mut self) -> Option<Instant> {
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
        let opened = self.target.begin_to_connect().and_then(|socket| {
            self.poller.add(&socket, at)?;
            Ok(socket)
        });
        match opened {
            Ok(socket) => {
                self.slots[at].state = State::Opening { socket, since: Instant::now() };
            }
            Err(error) => self.lose(at, connecting_loss(&error)),
        }
    }

    /// The kernel has connected, or has given up.
    fn complete(&mut self, at: usize) {
        let State::Opening { socket, since } = &self.slots[at].state else { return };
        match is_decided(socket) {
            Ok(true) => {}
            Ok(false) | Err(_) => return, // the event was one of an earlier connection
        }
        let took = since.elapsed();
        if let Ok(Some(error)) | Err(error) = socket.take_error() {
            return self.lose(at, connecting_loss(&error));
        }
        let state = mem::replace(&mut self.slots[at].state, State::Down { until: None });
        let State::Opening { socket, .. } = state else { return };
        let line = self.line(socket);
        self.slots[at].state = State::Up(line);
        self.traffic.tally.connecting.saturating_record(nanos(took));
        self.traffic.tally.reconnects += u64::from(self.slots[at].is_again());
        self.traffic.now = Instant::now();
        match &mut self.demand {
            Demand::Answers => self.refill(at, self.traffic.now),
            Demand::Thought { thinking, .. } => {
                thinking.push_front((self.traffic.now, at));
            }
            Demand::Schedule { .. } => self.offer_room(at),
        }
    }

    fn line(&self, socket: Socket) -> Line {
        let share = match self.reconnect {
            Reconnect::Every(requests) => requests.get(),
            Reconnect::Never | Reconnect::OnError => u64::MAX,
        };
        Line::new(socket, self.depth, share, &self.traffic.scripts)
    }

    fn is_done(&self) -> bool {
        let never_again = |slot: &Slot| matches!(slot.state, State::Down { until: None });
        self.traffic.in_flight == 0
            && (self.traffic.budget == 0 || self.slots.iter().all(never_again))
    }

    /// What was under way is counted, and how long it was.
    fn finish(mut self, end: Instant, has_sent_all: bool) -> Tally {
        for slot in &self.slots {
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

impl Demand {
    fn new(plan: &Plan, index: usize, slots: usize, rng: Rng) -> Self {
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

impl UseOfTime {
    fn new() -> Self {
        let zero = Duration::ZERO;
        let overslept = histogram(3);
        Self { elapsed: zero, waited: zero, cpu: zero, queued: zero, held_up: zero, overslept }
    }
}

/// What one of several gets of a total, so that all get the whole.
const fn share(total: u64, among: u64, index: u64) -> u64 {
    total / among + if index < total % among { 1 } else { 0 }
}

fn connecting_loss(error: &io::Error) -> Loss {
    (Failure::of_connecting(error), error.to_string())
}

fn cpu_time_of_thread() -> Duration {
    clock_gettime(ClockId::ThreadCPUTime).try_into().unwrap_or_default()
}

/// How long this thread was ready to run and had no processor, where the kernel tells.
fn time_in_run_queue() -> Duration {
    let told = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanos = told.split_whitespace().nth(1).and_then(|it| it.parse().ok());
    Duration::from_nanos(nanos.unwrap_or(0))
}
