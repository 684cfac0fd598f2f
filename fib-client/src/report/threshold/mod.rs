//! What is demanded of a load, and whether it is met: with as much confidence as its samples give.

mod binomial;
mod syntax;

use hdrhistogram::Histogram;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{
    load::Latencies,
    report::{Nanos, Report, document::sum, to_f64},
};
use binomial::{CONFIDENCE, clopper_pearson, samples_needed};

/// What is demanded: `p(99)<5ms`, `avg<1ms`, `errors<0.1%`, `rate>=1000`, `delivered>=98%`.
///
/// The grammar is that of k6's thresholds. A latency is a response; `service:p(99)<1ms` and
/// `lag:max<10ms` demand something of the other rows, `response{n:30}:p(99)<5ms` of one class. A
/// time without a unit is in milliseconds.
///
/// # Examples
///
/// ```
/// use fib_client::report::Threshold;
///
/// # fn main() -> Result<(), fib_client::report::ThresholdError> {
/// let threshold: Threshold = "service{n:30}:p(99.9) <= 2ms".parse()?;
/// assert_eq!(threshold.to_string(), "service{n:30}:p(99.9)<=2ms");
/// assert!("p(100)<5ms".parse::<Threshold>().is_err());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Threshold {
    metric: Metric,
    operator: Operator,
    limit: f64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Metric {
    /// Of one of the rows, and maybe of one class only, in nanoseconds.
    Time { row: Row, n: Option<u64>, statistic: Statistic },
    /// The share of requests that failed.
    Errors,
    /// Right replies per second.
    Rate,
    /// The share of requests due that were answered rightly and in time.
    Delivered,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Row {
    Lag,
    Service,
    Response,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Statistic {
    Percentile(f64),
    Mean,
    Min,
    Max,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Equal,
    NotEqual,
}

/// The text demands nothing that can be judged.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "{reason} in {text:?}; thresholds look like 'p(99)<5ms', 'service{{n:30}}:avg<1ms', \
     'errors<0.1%', 'rate>=1000' or 'delivered>=98%'"
)]
pub struct ThresholdError {
    text: String,
    reason: &'static str,
}

/// Whether a threshold is met.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Decision {
    /// It is.
    Pass,
    /// It is not.
    Fail,
    /// There are too few samples to tell.
    NotEnoughData,
}

/// A threshold with its verdict.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ThresholdReport {
    /// The threshold.
    pub expression: String,
    /// The verdict.
    pub decision: Decision,
    /// What was measured.
    pub observed: String,
    /// What the verdict rests on.
    pub reason: String,
}

impl Decision {
    /// The name in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pass => "PASS",
            Self::Fail => "FAIL",
            Self::NotEnoughData => "NOT ENOUGH DATA",
        }
    }

    /// How a page marks it.
    pub(super) const fn class(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::NotEnoughData => "doubt",
        }
    }
}

impl Threshold {
    /// Whether a load meets it. A class that was not asked for is not enough data.
    #[must_use]
    pub fn judge(&self, report: &Report, classes: &[Latencies]) -> ThresholdReport {
        match self.metric {
            Metric::Time { row, n, statistic } => {
                let of_class = report.classes.iter().zip(classes);
                let wanted = of_class.filter(|(class, _)| n.is_none_or(|n| class.n == n));
                let samples = sum(wanted.map(|(_, it)| std::borrow::Cow::Borrowed(it)));
                self.judge_time(&samples, row, statistic)
            }
            Metric::Errors => {
                let errors = report.errors;
                self.judge_share(errors, report.replies + errors, "requests failed")
            }
            Metric::Delivered => match report.delivered() {
                Some(share) => self.judge_value(share, format!("{:.2} %", 100.0 * share)),
                None => self.unknown("only an open loop has something to deliver"),
            },
            Metric::Rate => {
                let rate = report.rate_per_s;
                self.judge_value(rate, format!("{rate:.1} reqs/s"))
            }
        }
    }

    fn judge_time(&self, samples: &Latencies, row: Row, statistic: Statistic) -> ThresholdReport {
        let histogram = match row {
            Row::Lag => &samples.lag,
            Row::Service => &samples.service,
            Row::Response => &samples.response,
        };
        // Requests that were never answered took longer than any limit that was reached.
        let unanswered = if row == Row::Lag { 0 } else { samples.censored.len() };
        if histogram.is_empty() && unanswered == 0 {
            return self.unknown("no right reply");
        }
        match statistic {
            Statistic::Percentile(percent) if self.operator.is_upper_limit() => {
                self.judge_percentile(histogram, unanswered, percent)
            }
            Statistic::Percentile(percent) => {
                self.judge_nanos(histogram.value_at_percentile(percent))
            }
            Statistic::Mean => self.judge_value(histogram.mean(), nanos(histogram.mean())),
            Statistic::Min => self.judge_nanos(histogram.min()),
            Statistic::Max if unanswered > 0 => self.decided(
                Decision::Fail,
                format!("{unanswered} requests were never answered"),
                "their time is longer than any".to_owned(),
            ),
            Statistic::Max => self.judge_nanos(histogram.max()),
        }
    }

    /// "p(99) < 5 ms" says that at most 1 % of all requests take 5 ms or longer. That share of all
    /// is not known, only that of the samples: between which bounds it lies is.
    fn judge_percentile(
        &self,
        histogram: &Histogram<u64>,
        unanswered: u64,
        percent: f64,
    ) -> ThresholdReport {
        let total = histogram.len() + unanswered;
        let within = histogram.count_between(0, to_nanos(self.limit).saturating_sub(1));
        let over = total - within.min(total);
        let allowed = 1.0 - percent / 100.0;
        let value = Nanos(Some(histogram.value_at_percentile(percent)));
        let observed = format!("{value}; {over} of {total} took longer");
        self.judge_binomial(over, total, allowed, observed)
    }

    fn judge_share(&self, hits: u64, total: u64, what: &str) -> ThresholdReport {
        if total == 0 {
            return self.unknown("no request was answered");
        }
        let share = to_f64(hits) / to_f64(total);
        let observed = format!("{:.4} %: {hits} of {total} {what}", 100.0 * share);
        // "None at all" is a statement on what happened, not on what would.
        if self.operator.is_upper_limit() && self.limit > 0.0 {
            self.judge_binomial(hits, total, self.limit, observed)
        } else {
            self.judge_value(share, observed)
        }
    }

    /// Whether a share of all requests is at most `allowed`, of which `hits` of `total` are known.
    fn judge_binomial(&self, hits: u64, total: u64, allowed: f64, seen: String) -> ThresholdReport {
        let (low, high) = clopper_pearson(hits, total, CONFIDENCE);
        let between = format!("with 99 % confidence {:.4} % to {:.4} %", 100.0 * low, 100.0 * high);
        let limit = format!("{:.4} % are allowed", 100.0 * allowed);
        let decision = if high <= allowed {
            Decision::Pass
        } else if low > allowed {
            Decision::Fail
        } else {
            Decision::NotEnoughData
        };
        let reason = match (decision, samples_needed(hits, total, allowed)) {
            (Decision::NotEnoughData, Some(more)) => {
                format!("{between}, {limit}; needs about {more} more requests")
            }
            (Decision::NotEnoughData, None) => {
                format!("{between}, {limit}; too near the limit to tell")
            }
            _ => format!("{between}, {limit}"),
        };
        self.decided(decision, seen, reason)
    }

    fn judge_nanos(&self, value: u64) -> ThresholdReport {
        self.judge_value(to_f64(value), Nanos(Some(value)).to_string())
    }

    fn judge_value(&self, value: f64, observed: String) -> ThresholdReport {
        let is_met = self.operator.holds(value, self.limit);
        let decision = if is_met { Decision::Pass } else { Decision::Fail };
        self.decided(decision, observed, "as measured".to_owned())
    }

    fn unknown(&self, reason: &str) -> ThresholdReport {
        self.decided(Decision::NotEnoughData, "n/a".to_owned(), reason.to_owned())
    }

    fn decided(&self, decision: Decision, observed: String, reason: String) -> ThresholdReport {
        ThresholdReport { expression: self.to_string(), decision, observed, reason }
    }
}

impl Operator {
    const ALL: [(&'static str, Self); 7] = [
        ("<=", Self::LessOrEqual),
        (">=", Self::GreaterOrEqual),
        ("!=", Self::NotEqual),
        ("===", Self::Equal),
        ("==", Self::Equal),
        ("<", Self::Less),
        (">", Self::Greater),
    ];

    fn holds(self, left: f64, right: f64) -> bool {
        match self {
            Self::Less => left < right,
            Self::LessOrEqual => left <= right,
            Self::Greater => left > right,
            Self::GreaterOrEqual => left >= right,
            Self::Equal => (left - right).abs() < f64::EPSILON,
            Self::NotEqual => (left - right).abs() >= f64::EPSILON,
        }
    }

    fn is_upper_limit(self) -> bool {
        matches!(self, Self::Less | Self::LessOrEqual)
    }

    fn sign(self) -> &'static str {
        let found = Self::ALL.iter().rev().find(|(_, operator)| *operator == self);
        found.map_or("", |(sign, _)| sign)
    }
}

#[expect(clippy::cast_possible_truncation, reason = "a limit beyond an hour is one of an hour")]
#[expect(clippy::cast_sign_loss, reason = "limits are not negative")]
fn to_nanos(nanos: f64) -> u64 {
    nanos as u64
}

fn nanos(value: f64) -> String {
    Nanos(Some(to_nanos(value))).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(expression: &str, values: impl Iterator<Item = u64>) -> ThresholdReport {
        let mut latencies = Latencies::new();
        values.for_each(|it| latencies.response.record(it * 1_000_000).unwrap());
        let class = crate::report::ClassReport {
            n: 30,
            replies: latencies.response.len(),
            latency: crate::report::Rows::of(&latencies),
            local_ns: None,
            histograms: None,
        };
        let report = Report { replies: class.replies, classes: vec![class], ..Report::default() };
        expression.parse::<Threshold>().unwrap().judge(&report, &[latencies])
    }

    #[test]
    fn a_percentile_is_judged_by_how_sure_it_is() {
        let decide = |over: u64, total: u64| {
            let values = (0..total).map(|at| if at < over { 9 } else { 1 });
            judge("p(99)<5ms", values).decision
        };
        assert_eq!(decide(0, 100), Decision::NotEnoughData);
        assert_eq!(decide(0, 1_000), Decision::Pass);
        assert_eq!(decide(8, 1_000), Decision::NotEnoughData);
        assert_eq!(decide(500, 100_000), Decision::Pass);
        assert_eq!(decide(1_000, 100_000), Decision::NotEnoughData);
        assert_eq!(decide(30, 1_000), Decision::Fail);
        let told = judge("p(99)<5ms", (0..100).map(|_| 1)).reason;
        assert!(told.contains("more requests"), "{told}");
    }

    #[test]
    fn other_metrics_are_judged_as_measured() {
        let one = || std::iter::repeat_n(3, 1_000);
        for (expression, decision) in [
            ("avg<4ms", Decision::Pass),
            ("avg<2", Decision::Fail),
            ("max<=3.1ms", Decision::Pass),
            ("response{n:30}:med<4ms", Decision::Pass),
            ("response{n:31}:med<4ms", Decision::NotEnoughData),
            ("errors<1%", Decision::Pass),
            ("errors==0", Decision::Pass),
            ("rate>=1", Decision::Fail),
            ("delivered>=98%", Decision::NotEnoughData),
        ] {
            assert_eq!(judge(expression, one()).decision, decision, "{expression}");
        }
    }
}
