//! One thread of a load: its connections, and the readiness loop that drives them.

use std::{
    io::{self, Read, Write},
    os::fd::AsRawFd,
    sync::{
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc,
    },
    time::{Duration, Instant},
};

use fastrand::Rng;
use mio::{Events, Interest, Poll, Token, unix::SourceFd};
use socket2::Socket;

use crate::{
    dial::Target,
    load::{
        Failure, Plan, Tally, Until,
        conversation::{Batch, Conversation, Verdict},
        plan::Script,
    },
};

/// How often timeouts, reconnects and the wish to stop are looked at.
const TICK: Duration = Duration::from_millis(20);

/// How long to wait before a failed connection is opened again.
const RECONNECT_AFTER: Duration = Duration::from_millis(100);

/// How long connecting may take; it holds up the other connections of the thread.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// A load of so many requests may take as long as it takes.
const FOREVER: Duration = Duration::from_hours(24 * 365);

/// How much is read from a socket at a time.
const CHUNK_LEN: usize = 64 * 1024;

/// How many ready connections one wait may report; the next wait reports the others.
const EVENTS: usize = 256;

/// A thread's share of a load.
#[derive(Debug)]
pub(super) struct Worker {
    target: Target,
    until: Until,
    timeout: Duration,
    busy_poll: Duration,
    poll: Poll,
    slots: Vec<Slot>,
    traffic: Traffic,
}

/// A place for a connection, which may be down for a while.
#[derive(Debug)]
struct Slot {
    state: State,
    was_served: bool,
}

#[derive(Debug)]
enum State {
    Up(Line),
    Down { since: Instant },
}

/// A connection that is up.
#[derive(Debug)]
struct Line {
    socket: Socket,
    conversation: Conversation,
}

/// What the connections of a thread share: what to ask, and what came of it.
#[derive(Debug)]
struct Traffic {
    depth: usize,
    draw: Draw,
    scripts: Vec<Script>,
    /// How many requests may still be sent; counts down in loads of so many requests.
    budget: u64,
    /// How many replies came, right or wrong.
    replies: u64,
    tally: Tally,
    each_reply: Option<mpsc::Sender<Duration>>,
}

/// Why a connection is given up, with the evidence.
type Loss = (Failure, String);

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
        let classes = plan.mix.classes();
        let mut worker = Self {
            target: target.clone(),
            until: plan.until,
            timeout: plan.timeout,
            busy_poll: plan.busy_poll,
            poll: Poll::new()?,
            slots: Vec::new(),
            traffic: Traffic {
                depth: plan.depth.get(),
                draw: Draw::new(plan, index),
                scripts: classes.iter().map(|class| Script::new(class.n, plan.dialect)).collect(),
                budget,
                replies: 0,
                tally: Tally::new(classes.len()),
                each_reply,
            },
        };
        for _ in (index..plan.connections.get()).step_by(threads) {
            let line = worker.open(worker.slots.len())?;
            worker.slots.push(Slot { state: State::Up(line), was_served: false });
        }
        Ok(worker)
    }

    /// Drives the load to its end; returns what it counted and when it ended.
    pub(super) fn run(
        mut self,
        begin: Instant,
        replies: &AtomicU64,
        stop: &AtomicBool,
    ) -> (Tally, Instant) {
        let end = match self.until {
            Until::Elapsed(duration) => begin + duration,
            Until::Requests(_) => begin + FOREVER,
        };
        let mut chunk = vec![0; CHUNK_LEN];
        let mut events = Events::with_capacity(EVENTS);
        let mut next_tick = begin;
        let mut sleeps_at = begin + self.busy_poll;
        (0..self.slots.len()).for_each(|at| self.drive(at, Line::fill));
        loop {
            let now = Instant::now();
            if now >= end || self.is_done() || stop.load(Ordering::Relaxed) {
                return (self.finish(), now.min(end));
            }
            if now >= next_tick {
                self.tick(now);
                next_tick = now + TICK;
            }
            let sleep = next_tick.min(end).duration_since(now);
            // An interrupted wait is one without events.
            let _ = self
                .poll
                .poll(&mut events, Some(if now < sleeps_at { Duration::ZERO } else { sleep }));
            if !self.busy_poll.is_zero() && !events.is_empty() {
                sleeps_at = Instant::now() + self.busy_poll;
            }
            for event in &events {
                self.drive(event.token().0, |line, traffic| line.exchange(traffic, &mut chunk));
            }
            replies.store(self.traffic.replies, Ordering::Relaxed);
        }
    }

    fn open(&self, at: usize) -> io::Result<Line> {
        let socket = self.target.connect(CONNECT_TIMEOUT)?;
        socket.set_nonblocking(true)?;
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.poll.registry().register(&mut SourceFd(&socket.as_raw_fd()), Token(at), interest)?;
        Ok(Line {
            socket,
            conversation: Conversation::new(self.traffic.depth, &self.traffic.scripts),
        })
    }

    /// Does something with a connection that is up, and takes it down if that fails.
    fn drive(&mut self, at: usize, act: impl FnOnce(&mut Line, &mut Traffic) -> Result<(), Loss>) {
        let slot = &mut self.slots[at];
        let State::Up(line) = &mut slot.state else { return };
        if let Err((failure, evidence)) = act(line, &mut self.traffic) {
            slot.was_served |= line.conversation.got_reply();
            let failures = &mut self.traffic.tally.failures;
            failures.record(failure, || evidence);
            failures.record_abandoned(line.conversation.in_flight().saturating_sub(1) as u64);
            slot.state = State::Down { since: Instant::now() };
        }
    }

    fn tick(&mut self, now: Instant) {
        let timeout = self.timeout;
        for at in 0..self.slots.len() {
            self.drive(at, |line, _| line.check_patience(now, timeout));
            match self.slots[at].state {
                State::Down { since } if now > since + RECONNECT_AFTER => self.reopen(at),
                _ => {}
            }
        }
    }

    fn reopen(&mut self, at: usize) {
        match self.open(at) {
            Ok(line) => {
                self.traffic.tally.reconnects += 1;
                self.slots[at].state = State::Up(line);
                self.drive(at, Line::fill);
            }
            Err(error) => {
                let failure = Failure::of_connecting(&error);
                self.traffic.tally.failures.record(failure, || error.to_string());
                self.slots[at].state = State::Down { since: Instant::now() };
            }
        }
    }

    fn is_done(&self) -> bool {
        let idle = |slot: &Slot| match &slot.state {
            State::Up(line) => line.conversation.in_flight() == 0,
            State::Down { .. } => true,
        };
        self.traffic.budget == 0 && self.slots.iter().all(idle)
    }

    fn finish(self) -> Tally {
        let mut tally = self.traffic.tally;
        for Slot { state, was_served } in self.slots {
            let mut was_served = was_served;
            if let State::Up(line) = state {
                was_served |= line.conversation.got_reply();
                tally.in_flight_at_end += line.conversation.in_flight();
            }
            tally.served_connections += usize::from(was_served);
        }
        tally
    }
}

impl Line {
    /// Reads what has come, judges it, and asks for as much again.
    fn exchange(&mut self, traffic: &mut Traffic, chunk: &mut [u8]) -> Result<(), Loss> {
        loop {
            let len = match self.socket.read(chunk) {
                Ok(0) => return Err((Failure::Closed, "the server closed the connection".into())),
                Ok(len) => len,
                Err(error) if is_transient(&error) => break,
                Err(error) => return Err(connection_loss(&error)),
            };
            let now = Instant::now();
            let mut input = &chunk[..len];
            while let Some(verdict) = self.conversation.receive(&mut input, &traffic.scripts) {
                traffic.judge(&verdict, now)?;
            }
            if len < chunk.len() {
                break; // the queue is empty: asking the kernel once more would only confirm it
            }
        }
        self.fill(traffic)
    }

    /// Keeps as many requests under way as the plan wants.
    fn fill(&mut self, traffic: &mut Traffic) -> Result<(), Loss> {
        let missing = traffic.depth.saturating_sub(self.conversation.in_flight());
        let mut wanted = traffic.claim(missing);
        if wanted > 0 {
            let sent_at = Instant::now();
            while wanted > 0 {
                let (class, count) = traffic.draw.next(wanted);
                let batch = Batch { class, sent_at, count };
                self.conversation.ask(batch, &traffic.scripts[class]);
                wanted -= count;
            }
        }
        self.flush()
    }

    fn flush(&mut self) -> Result<(), Loss> {
        while !self.conversation.output().is_empty() {
            match self.socket.write(self.conversation.output()) {
                Ok(len) => self.conversation.sent(len),
                Err(error) if is_transient(&error) => break, // writable will be an event
                Err(error) => return Err(connection_loss(&error)),
            }
        }
        Ok(())
    }

    fn check_patience(&self, now: Instant, timeout: Duration) -> Result<(), Loss> {
        match self.conversation.oldest() {
            Some(sent_at) if now.duration_since(sent_at) > timeout => {
                Err((Failure::Timeout, format!("no reply within {timeout:?}")))
            }
            _ => Ok(()),
        }
    }
}

impl Traffic {
    /// As many of so many requests as may still be sent.
    fn claim(&mut self, wanted: usize) -> usize {
        let granted = usize::try_from(self.budget).map_or(wanted, |budget| budget.min(wanted));
        self.budget -= granted as u64;
        granted
    }

    fn judge(&mut self, verdict: &Verdict, now: Instant) -> Result<(), Loss> {
        match *verdict {
            Verdict::Right(Batch { class, sent_at, count }) => {
                let latency = now.duration_since(sent_at);
                self.tally.record(class, latency, count as u64);
                if let Some(each_reply) = &self.each_reply {
                    for _ in 0..count {
                        // Whoever listened may have stopped; the load goes on.
                        let _ = each_reply.send(latency);
                    }
                }
                self.replies += count as u64;
            }
            Verdict::Wrong { failure, found } => {
                self.tally.failures.record(failure, || found.to_string());
                self.replies += 1;
            }
            Verdict::Lost { failure, found } => return Err((failure, found.to_string())),
        }
        Ok(())
    }
}

/// Draws the classes of requests: at random by weight, and for a single class not at all.
#[derive(Debug)]
struct Draw {
    rng: Rng,
    /// The sum of the weights up to and with each class.
    bounds: Vec<u64>,
}

impl Draw {
    fn new(plan: &Plan, index: usize) -> Self {
        let sum = |sum: &mut u64, weight: u32| {
            *sum += u64::from(weight);
            Some(*sum)
        };
        let weights = plan.mix.classes().iter().map(|class| class.weight);
        let rng = Rng::with_seed(plan.seed.wrapping_add(index as u64));
        Self { rng, bounds: weights.scan(0, sum).collect() }
    }

    /// The class of the next requests, and how many of so many they are.
    fn next(&mut self, wanted: usize) -> (usize, usize) {
        match self.bounds.as_slice() {
            [] | [_] => (0, wanted),
            [.., total] => {
                let drawn = self.rng.u64(..total);
                (self.bounds.partition_point(|&bound| bound <= drawn), 1)
            }
        }
    }
}

/// What one of several gets of a total, so that all get the whole.
const fn share(total: u64, among: u64, index: u64) -> u64 {
    total / among + if index < total % among { 1 } else { 0 }
}

fn is_transient(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

fn connection_loss(error: &io::Error) -> Loss {
    (Failure::of_connection(error), error.to_string())
}
