//! When requests are due: after the last answer (closed loop), or on a schedule (open loop).

use std::{str::FromStr, time::Duration};

use fastrand::Rng;
use thiserror::Error;

/// What decides when the next request is due.
#[derive(Clone, Debug, PartialEq)]
pub enum Pace {
    /// A closed loop: when a request is answered, the connection thinks for so long and asks again.
    /// A server that stalls gets fewer requests, so a closed loop finds out how much a server can
    /// do, and not what its users would feel.
    Closed {
        /// The pause between an answer and the next request.
        think: Duration,
    },
    /// An open loop: requests are due on a schedule, whatever became of the earlier ones.
    Open(Schedule),
}

/// When the requests of an open loop are due.
#[derive(Clone, Debug, PartialEq)]
pub struct Schedule {
    /// Requests per second, over time.
    pub rates: Rates,
    /// How they are spread.
    pub arrivals: Arrivals,
    /// What becomes of those that cannot be sent when they are due.
    pub late: Late,
}

/// How requests are spread over time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrivals {
    /// In even gaps, the connections one after the other.
    Const,
    /// As independent users make them: each gap is drawn from an exponential distribution.
    Poisson,
}

/// What becomes of a request that cannot be sent when it is due, because every connection has as
/// many under way as it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Late {
    /// It is sent as soon as there is room.
    CatchUp,
    /// It is left out once the next one is due, too.
    Skip,
    /// It is left out when it is so late.
    Shed(Duration),
}

/// Requests per second over time, in stages; the rate at the end of the last stage stays.
///
/// # Examples
///
/// ```
/// use fib_client::load::Rates;
///
/// # fn main() -> Result<(), fib_client::load::RatesError> {
/// let rates: Rates = "0:100/10s,1k/30s".parse()?;
/// assert_eq!(rates.duration().as_secs(), 40);
/// assert_eq!(rates.count_until(rates.duration()), 500.0 + 30_000.0);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Rates {
    stages: Vec<Stage>,
}

/// A rate that changes evenly for so long.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stage {
    /// Requests per second at its beginning.
    pub from: f64,
    /// Requests per second at its end.
    pub to: f64,
    /// How long it lasts.
    pub duration: Duration,
}

/// The text is no rate, or no list of stages.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RatesError {
    /// Not a number of requests per second.
    #[error("expected requests per second, as in 500, 2.5k or 1M, not {text:?}")]
    Rate {
        /// What was there instead.
        text: String,
    },
    /// Not a stage.
    #[error("expected RATE/DURATION or FROM:TO/DURATION, as in 0:100/10s,1k/30s, not {text:?}")]
    Stage {
        /// What was there instead.
        text: String,
    },
    /// Nothing would ever be due.
    #[error("a schedule needs a rate above zero")]
    Nothing,
}

impl Rates {
    /// The same rate for ever.
    ///
    /// # Errors
    ///
    /// [`RatesError::Nothing`] unless the rate is above zero and finite.
    pub fn constant(rate: f64) -> Result<Self, RatesError> {
        Self::stages(vec![Stage { from: rate, to: rate, duration: Duration::ZERO }])
    }

    /// One stage after the other.
    ///
    /// # Errors
    ///
    /// [`RatesError::Nothing`] unless some rate is above zero, and all are finite and not negative.
    pub fn stages(stages: Vec<Stage>) -> Result<Self, RatesError> {
        let rates = || stages.iter().flat_map(|stage| [stage.from, stage.to]);
        let is_some = rates().any(|rate| rate > 0.0);
        let all_fit = rates().all(|rate| rate.is_finite() && rate >= 0.0);
        if is_some && all_fit { Ok(Self { stages }) } else { Err(RatesError::Nothing) }
    }

    /// How long all stages take; zero for a rate that is always the same.
    #[must_use]
    pub fn duration(&self) -> Duration {
        self.stages.iter().map(|stage| stage.duration).sum()
    }

    /// How many requests are due until then.
    #[must_use]
    pub fn count_until(&self, until: Duration) -> f64 {
        let (mut count, mut left) = (0.0, until);
        for stage in &self.stages {
            if left < stage.duration {
                return count + stage.count_until(left.as_secs_f64());
            }
            count += stage.count();
            left -= stage.duration;
        }
        count + self.last_rate() * left.as_secs_f64()
    }

    /// The rate after the last stage.
    #[must_use]
    pub fn last_rate(&self) -> f64 {
        self.stages.last().map_or(0.0, |stage| stage.to)
    }

    /// The rates of the stages.
    #[must_use]
    pub fn as_stages(&self) -> &[Stage] {
        &self.stages
    }

    /// The same after a warm-up at its first rate.
    fn after(&self, warm_up: Duration) -> Self {
        let rate = self.stages.first().map_or(0.0, |stage| stage.from);
        let mut stages = vec![Stage { from: rate, to: rate, duration: warm_up }];
        stages.extend_from_slice(&self.stages);
        Self { stages }
    }

    /// When so many requests are due: the inverse of [`count_until`](Self::count_until).
    fn time_of(&self, count: f64) -> Option<Duration> {
        let (mut left, mut begin) = (count, Duration::ZERO);
        for stage in &self.stages {
            if left < stage.count() {
                return Some(begin + Duration::from_secs_f64(stage.time_of(left)));
            }
            left -= stage.count();
            begin += stage.duration;
        }
        let seconds = left / self.last_rate();
        Some(begin + Duration::try_from_secs_f64(seconds).ok()?)
    }
}

impl Stage {
    fn count(&self) -> f64 {
        self.count_until(self.duration.as_secs_f64())
    }

    fn count_until(&self, seconds: f64) -> f64 {
        self.from * seconds + self.slope() * seconds * seconds / 2.0
    }

    /// The root of `count_until`, in the form that loses no digits where the slope is small.
    fn time_of(&self, count: f64) -> f64 {
        let root = (self.from * self.from + 2.0 * count * self.slope()).max(0.0).sqrt();
        if count == 0.0 { 0.0 } else { 2.0 * count / (self.from + root) }
    }

    fn slope(&self) -> f64 {
        let seconds = self.duration.as_secs_f64();
        if seconds == 0.0 { 0.0 } else { (self.to - self.from) / seconds }
    }
}

impl FromStr for Rates {
    type Err = RatesError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if !text.contains('/') {
            return Self::constant(parse_rate(text)?);
        }
        Self::stages(text.split(',').map(parse_stage).collect::<Result<_, _>>()?)
    }
}

fn parse_stage(text: &str) -> Result<Stage, RatesError> {
    let wrong = || RatesError::Stage { text: text.to_owned() };
    let (rates, duration) = text.split_once('/').ok_or_else(wrong)?;
    let (from, to) = rates.split_once(':').unwrap_or((rates, rates));
    let duration = humantime::parse_duration(duration).map_err(|_| wrong())?;
    Ok(Stage { from: parse_rate(from)?, to: parse_rate(to)?, duration })
}

/// A number, in thousands with `k`, in millions with `M`.
fn parse_rate(text: &str) -> Result<f64, RatesError> {
    let (digits, scale) = match text.as_bytes().last() {
        Some(b'k' | b'K') => (&text[..text.len() - 1], 1e3),
        Some(b'm' | b'M') => (&text[..text.len() - 1], 1e6),
        _ => (text, 1.0),
    };
    let rate = digits.parse().ok().filter(|rate: &f64| rate.is_finite() && *rate >= 0.0);
    rate.map(|rate| rate * scale).ok_or_else(|| RatesError::Rate { text: text.to_owned() })
}

/// The moments at which one of several threads has requests due, since the load began: every
/// thread makes an equal share, and all together what the schedule says.
#[derive(Debug)]
pub(super) struct DueTimes {
    rates: Rates,
    arrivals: Arrivals,
    threads: f64,
    rng: Rng,
    /// In requests of the whole schedule. Rates change over it, so gaps are drawn from it: for any
    /// rates, a Poisson process in counts is one in time.
    count: f64,
    /// The same of the one after the next.
    second: f64,
}

impl DueTimes {
    pub(super) fn new(
        schedule: &Schedule,
        warm_up: Duration,
        (index, threads): (usize, usize),
        rng: Rng,
    ) -> Self {
        let [threads, index] = [threads, index].map(to_f64);
        let mut due = Self {
            rates: schedule.rates.after(warm_up),
            arrivals: schedule.arrivals,
            threads,
            rng,
            count: index,
            second: 0.0,
        };
        if schedule.arrivals == Arrivals::Poisson {
            due.count = due.gap();
        }
        due.second = due.count + due.gap();
        due
    }

    /// The next one; `None` when nothing will be due any more.
    pub(super) fn peek(&self) -> Option<Duration> {
        self.rates.time_of(self.count)
    }

    /// The one after it.
    pub(super) fn peek_second(&self) -> Option<Duration> {
        self.rates.time_of(self.second)
    }

    pub(super) fn advance(&mut self) {
        self.count = self.second;
        self.second += self.gap();
    }

    fn gap(&mut self) -> f64 {
        match self.arrivals {
            Arrivals::Const => self.threads,
            Arrivals::Poisson => -(1.0 - self.rng.f64()).ln() * self.threads,
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "there are not so many threads")]
fn to_f64(count: usize) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moments(rates: &str, arrivals: Arrivals, threads: usize, index: usize) -> DueTimes {
        let schedule = Schedule { rates: rates.parse().unwrap(), arrivals, late: Late::CatchUp };
        DueTimes::new(&schedule, Duration::ZERO, (index, threads), Rng::with_seed(7))
    }

    impl Iterator for DueTimes {
        type Item = f64;

        fn next(&mut self) -> Option<f64> {
            let due = self.peek()?;
            self.advance();
            Some(due.as_secs_f64())
        }
    }

    #[test]
    fn even_gaps_are_even_however_many_requests_there_are() {
        let mut due = moments("1k", Arrivals::Const, 1, 0);
        assert!((due.nth(1_000_000).unwrap() - 1_000.0).abs() < 1e-9);
    }

    #[test]
    fn threads_make_the_schedule_together() {
        let mut all: Vec<f64> =
            (0..3).flat_map(|index| moments("300", Arrivals::Const, 3, index).take(100)).collect();
        all.sort_by(f64::total_cmp);
        let alone: Vec<f64> = moments("300", Arrivals::Const, 1, 0).take(300).collect();
        assert!(all.iter().zip(&alone).all(|(a, b)| (a - b).abs() < 1e-8), "{all:?}");
    }

    #[test]
    fn stages_are_followed() {
        let due = moments("0:100/10s,0/5s,50/2s", Arrivals::Const, 1, 0);
        let rates = due.rates.clone();
        let moments: Vec<f64> = due.take(600).collect();
        let within =
            |from: f64, to: f64| moments.iter().filter(|&&due| due >= from && due < to).count();
        assert_eq!([within(0.0, 5.0), within(5.0, 10.0)], [125, 375]);
        assert_eq!([within(10.0, 15.0), within(15.0, 17.0)], [0, 100]);
        for (count, due) in moments.iter().enumerate() {
            let until = Duration::from_secs_f64(*due);
            assert!((rates.count_until(until) - to_f64(count)).abs() < 1e-3);
        }
    }

    #[test]
    fn a_schedule_may_end() {
        assert_eq!(moments("10:0/2s", Arrivals::Const, 1, 0).count(), 10);
    }

    /// Kolmogorov and Smirnov: the largest distance between the distribution that was drawn and
    /// the exponential one, which 1.63 / √n exceeds once in a hundred times. The seed is fixed.
    #[test]
    fn poisson_gaps_are_exponential() {
        for (threads, index) in [(1, 0), (2, 1)] {
            let due: Vec<f64> =
                moments("2k", Arrivals::Poisson, threads, index).take(50_000).collect();
            let mut gaps: Vec<f64> = due.windows(2).map(|pair| pair[1] - pair[0]).collect();
            gaps.sort_by(f64::total_cmp);
            let (rate, n) = (2_000.0 / to_f64(threads), to_f64(gaps.len()));
            let distance = gaps.iter().enumerate().map(|(at, gap)| {
                let expected = 1.0 - (-gap * rate).exp();
                (expected - to_f64(at) / n).abs().max((expected - to_f64(at + 1) / n).abs())
            });
            let largest = distance.fold(0.0, f64::max);
            assert!(largest < 1.63 / n.sqrt(), "{largest}");
        }
    }

    #[test]
    fn what_is_no_rate_is_told() {
        for text in ["", "0", "-1", "k", "1x", "nan", "inf", "1/", "1:2:3/4s", "0/1s", "1k/1s,"] {
            assert!(text.parse::<Rates>().is_err(), "{text:?}");
        }
        assert_eq!("2.5k".parse::<Rates>(), Rates::constant(2_500.0));
    }
}
