//! Where the result of a bench goes: files beside its raw results, and for those worth it, the
//! repository.

use std::{
    fmt::Write as _,
    fs::{self, File},
    io::Write as _,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use flate2::{Compression, GzBuilder};
use xshell::{Shell, cmd};

use crate::{
    bench::{
        record::{Head, Record},
        sheet::Place,
    },
    tools::{say, workspace},
};

/// All numbers that are shown.
pub(super) const SUMMARY: &str = "summary.json";

/// A document of a bench: the end of its name, and its text.
pub(super) type Document = (&'static str, String);

/// Writes them beside the raw results.
pub(super) fn write(folder: &Path, documents: &[Document]) -> Result<()> {
    for (name, text) in documents {
        fs::write(folder.join(name), text).with_context(|| format!("writing {name}"))?;
    }
    Ok(())
}

/// Keeps the result with the sources: the documents, the raw data, the machine's facts, and the
/// tables in the documents that have them.
pub(super) fn keep(
    record: &Record,
    documents: &[Document],
    places: &[Place],
    sh: &Shell,
    host: &str,
) -> Result<()> {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
    ensure!(host.chars().all(plain), "--record {host}: letters, digits, - _ . only");
    let folder = workspace().join("bench/record").join(host);
    fs::create_dir_all(&folder)?;
    let kind = if record.head.figures { "figures" } else { "bench" };
    let named = |end: &str| folder.join(format!("{}-{kind}{end}", record.head.date));
    for (name, text) in documents {
        let end = if *name == SUMMARY { ".json" } else { &name[name.rfind('.').unwrap_or(0)..] };
        fs::write(named(end), text)?;
    }
    fs::write(named(".txt"), facts(&record.head))?;
    write_raw(record, &named(".jsonl.gz"))?;
    for Place { document, name, markdown } in places {
        replace_between_markers(&workspace().join(document), name, markdown)?;
    }
    cmd!(sh, "git status --short -- bench README.md docs").quiet().run()?;
    say(&format!("kept: {}", folder.display()));
    Ok(())
}

/// What is known before, and then each run, a line each: hundreds of thousands of numbers.
fn write_raw(record: &Record, path: &PathBuf) -> Result<()> {
    // Nothing of the day or the place: the same results are the same file.
    let mut file = GzBuilder::new().write(File::create(path)?, Compression::best());
    writeln!(file, "{}", serde_json::to_string(&record.head)?)?;
    for cell in &record.cells {
        writeln!(file, "{}", serde_json::to_string(cell)?)?;
    }
    file.finish()?;
    Ok(())
}

fn facts(head: &Head) -> String {
    let Head { date, budget, seed, machine, .. } = head;
    let mut text =
        format!("{:14} {date}\n{:14} {budget}\n{:14} {seed}\n", "date", "budget", "seed");
    for (name, value) in machine {
        writeln!(text, "{name:14} {value}").expect("writing to a String cannot fail");
    }
    text
}

/// A document that keeps a table has its name where it begins and ends.
fn replace_between_markers(path: &Path, name: &str, table: &str) -> Result<()> {
    let [begin, end] = ["begin", "end"].map(|edge| format!("<!-- {name}: {edge} -->"));
    let text = fs::read_to_string(path)?;
    let (before, rest) =
        text.split_once(&begin).with_context(|| format!("{} has no {begin}", path.display()))?;
    let (_, after) =
        rest.split_once(&end).with_context(|| format!("{} has no {end}", path.display()))?;
    Ok(fs::write(path, format!("{before}{begin}\n\n{table}\n{end}{after}"))?)
}
