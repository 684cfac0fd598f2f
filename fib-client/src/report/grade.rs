//! How far a result can be believed, and why.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::report::{LoopKind, Report, to_f64};

/// A client's thread that is busy for a larger share of its time tells about itself.
const BUSY_MAX: f64 = 0.85;

/// A client's thread that could not run for a larger share of its time has missed too much.
const HELD_UP_MAX: f64 = 0.1;

/// A rate above this share of what the client makes of a server that does nothing is the client's.
const CEILING_SHARE: f64 = 0.7;

/// A schedule is followed if so much of it was delivered.
const DELIVERED_MIN: f64 = 0.98;

/// A host that takes more of the CPU time disturbs what is measured.
const STOLEN_MAX: f64 = 0.1;

/// The rates of the beginning and of the end of a steady load differ by no more than this share.
const DRIFT_MAX: f64 = 0.25;

/// Fewer replies say nothing.
const REPLIES_MIN: u64 = 100;

/// How far a result can be believed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// It tells about the server.
    Valid,
    /// It tells about the client; the server can do at least so much.
    ClientLimited,
    /// The server could not follow the schedule: it tells what the server can do, and latencies
    /// grow for as long as it lasts.
    ServerLimited,
    /// It was not the same from beginning to end.
    Unsteady,
    /// Too little is known.
    #[default]
    Inconclusive,
}

/// A verdict and what it rests on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Grade {
    /// The verdict.
    pub verdict: Verdict,
    /// What was looked at.
    pub evidence: Vec<Evidence>,
}

/// Something that was looked at.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Evidence {
    /// What it was.
    pub about: String,
    /// What was found.
    pub found: String,
    /// The verdict that this leads to.
    pub verdict: Verdict,
}

impl Verdict {
    /// The name in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Valid => "valid",
            Self::ClientLimited => "client-limited",
            Self::ServerLimited => "server-limited",
            Self::Unsteady => "unsteady",
            Self::Inconclusive => "inconclusive",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Grade {
    /// Of a report that is complete but for this. The worst finding decides: what is not known is
    /// worse than what is not the server's, and that is worse than what is not steady.
    #[must_use]
    pub fn of(report: &Report) -> Self {
        let found = [
            Some(samples(report)),
            interruption(report),
            Some(busy(report)),
            ceiling(report),
            oversleeping(report),
            Some(held_up(report)),
            stolen(report),
            schedule(report),
            drift(report),
        ];
        let evidence: Vec<_> = found.into_iter().flatten().collect();
        let order = [
            Verdict::Inconclusive,
            Verdict::ClientLimited,
            Verdict::ServerLimited,
            Verdict::Unsteady,
        ];
        let given = |verdict: &Verdict| evidence.iter().any(|it| it.verdict == *verdict);
        let verdict = order.into_iter().find(given).unwrap_or(Verdict::Valid);
        Self { verdict, evidence }
    }
}

fn evidence(about: &str, found: String, doubt: Option<Verdict>) -> Evidence {
    Evidence { about: about.to_owned(), found, verdict: doubt.unwrap_or(Verdict::Valid) }
}

fn samples(report: &Report) -> Evidence {
    let few = report.replies < REPLIES_MIN;
    let found = format!("{} right replies, {REPLIES_MIN} are enough", report.replies);
    evidence("samples", found, few.then_some(Verdict::Inconclusive))
}

fn interruption(report: &Report) -> Option<Evidence> {
    let found = format!("ended early, after {:.1} s", report.elapsed_s);
    report.interrupted.then(|| evidence("interruption", found, Some(Verdict::Inconclusive)))
}

fn busy(report: &Report) -> Evidence {
    let busiest = report.client.busiest(&report.setup).min(1.0);
    let found = format!(
        "the busiest thread of the client worked {:.0} % of its time, at most {:.0} % leave the \
         server the last word",
        100.0 * busiest,
        100.0 * BUSY_MAX
    );
    evidence("client threads", found, (busiest > BUSY_MAX).then_some(Verdict::ClientLimited))
}

fn ceiling(report: &Report) -> Option<Evidence> {
    let ceiling = report.ceiling?;
    let share = report.rate_per_s / ceiling.rate_per_s;
    let found = format!(
        "{:.0} % of the {:.0} reqs/s that this client makes of a server that does nothing",
        100.0 * share,
        ceiling.rate_per_s
    );
    let doubt = (share > CEILING_SHARE).then_some(Verdict::ClientLimited);
    Some(evidence("ceiling", found, doubt))
}

/// In an open loop, a client that wakes up late makes the requests late.
fn oversleeping(report: &Report) -> Option<Evidence> {
    let (overslept, response) = (report.client.overslept.p50_ns?, report.latency.response.p50_ns?);
    let is_large = overslept > 100_000 && overslept > response / 2;
    let found = format!(
        "the client wakes up {:.1} µs late (median); a response takes {:.1} µs",
        to_f64(overslept) / 1e3,
        to_f64(response) / 1e3
    );
    let is_open = report.setup.loop_kind == LoopKind::Open;
    is_open.then(|| evidence("timers", found, is_large.then_some(Verdict::ClientLimited)))
}

/// A client that is stopped measures itself.
fn held_up(report: &Report) -> Evidence {
    let most = report.client.workers.iter().map(|it| it.held_up).fold(0.0, f64::max);
    let found =
        format!("a thread of the client was kept from running {:.1} % of its time", 100.0 * most);
    evidence("hold-ups", found, (most > HELD_UP_MAX).then_some(Verdict::ClientLimited))
}

fn stolen(report: &Report) -> Option<Evidence> {
    let stolen = report.environment.stolen?;
    let found = format!("the machine's host took {:.1} % of the CPU time", 100.0 * stolen);
    Some(evidence("host", found, (stolen > STOLEN_MAX).then_some(Verdict::Unsteady)))
}

/// Whether the server could follow the schedule: if the client could send and did not get through.
fn schedule(report: &Report) -> Option<Evidence> {
    let delivered = report.delivered()?;
    let growth = if report.is_overloaded() { ", and ever more were left over" } else { "" };
    let found = format!(
        "{:.1} % of the requests that were due were answered rightly{growth}",
        100.0 * delivered
    );
    let is_behind = delivered < DELIVERED_MIN || report.is_overloaded();
    let doubt = is_behind.then_some(Verdict::ServerLimited);
    Some(evidence("schedule", found, doubt))
}

/// The rates of the first and of the last third, for a load that wants to be steady.
fn drift(report: &Report) -> Option<Evidence> {
    let windows = &report.timeline.windows;
    let is_ramp = report.setup.schedule.as_ref().is_some_and(|it| it.stages.len() > 1);
    let third = windows.len().saturating_sub(1) / 3; // the last window may be a part of one
    if is_ramp || report.interference.is_some() || third < 3 {
        return None;
    }
    let rate = |part: &[crate::report::WindowReport]| {
        let mut replies: Vec<u64> = part.iter().map(|window| window.replies).collect();
        replies.sort_unstable();
        to_f64(replies[replies.len() / 2])
    };
    let (first, last) = (rate(&windows[..third]), rate(&windows[2 * third..3 * third]));
    let drift = (last - first) / first.max(last).max(1.0);
    let found = format!(
        "the last third has {:+.0} % of the rate of the first",
        (100.0 * drift).round() + 0.0
    );
    let is_large = drift.abs() > DRIFT_MAX && first.max(last) >= 20.0;
    Some(evidence("drift", found, is_large.then_some(Verdict::Unsteady)))
}
