//! The largest rate at which a server meets a demand: probes, bisection, and a confirmation.

use std::{io, time::Duration};

use crate::{
    load::{Arrivals, Late, Latencies, Outcome, Pace, Plan, Rates, Schedule, Until},
    report::{Decision, Probe, Report, Search, Threshold, Verdict},
    study::RunLoad,
};

/// The first probe asks for this share of what the server does in a closed loop.
const FIRST_SHARE: f64 = 0.125;

/// The rates that were met and not met are no further apart than this factor in the end.
const PRECISION: f64 = 1.05;

/// How often the maximum has to be met again.
const CONFIRMATIONS: usize = 3;

/// How often the maximum is lowered by the precision when it is not confirmed.
const RETREATS: usize = 6;

/// How often a probe becomes twice as long because it has too few samples.
const EXTENSIONS: u32 = 3;

/// Why a search ended that somebody ended.
const INTERRUPTED: &str = "it was interrupted";

/// What must be delivered for a rate to be one.
const DELIVERED_MIN: f64 = 0.98;

/// Finds the largest rate with which the server meets the demand. Each probe is an open loop of
/// the plan's duration, with a warm-up of its own.
///
/// # Errors
///
/// Those of [`load::run`](crate::load::run).
pub fn search(
    plan: &Plan,
    demand: &Threshold,
    arrivals: Arrivals,
    run: &mut RunLoad<'_>,
) -> io::Result<(Outcome, Report)> {
    let mut hunt = Hunt { plan, demand, arrivals, run, curve: Vec::new(), last: None };
    let closed = hunt.capacity()?;
    let (good, ended) = hunt.bracket(closed * FIRST_SHARE)?;
    let (maximum, ended) = match good {
        // What was not confirmed is no maximum.
        Some(_) if hunt.is_interrupted() => (None, INTERRUPTED.to_owned()),
        Some(rate) => match hunt.confirm(rate)? {
            Some(rate) => (Some(rate), ended),
            None => (None, "no rate was met again when it was to be confirmed".to_owned()),
        },
        None => (None, ended),
    };
    let Hunt { mut curve, last, .. } = hunt;
    curve.sort_by(|a, b| a.offered_per_s.total_cmp(&b.offered_per_s));
    let (outcome, mut report) = last.ok_or_else(|| io::Error::other("interrupted"))?;
    report.search = Some(Search {
        demand: demand.to_string(),
        knee_per_s: knee(&curve),
        curve,
        maximum_per_s: maximum,
        confirmations: if maximum.is_some() { CONFIRMATIONS } else { 0 },
        ended,
    });
    Ok((outcome, report))
}

struct Hunt<'a, 'b> {
    plan: &'a Plan,
    demand: &'a Threshold,
    arrivals: Arrivals,
    run: &'a mut RunLoad<'b>,
    curve: Vec<Probe>,
    last: Option<(Outcome, Report)>,
}

/// What a probe says of its rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    Met,
    NotMet,
    /// The client could not make such a load.
    OverTheClient,
    Interrupted,
}

impl Hunt<'_, '_> {
    /// What the server does in a closed loop.
    fn capacity(&mut self) -> io::Result<f64> {
        let closed = Plan { pace: Pace::Closed { think: Duration::ZERO }, ..self.plan.clone() };
        let outcome = (self.run)(&closed)?;
        let report = Report::new(&closed, &outcome);
        let rate = report.rate_per_s.max(8.0);
        self.last = Some((outcome, report));
        Ok(rate)
    }

    /// The largest rate that was met, and why there is no larger one.
    fn bracket(&mut self, first: f64) -> io::Result<(Option<f64>, String)> {
        let (mut good, mut bad, mut rate) = (None, f64::INFINITY, first.max(1.0));
        let mut is_clients = false;
        loop {
            match self.probe(rate)? {
                Answer::Met => good = Some(rate),
                Answer::NotMet => (bad, is_clients) = (rate, false),
                Answer::OverTheClient => (bad, is_clients) = (rate, true),
                Answer::Interrupted => return Ok((good, INTERRUPTED.to_owned())),
            }
            rate = match good {
                None if bad <= 1.0 => {
                    return Ok((None, "not even one request per second met it".to_owned()));
                }
                None => (bad / 4.0).max(1.0),
                Some(good) if bad.is_infinite() => good * 2.0,
                Some(good) if bad / good <= PRECISION => {
                    let why = if is_clients {
                        "are more than this client makes"
                    } else {
                        "did not meet it"
                    };
                    return Ok((Some(good), format!("{bad:.0} reqs/s {why}")));
                }
                Some(good) => (good * bad).sqrt(),
            };
        }
    }

    fn is_interrupted(&self) -> bool {
        self.last.as_ref().is_some_and(|(outcome, _)| outcome.interrupted)
    }

    /// A rate at or a little below this that is met as often as it is asked for.
    fn confirm(&mut self, mut rate: f64) -> io::Result<Option<f64>> {
        for _ in 0..RETREATS {
            let mut confirmed = 0;
            while confirmed < CONFIRMATIONS && self.probe(rate)? == Answer::Met {
                confirmed += 1;
            }
            if confirmed == CONFIRMATIONS {
                return Ok(Some(rate));
            }
            if self.is_interrupted() {
                return Ok(None);
            }
            rate /= PRECISION;
        }
        Ok(None)
    }

    /// One load of this rate, or longer ones until they say something.
    fn probe(&mut self, rate: f64) -> io::Result<Answer> {
        let mut plan = self.plan.clone();
        let rates = Rates::constant(rate.round()).map_err(io::Error::other)?;
        let late = Late::CatchUp;
        plan.pace = Pace::Open(Schedule { rates, arrivals: self.arrivals, late });
        let mut answer = Answer::NotMet;
        for extension in 0..=EXTENSIONS {
            if let Until::Elapsed(duration) = self.plan.until {
                plan.until = Until::Elapsed(duration * 2_u32.pow(extension));
            }
            let outcome = (self.run)(&plan)?;
            let mut report = Report::new(&plan, &outcome);
            let judged = judge(self.demand, &report, &outcome.tally.classes);
            report.thresholds = vec![judged.1];
            answer = judged.0;
            let is_known = report.thresholds[0].decision != Decision::NotEnoughData;
            self.keep(rate, outcome, report);
            if is_known || answer != Answer::NotMet {
                break;
            }
        }
        Ok(answer)
    }

    fn keep(&mut self, rate: f64, outcome: Outcome, report: Report) {
        self.curve.push(Probe {
            offered_per_s: rate,
            rate_per_s: report.rate_per_s,
            response: report.latency.response,
            decision: report.thresholds[0].decision,
            reason: report.thresholds[0].reason.clone(),
        });
        self.last = Some((outcome, report));
    }
}

/// A rate that was not delivered is not met, whatever the latencies of what was delivered are.
fn judge(
    demand: &Threshold,
    report: &Report,
    classes: &[Latencies],
) -> (Answer, crate::report::ThresholdReport) {
    let mut judged = demand.judge(report, classes);
    let delivered = report.delivered().unwrap_or(0.0);
    let answer = if report.interrupted {
        Answer::Interrupted
    } else if delivered < DELIVERED_MIN || report.is_overloaded() {
        judged.decision = Decision::Fail;
        judged.reason = format!("{:.1} % were delivered, the rest was late", 100.0 * delivered);
        let is_clients = report.grade.verdict == Verdict::ClientLimited;
        if is_clients { Answer::OverTheClient } else { Answer::NotMet }
    } else if judged.decision == Decision::Pass {
        Answer::Met
    } else {
        Answer::NotMet
    };
    (answer, judged)
}

/// The rate with the largest power, rate / response time: before it a larger rate costs little,
/// beyond it much.
/// L. Kleinrock, "Power and Deterministic Rules of Thumb for Probabilistic Problems in Computer
/// Communications", ICC (1979).
fn knee(curve: &[Probe]) -> Option<f64> {
    let power =
        |probe: &Probe| Some((probe.rate_per_s, probe.rate_per_s / probe.response.mean_ns?));
    let powers = curve.iter().filter_map(power);
    powers.max_by(|a, b| a.1.total_cmp(&b.1)).map(|(rate, _)| rate)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Latency;

    #[test]
    fn the_knee_is_where_power_is_largest() {
        let probe = |rate: f64, mean: f64| Probe {
            offered_per_s: rate,
            rate_per_s: rate,
            response: Latency { mean_ns: Some(mean), ..Latency::default() },
            decision: Decision::Pass,
            reason: String::new(),
        };
        let queue = |rate: f64| probe(rate, 1e9 / (1_000.0 - rate)); // an M/M/1 queue of 1,000/s
        let curve: Vec<_> = (1..100).map(|it| queue(f64::from(it) * 10.0)).collect();
        assert_eq!(knee(&curve), Some(500.0));
        assert_eq!(knee(&[]), None);
    }
}
