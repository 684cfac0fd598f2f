//! One side of a chart: where a value lies, and which round values are told.

/// About as many lines as an axis has.
const TICKS: f64 = 5.0;

/// How the numbers of an axis are spread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// From zero on, evenly.
    Linear,
    /// By powers of ten.
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
                let low = 10_f64.powf(lowest.log10().floor());
                (low, (10_f64.powf((high * 1.000_001).log10().ceil())).max(low * 10.0))
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

    /// Round values: powers of ten, or multiples of 1, 2 or 5 of one.
    fn ticks(&self) -> Vec<f64> {
        let next: &dyn Fn(f64) -> f64 = match self.scale {
            Scale::Log => &|tick| tick * 10.0,
            Scale::Linear => {
                let rough = self.high / TICKS;
                let power = 10_f64.powf(rough.log10().floor());
                let steps = [1.0, 2.0, 5.0, 10.0].map(|it| it * power);
                let step = steps.into_iter().find(|it| *it >= rough).unwrap_or(rough);
                &move |tick| tick + step
            }
        };
        let ticks = std::iter::successors(Some(self.low), |tick| Some(next(*tick)));
        ticks.take_while(|tick| *tick <= self.high * 1.000_001).take(40).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_inside() {
        let span = Span::new(Scale::Linear, &[3.0, 87.0], 0.0, 100.0);
        assert_eq!(span.ticks(), [0.0, 20.0, 40.0, 60.0, 80.0]);
        let span = Span::new(Scale::Log, &[3.0, 870.0], 0.0, 100.0);
        assert_eq!(span.ticks(), [1.0, 10.0, 100.0, 1000.0]);
        assert!((span.place(1.0) - 0.0).abs() < 1e-9 && (span.place(1000.0) - 100.0).abs() < 1e-9);
    }
}
