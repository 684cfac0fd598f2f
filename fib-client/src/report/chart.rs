//! Line charts as SVG, small enough to read: a page that shows them needs nothing else.

use std::fmt::Write as _;

use maud::{Markup, html};

/// The size of the drawing; a page scales it.
const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 290.0;

/// What is around the plot: the numbers of the axes.
const LEFT: f64 = 88.0;
const RIGHT: f64 = 36.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 50.0;

/// About as many lines as an axis has.
const TICKS: f64 = 5.0;

/// Points that are drawn as such and tell their values; more would be a thick line.
const DOTS_MAX: usize = 80;

/// How the numbers of an axis are spread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scale {
    /// From zero on, evenly.
    Linear,
    /// By powers of ten.
    Log,
}

/// An axis: what it is called, how it is spread, and how its numbers are told.
pub(super) struct Axis<'a> {
    pub(super) label: &'a str,
    pub(super) scale: Scale,
    pub(super) tell: &'a dyn Fn(f64) -> String,
}

/// A line of a chart; its number decides its colour.
pub(super) struct Series<'a> {
    pub(super) name: &'a str,
    pub(super) colour: usize,
    pub(super) points: Vec<(f64, f64)>,
}

/// A chart with a legend. What has no point is not drawn.
pub(super) fn line_chart(title: &str, x: &Axis<'_>, y: &Axis<'_>, series: &[Series<'_>]) -> Markup {
    let series: Vec<_> = series.iter().filter(|series| !series.points.is_empty()).collect();
    let values = |of: fn(&(f64, f64)) -> f64| {
        series.iter().flat_map(|series| &series.points).map(of).collect::<Vec<_>>()
    };
    let across = Span::new(x.scale, &values(|it| it.0), LEFT, WIDTH - RIGHT);
    let up = Span::new(y.scale, &values(|it| it.1), HEIGHT - BOTTOM, TOP);
    html! {
        figure.chart {
            figcaption {
                span.chart-title { (title) }
                @for series in &series {
                    span.key { i class={"line c" (series.colour)} {} (series.name) }
                }
            }
            svg viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) role="img" aria-label=(title) {
                @for (tick, y1) in up.placed_ticks() {
                    line.grid x1=(LEFT) x2=(WIDTH - RIGHT) y1=(at(y1)) y2=(at(y1)) {}
                    text.tick x=(LEFT - 8.0) y=(at(y1 + 4.0)) text-anchor="end" { ((y.tell)(tick)) }
                }
                @for (tick, x1) in across.placed_ticks() {
                    line.grid y1=(TOP) y2=(HEIGHT - BOTTOM) x1=(at(x1)) x2=(at(x1)) {}
                    text.tick x=(at(x1)) y=(HEIGHT - BOTTOM + 20.0) text-anchor="middle" {
                        ((x.tell)(tick))
                    }
                }
                text.tick x=(WIDTH - RIGHT) y=(HEIGHT - 6.0) text-anchor="end" { (x.label) }
                text.tick x=(LEFT) y=(HEIGHT - 6.0) { "vertical: " (y.label) }
                @for series in &series { (line(series, &across, &up, x, y)) }
            }
        }
    }
}

fn line(series: &Series<'_>, across: &Span, up: &Span, x: &Axis<'_>, y: &Axis<'_>) -> Markup {
    let mut path = String::new();
    for (index, &(left, right)) in series.points.iter().enumerate() {
        let command = if index == 0 { 'M' } else { 'L' };
        let _ = write!(path, "{command}{} {}", at(across.place(left)), at(up.place(right)));
    }
    let step = series.points.len().div_ceil(DOTS_MAX).max(1);
    // A single point has no line that shows it.
    let only = if series.points.len() == 1 { " only" } else { "" };
    html! {
        path class={"line c" (series.colour)} d=(path) {}
        @for &(left, right) in series.points.iter().step_by(step) {
            circle class={"dot c" (series.colour) (only)} r="2.6" cx=(at(across.place(left))) cy=(at(up.place(right))) {
                title { (series.name) ": " ((y.tell)(right)) " at " ((x.tell)(left)) }
            }
        }
    }
}

/// A coordinate with as many digits as can be seen.
fn at(coordinate: f64) -> String {
    format!("{coordinate:.1}")
}

/// Values along one side of the plot.
struct Span {
    scale: Scale,
    low: f64,
    high: f64,
    from: f64,
    to: f64,
}

impl Span {
    fn new(scale: Scale, values: &[f64], from: f64, to: f64) -> Self {
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

    fn place(&self, value: f64) -> f64 {
        let share = match self.scale {
            Scale::Linear => (value - self.low) / (self.high - self.low),
            Scale::Log => (value.max(self.low) / self.low).log10() / (self.high / self.low).log10(),
        };
        self.from + share.clamp(0.0, 1.0) * (self.to - self.from)
    }

    /// Round values, and where they are.
    fn placed_ticks(&self) -> Vec<(f64, f64)> {
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

/// A number with the letter of its thousands.
pub(super) fn short(value: f64) -> String {
    match value {
        1e6.. => format!("{}M", trimmed(value / 1e6)),
        1e3.. => format!("{}k", trimmed(value / 1e3)),
        _ => trimmed(value),
    }
}

fn trimmed(value: f64) -> String {
    let text = format!("{value:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
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

    #[test]
    fn numbers_are_short() {
        assert_eq!([0.0, 12.5, 1_000.0, 1_250_000.0].map(short), ["0", "12.5", "1k", "1.25M"]);
    }

    #[test]
    fn names_are_escaped() {
        let axis = || Axis { label: "<x>", scale: Scale::Linear, tell: &short };
        let series = Series { name: "<script>", colour: 0, points: vec![(1.0, 2.0), (2.0, 3.0)] };
        let svg = line_chart("a & b", &axis(), &axis(), &[series]).into_string();
        assert!(svg.contains("&lt;script&gt;") && !svg.contains("<script>"), "{svg}");
    }
}
