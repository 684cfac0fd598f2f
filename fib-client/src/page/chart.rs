//! Line charts as SVG, small enough to read: a page that shows them needs nothing else.

use std::fmt::{self, Write as _};

use maud::{Markup, Render, html};

use crate::page::span::{Scale, Span};

/// Right of the plot and above it.
const RIGHT: f64 = 36.0;
const TOP: f64 = 12.0;

/// Below the plot: the numbers of the horizontal axis, and what the axes are.
const BOTTOM: f64 = 50.0;

/// Points that are drawn as such and tell their values; more would be a thick line.
const DOTS_MAX: usize = 80;

/// How large a drawing is, and so how small its letters are on it; a page scales it to its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// Over the page.
    Wide,
    /// Two beside each other.
    Medium,
    /// Four beside each other.
    Small,
}

/// Where is told which line is whose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Legend {
    /// Beside the title.
    Here,
    /// The page tells it, for several charts.
    Elsewhere,
}

/// An axis: what it is called, how it is spread, and how its numbers are told.
pub struct Axis<'a> {
    /// What its numbers are.
    pub label: &'a str,
    /// How they are spread.
    pub scale: Scale,
    /// How one of them is told.
    pub tell: &'a dyn Fn(f64) -> String,
    /// What it shows in any case, so that several charts have the same axis.
    pub range: Option<(f64, f64)>,
}

impl fmt::Debug for Axis<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Axis").field("label", &self.label).finish_non_exhaustive()
    }
}

/// A line of a chart.
#[derive(Clone, Debug)]
pub struct Series<'a> {
    /// What it shows.
    pub name: &'a str,
    /// Which of the colours it has: there are eight, and eight more are the same, dashed.
    pub colour: usize,
    /// Where it goes, from the left.
    pub points: Vec<(f64, f64)>,
    /// What stands at each point: none, or as many.
    pub notes: Vec<String>,
    /// Whether it is only there for a script that shows it.
    pub is_hidden: bool,
}

impl<'a> Series<'a> {
    /// A line that is shown, and whose points say nothing but their values.
    #[must_use]
    pub const fn new(name: &'a str, colour: usize, points: Vec<(f64, f64)>) -> Self {
        Self { name, colour, points, notes: Vec::new(), is_hidden: false }
    }
}

/// A line chart. A series without a point is not drawn.
#[derive(Clone, Copy, Debug)]
pub struct Chart<'a> {
    /// What it shows.
    pub title: &'a str,
    /// From the left to the right.
    pub x: &'a Axis<'a>,
    /// From the bottom to the top.
    pub y: &'a Axis<'a>,
    /// The first one lies above the others.
    pub series: &'a [Series<'a>],
    /// How large it is.
    pub size: Size,
    /// Where its legend is.
    pub legend: Legend,
}

impl<'a> Chart<'a> {
    /// A wide one with a legend.
    #[must_use]
    pub const fn new(
        title: &'a str,
        x: &'a Axis<'a>,
        y: &'a Axis<'a>,
        series: &'a [Series<'a>],
    ) -> Self {
        Self { title, x, y, series, size: Size::Wide, legend: Legend::Here }
    }

    fn drawn(&self) -> impl DoubleEndedIterator<Item = &Series<'a>> {
        self.series.iter().filter(|series| !series.points.is_empty())
    }

    /// Everything that an axis must show.
    fn values(&self, axis: &Axis<'_>, of: fn(&(f64, f64)) -> f64) -> Vec<f64> {
        let points = self.drawn().flat_map(|series| &series.points);
        points.map(of).chain(axis.range.into_iter().flat_map(|(low, high)| [low, high])).collect()
    }
}

impl Render for Chart<'_> {
    fn render(&self) -> Markup {
        html! {
            figure class={"chart " (self.size.name())} {
                figcaption {
                    span.chart-title { (self.title) }
                    @if self.legend == Legend::Here {
                        @for series in self.drawn() { (key(series.name, series.colour)) }
                    }
                }
                (self.drawing())
            }
        }
    }
}

impl Chart<'_> {
    fn drawing(&self) -> Markup {
        let frame = self.size.frame();
        let (right, bottom) = (frame.width - RIGHT, frame.height - BOTTOM);
        let across = Span::new(self.x.scale, &self.values(self.x, |it| it.0), frame.left, right);
        let up = Span::new(self.y.scale, &self.values(self.y, |it| it.1), bottom, TOP);
        let box_ = format!("0 0 {} {}", frame.width, frame.height);
        html! {
            svg viewBox=(box_) role="img" aria-label=(self.title) {
                @for (tick, y) in up.placed_ticks() {
                    line.grid x1=(frame.left) x2=(right) y1=(at(y)) y2=(at(y)) {}
                    text.tick x=(frame.left - 8.0) y=(at(y + 4.0)) text-anchor="end" {
                        ((self.y.tell)(tick))
                    }
                }
                @for (tick, x) in across.placed_ticks() {
                    line.grid y1=(TOP) y2=(bottom) x1=(at(x)) x2=(at(x)) {}
                    text.tick x=(at(x)) y=(bottom + 20.0) text-anchor="middle" {
                        ((self.x.tell)(tick))
                    }
                }
                text.tick x=(right) y=(frame.height - 6.0) text-anchor="end" { (self.x.label) }
                text.tick x=(frame.left) y=(frame.height - 6.0) { "vertical: " (self.y.label) }
                @for series in self.drawn().rev() { (self.line(series, &across, &up)) }
            }
        }
    }

    fn line(&self, series: &Series<'_>, across: &Span, up: &Span) -> Markup {
        let place = |&(x, y): &(f64, f64)| (across.place(x), up.place(y));
        let mut path = String::new();
        for (index, (x, y)) in series.points.iter().map(place).enumerate() {
            let command = if index == 0 { 'M' } else { 'L' };
            let _ = write!(path, "{command}{} {}", at(x), at(y));
        }
        let step = series.points.len().div_ceil(DOTS_MAX).max(1);
        // A single point has no line that shows it.
        let is_only = series.points.len() == 1;
        html! {
            g class={"series c" (series.colour)} data-name=(series.name) hidden[series.is_hidden] {
                path.line d=(path) {}
                @for (index, point) in series.points.iter().enumerate().step_by(step) {
                    @let (x, y) = place(point);
                    circle.only[is_only] r="2.6" cx=(at(x)) cy=(at(y)) {
                        title { (self.told(series, index)) }
                    }
                    @if let Some(note) = series.notes.get(index) {
                        text.note x=(at(x)) y=(at(y - 7.0)) text-anchor="middle" { (note) }
                    }
                }
            }
        }
    }

    /// What a point says when asked.
    fn told(&self, series: &Series<'_>, index: usize) -> String {
        let (x, y) = series.points[index];
        let note = series.notes.get(index).map(|it| format!(" ({it})")).unwrap_or_default();
        format!("{}: {} at {}{note}", series.name, (self.y.tell)(y), (self.x.tell)(x))
    }
}

/// An entry of a legend.
#[must_use]
pub fn key(name: &str, colour: usize) -> Markup {
    html! { span.key { i class={"swatch c" (colour)} {} (name) } }
}

/// The size of a drawing, and the place left of the plot for the numbers of the vertical axis.
struct Frame {
    width: f64,
    height: f64,
    left: f64,
}

impl Size {
    const fn frame(self) -> Frame {
        match self {
            Self::Wide => Frame { width: 720.0, height: 290.0, left: 88.0 },
            Self::Medium => Frame { width: 560.0, height: 360.0, left: 64.0 },
            Self::Small => Frame { width: 360.0, height: 250.0, left: 58.0 },
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Wide => "wide",
            Self::Medium => "medium",
            Self::Small => "small",
        }
    }
}

/// A coordinate with as many digits as can be seen.
fn at(coordinate: f64) -> String {
    format!("{coordinate:.1}")
}

/// A number with the letter of its thousands.
///
/// # Example
///
/// ```
/// assert_eq!(fib_client::page::short(1_250_000.0), "1.25M");
/// ```
#[must_use]
pub fn short(value: f64) -> String {
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
    fn numbers_are_short() {
        assert_eq!([0.0, 12.5, 1_000.0, 1_250_000.0].map(short), ["0", "12.5", "1k", "1.25M"]);
    }

    #[test]
    fn names_are_escaped() {
        let axis = Axis { label: "<x>", scale: Scale::Linear, tell: &short, range: None };
        let series = Series::new("<script>", 0, vec![(1.0, 2.0), (2.0, 3.0)]);
        let svg = Chart::new("a & b", &axis, &axis, &[series]).render().into_string();
        assert!(svg.contains("&lt;script&gt;") && !svg.contains("<script>"), "{svg}");
    }
}
