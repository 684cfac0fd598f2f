//! Where the result of a bench goes: report files, and for those worth it, the repository.

use std::{
    fmt::Write,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use xshell::{Shell, cmd};

use crate::{
    bench::{record::Record, sheet::Sheet},
    build::target_folder,
    tools::{say, workspace},
};

/// Writes the report files where everything goes that can be made again.
pub(super) fn write(record: &Record, sheet: &Sheet) -> Result<PathBuf> {
    let folder = target_folder().join("bench");
    fs::create_dir_all(&folder)?;
    write_as(record, &folder, sheet.name)?;
    fs::write(folder.join(format!("{}.md", sheet.name)), sheet.markdown(record))?;
    Ok(folder)
}

/// Keeps the result with the sources: raw data, machine facts, and the table in its documents.
pub(super) fn keep(record: &Record, sheet: &Sheet, sh: &Shell, host: &str) -> Result<()> {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
    ensure!(host.chars().all(plain), "--record {host}: letters, digits, - _ . only");
    let folder = workspace().join("bench/record").join(host);
    fs::create_dir_all(&folder)?;
    write_as(record, &folder, &format!("{}-{}", record.date, sheet.name))?;
    for document in sheet.documents {
        let place = workspace().join(document);
        replace_between_markers(&place, sheet.name, &sheet.markdown(record))?;
    }
    for excerpt in &sheet.excerpts {
        let place = workspace().join(excerpt.document);
        replace_between_markers(&place, &excerpt.name, &excerpt.markdown())?;
    }
    cmd!(sh, "git status --short -- bench README.md docs").quiet().run()?;
    say(&format!("kept: {}", folder.display()));
    Ok(())
}

fn write_as(record: &Record, folder: &Path, name: &str) -> Result<()> {
    let json = serde_json::to_string_pretty(record)?;
    fs::write(folder.join(format!("{name}.json")), json + "\n")?;
    fs::write(folder.join(format!("{name}.txt")), facts(record))?;
    Ok(())
}

fn facts(record: &Record) -> String {
    let Record { date, budget, seed, machine, .. } = record;
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
