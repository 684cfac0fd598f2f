//! Why to believe the numbers: their noise, how they were made, and on what.

use maud::{Markup, html};

use crate::bench::summary::{Column, Summary};

pub(super) fn noise(summary: &Summary) -> Markup {
    let floors = summary.columns.iter().filter_map(|it| Some((it, it.noise? - 1.0)));
    let floors: Vec<_> = floors.collect();
    let unknown = summary.columns.iter().filter(|it| it.noise.is_none());
    let unknown: Vec<_> = unknown.map(|it| &*it.title).collect();
    let widest = floors.iter().map(|it| it.1).fold(f64::MIN_POSITIVE, f64::max);
    html! {
        section #noise.box {
            h2 { "Noise" }
            @match &summary.twin {
                Some(twin) => p {
                    "The server " b { (twin.of) } " took part twice, under two names. In "
                    b { (twin.told_apart) " of " (twin.columns) } " columns the two would have been \
                     called different: so often a difference on this page is none."
                },
                None => p { "No server took part twice, so the noise is not known." },
            }
            @if !floors.is_empty() {
                p.faint {
                    "A column's floor: two medians that differ by less are not different. 95 % of all \
                     ways to split the runs of the two into two halves stay under it."
                }
                ul.floors { @for (column, floor) in &floors { (bar(column, *floor, widest)) } }
            }
            @if !unknown.is_empty() && summary.twin.is_some() {
                p.faint { "Not known: " (unknown.join(", ")) "." }
            }
        }
    }
}

fn bar(column: &Column, floor: f64, widest: f64) -> Markup {
    let share = format!("--share:{:.0}%", 100.0 * floor / widest);
    html! {
        li.meter style=(share) {
            span { (column.title) @if !column.title.contains(&column.scenario) {
                span.faint { ", " (column.scenario) }
            } }
            b { (format!("{:.0} %", 100.0 * floor)) }
        }
    }
}

pub(super) fn method(summary: &Summary) -> Markup {
    let Summary { repetitions, seed, disturbance, .. } = summary;
    let warnings = warnings(summary);
    html! {
        section #method.box {
            h2 { "Method in short" }
            ul {
                li { "Every run has a fresh server." }
                li {
                    "The runs of all servers and loads are shuffled within each of " (repetitions)
                    " repetitions, so that a machine that slows down does so for everybody. The order \
                     comes from the seed " code { (seed) } "; " code { "--seed " (seed) }
                    " repeats it."
                }
                li {
                    "A number is the median of the repetitions; its interval is the smallest and the \
                     largest of them" (coverage(*repetitions)) "."
                }
                li { "Every answer is compared with F(n). A wrong one fails the bench." }
                li {
                    "A latency counts from before the request is written until its reply is read; a \
                     percentile with fewer than ten samples beyond it is not told."
                }
                li { "The client runs on the same machine, and takes its share of it." }
            }
            @if !disturbance.is_empty() { p { "Disturbance: " (disturbance) "." } }
            @if !warnings.is_empty() {
                h3.doubt { "To bear in mind" }
                ul { @for warning in &warnings { li { (warning) } } }
            }
        }
    }
}

/// How sure the interval is: the true median lies outside if all are on one side of it.
fn coverage(repetitions: usize) -> String {
    let exponent = i32::try_from(repetitions).unwrap_or(i32::MAX);
    let percent = 100.0 * (1.0 - 2.0 * 0.5_f64.powi(exponent));
    match repetitions {
        0 | 1 => ", so here it is no interval".to_owned(),
        _ => format!(", between which the true median lies in {percent:.0} of 100 cases"),
    }
}

fn warnings(summary: &Summary) -> Vec<String> {
    let mut warnings = Vec::new();
    if summary.repetitions < 5 {
        warnings.push(format!(
            "{} repetitions are few; five or more tell a median's interval",
            summary.repetitions
        ));
    }
    if summary.budget != "full" {
        warnings
            .push(format!("The {} budget is for a glance; --full is for numbers", summary.budget));
    }
    let absent = summary.rows.iter().filter(|row| row.absence.is_some()).count();
    if absent > 0 {
        warnings.push(format!("{absent} servers did not take part; their rows say why"));
    }
    if summary.default_row().is_none() {
        warnings.push("The default server did not take part".to_owned());
    }
    warnings
}

pub(super) fn machine(summary: &Summary) -> Markup {
    html! {
        section #machine.box {
            h2 { "Machine" }
            table { tbody {
                @for (name, fact) in &summary.machine {
                    tr { th scope="row" { (name) } td.words { (fact) } }
                }
            } }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::page::sample;

    #[test]
    fn an_interval_is_as_sure_as_it_has_runs() {
        assert!(coverage(5).contains("94 of 100"), "{}", coverage(5));
        assert!(coverage(2).contains("50 of 100"), "{}", coverage(2));
        assert!(coverage(1).contains("no interval"));
    }

    #[test]
    fn a_quick_bench_says_that_it_was_one() {
        let full = sample::summary();
        assert_eq!(warnings(&full).len(), 1, "some rows are absent");
        let quick = Summary { repetitions: 2, budget: "quick".to_owned(), ..full };
        assert_eq!(warnings(&quick).len(), 3);
    }
}
