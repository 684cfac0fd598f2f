//! Pages for a browser, with all that they need: they open without a network.
//!
//! The report of a load and that of a bench are such pages, and look alike.

mod chart;
mod span;

use maud::{DOCTYPE, Markup, PreEscaped, html};

pub use chart::{Axis, Chart, Legend, Series, Size, key, short};
pub use span::Scale;

/// Nothing is fetched, whatever the page shows.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; \
                      img-src data:";

/// A page that is to be written; what its parts look like is in one style for all pages.
#[derive(Clone, Debug)]
pub struct Page<'a> {
    /// What a tab of the browser is called.
    pub title: &'a str,
    /// What stands on it.
    pub body: Markup,
    /// What this page adds to the common style, as CSS.
    pub style: &'a str,
    /// What this page adds to the common script, which copies commands, as JavaScript.
    pub script: &'a str,
}

impl Page<'_> {
    /// The document.
    #[must_use]
    pub fn to_html(&self) -> String {
        let page = html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    meta http-equiv="Content-Security-Policy" content=(POLICY);
                    link rel="icon" href="data:,";
                    title { (self.title) }
                    style { (PreEscaped(include_str!("style.css"))) (PreEscaped(self.style)) }
                }
                body {
                    main { (self.body) }
                    script { (PreEscaped(include_str!("script.js"))) (PreEscaped(self.script)) }
                }
            }
        };
        page.into_string()
    }
}

/// A command for a shell, with a button that copies it.
#[must_use]
pub fn command(command: &str) -> Markup {
    html! { div.command { code { (command) } button type="button" { "Copy" } } }
}
