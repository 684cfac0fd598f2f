//! The folder of a bench: what is known before, and then a line for each run as soon as it is
//! over. Whoever ends a bench early loses one run, and can let it go on.

use std::{
    fs::{self, File, OpenOptions},
    io::Write,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use serde::de::DeserializeOwned;

use crate::bench::record::{Cell, Head, Record, SCHEMA_VERSION};

const HEAD: &str = "bench.json";
const CELLS: &str = "cells.jsonl";

/// The folder, open for the next run.
#[derive(Debug)]
pub(super) struct Results {
    folder: PathBuf,
    cells: File,
}

impl Results {
    /// A new folder, which must not hold another bench.
    pub(super) fn create(folder: &Path, head: &Head) -> Result<Self> {
        fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
        if folder.join(HEAD).exists() {
            let folder = folder.display();
            bail!("{folder} holds a bench; --resume {folder} lets it go on, --out names another");
        }
        fs::write(folder.join(HEAD), serde_json::to_string_pretty(head)? + "\n")?;
        Self::open(folder)
    }

    /// The folder of a bench that has begun, and what it holds.
    pub(super) fn resume(folder: &Path) -> Result<(Self, Record)> {
        let record = read(folder)?;
        Ok((Self::open(folder)?, record))
    }

    fn open(folder: &Path) -> Result<Self> {
        let cells = OpenOptions::new().create(true).append(true).open(folder.join(CELLS))?;
        Ok(Self { folder: folder.to_owned(), cells })
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Keeps what a run has found, in one write.
    pub(super) fn keep(&mut self, cell: &Cell) -> Result<()> {
        let line = serde_json::to_string(cell)? + "\n";
        self.cells.write_all(line.as_bytes()).context("writing a run's result")
    }
}

/// What a folder holds.
pub(super) fn read(folder: &Path) -> Result<Record> {
    let path = folder.join(HEAD);
    let told = || format!("reading {}", path.display());
    let head: Head = parse(&fs::read_to_string(&path).with_context(told)?).with_context(told)?;
    if head.schema_version != SCHEMA_VERSION {
        bail!("{} is of version {}, not {SCHEMA_VERSION}", path.display(), head.schema_version);
    }
    let path = folder.join(CELLS);
    let lines = fs::read_to_string(&path).unwrap_or_default();
    let mut cells = Vec::new();
    for line in lines.lines() {
        match parse::<Cell>(line) {
            Ok(cell) => keep_better(&mut cells, cell),
            // The one that was being written when the bench was ended.
            Err(_) if !lines.ends_with('\n') && lines.ends_with(line) => {}
            Err(error) => return Err(error.context(format!("reading {}", path.display()))),
        }
    }
    if !lines.is_empty() && !lines.ends_with('\n') {
        let whole = lines.rfind('\n').map_or(0, |at| at + 1);
        fs::write(&path, &lines[..whole])?;
    }
    Ok(Record { head, cells })
}

/// A run that was made again counts once, and the attempt that was disturbed least.
pub(super) fn keep_better(cells: &mut Vec<Cell>, again: Cell) {
    match cells.iter_mut().find(|cell| cell.is_of_the_run(&again)) {
        Some(cell) => cell.replace_if_better(again),
        None => cells.push(again),
    }
}

fn parse<T: DeserializeOwned>(text: &str) -> Result<T> {
    serde_json::from_str(text).context("it is not what a bench writes")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head() -> Head {
        Head {
            schema_version: SCHEMA_VERSION,
            date: "2026-01-01".to_owned(),
            machine: Vec::new(),
            budget: "quick".to_owned(),
            figures: false,
            only: Vec::new(),
            repetitions: 2,
            seed: 7,
            servers: Vec::new(),
            excused: Vec::new(),
        }
    }

    fn cell(server: &str, stolen: f64) -> Cell {
        Cell { server: server.to_owned(), stolen, attempts: 1, ..Cell::default() }
    }

    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("fib-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        folder
    }

    #[test]
    fn a_bench_that_was_ended_goes_on() {
        let folder = folder("results");
        let mut results = Results::create(&folder, &head()).unwrap();
        results.keep(&cell("one", 0.0)).unwrap();
        results.keep(&cell("two", 0.5)).unwrap();
        // It is killed in the middle of a line.
        let mut file = OpenOptions::new().append(true).open(folder.join(CELLS)).unwrap();
        file.write_all(b"{\"server\":\"thr").unwrap();
        let (mut results, record) = Results::resume(&folder).unwrap();
        assert_eq!((record.head, record.cells.len()), (head(), 2));
        results.keep(&cell("two", 0.1)).unwrap();
        results.keep(&cell("two", 0.9)).unwrap();
        let cells = read(&folder).unwrap().cells;
        let told: Vec<_> = cells.iter().map(|it| (it.stolen, it.attempts)).collect();
        assert_eq!(told, [(0.0, 1), (0.1, 3)]);
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_folder_holds_one_bench() {
        let folder = folder("one-bench");
        Results::create(&folder, &head()).unwrap();
        let refusal = Results::create(&folder, &head()).unwrap_err().to_string();
        assert!(refusal.contains("--resume"), "{refusal}");
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn what_is_no_bench_is_refused() {
        let folder = folder("no-bench");
        assert!(read(&folder).is_err());
        Results::create(&folder, &head()).unwrap();
        fs::write(folder.join(CELLS), "what is this\n").unwrap();
        assert!(read(&folder).is_err());
        fs::remove_dir_all(folder).unwrap();
    }
}
