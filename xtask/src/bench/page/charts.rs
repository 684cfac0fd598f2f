//! What servers do under more and more load: lines of the rows that the reader chooses.

use fib_client::page::{Axis, Chart, Legend, Scale, Series, Size, short};
use maud::{Markup, html};

use crate::{
    bench::{
        page::told,
        summary::{CurvePoint, InterferencePoint, Row, Summary},
    },
    peers::Family,
};

/// In what a row leads its family that is shown without being asked for: what it can do for short
/// requests alone, and beside long ones. Few are the best in both.
const LEADS: [&str; 2] = ["rate-64", "canary-rate"];

/// The default, and who leads the other families.
fn chosen(summary: &Summary) -> Vec<&str> {
    let families = [Family::C, Family::Go, Family::PyPy, Family::Python].into_iter();
    let leaders = families.flat_map(|it| LEADS.map(|column| summary.leader_of(it, column)));
    let mut names = Vec::new();
    for row in summary.default_row().into_iter().chain(leaders.flatten()) {
        if !row.curve.is_empty() && !names.contains(&&*row.name) {
            names.push(&*row.name);
        }
    }
    names
}

pub(super) fn section(summary: &Summary) -> Markup {
    let chosen = chosen(summary);
    let has_any = |row: &&Row| !row.curve.is_empty() || !row.interference.is_empty();
    let mut rows: Vec<_> = summary.rows.iter().filter(has_any).collect();
    rows.sort_by_key(|row| chosen.iter().position(|it| *it == row.name).unwrap_or(usize::MAX));
    if rows.is_empty() {
        return html! {};
    }
    html! {
        section.lines {
            (picker(&rows, &chosen))
            div #curves.part {
                h2 { "Throughput and latency" }
                p.faint {
                    "Short requests in a closed loop; a point for each number of clients, which stands \
                     beside it. Right is faster, down is sooner."
                }
                (curves(&rows, &chosen))
            }
            div #interference.part {
                h2 { "Short requests beside long ones" }
                p.faint {
                    "One client asks fib(1) while others ask fib(40) without pause. A line that stays \
                     level does not notice them; one that ends was not answered any more."
                }
                (interference(&rows, &chosen))
            }
        }
    }
}

/// The legend of all lines, and the choice of them.
fn picker(rows: &[&Row], chosen: &[&str]) -> Markup {
    html! {
        fieldset.picker #picker {
            legend { "Rows in these charts" }
            @for row in rows {
                @let place = chosen.iter().position(|it| *it == row.name);
                label {
                    input type="checkbox" value=(row.name) checked[place.is_some()];
                    i class={"swatch c" (place.unwrap_or(0))} {}
                    (row.name)
                }
            }
            button.chip.scripted #choose type="button" aria-expanded="false" { "choose rows" }
        }
    }
}

/// A line of each row; those that are not chosen are hidden.
fn lines<'a, P: 'a>(
    rows: &[&'a Row],
    chosen: &[&str],
    points_of: impl Fn(&'a Row) -> &'a [P],
    point: impl Fn(&[P], &P) -> Option<(f64, f64)>,
    note: impl Fn(&P) -> String,
) -> Vec<Series<'a>> {
    let line = |row: &&'a Row| {
        let all = points_of(row);
        let known = all.iter().filter_map(|it| Some((point(all, it)?, note(it))));
        let (points, notes) = known.unzip();
        let place = chosen.iter().position(|it| *it == row.name);
        let (colour, is_hidden) = (place.unwrap_or(0), place.is_none());
        Series { name: &row.name, colour, points, notes, is_hidden }
    };
    rows.iter().map(line).collect()
}

fn curves(rows: &[&Row], chosen: &[&str]) -> Markup {
    let lines = |latency: fn(&CurvePoint) -> Option<f64>| {
        let point = |_: &[CurvePoint], it: &CurvePoint| Some((it.rate_per_s, latency(it)?));
        lines(rows, chosen, |row| &row.curve, point, |it| it.clients.to_string())
    };
    let x = Axis { label: "requests per second", scale: Scale::Linear, tell: &short, range: None };
    let y = Axis { label: "response time", scale: Scale::Log, tell: &told::micros, range: None };
    pair(&[
        ("p99 over throughput", &x, &y, lines(|it| it.p99_us)),
        ("p50 over throughput", &x, &y, lines(|it| it.p50_us)),
    ])
}

fn interference(rows: &[&Row], chosen: &[&str]) -> Markup {
    let beside =
        |it: &InterferencePoint| f64::from(u32::try_from(it.long_connections).unwrap_or(0));
    let share = |all: &[InterferencePoint], it: &InterferencePoint| {
        let undisturbed = all.iter().find(|it| it.long_connections == 0)?.rate_per_s;
        (undisturbed > 0.0).then(|| (beside(it), 100.0 * it.rate_per_s / undisturbed))
    };
    let p99 = |_: &[InterferencePoint], it: &InterferencePoint| Some((beside(it), it.p99_us?));
    let note = |_: &InterferencePoint| String::new();
    let shares = lines(rows, chosen, |row| &row.interference, share, note);
    let p99s = lines(rows, chosen, |row| &row.interference, p99, note);
    let percent = |value: f64| format!("{value:.0} %");
    let x = Axis {
        label: "connections with long requests",
        scale: Scale::Linear,
        tell: &short,
        range: None,
    };
    let y = Axis { label: "rate", scale: Scale::Linear, tell: &percent, range: Some((0.0, 100.0)) };
    let time = Axis { label: "response time", scale: Scale::Log, tell: &told::micros, range: None };
    pair(&[
        ("Rate of short requests, undisturbed: 100 %", &x, &y, shares),
        ("p99 of short requests", &x, &time, p99s),
    ])
}

/// Two charts beside each other; the picker is their legend.
fn pair(charts: &[(&str, &Axis<'_>, &Axis<'_>, Vec<Series<'_>>); 2]) -> Markup {
    html! {
        div.pair {
            @for (title, x, y, series) in charts {
                (Chart { title, x, y, series, size: Size::Medium, legend: Legend::Elsewhere })
            }
        }
    }
}
