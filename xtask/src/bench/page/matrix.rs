//! Every number of every server, coloured by how far it is from the default's.

use maud::{Markup, html};

use crate::{
    bench::{
        page::{heat, told},
        summary::{Better, Column, Entry, Number, Row, Summary},
    },
    peers::{Absence, Family},
};

pub(super) fn matrix(summary: &Summary) -> Markup {
    html! {
        section #matrix.broad {
            h2 { "Every number" }
            p.faint {
                "A cell tells how it was measured and how to repeat it; a column's title sorts by it."
            }
            (controls(summary))
            (legend(summary))
            div.scroll.matrix tabindex="-1" {
                table aria-label="Every number of every server" role="grid" {
                    thead { (scenarios(&summary.columns)) (titles(&summary.columns)) }
                    tbody { (rows(summary)) }
                }
            }
        }
    }
}

/// What the reader can leave out; a script shows it, for without one it does nothing.
fn controls(summary: &Summary) -> Markup {
    let mut kinds: [(&str, Vec<&str>); 3] =
        [("family", vec![]), ("strategy", vec![]), ("compute", vec![])];
    let mut add = |kind: usize, value| {
        if !kinds[kind].1.contains(&value) {
            kinds[kind].1.push(value);
        }
    };
    for row in &summary.rows {
        add(0, told::family(row.family));
        if let Some(parts) = row.parts() {
            add(1, parts.strategy);
            add(2, parts.compute);
        }
    }
    html! {
        form.controls.scripted aria-label="Which rows are shown" {
            @for (kind, values) in &kinds {
                div.chips role="group" aria-label=(kind) {
                    span.faint { (kind) }
                    @for value in values {
                        button.chip type="button" aria-pressed="false" data-kind=(kind) data-value=(value) {
                            (value)
                        }
                    }
                }
            }
            div.chips {
                input #filter type="search" placeholder="filter by name" aria-label="filter by name";
                button.chip #all type="button" { "show all" }
                output.faint #shown aria-live="polite" {}
            }
        }
    }
}

fn legend(summary: &Summary) -> Markup {
    let than = if summary.default_row().is_some() { "the default" } else { "the column's best" };
    html! {
        div.legend {
            span { "worse than " (than) }
            span.scale {
                @for (class, told) in heat::scale() { span class={"heat " (class)} { (told) } }
            }
            span { "better" }
            span.faint {
                "Grey: the difference may be noise. "
                b { "Bold" } ": the best of its column. *: has a note. –: there is no number, and a \
                 reason. ↑: more is better. ↓: less is."
            }
        }
    }
}

/// Neighbours that share a scenario have one title above theirs.
fn scenarios(columns: &[Column]) -> Markup {
    let runs: Vec<_> = columns.chunk_by(|a, b| a.scenario == b.scenario).collect();
    html! {
        tr.scenarios {
            th {}
            @for run in runs { th.first scope="colgroup" colspan=(run.len()) { (run[0].scenario) } }
        }
    }
}

fn titles(columns: &[Column]) -> Markup {
    html! {
        tr.titles {
            th scope="col" { "server" }
            @for (at, column) in columns.iter().enumerate() {
                th scope="col" aria-sort="none" class=[begins(columns, at).then_some("first")] {
                    button type="button" title=(column.about) {
                        (title(column)) " "
                        small { (unit(column)) }
                    }
                }
            }
        }
    }
}

/// Whether a column is the first one of its scenario.
fn begins(columns: &[Column], at: usize) -> bool {
    at == 0 || columns[at - 1].scenario != columns[at].scenario
}

/// Without the scenario, which stands above.
fn title(column: &Column) -> &str {
    let title = column.title.strip_suffix(&column.scenario).unwrap_or(&column.title);
    let title = title.trim_end_matches(", ");
    if title.is_empty() { &column.title } else { title }
}

fn unit(column: &Column) -> String {
    let arrow = match column.better {
        Better::Higher => "↑",
        Better::Lower => "↓",
    };
    if column.title.contains(&column.unit) {
        return arrow.to_owned();
    }
    format!("{} {arrow}", column.unit)
}

fn rows(summary: &Summary) -> Markup {
    let families = summary.rows.chunk_by(|a, b| a.family == b.family);
    let best: Vec<_> = (0..summary.columns.len()).map(|at| summary.best_in(at, |_| true)).collect();
    let best: Vec<_> = best.into_iter().map(|row| row.map(|it| &*it.name)).collect();
    html! {
        @for rows in families {
            @let family = rows[0].family;
            tr.group data-family=(told::family(family)) {
                th scope="rowgroup" colspan=(summary.columns.len() + 1) { (told::family(family)) }
            }
            @for (at, row) in rows.iter().enumerate() {
                (self::row(summary, row, &best, at == 0 || is_new(&rows[at - 1], row)))
            }
        }
    }
}

/// Whether a row begins with another strategy than the one before.
fn is_new(before: &Row, row: &Row) -> bool {
    row.family == Family::Fib
        && before.parts().map(|it| it.strategy) != row.parts().map(|it| it.strategy)
}

fn row(summary: &Summary, row: &Row, best: &[Option<&str>], is_first: bool) -> Markup {
    html! {
        tr.row.first[is_first].default[row.is_default] data-name=(row.name) {
            th scope="row" {
                (row.short_name())
                @if row.is_default { " " span.badge { "default" } }
            }
            @match &row.absence {
                Some(absence) => (absent(summary, absence)),
                None => @for (at, entry) in row.entries.iter().enumerate() {
                    @let is_best = best[at] == Some(&*row.name);
                    @let first = if begins(&summary.columns, at) { " first" } else { "" };
                    @match entry {
                        Entry::Number(number) => {
                            @let class = heat::class_of(summary, at, row, number);
                            td class={"heat " (class) (first)} {
                                (button(&summary.columns[at], number, is_best))
                            }
                        }
                        Entry::Nothing(reason) => td class={"heat none" (first)} {
                            button type="button" title=(reason) aria-label={"none: " (reason)} { "–" }
                        },
                    }
                },
            }
        }
    }
}

fn button(column: &Column, number: &Number, is_best: bool) -> Markup {
    let told = |value| crate::bench::number(value, column.decimals);
    let mut title = format!("{} to {} {}", told(number.low), told(number.high), column.unit);
    if let Some(note) = &number.note {
        title = format!("{title}; {note}");
    }
    html! {
        button.best[is_best] type="button" title=(title) {
            (told::cell(number.median, column))
            @if number.note.is_some() { sup { "*" } }
        }
    }
}

/// A row that says what it lacks.
fn absent(summary: &Summary, absence: &Absence) -> Markup {
    html! {
        td.absent colspan=(summary.columns.len()) {
            span {
                @match absence {
                    Absence::Missing { program, install } => {
                        (program) " is missing: " code { (install) }
                    }
                    Absence::Refused { reason } => { "refused: " (reason) }
                }
            }
        }
    }
}

/// Where a script tells all there is of one cell.
pub(super) fn panel() -> Markup {
    html! {
        dialog #panel aria-labelledby="panel-title" {
            div.panel-head {
                h2 #panel-title tabindex="-1" {}
                button #panel-close type="button" { "Close" }
            }
            div.panel-body {
                div #panel-number {}
                div #panel-about {}
                div #panel-commands {}
            }
        }
    }
}
