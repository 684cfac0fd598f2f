//! What the scripts know: the numbers behind the cells, as JSON in the page.

use maud::{Markup, PreEscaped, html};
use serde::Serialize;

use crate::bench::{
    page::told,
    summary::{Column, Entry, Row, Summary},
};

#[derive(Serialize)]
struct Data<'a> {
    repetitions: usize,
    columns: &'a [Column],
    rows: Vec<RowData<'a>>,
}

#[derive(Serialize)]
struct RowData<'a> {
    name: &'a str,
    family: &'a str,
    strategy: Option<&'a str>,
    compute: Option<&'a str>,
    command: &'a str,
    is_default: bool,
    cells: Vec<Cell<'a>>,
}

/// A cell, in few letters: there are many.
#[derive(Serialize)]
#[serde(untagged)]
enum Cell<'a> {
    Number {
        /// Low, median, high.
        of: [f64; 3],
        #[serde(skip_serializing_if = "Option::is_none")]
        note: Option<&'a str>,
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        is_noise: bool,
    },
    Nothing {
        nothing: &'a str,
    },
}

pub(super) fn data(summary: &Summary) -> Markup {
    let Summary { repetitions, columns, rows, .. } = summary;
    let rows = rows.iter().map(row).collect();
    let data = Data { repetitions: *repetitions, columns, rows };
    let json = serde_json::to_string(&data).expect("every key is text");
    // Nothing in it may end the element that it stands in.
    let json = json.replace('<', "\\u003c");
    html! { script #data type="application/json" { (PreEscaped(json)) } }
}

fn row(row: &Row) -> RowData<'_> {
    let parts = row.parts();
    RowData {
        name: &row.name,
        family: told::family(row.family),
        strategy: parts.as_ref().map(|it| it.strategy),
        compute: parts.as_ref().map(|it| it.compute),
        command: &row.command,
        is_default: row.is_default,
        cells: row.entries.iter().map(cell).collect(),
    }
}

fn cell(entry: &Entry) -> Cell<'_> {
    match entry {
        Entry::Number(number) => Cell::Number {
            of: [number.low, number.median, number.high].map(rounded),
            note: number.note.as_deref(),
            is_noise: number.is_within_noise,
        },
        Entry::Nothing(reason) => Cell::Nothing { nothing: reason },
    }
}

/// Seven digits are more than anybody is shown.
fn rounded(value: f64) -> f64 {
    format!("{value:.6e}").parse().unwrap_or(value)
}
