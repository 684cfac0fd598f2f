//! The result as one table: a row for each server, the median of its repetitions in each column.

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};

use crate::{
    bench::record::{Cell, Missing, Record, Scenario},
    tools::to_f64,
};

const HEADER: [&str; 8] = [
    "server",
    "fib(30) ms",
    "1 client req/s",
    "p50 / p99 / p99.9 µs",
    "3 clients req/s",
    "p50 / p99 / p99.9 µs",
    "CPU µs/req",
    "RSS MiB",
];

/// What the reader must know to read it.
const LEGEND: &str = "\
Medians of the repetitions, ± half their spread. fib(30): mean time of one request on one
connection; ours run --algorithm recursive, so everybody makes the same calls. req/s and
latencies: fib(1), closed loop. CPU (user + system) and RSS: the server's whole process tree
with 3 clients.";

#[expect(clippy::print_stdout, reason = "the table is the task's result")]
pub(super) fn print(record: &Record) {
    let mut table = table(record);
    table.load_preset(presets::UTF8_FULL_CONDENSED);
    table.set_content_arrangement(ContentArrangement::Dynamic);
    println!("{table}\n{}{LEGEND}", gaps(record));
}

/// The same for documents, with the machine that it is true of.
pub(super) fn markdown(record: &Record) -> String {
    let mut table = table(record);
    table.load_preset(presets::ASCII_MARKDOWN);
    let fact = |name| record.machine.iter().find(|(it, _)| it == name).map_or("?", |it| &it.1);
    let kernel = format!("Linux {}", fact("kernel"));
    let machine = [fact("CPU"), &kernel, fact("rustc"), fact("go"), fact("python3"), fact("pypy3")];
    format!(
        "{table}\n\n{}{LEGEND}\n\n{}, {} budget; {}.\n",
        gaps(record),
        record.date,
        record.budget,
        machine.join("; ")
    )
}

/// Why a row is empty, and what fills it.
fn gaps(record: &Record) -> String {
    let gap = |it: &Missing| format!("{}: {} is missing; {}.\n\n", it.server, it.tool, it.install);
    record.missing.iter().map(gap).collect()
}

fn table(record: &Record) -> Table {
    let mut table = Table::new();
    table.set_header(HEADER);
    for server in &record.servers {
        table.add_row(row(record, server));
    }
    for missing in &record.missing {
        let mut row = vec![missing.server.as_str()];
        row.resize(HEADER.len(), "-");
        table.add_row(row);
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

fn row(record: &Record, server: &str) -> Vec<String> {
    let cells = |scenario| {
        let cells = record.cells.iter();
        cells.filter(move |it| it.server == server && it.scenario == scenario).collect::<Vec<_>>()
    };
    let (long, one, three) =
        (cells(Scenario::Long), cells(Scenario::OneClient), cells(Scenario::ThreeClients));
    let mut row = vec![server.to_owned()];
    row.push(figure(&long, |it| it.report.latency.mean_ns.map(|ns| ns / 1e6), 2));
    for cells in [&one, &three] {
        row.push(figure(cells, |it| Some(it.report.rate_per_s), 0) + &starved(cells));
        row.push(percentiles(cells));
    }
    row.push(figure(&three, |it| it.server_cpu_us_per_reply, 1));
    row.push(figure(&three, |it| Some(to_f64(it.rss_bytes) / f64::from(1 << 20)), 1));
    row
}

fn percentiles(cells: &[&Cell]) -> String {
    let p50 = middle(cells, |it| micros(it.report.latency.p50_ns), 0);
    let p99 = middle(cells, |it| micros(it.report.latency.p99_ns), 0);
    let p99_9 = figure(cells, |it| micros(it.report.latency.p99_9_ns), 0);
    format!("{p50} / {p99} / {p99_9}")
}

/// How many connections got no answer, where there were any: their wait is in no latency.
fn starved(cells: &[&Cell]) -> String {
    let connections = cells.iter().map(|it| it.report.connections);
    match connections.min_by_key(|it| it.served) {
        Some(it) if it.served < it.open => format!(" ({} of {} served)", it.served, it.open),
        _ => String::new(),
    }
}

/// Median ± half the spread; nothing where a repetition has too few samples to say.
fn figure(cells: &[&Cell], value: impl Fn(&Cell) -> Option<f64>, decimals: usize) -> String {
    let values = sorted(cells, value);
    match values.as_slice() {
        [] => "n/a".to_owned(),
        [only] => number(*only, decimals),
        [min, .., max] => {
            let spread = number((max - min) / 2.0, decimals);
            format!("{} ±{spread}", number(median(&values), decimals))
        }
    }
}

/// The median alone.
fn middle(cells: &[&Cell], value: impl Fn(&Cell) -> Option<f64>, decimals: usize) -> String {
    let values = sorted(cells, value);
    if values.is_empty() { "n/a".to_owned() } else { number(median(&values), decimals) }
}

/// One value of each repetition; none at all if one repetition has none.
fn sorted(cells: &[&Cell], value: impl Fn(&Cell) -> Option<f64>) -> Vec<f64> {
    let values: Option<Vec<f64>> = cells.iter().map(|cell| value(cell)).collect();
    let mut values = values.unwrap_or_default();
    values.sort_by(f64::total_cmp);
    values
}

fn median(sorted: &[f64]) -> f64 {
    let upper = sorted.len() / 2;
    if sorted.len() % 2 == 1 {
        sorted[upper]
    } else {
        f64::midpoint(sorted[upper - 1], sorted[upper])
    }
}

/// Thousands are told apart by a comma.
fn number(value: f64, decimals: usize) -> String {
    let text = format!("{value:.decimals$}");
    let (whole, rest) = text.split_at(text.find('.').unwrap_or(text.len()));
    let mut grouped = String::new();
    for (at, digit) in whole.chars().enumerate() {
        if at > 0 && (whole.len() - at) % 3 == 0 {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped + rest
}

fn micros(nanos: Option<u64>) -> Option<f64> {
    nanos.map(|nanos| to_f64(nanos) / 1e3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_by_thousands() {
        let told = [0.0, 7.25, 999.5, 1_000.0, 65_302.6, 1_234_567.89].map(|it| number(it, 0));
        assert_eq!(told, ["0", "7", "1,000", "1,000", "65,303", "1,234,568"]);
        assert_eq!(number(1_234.567, 2), "1,234.57");
    }

    #[test]
    fn median_is_the_middle() {
        let told = [&[3.0][..], &[1.0, 9.0], &[1.0, 2.0, 9.0]].map(|it| number(median(it), 1));
        assert_eq!(told, ["3.0", "5.0", "2.0"]);
    }
}
