//! A bench as one page for a browser: what people share, and look numbers up in.
//!
//! It reads nothing but the summary. What a reader can do with it beyond reading is in the scripts;
//! without them it tells the same numbers.

mod charts;
mod data;
mod head;
mod heat;
mod matrix;
mod scaling;
mod tails;
mod told;
mod trust;

#[cfg(test)]
mod browser;
#[cfg(test)]
mod driver;
#[cfg(test)]
mod sample;

use fib_client::page::Page;
use maud::html;

use crate::bench::summary::Summary;

/// What the page adds to the look of fib's pages.
const STYLE: &str = include_str!("style.css");

/// What it does.
const SCRIPT: &str =
    concat!(include_str!("matrix.js"), include_str!("panel.js"), include_str!("lines.js"));

/// The document.
pub(crate) fn page(summary: &Summary) -> String {
    let body = html! {
        (head::head(summary))
        (head::highlights(summary))
        (head::contents())
        (matrix::matrix(summary))
        (charts::section(summary))
        (tails::section(summary))
        (scaling::section(summary))
        (trust::noise(summary))
        (trust::method(summary))
        (trust::machine(summary))
        (matrix::panel())
        (data::data(summary))
    };
    let title = format!("fib bench, {}", summary.date);
    Page { title: &title, body, style: STYLE, script: SCRIPT }.to_html()
}
