//! Why rates stop growing: the Universal Scalability Law's view of each curve.

use fib_client::page::short;
use maud::{Markup, html};

use crate::bench::summary::{Fit, Interval, Row, Scaling, Summary};

pub(super) fn section(summary: &Summary) -> Markup {
    let present = summary.rows.iter().filter(|row| row.absence.is_none());
    let present: Vec<_> = present.filter(|row| !row.curve.is_empty()).collect();
    let fits: Vec<_> = present.iter().filter_map(|row| Some((*row, fit(row)?))).collect();
    if present.is_empty() {
        return html! {};
    }
    html! {
        section #scaling {
            h2 { "Scaling" }
            p.faint {
                "The Universal Scalability Law, X(N) = λN / (1 + σ(N − 1) + κN(N − 1)), fitted to \
                 each row's curve; brackets hold 95 % of a bootstrap's values. λ: requests per \
                 second of a client that waits for nobody. σ: the share of the work that is done \
                 by one at a time. κ: what each pair of clients costs. Peak: the clients at which \
                 the law's rate is highest."
            }
            @if !fits.is_empty() {
                div.scroll { table.fits {
                    thead { tr {
                        th scope="col" { "server" } th scope="col" { "λ per s" } th scope="col" { "σ %" }
                        th scope="col" { "κ ppm" } th scope="col" { "R²" } th scope="col" { "peak" }
                    } }
                    tbody { @for (row, fit) in &fits { (told(row, fit)) } }
                } }
            }
            @for (reason, names) in refusals(&present) {
                p.refused { b { "Not fitted: " (reason) "." } " " span.faint { (names.join(" · ")) } }
            }
        }
    }
}

const fn fit(row: &Row) -> Option<&Fit> {
    match &row.scaling {
        Scaling::Fit(fit) => Some(fit),
        Scaling::Refused(_) => None,
    }
}

fn told(row: &Row, fit: &Fit) -> Markup {
    let whole = |value: f64| short(value.round());
    let percent = |value: f64| format!("{:.1}", 100.0 * value);
    let ppm = |value: f64| format!("{:.1}", 1e6 * value);
    html! {
        tr.default[row.is_default] {
            th scope="row" { (row.short_name()) }
            td { (interval(fit.lambda, &whole)) }
            td { (interval(fit.sigma, &percent)) }
            td { (interval(fit.kappa, &ppm)) }
            td { (format!("{:.3}", fit.r_squared)) }
            td { (fit.peak_clients.map_or_else(|| "none".to_owned(), whole)) }
        }
    }
}

fn interval(it: Interval, tell: &dyn Fn(f64) -> String) -> Markup {
    html! { (tell(it.value)) " " span.faint { "[" (tell(it.low)) ", " (tell(it.high)) "]" } }
}

/// Each reason once, with the rows that it holds for.
fn refusals<'a>(rows: &[&'a Row]) -> Vec<(&'a str, Vec<&'a str>)> {
    let mut found: Vec<(&str, Vec<&str>)> = Vec::new();
    for row in rows {
        let Scaling::Refused(reason) = &row.scaling else { continue };
        match found.iter_mut().find(|(known, _)| known == reason) {
            Some((_, names)) => names.push(&row.name),
            None => found.push((reason, vec![&row.name])),
        }
    }
    found
}
