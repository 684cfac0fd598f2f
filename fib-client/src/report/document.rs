//! The result of one load as a document: what `--json` writes and other tools read.

use std::{borrow::Cow, time::Duration};

use schemars::{JsonSchema, Schema, schema_for};
use serde::{Deserialize, Serialize};

use crate::{
    load::{Latencies, Outcome, Plan, Timeline, UseOfTime, Window},
    report::{
        Audit, Encoded, Environment, Grade, Histograms, Interference, Latency, LoopKind, Rows,
        Search, Setup, ThresholdReport, to_f64,
    },
};

/// Grows when a field changes its meaning or goes away.
pub const SCHEMA_VERSION: u32 = 2;

/// The result of one load. Durations are in the unit that their name ends with.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Report {
    /// The version of this format.
    pub schema_version: u32,
    /// The version of the program that wrote it.
    pub version: String,
    /// The server, as it was addressed.
    pub server: String,
    /// What was asked for.
    pub setup: Setup,
    /// What all draws started from.
    pub seed: u64,
    /// The machine of the client.
    pub environment: Environment,
    /// How many reports were added up in this one.
    pub clients: usize,
    /// When the measured time began, as RFC 3339 has it.
    pub began: String,
    /// How long it was.
    pub elapsed_s: f64,
    /// Whether it was ended early.
    pub interrupted: bool,
    /// The connections, and how they fared.
    pub connections: Connections,
    /// Requests of the warm-up: they are in no other number.
    pub warm_up_requests: u64,
    /// Requests that were sent.
    pub sent: u64,
    /// Right replies, also to those that came after the end.
    pub replies: u64,
    /// Right replies per second, of those that came before the end.
    pub rate_per_s: f64,
    /// Requests that the schedule made due, per second, in an open loop.
    pub offered_per_s: Option<f64>,
    /// Replies that were no answer, or not the right one.
    pub wrong_answers: u64,
    /// Everything that went wrong, wrong answers as well.
    pub errors: u64,
    /// Requests without a reply when the drain had ended.
    pub in_flight_at_end: u64,
    /// Requests that were due before the end and never sent.
    pub unsent_at_end: u64,
    /// The times of all right replies.
    pub latency: Rows,
    /// The same for each number asked for.
    pub classes: Vec<ClassReport>,
    /// What went wrong, by kind.
    pub failures: Vec<FailureReport>,
    /// What happened when.
    pub timeline: TimelineReport,
    /// What the client did with its time.
    pub client: ClientReport,
    /// Whether rate, latency and requests under way fit together.
    pub audit: Option<Audit>,
    /// What this client makes of a server that does nothing, where that was measured.
    pub ceiling: Option<Ceiling>,
    /// How far the result can be believed.
    pub grade: Grade,
    /// What was demanded of it.
    pub thresholds: Vec<ThresholdReport>,
    /// What long requests do to short ones, where that was measured.
    pub interference: Option<Interference>,
    /// The search for the largest rate, where there was one.
    pub search: Option<Search>,
}

/// How the connections of a load fared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Connections {
    /// How many were kept open.
    pub open: usize,
    /// How many of them got at least one right reply.
    pub served: usize,
    /// How often one was opened again after a failure.
    pub reconnects: u64,
    /// How often one was opened again because it had had its share of requests.
    pub renewals: u64,
    /// How long connecting took.
    pub connecting: Latency,
}

/// Requests for one number.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ClassReport {
    /// The number asked for.
    pub n: u64,
    /// Right replies.
    pub replies: u64,
    /// Their times.
    pub latency: Rows,
    /// What computing the answer costs in the client itself, where that was measured.
    pub local_ns: Option<f64>,
    /// All samples; a short record has none.
    pub histograms: Option<Histograms>,
}

/// One kind of failure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FailureReport {
    /// Its name, as [`Failure::name`](crate::load::Failure::name) gives it.
    pub kind: String,
    /// How often it happened.
    pub count: u64,
    /// The first one, in words.
    pub first: String,
}

/// What happened when: windows of equal length from the beginning of the measured time on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TimelineReport {
    /// The length of a window.
    pub window_s: f64,
    /// The windows; the last one may have ended early.
    pub windows: Vec<WindowReport>,
}

/// What happened in a window.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct WindowReport {
    /// Requests that were sent.
    pub sent: u64,
    /// Right replies that came.
    pub replies: u64,
    /// What went wrong.
    pub failures: u64,
    /// Requests under way, integrated over time.
    pub in_flight_ns: u64,
    /// The response times of the replies that came; 1 % precise.
    pub response: Latency,
    /// All samples; a short record has none.
    pub histogram: Option<Encoded>,
}

/// What the client did with its time.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ClientReport {
    /// CPU time that it spent on each reply, right or wrong, in all its threads.
    pub cpu_us_per_reply: Option<f64>,
    /// Each thread that made load.
    pub workers: Vec<WorkerReport>,
    /// How much later than it wanted to a thread woke up when nothing else woke it.
    pub overslept: Latency,
}

/// What a thread did with its time.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct WorkerReport {
    /// The share of its time in which it had something to do.
    pub busy: f64,
    /// The share of its time that it spent on a processor.
    pub cpu: f64,
    /// The share of its time that it was ready to run, and another thread did.
    pub queued: f64,
    /// The share of its time that it did not run although it wanted to be woken: it was stopped,
    /// or its machine was.
    pub held_up: f64,
}

/// What this client makes of a server that does nothing, with the same load.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Ceiling {
    /// Right replies per second.
    pub rate_per_s: f64,
    /// How long they took.
    pub response: Latency,
}

impl Report {
    /// What this outcome of this plan says.
    #[must_use]
    pub fn new(plan: &Plan, outcome: &Outcome) -> Self {
        let tally = &outcome.tally;
        let answered = tally.replies() + tally.wrong_answers();
        let classes = plan.mix.classes().iter().zip(&tally.classes);
        let failures: Vec<_> = tally.failures.iter().map(FailureReport::from).collect();
        let mut report = Self {
            schema_version: SCHEMA_VERSION,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            server: plan.address.to_string(),
            setup: Setup::of(plan),
            seed: plan.seed,
            environment: Environment::read(outcome.stolen),
            clients: 1,
            began: humantime::format_rfc3339_millis(outcome.began).to_string(),
            elapsed_s: outcome.elapsed.as_secs_f64(),
            interrupted: outcome.interrupted,
            connections: Connections {
                open: plan.connections.get(),
                served: tally.served_connections,
                reconnects: tally.reconnects,
                renewals: tally.renewals,
                connecting: Latency::of(&tally.connecting),
            },
            warm_up_requests: tally.warm_up,
            sent: tally.sent,
            replies: tally.replies(),
            rate_per_s: per_second(tally.in_time, outcome.elapsed),
            offered_per_s: None,
            wrong_answers: tally.wrong_answers(),
            errors: failures.iter().map(|it| it.count).sum(),
            in_flight_at_end: tally.in_flight_at_end,
            unsent_at_end: tally.unsent_at_end,
            latency: Rows::of(&sum(tally.classes.iter().map(Cow::Borrowed))),
            classes: classes
                .map(|(class, latencies)| ClassReport {
                    n: class.n,
                    replies: latencies.response.len(),
                    latency: Rows::of(latencies),
                    local_ns: None,
                    histograms: Some(Histograms::of(latencies)),
                })
                .collect(),
            failures,
            timeline: TimelineReport::of(&tally.timeline),
            client: ClientReport::of(&outcome.workers),
            ..Self::default()
        };
        report.offered_per_s = report.offered(outcome.elapsed);
        report.client.cpu_us_per_reply =
            (answered > 0).then(|| outcome.cpu.as_secs_f64() * 1e6 / to_f64(answered));
        report.conclude();
        report
    }

    /// Draws the conclusions again, after something was added to the report.
    pub fn conclude(&mut self) {
        self.audit = Audit::of(self);
        self.grade = Grade::of(self);
    }

    /// Which share of the requests that were due was answered rightly, in an open loop.
    #[must_use]
    pub fn delivered(&self) -> Option<f64> {
        let due = self.due();
        (self.setup.loop_kind == LoopKind::Open && due > 0)
            .then(|| to_f64(self.replies) / to_f64(due))
    }

    /// Whether ever more requests were left over, in an open loop: at its end more than usually are
    /// under way. In a queue that grows evenly it is twice the mean.
    #[must_use]
    pub fn is_overloaded(&self) -> bool {
        const GROWTH: f64 = 1.5;
        const NOTABLE: f64 = 0.02;
        let (due, in_time) = (to_f64(self.due()), self.rate_per_s * self.elapsed_s);
        let left_over = due - in_time - to_f64(self.errors);
        let usual = self.rate_per_s * self.latency.response.mean_ns.unwrap_or(0.0) / 1e9;
        self.setup.loop_kind == LoopKind::Open
            && left_over > NOTABLE * due
            && left_over > GROWTH * usual
    }

    /// How many requests the schedule made due.
    fn due(&self) -> u64 {
        let left_out = |failure: &&FailureReport| ["skipped", "shed"].contains(&&*failure.kind);
        let left_out = self.failures.iter().filter(left_out).map(|it| it.count).sum::<u64>();
        self.sent + self.unsent_at_end + left_out
    }

    fn offered(&self, elapsed: Duration) -> Option<f64> {
        (self.setup.loop_kind == LoopKind::Open).then(|| per_second(self.due(), elapsed))
    }

    /// Without the samples, which nobody reads who keeps hundreds of reports.
    #[must_use]
    pub fn shortened(mut self) -> Self {
        self.classes.iter_mut().for_each(|class| class.histograms = None);
        self.timeline.windows.iter_mut().for_each(|window| window.histogram = None);
        self
    }

    /// Its JSON Schema.
    #[must_use]
    pub fn schema() -> Schema {
        schema_for!(Self)
    }
}

impl From<(crate::load::Failure, u64, &str)> for FailureReport {
    fn from((failure, count, first): (crate::load::Failure, u64, &str)) -> Self {
        Self { kind: failure.name().to_owned(), count, first: first.to_owned() }
    }
}

impl TimelineReport {
    /// Of these windows.
    #[must_use]
    pub fn of(timeline: &Timeline) -> Self {
        Self {
            window_s: timeline.length().as_secs_f64(),
            windows: timeline.windows().iter().map(WindowReport::of).collect(),
        }
    }
}

impl WindowReport {
    fn of(window: &Window) -> Self {
        Self {
            sent: window.sent,
            replies: window.response.len(),
            failures: window.failures,
            in_flight_ns: window.in_flight_ns,
            response: Latency::of(&window.response),
            histogram: Some(Encoded::of(&window.response)),
        }
    }
}

impl ClientReport {
    /// The share of its time that the busiest thread worked or wanted to. One that sleeps when it
    /// has nothing to do works when it is on a processor; one that polls instead always is.
    #[must_use]
    pub fn busiest(&self, setup: &Setup) -> f64 {
        let polls = setup.busy_poll_s > 0.0 || setup.loop_kind == LoopKind::Open;
        let work =
            |it: &WorkerReport| if polls { it.busy } else { it.busy.max(it.cpu + it.queued) };
        self.workers.iter().map(work).fold(0.0, f64::max)
    }

    fn of(workers: &[UseOfTime]) -> Self {
        let mut overslept = crate::load::histogram(3);
        for worker in workers {
            overslept.add(&worker.overslept).expect("the bounds are the same");
        }
        Self {
            cpu_us_per_reply: None,
            workers: workers.iter().map(WorkerReport::of).collect(),
            overslept: Latency::of(&overslept),
        }
    }
}

impl WorkerReport {
    fn of(worker: &UseOfTime) -> Self {
        let elapsed = worker.elapsed.as_secs_f64().max(1e-9);
        Self {
            busy: (1.0 - worker.waited.as_secs_f64() / elapsed).clamp(0.0, 1.0),
            cpu: (worker.cpu.as_secs_f64() / elapsed).clamp(0.0, 1.0),
            queued: (worker.queued.as_secs_f64() / elapsed).clamp(0.0, 1.0),
            held_up: (worker.held_up.as_secs_f64() / elapsed).clamp(0.0, 1.0),
        }
    }
}

/// All samples of some classes.
pub(super) fn sum<'a>(classes: impl Iterator<Item = Cow<'a, Latencies>>) -> Latencies {
    classes.fold(Latencies::new(), |mut sum, class| {
        sum.add(&class);
        sum
    })
}

pub(crate) fn per_second(count: u64, elapsed: Duration) -> f64 {
    if elapsed.is_zero() { 0.0 } else { to_f64(count) / elapsed.as_secs_f64() }
}
