//! Percentiles, and when there are too few samples for one.

use hdrhistogram::Histogram;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{load::Latencies, report::to_f64};

/// A percentile needs this many samples beyond it to say something.
const SAMPLES_BEYOND: f64 = 10.0;

/// Times of some requests in nanoseconds. A percentile with fewer than ten samples beyond it is
/// absent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Latency {
    /// How many samples there are.
    pub count: u64,
    /// The shortest.
    pub min_ns: Option<u64>,
    /// The mean.
    pub mean_ns: Option<f64>,
    /// The median.
    pub p50_ns: Option<u64>,
    /// The 90th percentile.
    pub p90_ns: Option<u64>,
    /// The 99th percentile.
    pub p99_ns: Option<u64>,
    /// The 99.9th percentile.
    pub p99_9_ns: Option<u64>,
    /// The 99.99th percentile.
    pub p99_99_ns: Option<u64>,
    /// The longest.
    pub max_ns: Option<u64>,
}

/// The three ways to look at the time of a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Rows {
    /// From when it was due until before it was written.
    pub lag: Latency,
    /// From before it was written until after its reply was read.
    pub service: Latency,
    /// What a user feels: the sum of both.
    pub response: Latency,
    /// The response again, with the requests that were never answered, where there are any: they
    /// took longer than until they were given up. The estimate is that of Kaplan and Meier; a
    /// percentile that lies beyond all that is known is absent.
    pub with_unanswered: Option<Latency>,
}

impl Latency {
    /// Of these samples.
    #[must_use]
    pub fn of(histogram: &Histogram<u64>) -> Self {
        let any = !histogram.is_empty();
        let percentile = |percent: f64| {
            is_known(histogram.len(), percent).then(|| histogram.value_at_percentile(percent))
        };
        Self {
            count: histogram.len(),
            min_ns: any.then(|| histogram.min()),
            mean_ns: any.then(|| histogram.mean()),
            p50_ns: percentile(50.0),
            p90_ns: percentile(90.0),
            p99_ns: percentile(99.0),
            p99_9_ns: percentile(99.9),
            p99_99_ns: percentile(99.99),
            max_ns: any.then(|| histogram.max()),
        }
    }

    /// Its percentiles under their names, in order.
    #[must_use]
    pub fn percentiles(&self) -> [(&'static str, Option<u64>); 5] {
        [
            ("p50", self.p50_ns),
            ("p90", self.p90_ns),
            ("p99", self.p99_ns),
            ("p99.9", self.p99_9_ns),
            ("p99.99", self.p99_99_ns),
        ]
    }
}

/// Whether so many samples are enough for a percentile.
pub(super) fn is_known(samples: u64, percent: f64) -> bool {
    let beyond = to_f64(samples) * (1.0 - percent / 100.0);
    // Percentages are not exact in binary: 1000 samples must be enough for the 99th.
    beyond + 1e-6 >= SAMPLES_BEYOND
}

impl Rows {
    /// Of these samples.
    #[must_use]
    pub fn of(latencies: &Latencies) -> Self {
        let Latencies { lag, service, response, censored } = latencies;
        Self {
            lag: Latency::of(lag),
            service: Latency::of(service),
            response: Latency::of(response),
            with_unanswered: (!censored.is_empty()).then(|| survival(response, censored)),
        }
    }
}

/// The product-limit estimate: each answer takes its share of those who were still waiting then.
/// E. L. Kaplan and P. Meier, "Nonparametric Estimation from Incomplete Observations", Journal of
/// the American Statistical Association 53 (1958).
fn survival(answered: &Histogram<u64>, censored: &Histogram<u64>) -> Latency {
    let count = answered.len() + censored.len();
    let mut given_up = censored.iter_recorded().peekable();
    let (mut waiting, mut surviving) = (count, 1.0);
    // After each answer: how long it took, and the share of requests that took longer.
    let mut steps = Vec::new();
    for answer in answered.iter_recorded() {
        let time = answer.value_iterated_to();
        while let Some(earlier) = given_up.next_if(|it| it.value_iterated_to() < time) {
            waiting -= earlier.count_since_last_iteration();
        }
        let answers = answer.count_since_last_iteration();
        surviving *= 1.0 - to_f64(answers) / to_f64(waiting);
        waiting -= answers;
        steps.push((time, surviving));
    }
    let percentile = |percent: f64| {
        let beyond = 1.0 - percent / 100.0;
        let reached = steps.iter().find(|(_, surviving)| *surviving <= beyond + 1e-12);
        reached.filter(|_| is_known(count, percent)).map(|(time, _)| *time)
    };
    Latency {
        count,
        min_ns: steps.first().map(|(time, _)| *time),
        mean_ns: None,
        p50_ns: percentile(50.0),
        p90_ns: percentile(90.0),
        p99_ns: percentile(99.0),
        p99_9_ns: percentile(99.9),
        p99_99_ns: percentile(99.99),
        max_ns: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::histogram;

    fn of(values: impl IntoIterator<Item = u64>) -> Histogram<u64> {
        let mut histogram = histogram(3);
        values.into_iter().for_each(|value| histogram.record(value).unwrap());
        histogram
    }

    #[test]
    fn a_percentile_with_too_few_samples_is_absent() {
        let latency = Latency::of(&of(1..=999));
        assert_eq!((latency.p90_ns.is_some(), latency.p99_ns), (true, None));
        assert_eq!(Latency::of(&of(1..=1000)).p99_ns, Some(990));
        assert_eq!(Latency::of(&of([])), Latency::default());
    }

    /// The example of the paper, section 2: deaths at 0.8, 3.1, 5.4, 9.2 and losses at 1.0, 2.7,
    /// 7.0, 12.1 months leave the survivors 0.875, 0.7, 0.525 and 0.2625.
    #[test]
    fn the_estimate_is_that_of_the_paper() {
        let scaled = |months: [u64; 4]| of(months.iter().flat_map(|&it| [it; 100]));
        let (answered, censored) = (scaled([8, 31, 54, 92]), scaled([10, 27, 70, 121]));
        let latency = survival(&answered, &censored);
        assert_eq!((latency.count, latency.p50_ns), (800, Some(92)));
        assert_eq!((latency.p90_ns, latency.max_ns), (None, None));
        let fewer = survival(&answered, &scaled([70, 100, 121, 200]));
        assert_eq!(fewer.p50_ns, Some(92));
    }

    #[test]
    fn without_unanswered_requests_the_estimate_is_the_plain_one() {
        let answered = of((1..=100_000).map(|it| it * 7));
        let (plain, estimate) = (Latency::of(&answered), survival(&answered, &of([])));
        assert_eq!(plain.percentiles(), estimate.percentiles());
    }
}
