//! How long the slowest requests took: a chart for each strategy, on the same axes.

use fib_client::page::{Axis, Chart, Legend, Scale, Series, Size, key};
use maud::{Markup, html};

use crate::{
    bench::{
        page::told,
        summary::{Row, Summary},
    },
    peers::{COMPUTES, Family},
};

pub(super) fn section(summary: &Summary) -> Markup {
    let mut scenarios: Vec<&str> = Vec::new();
    for tail in summary.rows.iter().flat_map(|row| &row.tails) {
        if !scenarios.contains(&&*tail.scenario) {
            scenarios.push(&tail.scenario);
        }
    }
    if scenarios.is_empty() {
        return html! {};
    }
    html! {
        section #tails.broad {
            h2 { "Tails" }
            p.faint {
                "How long the slowest of all repetitions' requests took. The further right, the rarer; \
                 a line ends where fewer than ten samples lie beyond it. Down is sooner."
            }
            @for scenario in scenarios {
                @let rivals = rivals(summary, scenario);
                h3 { (sentence(scenario)) }
                div.keys {
                    @for (colour, compute) in COMPUTES.iter().enumerate() { (key(compute, colour)) }
                    @for (place, row) in rivals.iter().enumerate() {
                        (key(&row.name, COMPUTES.len() + place))
                    }
                }
                (multiples(summary, scenario, &rivals))
            }
        }
    }
}

/// Go's and Python's best in this scenario.
fn rivals<'a>(summary: &'a Summary, scenario: &str) -> Vec<&'a Row> {
    let column = if scenario.starts_with("beside") { "canary-rate" } else { "rate-64" };
    let families = [Family::Go, Family::Python].into_iter();
    families.filter_map(|family| summary.leader_of(family, column)).collect()
}

fn multiples(summary: &Summary, scenario: &str, rivals: &[&Row]) -> Markup {
    let ours: Vec<_> = summary.rows.iter().filter(|row| row.parts().is_some()).collect();
    let strategy = |row: &&Row| row.parts().map(|it| it.strategy.to_owned());
    let everything = ours.iter().chain(rivals).flat_map(|row| points(row, scenario));
    let everything: Vec<_> = everything.collect();
    if everything.is_empty() {
        return html! {};
    }
    let range = |of: fn(&(f64, f64)) -> f64| {
        let values = everything.iter().map(of);
        values.fold(None, |range: Option<(f64, f64)>, it| {
            Some(range.map_or((it, it), |(low, high)| (low.min(it), high.max(it))))
        })
    };
    let tell = |inverse: f64| format!("p{}", rounded(100.0 * (1.0 - 1.0 / inverse)));
    let x = Axis { label: "percentile", scale: Scale::Log, tell: &tell, range: range(|it| it.0) };
    let (scale, tell) = (Scale::Log, &told::micros);
    let y = Axis { label: "response time", scale, tell, range: range(|it| it.1) };
    html! {
        div.multiples {
            @for rows in ours.chunk_by(|a, b| strategy(a) == strategy(b)) {
                @let series = series(rows, rivals, scenario);
                @if series.iter().any(|it| !it.points.is_empty()) {
                    @let title = strategy(&rows[0]).unwrap_or_default();
                    (Chart {
                        title: &title, x: &x, y: &y, series: &series,
                        size: Size::Small, legend: Legend::Elsewhere,
                    })
                }
            }
        }
    }
}

/// The lines of one chart. A row that has more to its name than its two parts is no other colour.
fn series<'a>(rows: &[&'a Row], rivals: &[&'a Row], scenario: &str) -> Vec<Series<'a>> {
    let plain = |compute: &str| {
        let suffix = format!(" + {compute}");
        rows.iter().find(move |row| row.name.ends_with(&suffix))
    };
    let ours = COMPUTES.iter().enumerate().filter_map(|(at, it)| Some((at, plain(it)?)));
    let theirs = rivals.iter().enumerate().map(|(at, row)| (COMPUTES.len() + at, row));
    let line = |(colour, row): (usize, &&'a Row)| {
        Series::new(row.short_name(), colour, points(row, scenario))
    };
    let ours: Vec<_> = ours.map(line).collect();
    // Without a line of its own, a strategy has no chart.
    if ours.iter().all(|it| it.points.is_empty()) {
        return ours;
    }
    ours.into_iter().chain(theirs.map(line)).collect()
}

/// The inverse of what is beyond a percentile, and its microseconds.
fn points(row: &Row, scenario: &str) -> Vec<(f64, f64)> {
    let tail = row.tails.iter().find(|it| it.scenario == scenario);
    let points = tail.into_iter().flat_map(|it| &it.points);
    points.map(|(share, us)| (1.0 / (1.0 - share), *us)).collect()
}

fn rounded(percent: f64) -> f64 {
    (percent * 1e6).round() / 1e6
}

fn sentence(words: &str) -> String {
    let mut letters = words.chars();
    let first = letters.next().map(|it| it.to_uppercase().to_string()).unwrap_or_default();
    first + letters.as_str()
}
