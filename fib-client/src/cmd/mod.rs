//! The verbs of the command line, one file each.

pub(crate) mod compare;
pub(crate) mod completions;
pub(crate) mod get;
pub(crate) mod man;
pub(crate) mod merge;
mod output;
pub(crate) mod perf;

use std::{fs, path::Path};

use anyhow::{Context, Result, ensure};
use fib_client::report::{Report, SCHEMA_VERSION};

/// Ends a program whose demand was not met.
pub(crate) const EXIT_DEMAND: u8 = 3;

#[expect(clippy::print_stderr, reason = "this is where a command's failure is told")]
pub(crate) fn complain(error: &anyhow::Error) {
    eprintln!("fib-client: {error:#}");
}

/// What `perf --json` wrote.
fn read_report(file: &Path) -> Result<Report> {
    let read = || {
        let text = fs::read_to_string(file)?;
        let version: serde_json::Value = serde_json::from_str(&text)?;
        let found = &version["schema_version"];
        ensure!(*found == SCHEMA_VERSION, "its schema_version is {found}, not {SCHEMA_VERSION}");
        Ok(serde_json::from_value(version)?)
    };
    read().with_context(|| format!("reading the report {}", file.display()))
}
