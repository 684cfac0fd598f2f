//! What a load was asked to be. Only loads that were asked to be the same can be compared.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::load::{Arrivals, Late, Pace, Plan, Reconnect, Until};

/// A plan as a document.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Setup {
    /// How requests were framed.
    pub dialect: String,
    /// How many connections were kept open.
    pub connections: usize,
    /// How many requests each of them had under way, in an open loop at most.
    pub depth: usize,
    /// The client's threads.
    pub threads: usize,
    /// How long they polled before they slept.
    pub busy_poll_s: f64,
    /// `closed` or `open`.
    pub loop_kind: LoopKind,
    /// The pause between an answer and the next request, in a closed loop.
    pub think_s: f64,
    /// The schedule, in an open loop.
    pub schedule: Option<ScheduleSetup>,
    /// The numbers that were asked for, and their weights.
    pub mix: Vec<(u64, u32)>,
    /// How long it was to be measured.
    pub duration_s: Option<f64>,
    /// How many requests were to be made instead.
    pub requests: Option<u64>,
    /// How much of the beginning was not measured.
    pub warm_up_s: f64,
    /// How long the last replies were waited for.
    pub drain_s: f64,
    /// How long a reply was waited for.
    pub timeout_s: f64,
    /// When connections were opened again.
    pub reconnect: String,
    /// Whether connections were encrypted. Their handshakes are a part of the times of connecting,
    /// and of no reply's; each was a whole one.
    #[serde(default)]
    pub tls: bool,
}

/// What decided when requests were due.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LoopKind {
    /// Answers.
    #[default]
    Closed,
    /// A schedule.
    Open,
}

/// When requests were due.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ScheduleSetup {
    /// Each stage: requests per second at its beginning and at its end, and its seconds.
    pub stages: Vec<(f64, f64, f64)>,
    /// `const` or `poisson`.
    pub arrivals: String,
    /// `catch-up`, `skip` or `shed=...`.
    pub late: String,
}

impl Setup {
    /// Of this plan.
    #[must_use]
    pub fn of(plan: &Plan) -> Self {
        let (loop_kind, think_s, schedule) = match &plan.pace {
            Pace::Closed { think } => (LoopKind::Closed, think.as_secs_f64(), None),
            Pace::Open(schedule) => {
                let stages = schedule.rates.as_stages().iter();
                let setup = ScheduleSetup {
                    stages: stages.map(|it| (it.from, it.to, it.duration.as_secs_f64())).collect(),
                    arrivals: schedule.arrivals.name().to_owned(),
                    late: schedule.late.to_string(),
                };
                (LoopKind::Open, 0.0, Some(setup))
            }
        };
        let (duration_s, requests) = match plan.until {
            Until::Elapsed(duration) => (Some(duration.as_secs_f64()), None),
            Until::Requests(requests) => (None, Some(requests)),
        };
        Self {
            dialect: plan.dialect.to_string(),
            connections: plan.connections.get(),
            depth: plan.depth.get(),
            threads: plan.threads.min(plan.connections).get(),
            busy_poll_s: plan.busy_poll.as_secs_f64(),
            loop_kind,
            think_s,
            schedule,
            mix: plan.mix.classes().iter().map(|class| (class.n, class.weight)).collect(),
            duration_s,
            requests,
            warm_up_s: plan.warm_up.as_secs_f64(),
            drain_s: plan.drain.as_secs_f64(),
            timeout_s: plan.timeout.as_secs_f64(),
            reconnect: plan.reconnect.to_string(),
            tls: plan.tls.is_some(),
        }
    }

    /// The names of what another one was asked otherwise; without any, they can be compared.
    #[must_use]
    pub fn unlike(&self, other: &Self) -> Vec<&'static str> {
        let is_other = |mine: f64, theirs: f64| mine.total_cmp(&theirs).is_ne();
        let differs = [
            ("dialect", self.dialect != other.dialect),
            ("connections", self.connections != other.connections),
            ("depth", self.depth != other.depth),
            ("threads", self.threads != other.threads),
            ("busy-poll", is_other(self.busy_poll_s, other.busy_poll_s)),
            ("think", is_other(self.think_s, other.think_s)),
            ("rate or arrivals", self.schedule != other.schedule),
            ("mix", self.mix != other.mix),
            ("duration", self.duration_s != other.duration_s),
            ("requests", self.requests != other.requests),
            ("warm-up", is_other(self.warm_up_s, other.warm_up_s)),
            ("drain", is_other(self.drain_s, other.drain_s)),
            ("timeout", is_other(self.timeout_s, other.timeout_s)),
            ("reconnect", self.reconnect != other.reconnect),
            ("tls", self.tls != other.tls),
        ];
        differs.into_iter().filter(|(_, differs)| *differs).map(|(name, _)| name).collect()
    }
}

impl Arrivals {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Const, Self::Poisson];

    /// The name that users type.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Const => "const",
            Self::Poisson => "poisson",
        }
    }
}

impl std::fmt::Display for Late {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::CatchUp => f.write_str("catch-up"),
            Self::Skip => f.write_str("skip"),
            Self::Shed(limit) => write!(f, "shed={}", humantime::format_duration(*limit)),
        }
    }
}

impl std::fmt::Display for Reconnect {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Never => f.write_str("never"),
            Self::OnError => f.write_str("on-error"),
            Self::Every(requests) => write!(f, "every={requests}"),
        }
    }
}
