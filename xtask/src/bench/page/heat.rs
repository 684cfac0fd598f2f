//! How far a number is from the default's, as one of a few colours.

use crate::bench::summary::{Better, Column, Number, Row, Summary};

/// Where the next colour begins: times better, or times worse.
const STEPS: [f64; 4] = [1.25, 2.0, 5.0, 20.0];

impl Better {
    /// How many times better one value is than another; below 1 it is worse.
    pub(super) fn factor(self, value: f64, other: f64) -> f64 {
        let (value, other) = match self {
            Self::Higher => (value, other),
            Self::Lower => (other, value),
        };
        match (value, other) {
            (0.0, 0.0) => 1.0,
            _ => value / other,
        }
    }
}

/// A colour by its name in the style: `up1` to `up5`, `down1` to `down5`, `same`.
pub(super) fn class(factor: f64) -> String {
    let (way, size) = if factor >= 1.0 { ("up", factor) } else { ("down", 1.0 / factor) };
    let step = STEPS.iter().filter(|it| size >= **it).count();
    format!("{way}{}", step + 1)
}

/// The colour of a number, against the default's where it has one, or the column's best.
pub(super) fn class_of(summary: &Summary, column: usize, row: &Row, number: &Number) -> String {
    let default = summary.default_row().and_then(|it| it.number(column));
    let best = || summary.best_in(column, |_| true).and_then(|it| it.number(column));
    let Column { better, .. } = &summary.columns[column];
    match default.or_else(best) {
        _ if row.is_default || number.is_within_noise => "same".to_owned(),
        Some(other) => class(better.factor(number.median, other.median)),
        None => "same".to_owned(),
    }
}

/// Every colour from the worst to the best, with what it means.
pub(super) fn scale() -> Vec<(String, String)> {
    let told = |step: usize| match step {
        0 => format!("< {}×", STEPS[0]),
        _ => format!("≥ {}×", STEPS[step - 1]),
    };
    let worse = (0..=STEPS.len()).rev().map(|step| (format!("down{}", step + 1), told(step)));
    let better = (0..=STEPS.len()).map(|step| (format!("up{}", step + 1), told(step)));
    worse.chain([("same".to_owned(), "noise".to_owned())]).chain(better).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_colour_is_how_much_better_or_worse() {
        let classes = [3.0, 1.0, 1.3, 1.0 / 25.0, 0.0, f64::INFINITY].map(class);
        assert_eq!(classes, ["up3", "up1", "up2", "down5", "down5", "up5"]);
        assert!((Better::Lower.factor(2.0, 8.0) - 4.0).abs() < 1e-9);
        assert!((Better::Higher.factor(0.0, 0.0) - 1.0).abs() < 1e-9, "both are starved");
    }
}
