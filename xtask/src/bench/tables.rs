//! The summary as tables: what short requests get, what long ones do, and each strategy alone.

use std::collections::BTreeMap;

use crate::{
    bench::{
        record::Record,
        sheet::{Place, Sheet, Text, absences, circumstances},
        statistics::coverage_percent,
        summary::{Entry, Number, Row, Summary},
    },
    peers::{COMPUTES, Family, STRATEGIES, name_of},
};

/// What requests get that cost nothing.
const SHORT: [&str; 13] = [
    "rate-1",
    "rate-3",
    "p99-3",
    "rate-64",
    "p99-64",
    "pipelined",
    "cpu",
    "rss",
    "churn",
    "idle",
    "kept",
    "large",
    "large-p99",
];

/// What requests get that burn the CPU, and what they do to others.
const LONG: [&str; 7] =
    ["fib30", "canary-rate", "canary-p99", "canary-p99.9", "long-rate", "goodput", "overload-p50"];

/// What the README tells of.
const HEADLINE: [&str; 9] = [
    "fib30",
    "rate-3",
    "rate-64",
    "pipelined",
    "canary-rate",
    "canary-p99",
    "long-rate",
    "cpu",
    "rss",
];

/// In which the ways to compute of one strategy differ.
const STRATEGY: [&str; 9] =
    ["fib30", "rate-3", "p99-3", "cpu", "rss", "canary-rate", "canary-p99", "long-rate", "goodput"];

/// For a terminal.
pub(super) fn print(record: &Record, summary: &Summary) {
    sheet(summary, &LONG, |_| true, String::new()).print();
    sheet(summary, &SHORT, |_| true, legend(summary) + "\n" + &absences(&record.head.servers))
        .print();
}

/// The documents that keep a table.
pub(super) fn places(record: &Record, summary: &Summary) -> Vec<Place> {
    let machine = circumstances(&record.head, &summary.disturbance);
    let absences = absences(&record.head.servers);
    let is_headline = |row: &Row| row.is_default || row.family != Family::Fib;
    let headline = sheet(summary, &HEADLINE, is_headline, legend(summary));
    let mut places = vec![
        Place {
            document: "README.md",
            name: "bench".to_owned(),
            markdown: format!("{}\n{machine}\n", headline.markdown()),
        },
        Place {
            document: "docs/benchmarks.md",
            name: "bench".to_owned(),
            markdown: format!("{}\n{absences}\n{machine}\n", markdown(summary)),
        },
    ];
    places.extend(STRATEGIES.map(|strategy| excerpt(summary, strategy)));
    places
}

/// Everything, in Markdown.
pub(super) fn markdown(summary: &Summary) -> String {
    let long = sheet(summary, &LONG, |_| true, String::new()).markdown();
    let short = sheet(summary, &SHORT, |_| true, legend(summary)).markdown();
    format!(
        "Requests that burn the CPU:\n\n{long}\nRequests that cost nothing:\n\n{short}\n{}",
        reasons(summary)
    )
}

/// One strategy with every way to compute.
fn excerpt(summary: &Summary, strategy: &str) -> Place {
    let names = COMPUTES.map(|compute| name_of(strategy, compute));
    let mut sheet = sheet(summary, &STRATEGY, |row| names.contains(&row.name), String::new());
    "`--compute`".clone_into(&mut sheet.header[0]);
    for row in &mut sheet.rows {
        let compute = row[0].text.rsplit(' ').next().unwrap_or_default();
        row[0] = format!("`{compute}`").into();
    }
    Place { document: "docs/strategies.md", name: strategy.to_owned(), markdown: sheet.markdown() }
}

/// Some columns of some rows.
fn sheet(
    summary: &Summary,
    ids: &[&str],
    is_wanted: impl Fn(&Row) -> bool,
    legend: String,
) -> Sheet {
    let place = |id: &&str| summary.columns.iter().position(|column| column.id == *id);
    let columns: Vec<_> = ids.iter().filter_map(place).collect();
    let mut header = vec!["server".to_owned()];
    header.extend(columns.iter().map(|&at| summary.columns[at].title.clone()));
    let rows = summary.rows.iter().filter(|row| is_wanted(row)).map(|row| {
        let cell = |&at: &usize| match (&row.absence, row.entries.get(at)) {
            (Some(absence), _) => absence.word().into(),
            (None, Some(entry)) => told(entry),
            (None, None) => "–".into(),
        };
        let name =
            if row.is_default { format!("{} (default)", row.name) } else { row.name.clone() };
        [name.into()].into_iter().chain(columns.iter().map(cell)).collect()
    });
    Sheet { header, rows: rows.collect(), legend }
}

/// A median, and half of its interval in percent.
fn told(entry: &Entry) -> Text {
    let Entry::Number(Number { median, low, high, is_within_noise, note }) = entry else {
        return "–".into();
    };
    let has_spread = high > low && *median > 0.0;
    let spread =
        if has_spread { format!(" ±{:.0}%", 50.0 * (high - low) / median) } else { String::new() };
    let served = note.as_ref().and_then(|note| note.split(", ").find(|it| it.contains("served")));
    let served = served.map_or_else(String::new, |served| format!(" ({served})"));
    let text = short(*median) + &spread + &served;
    Text { text, is_faint: *is_within_noise }
}

/// Three digits, and the letter of the thousands.
fn short(value: f64) -> String {
    let (value, letter) = match value.abs() {
        1e6.. => (value / 1e6, "M"),
        1e4.. => (value / 1e3, "k"),
        _ => (value, ""),
    };
    let decimals = match value.abs() {
        100.0.. => 0,
        10.0.. => 1,
        0.0 => 0,
        _ => 2,
    };
    format!("{value:.decimals$}{letter}")
}

/// What the reader must know to read it.
fn legend(summary: &Summary) -> String {
    let repetitions = summary.repetitions;
    let coverage = coverage_percent(repetitions);
    let twin = summary.twin.as_ref().map_or_else(String::new, |twin| {
        format!(
            " ≈, or grey: not to be told from the default, whose twin, the same server measured \
             once more, differs from it in {} of {} columns.",
            twin.told_apart, twin.columns
        )
    });
    format!(
        "Medians of {repetitions} repetitions, each with a fresh server; ± half the distance \
         between the smallest and the largest, between which the true median lies with \
         {coverage:.0} %.{twin}"
    )
}

/// Why there are numbers that there are not.
fn reasons(summary: &Summary) -> String {
    let mut reasons: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for row in summary.rows.iter().filter(|row| row.absence.is_none()) {
        for entry in &row.entries {
            let Entry::Nothing(why) = entry else { continue };
            let servers = reasons.entry(why).or_default();
            if !servers.contains(&row.name.as_str()) {
                servers.push(&row.name);
            }
        }
    }
    let told = reasons.iter().map(|(why, servers)| format!("- {why}: {}\n", servers.join("; ")));
    let told: String = told.collect();
    if told.is_empty() { told } else { format!("Where there is no number (–):\n\n{told}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_three_digits() {
        let told = [0.0, 0.944, 7.25, 17.21, 312.4, 9_127.0, 65_302.6, 22_900_000.0].map(short);
        assert_eq!(told, ["0", "0.94", "7.25", "17.2", "312", "9127", "65.3k", "22.9M"]);
    }

    #[test]
    fn an_interval_is_told_in_percent() {
        let number = |is_within_noise, note: Option<&str>| {
            let note = note.map(str::to_owned);
            Entry::Number(Number { median: 100.0, low: 95.0, high: 115.0, is_within_noise, note })
        };
        assert_eq!(told(&number(false, None)).text, "100 ±10%");
        assert_eq!(
            told(&number(true, Some("1 of 3 served, 2 × reset"))).text,
            "100 ±10% (1 of 3 served)"
        );
        assert!(told(&number(true, None)).is_faint);
        assert_eq!(told(&Entry::Nothing("no answer".to_owned())).text, "–");
    }
}
