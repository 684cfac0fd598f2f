//! The top of the page: what it is, and the few numbers that say most.

use maud::{Markup, html};

use crate::{
    bench::{
        page::told,
        summary::{Better, Column, Summary},
    },
    peers::Family,
};

/// What the default is compared in, and with whose best row.
const HIGHLIGHTS: [(&str, Family); 6] = [
    ("canary-p99.9", Family::Go),
    ("canary-rate", Family::Go),
    ("fib30", Family::Go),
    ("rate-64", Family::Go),
    ("pipelined", Family::Reference),
    ("idle", Family::Go),
];

pub(super) fn head(summary: &Summary) -> Markup {
    let Summary { rows, columns, repetitions, budget, date, machine, .. } = summary;
    let runs = if *repetitions == 1 { "one run" } else { "several runs" };
    html! {
        header {
            h1 { "fib bench: " (rows.len()) " servers, one machine" }
            p.load {
                "Every strategy of " b { "fib-server" } " with every way to compute, beside servers in \
                 other languages: " (columns.len()) " numbers of each, from loads that were mixed in \
                 random order and whose every answer was checked. A number is the median of "
                (runs) "; a difference from the default that may be noise is grey."
            }
            p.faint {
                (date) " · " (budget) " budget, " (repetitions) " repetitions"
                @if let Some((_, cpu)) = machine.iter().find(|(name, _)| name == "CPU") { " · " (cpu) }
                @if let Some((_, kernel)) = machine.iter().find(|(name, _)| name == "kernel") {
                    " · Linux " (kernel)
                }
            }
        }
    }
}

/// Where one is, and what else there is.
pub(super) fn contents() -> Markup {
    let parts = [
        ("matrix", "Every number"),
        ("curves", "Throughput and latency"),
        ("interference", "Beside long requests"),
        ("tails", "Tails"),
        ("scaling", "Scaling"),
        ("noise", "Noise"),
        ("method", "Method"),
        ("machine", "Machine"),
    ];
    html! {
        nav.contents aria-label="Contents" {
            @for (id, title) in parts { a href={"#" (id)} { (title) } }
        }
    }
}

/// The default beside its strongest rivals; what was not measured is not told.
pub(super) fn highlights(summary: &Summary) -> Markup {
    let found: Vec<_> =
        HIGHLIGHTS.iter().filter_map(|(id, family)| highlight(summary, id, *family)).collect();
    let Some(default) = summary.default_row().filter(|_| !found.is_empty()) else {
        return html! {};
    };
    html! {
        section.numbers.highlights aria-labelledby="highlights" {
            h2 #highlights {
                "The default, " (default.short_name()) ", beside the best that others reach"
            }
            @for tile in found { (tile) }
        }
    }
}

fn highlight(summary: &Summary, id: &str, family: Family) -> Option<Markup> {
    let at = summary.columns.iter().position(|column| column.id == id)?;
    let column = &summary.columns[at];
    let ours = summary.default_row()?.number(at)?.median;
    let rival = summary.best_in(at, |row| row.family == family)?;
    let theirs = rival.number(at)?.median;
    let factor = column.better.factor(ours, theirs);
    if !factor.is_finite() || factor <= 0.0 {
        return None;
    }
    let is_worse = factor < 1.0 / column.noise.unwrap_or(1.0);
    let told = |value| told::quantity(value, &column.unit, column.decimals);
    Some(html! {
        div.number {
            b.bad[is_worse] { (verdict(column, factor)) }
            p { (column.title) @if !column.title.contains(&column.scenario) { ", " (column.scenario) } }
            span { (told(ours)) " against " (told(theirs)) " of " (rival.name) }
        }
    })
}

/// How many times more or less the default has.
fn verdict(column: &Column, factor: f64) -> String {
    let size = factor.max(1.0 / factor);
    let has_more = (factor > 1.0) == (column.better == Better::Higher);
    match has_more {
        _ if size < column.noise.unwrap_or(1.0) => "the same".to_owned(),
        true => format!("{}× more", told::factor(size)),
        false => format!("{}× less", told::factor(size)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::{page::sample, summary::Entry};

    #[test]
    fn only_what_was_measured_is_told() {
        let mut summary = sample::summary();
        let count = |summary: &Summary| {
            highlights(summary).into_string().matches("class=\"number\"").count()
        };
        assert_eq!(count(&summary), HIGHLIGHTS.len());
        summary.rows.retain(|row| row.family != Family::Reference);
        assert_eq!(count(&summary), HIGHLIGHTS.len() - 1);
        let default = summary.rows.iter_mut().find(|row| row.is_default).unwrap();
        default.entries.fill(Entry::Nothing("not measured".to_owned()));
        assert_eq!(highlights(&summary).into_string(), "");
    }

    #[test]
    fn a_verdict_says_which_way() {
        let mut column = sample::summary().columns.remove(1);
        let told = [4.0, 0.25, 1.2].map(|factor| verdict(&column, factor));
        assert_eq!(told, ["4.0× more", "4.0× less", "the same"]);
        column.better = Better::Lower;
        assert_eq!([4.0, 0.25].map(|it| verdict(&column, it)), ["4.0× less", "4.0× more"]);
    }
}
