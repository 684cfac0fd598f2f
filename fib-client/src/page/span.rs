//! One side of a chart: where a value lies, and which round values are told.

/// About as many lines as an axis has.
const TICKS: f64 = 5.0;

/// No axis has more, whatever its numbers.
const TICKS_MAX: usize = 40;

/// What people count by, times a power of ten.
const ROUND: [f64; 3] = [1.0, 2.0, 5.0];

/// Two numbers are the same if they differ by less.
const ABOUT_ONE: f64 = 1.000_001;

/// How the numbers of an axis are spread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// From zero on, evenly.
    Linear,
    /// By factors: ten is as far from one as a hundred from ten.
    Log,
}

/// Values along one side of the plot.
pub(super) struct Span {
    scale: Scale,
    low: f64,
    high: f64,
    from: f64,
    to: f64,
}

impl Span {
    pub(super) fn new(scale: Scale, values: &[f64], from: f64, to: f64) -> Self {
        let high = values.iter().copied().fold(f64::MIN_POSITIVE, f64::max);
        let lowest = values.iter().copied().filter(|it| *it > 0.0).fold(high, f64::min);
        let (low, high) = match scale {
            Scale::Linear => (0.0, high * 1.05),
            Scale::Log => {
                let low = round_below(lowest);
                (low, round_above(high).max(low * 10.0))
            }
        };
        Self { scale, low, high, from, to }
    }

    pub(super) fn place(&self, value: f64) -> f64 {
        let share = match self.scale {
            Scale::Linear => (value - self.low) / (self.high - self.low),
            Scale::Log => (value.max(self.low) / self.low).log10() / (self.high / self.low).log10(),
        };
        self.from + share.clamp(0.0, 1.0) * (self.to - self.from)
    }

    /// Round values, and where they are.
    pub(super) fn placed_ticks(&self) -> Vec<(f64, f64)> {
        self.ticks().into_iter().map(|tick| (tick, self.place(tick))).collect()
    }

    /// Round values that lie on it.
    fn ticks(&self) -> Vec<f64> {
        match self.scale {
            Scale::Linear => self.even_ticks(),
            Scale::Log => self.powers_of_ten(),
        }
    }

    /// Multiples of a round number.
    fn even_ticks(&self) -> Vec<f64> {
        let step = round_above(self.high / TICKS);
        let ticks = std::iter::successors(Some(self.low), |tick| Some(tick + step));
        ticks.take_while(|tick| *tick <= self.high * ABOUT_ONE).take(TICKS_MAX).collect()
    }

    /// Powers of ten; where there are few, what is between them, too.
    fn powers_of_ten(&self) -> Vec<f64> {
        let all: &[f64] = if self.high / self.low > 50.0 { &[1.0] } else { &ROUND };
        let powers = std::iter::successors(Some(power_below(self.low)), |it| Some(it * 10.0));
        let ticks = powers.take(TICKS_MAX).flat_map(|power| all.iter().map(move |it| it * power));
        let is_on = |tick: &f64| *tick >= self.low / ABOUT_ONE && *tick <= self.high * ABOUT_ONE;
        let mut ticks: Vec<_> = ticks.filter(is_on).collect();
        self.tell_ends(&mut ticks);
        ticks
    }

    /// The ends of the axis are told, too, where there is place for them.
    fn tell_ends(&self, ticks: &mut Vec<f64>) {
        if ticks.first().is_some_and(|it| *it > 4.0 * self.low) {
            ticks.insert(0, self.low);
        }
        if ticks.last().is_some_and(|it| *it * 4.0 < self.high) {
            ticks.push(self.high);
        }
    }
}

fn power_below(value: f64) -> f64 {
    10_f64.powf((value * ABOUT_ONE).log10().floor())
}

/// The largest round number that is not above a value.
fn round_below(value: f64) -> f64 {
    let power = power_below(value);
    let mut rounds = ROUND.map(|it| it * power).into_iter().rev();
    rounds.find(|it| *it <= value * ABOUT_ONE).unwrap_or(power)
}

/// The smallest round number that is not below a value.
fn round_above(value: f64) -> f64 {
    let power = power_below(value);
    let rounds = ROUND.map(|it| it * power).into_iter();
    rounds.chain([10.0 * power]).find(|it| *it >= value / ABOUT_ONE).unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_inside() {
        let span = Span::new(Scale::Linear, &[3.0, 87.0], 0.0, 100.0);
        assert_eq!(span.ticks(), [0.0, 20.0, 40.0, 60.0, 80.0]);
        let span = Span::new(Scale::Log, &[3.0, 870.0], 0.0, 100.0);
        assert_eq!(
            (span.low, span.high, span.ticks()),
            (2.0, 1000.0, vec![2.0, 10.0, 100.0, 1000.0])
        );
        assert!(span.place(2.0).abs() < 1e-9 && (span.place(1000.0) - 100.0).abs() < 1e-9);
        let span = Span::new(Scale::Log, &[3.0, 9.0], 0.0, 100.0);
        assert_eq!((span.low, span.high, span.ticks()), (2.0, 20.0, vec![2.0, 5.0, 10.0, 20.0]));
    }
}
