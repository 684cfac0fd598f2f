//! What the connections of a thread share: what to ask, and what came of it.

use std::{
    sync::mpsc,
    time::{Duration, Instant},
};

use crate::load::{
    Failure, Plan, Progress, Tally, Until,
    conversation::{Batch, Conversation, Verdict},
    draw::Draw,
    plan::Script,
    samples::nanos,
    timeline::Window,
};

/// Why a connection is given up, with the evidence.
pub(super) type Loss = (Failure, String);

/// When a load begins, from when on it is measured, and when nothing is sent any more.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    pub(super) begin: Instant,
    pub(super) measured: Instant,
    pub(super) end: Instant,
}

/// A load of so many requests may take as long as it takes.
const FOREVER: Duration = Duration::from_hours(24 * 365);

impl Span {
    pub(super) fn new(begin: Instant, plan: &Plan) -> Self {
        let measured = begin + plan.warm_up;
        let duration = match plan.until {
            Until::Elapsed(duration) => duration,
            Until::Requests(_) => FOREVER,
        };
        Self { begin, measured, end: measured + duration }
    }
}

#[derive(Debug)]
pub(super) struct Traffic {
    pub(super) scripts: Vec<Script>,
    pub(super) tally: Tally,
    pub(super) span: Span,
    /// How many requests may still be sent; counts down in loads of so many requests.
    pub(super) budget: u64,
    /// How many replies came, right or wrong, in the warm-up, too.
    pub(super) replies: u64,
    /// How many requests are without their replies.
    pub(super) in_flight: usize,
    /// The last time that the clock was read.
    pub(super) now: Instant,
    /// Requests under way, integrated over time until that moment, in nanoseconds; what the
    /// timeline has is taken away.
    in_flight_ns: u64,
    integrated_until: Instant,
    draw: Draw,
    /// What happened since it was published, where somebody watches.
    live: Option<Window>,
    each_reply: Option<mpsc::Sender<Duration>>,
}

impl Traffic {
    pub(super) fn new(
        plan: &Plan,
        draw: Draw,
        budget: u64,
        each_reply: Option<mpsc::Sender<Duration>>,
    ) -> Self {
        let classes = plan.mix.classes();
        let now = Instant::now();
        Self {
            scripts: classes.iter().map(|class| Script::new(class.n, plan.dialect)).collect(),
            tally: Tally::new(classes.len(), plan.window),
            span: Span::new(now, plan),
            budget,
            replies: 0,
            in_flight: 0,
            now,
            in_flight_ns: 0,
            integrated_until: now,
            draw,
            live: None,
            each_reply,
        }
    }

    /// Begins to keep what is published.
    pub(super) fn be_watched(&mut self) {
        self.live = Some(Window::new());
    }

    pub(super) fn publish(&mut self, progress: &Progress, index: usize) {
        if let Some(live) = &mut self.live {
            progress.publish(index, live);
        }
    }

    /// No request will be sent any more.
    pub(super) fn close(&mut self) {
        self.budget = 0;
    }

    /// Puts as many requests as it may onto a connection. All are due at the same moment.
    pub(super) fn ask(&mut self, conversation: &mut Conversation, due: Instant, wanted: usize) {
        let mut granted = self.claim(due, wanted);
        if granted == 0 {
            return;
        }
        self.now = Instant::now();
        self.integrate();
        self.in_flight += granted;
        if due >= self.span.measured {
            self.tally.sent += granted as u64;
            self.record(|window| window.sent += granted as u64);
        } else {
            self.tally.warm_up += granted as u64;
        }
        while granted > 0 {
            let (class, count) = self.draw.next(granted);
            let batch = Batch { class, due, sent_at: self.now, count };
            conversation.ask(batch, &self.scripts[class]);
            granted -= count;
        }
    }

    /// As many of so many requests as may still be sent. Those of the warm-up are not counted.
    fn claim(&mut self, due: Instant, wanted: usize) -> usize {
        let granted = usize::try_from(self.budget).map_or(wanted, |budget| budget.min(wanted));
        if due >= self.span.measured && self.budget != u64::MAX {
            self.budget -= granted as u64;
        }
        granted
    }

    pub(super) fn judge(&mut self, verdict: &Verdict) -> Result<(), Loss> {
        match *verdict {
            Verdict::Right(batch) => self.record_right(batch),
            Verdict::Wrong { failure, found } => {
                self.answered(1);
                self.replies += 1;
                self.fail(failure, 1, || found.to_string());
            }
            Verdict::Lost { failure, found } => return Err((failure, found.to_string())),
        }
        Ok(())
    }

    fn record_right(&mut self, Batch { class, due, sent_at, count }: Batch) {
        self.answered(count);
        self.replies += count as u64;
        let service = self.now.duration_since(sent_at);
        if let Some(each_reply) = &self.each_reply {
            for _ in 0..count {
                // Whoever listened may have stopped; the load goes on.
                let _ = each_reply.send(service);
            }
        }
        if due < self.span.measured {
            return;
        }
        let (lag, count) = (sent_at.duration_since(due), count as u64);
        self.tally.classes[class].record(lag, service, count);
        if self.now <= self.span.end {
            self.tally.in_time += count;
            let response = nanos(lag + service);
            self.record(|window| window.response.saturating_record_n(response, count));
        }
    }

    /// Something went wrong so often.
    pub(super) fn fail(&mut self, failure: Failure, count: u64, tell: impl FnOnce() -> String) {
        self.tally.failures.record(failure, count, tell);
        self.record(|window| window.failures += count);
    }

    /// A request that was due then will never be answered, as far as we know.
    pub(super) fn censor(&mut self, class: usize, due: Instant, count: u64) {
        if due >= self.span.measured {
            let age = nanos(self.now.duration_since(due));
            self.tally.classes[class].censored.saturating_record_n(age, count);
        }
    }

    /// A request that was due and is not sent: as long as it was due, it was not answered.
    pub(super) fn leave_out(&mut self, due: Instant) {
        let (class, _) = self.draw.next(1);
        self.censor(class, due, 1);
    }

    /// So many requests are no longer under way.
    pub(super) fn answered(&mut self, count: usize) {
        self.integrate();
        self.in_flight -= count;
    }

    /// Requests under way until now: before their number changes.
    fn integrate(&mut self) {
        let elapsed = self.now.saturating_duration_since(self.integrated_until);
        self.in_flight_ns += self.in_flight as u64 * nanos(elapsed);
        self.integrated_until = self.now;
    }

    /// Puts the requests under way into the timeline.
    pub(super) fn settle(&mut self) {
        self.integrate();
        let in_flight_ns = std::mem::take(&mut self.in_flight_ns);
        self.record(|window| window.in_flight_ns += in_flight_ns);
    }

    /// In the window of this moment, if it is one of the measured time.
    fn record(&mut self, change: impl Fn(&mut Window)) {
        let Some(moment) = self.now.checked_duration_since(self.span.measured) else { return };
        if self.now <= self.span.end {
            change(self.tally.timeline.at(moment));
        }
        if let Some(live) = &mut self.live {
            change(live);
        }
    }
}
