//! Two benches of the same machine: which server has become worse?
//!
//! A number has changed if its intervals do not touch, and its medians differ by more than the
//! noise of either bench, and by more than a wide margin: hundreds of numbers are compared, and a
//! check that cries at one in a hundred would cry each time.

use std::{fs, path::Path};

use anyhow::{Context, Result, ensure};

use crate::{
    bench::{
        files::SUMMARY,
        noise,
        statistics::number,
        summary::{Better, Column, Entry, Number, SCHEMA_VERSION, Summary},
    },
    peers::Family,
};

/// Medians that differ by a smaller factor are never called different.
const MARGIN: f64 = 1.25;

/// Two intervals of fewer repetitions are disjoint too often.
const REPETITIONS_MIN: usize = 3;

/// One number that has changed.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Change {
    pub(super) server: String,
    pub(super) family: Family,
    pub(super) column: String,
    pub(super) before: String,
    pub(super) now: String,
    /// How many times worse it has become; under one it is better.
    pub(super) times_worse: f64,
}

/// What a bench found whose folder this is, or whose summary.
pub(super) fn read(place: &Path) -> Result<Summary> {
    let path = if place.is_dir() { place.join(SUMMARY) } else { place.to_owned() };
    let told = || format!("reading {}", path.display());
    let summary: Summary =
        serde_json::from_str(&fs::read_to_string(&path).with_context(told)?).with_context(told)?;
    let version = summary.schema_version;
    ensure!(version == SCHEMA_VERSION, "{} is of version {version}", path.display());
    check_repetitions(&summary.date, summary.repetitions)?;
    Ok(summary)
}

/// Whether there are enough of them; better asked before they are made.
pub(super) fn check_repetitions(date: &str, repetitions: usize) -> Result<()> {
    ensure!(
        repetitions >= REPETITIONS_MIN,
        "a comparison needs {REPETITIONS_MIN} repetitions, and the bench of {date} has {repetitions}; --full \
         makes more"
    );
    Ok(())
}

/// All that has changed, the worst first.
pub(super) fn changes(before: &Summary, now: &Summary) -> Vec<Change> {
    let mut changes = Vec::new();
    for (at, column) in now.columns.iter().enumerate() {
        let Some(then) = before.columns.iter().position(|it| it.id == column.id) else { continue };
        for row in &now.rows {
            let Some(old) = before.rows.iter().find(|it| it.name == row.name) else { continue };
            let numbers = (old.entries.get(then), row.entries.get(at));
            let (Some(Entry::Number(one)), Some(Entry::Number(other))) = numbers else { continue };
            if is_changed(one, other, &[before.columns[then].noise, column.noise]) {
                changes.push(Change {
                    server: row.name.clone(),
                    family: row.family,
                    column: column.title.clone(),
                    before: number(one.median, column.decimals),
                    now: number(other.median, column.decimals),
                    times_worse: times_worse(column, one, other),
                });
            }
        }
    }
    changes.sort_by(|one, other| other.times_worse.total_cmp(&one.times_worse));
    changes
}

fn is_changed(one: &Number, other: &Number, noises: &[Option<f64>]) -> bool {
    let are_disjoint = one.high < other.low || other.high < one.low;
    let margin = noises.iter().flatten().copied().fold(MARGIN, f64::max);
    let have_a_ratio = one.median > 0.0 && other.median > 0.0;
    are_disjoint && (!have_a_ratio || noise::ratio(one.median, other.median) > margin)
}

fn times_worse(column: &Column, before: &Number, now: &Number) -> f64 {
    match column.better {
        Better::Higher => before.median / now.median,
        Better::Lower => now.median / before.median,
    }
}

impl Change {
    pub(super) fn told(&self) -> String {
        let Self { server, column, before, now, times_worse, .. } = self;
        let (word, times) = match *times_worse {
            worse if worse > 1.0 => ("worse", worse),
            better => ("better", 1.0 / better),
        };
        format!("{word:6} {times:5.2} ×  {server}: {column} {before} -> {now}")
    }

    /// Whether it is ours, and not for the better.
    pub(super) fn is_regression(&self) -> bool {
        self.family == Family::Fib && self.times_worse > 1.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::summary::{Row, Scaling};

    fn summary(medians: [f64; 2], noise: f64) -> Summary {
        let column = |id: &str, better| Column {
            id: id.to_owned(),
            title: id.to_owned(),
            scenario: String::new(),
            unit: String::new(),
            decimals: 0,
            better,
            about: String::new(),
            commands: Vec::new(),
            noise: Some(noise),
        };
        let entry = |median: f64| {
            let (low, high) = (0.95 * median, 1.05 * median);
            Entry::Number(Number { median, low, high, is_within_noise: false, note: None })
        };
        let row = Row {
            name: "ours".to_owned(),
            family: Family::Fib,
            command: String::new(),
            is_default: true,
            absence: None,
            entries: medians.map(entry).into(),
            curve: Vec::new(),
            interference: Vec::new(),
            tails: Vec::new(),
            scaling: Scaling::Refused(String::new()),
        };
        Summary {
            schema_version: SCHEMA_VERSION,
            date: String::new(),
            budget: String::new(),
            repetitions: 5,
            seed: 0,
            machine: Vec::new(),
            disturbance: String::new(),
            columns: vec![column("rate", Better::Higher), column("time", Better::Lower)],
            rows: vec![row],
            twin: None,
        }
    }

    fn told(before: [f64; 2], now: [f64; 2], noise: f64) -> Vec<(String, bool)> {
        let changes = changes(&summary(before, 1.0), &summary(now, noise));
        changes.into_iter().map(|it| (it.column.clone(), it.is_regression())).collect()
    }

    #[test]
    fn what_became_worse_is_found_in_either_direction() {
        assert_eq!(told([100.0, 100.0], [50.0, 100.0], 1.0), [("rate".to_owned(), true)]);
        assert_eq!(told([100.0, 100.0], [100.0, 200.0], 1.0), [("time".to_owned(), true)]);
        assert_eq!(told([100.0, 100.0], [200.0, 100.0], 1.0), [("rate".to_owned(), false)]);
    }

    #[test]
    fn what_is_noise_is_no_change() {
        assert_eq!(told([100.0, 100.0], [100.0, 100.0], 1.0), []);
        assert_eq!(told([100.0, 100.0], [85.0, 115.0], 1.0), [], "within the margin");
        assert_eq!(told([100.0, 100.0], [50.0, 200.0], 2.5), [], "under the noise");
    }

    #[test]
    fn the_worst_comes_first_and_says_so() {
        let changes = changes(&summary([100.0, 100.0], 1.0), &summary([50.0, 400.0], 1.0));
        assert_eq!(changes[0].told(), "worse   4.00 ×  ours: time 100 -> 400");
    }

    #[test]
    fn too_few_repetitions_are_refused() {
        let told = check_repetitions("today", 2).unwrap_err().to_string();
        assert!(told.contains("--full"), "{told}");
        assert!(check_repetitions("today", 3).is_ok());
    }
}
