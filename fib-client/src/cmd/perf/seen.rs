//! What was seen of a load so far, and how much of it is left.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use fib_client::{
    load::{Plan, Progress, Until, Window},
    report::{Latency, Nanos},
};
use hdrhistogram::Histogram;

/// How many rates are remembered: a minute of them on a screen.
const HISTORY: usize = 240;

/// What was seen of a load so far.
pub(super) struct Seen {
    pub(super) title: String,
    until: Until,
    warm_up: Duration,
    /// Since when it has been measured.
    began: Option<Instant>,
    pub(super) all: Histogram<u64>,
    /// Of the last period.
    pub(super) last: Window,
    pub(super) errors: u64,
    pub(super) rate: f64,
    pub(super) rates: VecDeque<u64>,
    last_at: Instant,
}

impl Seen {
    pub(super) fn new(plan: &Plan) -> Self {
        let mix: Vec<_> = plan.mix.classes().iter().map(|it| format!("fib({})", it.n)).collect();
        Self {
            title: format!("{} on {}", mix.join(" + "), plan.address),
            until: plan.until,
            warm_up: plan.warm_up,
            began: None,
            all: Window::new().response,
            last: Window::new(),
            errors: 0,
            rate: 0.0,
            rates: VecDeque::with_capacity(HISTORY),
            last_at: Instant::now(),
        }
    }

    pub(super) fn look(&mut self, progress: &Progress) {
        self.began = progress.measured_from();
        self.last = progress.take_recent();
        let now = Instant::now();
        let elapsed = now.duration_since(self.last_at).as_secs_f64().max(1e-3);
        self.last_at = now;
        self.rate = to_f64(self.last.response.len()) / elapsed;
        // Both have the same bounds.
        let _ = self.all.add(&self.last.response);
        self.errors += self.last.failures;
        if self.rates.len() == HISTORY {
            self.rates.pop_front();
        }
        #[expect(clippy::cast_possible_truncation, reason = "a rate of a bar")]
        #[expect(clippy::cast_sign_loss, reason = "a rate is not negative")]
        self.rates.push_back(self.rate as u64);
    }

    pub(super) fn line(&self) -> String {
        let response = Latency::of(&self.last.response);
        let [p50, p99] = [response.p50_ns, response.p99_ns].map(|it| Nanos(it).to_string());
        let (rate, errors) = (self.rate, self.errors);
        let (_, phase) = self.phase();
        format!("{rate:>9.0} reqs/s  p50 {p50:<8}  p99 {p99:<8}  errors {errors}  {phase}")
    }

    /// How much of it is done, from 0 to 1, and what is left in words.
    pub(super) fn phase(&self) -> (f64, String) {
        let now = Instant::now();
        let Some(began) = self.began else { return (0.0, "connecting".to_owned()) };
        if now < began {
            let left = began.duration_since(now).as_secs_f64();
            let done = 1.0 - left / self.warm_up.as_secs_f64().max(1e-9);
            return (done.clamp(0.0, 1.0), format!("warm-up, {left:.1} s left"));
        }
        let elapsed = now.duration_since(began);
        match self.until {
            Until::Elapsed(duration) if elapsed >= duration => (1.0, "last replies".to_owned()),
            Until::Elapsed(duration) => {
                let left = duration.saturating_sub(elapsed).as_secs_f64();
                (elapsed.as_secs_f64() / duration.as_secs_f64(), format!("{left:.1} s left"))
            }
            Until::Requests(requests) => {
                let done = to_f64(self.all.len() + self.errors) / to_f64(requests.max(1));
                let left = elapsed.as_secs_f64() * (1.0 - done) / done.max(1e-9);
                let told = format!("{:.0} % done, about {left:.1} s left", 100.0 * done);
                (done.clamp(0.0, 1.0), told)
            }
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
pub(super) fn to_f64(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
pub(super) mod tests {
    use fib_client::load::Plan;

    use super::*;

    pub(in crate::cmd::perf) fn seen() -> Seen {
        let mut seen = Seen::new(&Plan::new("127.0.0.1:25000".parse().expect("an address")));
        (1..2_000_u64).for_each(|it| seen.last.response.saturating_record(it * 1_000));
        seen.all.add(&seen.last.response).expect("the bounds are the same");
        seen.began = Some(Instant::now());
        (seen.rate, seen.errors) = (65_302.0, 3);
        seen.rates.extend([10, 20, 30, 65_302]);
        seen
    }

    #[test]
    fn a_line_tells_what_matters() {
        let line = seen().line();
        assert!(line.starts_with("    65302 reqs/s  p50 1.0"), "{line}");
        assert!(line.contains("errors 3") && line.contains("s left"), "{line}");
    }

    #[test]
    fn time_left_is_told_in_every_phase() {
        let mut seen = seen();
        seen.began = None;
        assert_eq!(seen.phase().1, "connecting");
        seen.began = Some(Instant::now() + Duration::from_secs(5));
        assert!(seen.phase().1.starts_with("warm-up, "));
        (seen.began, seen.until) = (Some(Instant::now()), Until::Requests(4_004));
        assert!(seen.phase().1.starts_with("50 % done, about "), "{}", seen.phase().1);
    }
}
