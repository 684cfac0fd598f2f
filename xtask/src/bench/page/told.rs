//! Numbers as the page tells them, and rows by their names.

use fib_client::page::short;

use crate::{
    bench::{
        number,
        summary::{Column, Entry, Number, Row, Summary},
    },
    peers::Family,
};

/// In as few letters as a cell of a table has place for.
pub(super) fn compact(value: f64, decimals: usize) -> String {
    match value {
        1e6.. => short(three_digits(value)),
        1e4.. => short((value / 1e3).round() * 1e3),
        _ => number(value, decimals),
    }
}

/// As a cell of a column; a time that has too many digits in its unit is told in a larger one.
pub(super) fn cell(value: f64, column: &Column) -> String {
    match &*column.unit {
        "µs" if value >= 1e4 => micros(value),
        "ms" if value >= 1e4 => micros(value * 1e3),
        _ => compact(value, column.decimals),
    }
}

/// With its unit; microseconds as what people would call them.
pub(super) fn quantity(value: f64, unit: &str, decimals: usize) -> String {
    match unit {
        "µs" => micros(value),
        "req/s" => compact(value, decimals),
        _ => format!("{} {unit}", number(value, decimals)),
    }
}

/// A time as people would tell it.
pub(super) fn micros(value: f64) -> String {
    let value = three_digits(value);
    match value {
        1e6.. => format!("{} s", short(value / 1e6)),
        1e3.. => format!("{} ms", short(value / 1e3)),
        _ => format!("{} µs", short(value)),
    }
}

/// A factor: 1.08, 2.3, 46, 390.
pub(super) fn factor(value: f64) -> String {
    match value {
        10.0.. => number(value, 0),
        1.5.. => number(value, 1),
        _ => number(value, 2),
    }
}

fn three_digits(value: f64) -> f64 {
    if value <= 0.0 {
        return value;
    }
    let unit = 10_f64.powf(value.log10().floor() - 2.0);
    (value / unit).round() * unit
}

/// What a family is called.
pub(super) const fn family(family: Family) -> &'static str {
    match family {
        Family::Fib => "fib-server",
        Family::C => "C",
        Family::Go => "Go",
        Family::PyPy => "PyPy",
        Family::Python => "Python",
        Family::Reference => "for reference",
    }
}

/// The strategy, the way to compute, and what else distinguishes one of our servers.
pub(super) struct Parts<'a> {
    pub(super) strategy: &'a str,
    pub(super) compute: &'a str,
}

impl Row {
    /// The name without what its family has in common.
    pub(super) fn short_name(&self) -> &str {
        self.name.strip_prefix("fib-server, ").unwrap_or(&self.name)
    }

    /// What `fib-server` was told to do; other servers have no such parts.
    pub(super) fn parts(&self) -> Option<Parts<'_>> {
        let name = self.name.strip_prefix("fib-server, ")?;
        let (strategy, rest) = name.split_once(" + ")?;
        Some(Parts { strategy, compute: rest.split(',').next().unwrap_or(rest) })
    }

    /// The number in a column.
    pub(super) fn number(&self, column: usize) -> Option<&Number> {
        match self.entries.get(column)? {
            Entry::Number(number) => Some(number),
            Entry::Nothing(_) => None,
        }
    }
}

impl Summary {
    /// What `fib-server` does without flags.
    pub(super) fn default_row(&self) -> Option<&Row> {
        self.rows.iter().find(|row| row.is_default)
    }

    /// The row with the best number in a column, among those that are wanted.
    pub(super) fn best_in(&self, column: usize, wanted: impl Fn(&Row) -> bool) -> Option<&Row> {
        let better = self.columns[column].better;
        let rows = self.rows.iter().filter(|row| wanted(row));
        let numbers = rows.filter_map(|row| Some((row, row.number(column)?.median)));
        let best = numbers.reduce(|a, b| if better.factor(b.1, a.1) > 1.0 { b } else { a });
        best.map(|(row, _)| row)
    }

    /// The row of a family with the best number in the column of this name, if it is not nothing.
    pub(super) fn leader_of(&self, family: Family, id: &str) -> Option<&Row> {
        let column = self.columns.iter().position(|column| column.id == id)?;
        let has_one = |row: &Row| row.number(column).is_some_and(|number| number.median > 0.0);
        self.best_in(column, |row| row.family == family && has_one(row))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_told_as_short_as_they_may() {
        let told = [0.784, 9_127.0, 103_250.0, 2_412_345.0].map(|it| compact(it, 0));
        assert_eq!(told, ["1", "9,127", "103k", "2.41M"]);
        let told = [0.0, 93.4, 1_957.0, 44_000.0, 2_500_000.0].map(micros);
        assert_eq!(told, ["0 µs", "93.4 µs", "1.96 ms", "44 ms", "2.5 s"]);
        assert_eq!([1.08, 2.34, 46.4, 3_900.0].map(factor), ["1.08", "2.3", "46", "3,900"]);
    }

    #[test]
    fn our_rows_have_parts() {
        let row = |name: &str| Row { name: name.to_owned(), ..super::super::sample::any_row() };
        let ours = row("fib-server, tokio-tasks + pool, deadline 50 ms");
        let parts = ours.parts().unwrap();
        assert_eq!((parts.strategy, parts.compute), ("tokio-tasks", "pool"));
        assert_eq!(ours.short_name(), "tokio-tasks + pool, deadline 50 ms");
        assert!(row("Python, coroutines + processes").parts().is_none());
    }
}
