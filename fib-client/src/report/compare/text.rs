//! A comparison in words, for a terminal, for Markdown, and for a browser.

use std::fmt::{self, Write as _};

use maud::html;

use crate::{
    page::Page,
    report::{
        Nanos,
        compare::{Comparison, Difference, Finding},
    },
};

/// The columns of a finding.
const COLUMNS: [&str; 8] =
    ["side", "metric", "before", "after", "ratio", "95 % interval", "p (Holm)", "verdict"];

impl Comparison {
    fn rows(&self) -> impl Iterator<Item = [String; 8]> {
        self.findings.iter().map(|finding| {
            let ratio = |it: f64| format!("{it:.3}");
            let interval = finding.interval.map(|(low, high)| format!("{low:.3} to {high:.3}"));
            [
                finding.side.clone(),
                finding.metric.clone(),
                value(finding, finding.before),
                value(finding, finding.after),
                finding.ratio.map_or_else(not_known, ratio),
                interval.unwrap_or_else(not_known),
                finding.probability.map_or_else(not_known, |it| format!("{it:.4}")),
                finding.verdict.name().to_owned(),
            ]
        })
    }

    fn sides_in_words(&self) -> impl Iterator<Item = String> {
        self.sides.iter().map(|side| {
            let grades: Vec<_> =
                side.grades.iter().map(|(name, n)| format!("{n} {name}")).collect();
            let response = side.response.map(|it| format!("; all responses {it}"));
            let (name, runs) = (&side.name, side.runs);
            format!("{name}: {runs} runs ({}){}", grades.join(", "), response.unwrap_or_default())
        })
    }

    fn method(&self) -> String {
        let (noise, same) = (100.0 * self.demands.noise, 100.0 * self.demands.same_within);
        format!(
            "One run is one observation. Medians of the runs; the interval is a bootstrap of 2,000 \
             resamples, p that of Mann and Whitney after Holm's correction. Better and worse need \
             p < 0.05 and an interval beyond ±{noise} %; same needs an interval within ±{same} %."
        )
    }

    /// As a table in Markdown.
    #[must_use]
    pub fn to_markdown(&self) -> String {
        let mut markdown = String::new();
        let mut row = |cells: &[String]| {
            let cells: Vec<_> = cells.iter().map(|cell| cell.replace('|', "\\|")).collect();
            let _ = writeln!(markdown, "| {} |", cells.join(" | "));
        };
        row(&COLUMNS.map(str::to_owned));
        row(&["---", "---", "---:", "---:", "---:", "---:", "---:", "---"].map(str::to_owned));
        self.rows().for_each(|cells| row(&cells));
        markdown.push('\n');
        for line in
            self.sides_in_words().chain(self.warnings.iter().map(|it| format!("Warning: {it}")))
        {
            let _ = writeln!(markdown, "- {line}");
        }
        let _ = writeln!(markdown, "\n{}", self.method());
        markdown
    }

    /// As a page for a browser, with all that it needs.
    #[must_use]
    pub fn to_html(&self) -> String {
        let first = self.sides.first().map_or("", |it| &it.name);
        let body = html! {
            h1 { "Comparison with " (first) }
            section.scroll { table {
                thead { tr { @for column in COLUMNS { th { (column) } } } }
                tbody { @for cells in self.rows() { tr {
                    @let [side, values @ .., verdict] = &cells;
                    th { (side) }
                    @for value in values { td { (value) } }
                    td { span class={"badge " (verdict)} { (verdict) } }
                } } }
            } }
            ul { @for line in self.sides_in_words() { li { (line) } } }
            @if !self.warnings.is_empty() {
                h2 { "Doubts" }
                ul { @for warning in &self.warnings { li { (warning) } } }
            }
            p.faint { (self.method()) }
        };
        Page { title: "fib: comparison", body, style: "", script: "" }.to_html()
    }

    /// Whether any metric of any side became worse.
    #[must_use]
    pub fn has_worse(&self) -> bool {
        self.findings.iter().any(|finding| finding.verdict == Difference::Worse)
    }
}

fn not_known() -> String {
    "n/a".to_owned()
}

#[expect(clippy::cast_possible_truncation, reason = "nanoseconds of a latency")]
#[expect(clippy::cast_sign_loss, reason = "no latency is negative")]
fn value(finding: &Finding, value: Option<f64>) -> String {
    match (value, finding.metric.as_str()) {
        (None, _) => not_known(),
        (Some(value), "reqs/s") => format!("{value:.0}"),
        (Some(value), "answered") => format!("{:.3} %", 100.0 * value),
        (Some(value), _) => Nanos(Some(value as u64)).to_string(),
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lines = vec![COLUMNS.map(str::to_owned)];
        lines.extend(self.rows());
        let width = |at: usize| lines.iter().map(|it| it[at].chars().count()).max().unwrap_or(0);
        let widths: [usize; 8] = std::array::from_fn(width);
        for line in &lines {
            for (at, (cell, width)) in line.iter().zip(widths).enumerate() {
                match at {
                    0 | 1 => write!(f, "{cell:<width$}  ")?,
                    7 => write!(f, "{cell}")?,
                    _ => write!(f, "{cell:>width$}  ")?,
                }
            }
            writeln!(f)?;
        }
        for line in self.sides_in_words() {
            writeln!(f, "{line}")?;
        }
        for warning in &self.warnings {
            writeln!(f, "warning: {warning}")?;
        }
        writeln!(f, "{}", self.method())
    }
}
