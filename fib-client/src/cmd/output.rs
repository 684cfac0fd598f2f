//! Where a result goes: words for people, and files for programs.

use std::{
    fs::File,
    io::{self, Write},
    path::Path,
};

use anyhow::{Context, Result};
use fib_client::report::Report;

use crate::cli::FileArgs;

/// Writes one form of a report.
type Form = fn(&Report) -> Result<String>;

/// The flag, the file that was wanted, and what goes into it.
fn wanted(args: &FileArgs) -> impl Iterator<Item = (&'static str, &Path, Form)> {
    let json: Form = |report| Ok(serde_json::to_string_pretty(report)? + "\n");
    let forms: [(_, _, Form); 6] = [
        ("--json", &args.json, json),
        ("--html", &args.html, |report| Ok(report.to_html())),
        ("--csv", &args.csv, |report| Ok(report.to_csv())),
        ("--hlog", &args.hlog, |report| Ok(report.to_hlog()?)),
        ("--hgrm", &args.hgrm, |report| Ok(report.to_hgrm()?)),
        ("--prometheus", &args.prometheus, |report| Ok(report.to_prometheus())),
    ];
    forms.into_iter().filter_map(|(flag, file, form)| Some((flag, file.as_deref()?, form)))
}

fn is_stdout(file: &Path) -> bool {
    file == Path::new("-")
}

pub(crate) fn writes_twice_to_stdout(args: &FileArgs) -> bool {
    wanted(args).filter(|(_, file, _)| is_stdout(file)).count() > 1
}

/// Where words go: not where a document goes.
pub(crate) fn people(args: &FileArgs) -> Box<dyn Write> {
    let is_taken = wanted(args).any(|(_, file, _)| is_stdout(file));
    if is_taken { Box::new(io::stderr()) } else { Box::new(io::stdout()) }
}

pub(crate) fn write(report: &Report, args: &FileArgs, people: &mut dyn Write) -> Result<()> {
    write!(people, "{report}").context("writing the report")?;
    for (flag, file, form) in wanted(args) {
        write_to(file, &form(report)?).with_context(|| format!("{flag} {}", file.display()))?;
    }
    Ok(())
}

pub(crate) fn write_to(file: &Path, text: &str) -> io::Result<()> {
    if is_stdout(file) {
        return io::stdout().write_all(text.as_bytes());
    }
    File::create(file)?.write_all(text.as_bytes())
}
