//! Many runs as one number: the median of the repetitions, and how far they lie apart.

use crate::bench::record::Cell;

/// The values of some repetitions, sorted.
#[derive(Clone, Debug, Default)]
pub(crate) struct Values(Vec<f64>);

impl Values {
    /// One value of each cell; none at all if one cell has none.
    pub(super) fn of(cells: &[&Cell], value: impl Fn(&Cell) -> Option<f64>) -> Self {
        let values: Option<Vec<f64>> = cells.iter().map(|cell| value(cell)).collect();
        values.unwrap_or_default().into()
    }

    pub(crate) fn median(&self) -> Option<f64> {
        let upper = self.0.len() / 2;
        match self.0.len() % 2 {
            1 => Some(self.0[upper]),
            _ if upper > 0 => Some(f64::midpoint(self.0[upper - 1], self.0[upper])),
            _ => None,
        }
    }

    /// The smallest and the largest.
    pub(super) fn range(&self) -> Option<(f64, f64)> {
        Some((*self.0.first()?, *self.0.last()?))
    }

    pub(super) fn as_slice(&self) -> &[f64] {
        &self.0
    }

    /// The median alone.
    fn told(&self, decimals: usize) -> String {
        self.median().map_or_else(|| "n/a".to_owned(), |median| number(median, decimals))
    }

    /// The median ± half the distance between the smallest and the largest.
    pub(crate) fn told_with_spread(&self, decimals: usize) -> String {
        match self.0.as_slice() {
            [min, .., max] => {
                let spread = number((max - min) / 2.0, decimals);
                format!("{} ±{spread}", self.told(decimals))
            }
            [] | [_] => self.told(decimals),
        }
    }
}

impl From<Vec<f64>> for Values {
    fn from(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        Self(values)
    }
}

/// Of so many independent values, in how many cases of a hundred the true median lies between the
/// smallest and the largest: it does unless all lie on the same side of it, and each value lies on
/// either side with the same chance, whatever the distribution.
pub(super) fn coverage_percent(values: usize) -> f64 {
    let exponent = i32::try_from(values).unwrap_or(i32::MAX);
    100.0 * (1.0 - 2.0 * 0.5_f64.powi(exponent)).max(0.0)
}

/// Thousands are told apart by a comma.
pub(crate) fn number(value: f64, decimals: usize) -> String {
    let text = format!("{:.decimals$}", value.abs());
    let (whole, rest) = text.split_at(text.find('.').unwrap_or(text.len()));
    let mut grouped = if value < 0.0 { "-".to_owned() } else { String::new() };
    for (at, digit) in whole.chars().enumerate() {
        if at > 0 && (whole.len() - at) % 3 == 0 {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_by_thousands() {
        let told = [0.0, 7.25, 999.5, 1_000.0, 65_302.6, 1_234_567.89].map(|it| number(it, 0));
        assert_eq!(told, ["0", "7", "1,000", "1,000", "65,303", "1,234,568"]);
        assert_eq!([1_234.567, -645.2].map(|it| number(it, 2)), ["1,234.57", "-645.20"]);
    }

    #[test]
    fn values_are_told_by_their_middle_and_spread() {
        let told = [&[][..], &[3.0], &[1.0, 9.0], &[1.0, 2.0, 9.0]]
            .map(|values| Values(values.to_vec()).told_with_spread(1));
        assert_eq!(told, ["n/a", "3.0", "5.0 ±4.0", "2.0 ±4.0"]);
    }

    #[test]
    fn more_values_cover_the_median_more_surely() {
        let told = [0, 1, 2, 5].map(|values| number(coverage_percent(values), 2));
        assert_eq!(told, ["0.00", "0.00", "50.00", "93.75"]);
    }
}
