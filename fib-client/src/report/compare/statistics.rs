//! What can be said of two sets of runs: how much one differs from the other, and how surely.

use fastrand::Rng;
use statrs::distribution::{ContinuousCDF, Normal};

/// How many runs the exact distribution is computed for; more are nearly normal.
const EXACT_MAX: usize = 20;

/// The middle value; of an even count the mean of both.
pub(super) fn median(values: &[f64]) -> f64 {
    middle(&mut values.to_vec())
}

fn middle(sorted: &mut [f64]) -> f64 {
    sorted.sort_unstable_by(f64::total_cmp);
    let upper = sorted.len() / 2;
    match sorted.len() % 2 {
        1 => sorted[upper],
        _ if upper > 0 => f64::midpoint(sorted[upper - 1], sorted[upper]),
        _ => f64::NAN,
    }
}

/// The interval that has the ratio of the medians, `b` to `a`, with this confidence: percentiles
/// of the ratios of samples that are drawn from the samples.
/// B. Efron, "Bootstrap Methods: Another Look at the Jackknife", Annals of Statistics 7 (1979).
pub(super) fn bootstrap_ratio(a: &[f64], b: &[f64], confidence: f64, rng: &mut Rng) -> (f64, f64) {
    const RESAMPLES: usize = 2_000;
    let mut drawn = Vec::new();
    let mut ratios: Vec<f64> = (0..RESAMPLES)
        .map(|_| {
            let [before, after] = [a, b].map(|values| resampled_median(values, &mut drawn, rng));
            after / before
        })
        .collect();
    ratios.sort_by(f64::total_cmp);
    let tail = (1.0 - confidence) / 2.0;
    #[expect(clippy::cast_possible_truncation, reason = "an index")]
    #[expect(clippy::cast_sign_loss, reason = "an index")]
    #[expect(clippy::cast_precision_loss, reason = "an index")]
    let at = |share: f64| ratios[(share * (RESAMPLES - 1) as f64).round() as usize];
    (at(tail), at(1.0 - tail))
}

fn resampled_median(values: &[f64], drawn: &mut Vec<f64>, rng: &mut Rng) -> f64 {
    drawn.clear();
    drawn.extend((0..values.len()).map(|_| values[rng.usize(..values.len())]));
    middle(drawn)
}

/// How probable it is that two sets of runs differ so much by chance, in either direction: exactly
/// for few runs without ties, otherwise by the normal distribution, corrected for ties and for
/// counts being whole.
/// H. B. Mann and D. R. Whitney, "On a Test of Whether One of Two Random Variables is
/// Stochastically Larger than the Other", Annals of Mathematical Statistics 18 (1947).
pub(super) fn mann_whitney(a: &[f64], b: &[f64]) -> f64 {
    let pairs = a.iter().flat_map(|x| b.iter().map(move |y| (x, y)));
    let (mut u, mut has_ties) = (0.0, false);
    for (x, y) in pairs {
        match x.total_cmp(y) {
            std::cmp::Ordering::Less => u += 1.0,
            std::cmp::Ordering::Equal => (u, has_ties) = (u + 0.5, true),
            std::cmp::Ordering::Greater => {}
        }
    }
    let small = a.len() <= EXACT_MAX && b.len() <= EXACT_MAX;
    if small && !has_ties { exact(u, a.len(), b.len()) } else { normal(u, a, b) }
}

/// Of all orders of the runs, the share in which they differ at least as much.
#[expect(clippy::cast_precision_loss, reason = "counts of orders; 2^53 is far beyond a percent")]
fn exact(u: f64, m: usize, n: usize) -> f64 {
    // How many orders of i and j runs have each U: the largest run is one of either.
    let mut orders = vec![vec![Vec::new(); n + 1]; m + 1];
    for i in 0..=m {
        for j in 0..=n {
            let mut counts = vec![0.0; i * j + 1];
            if i == 0 || j == 0 {
                counts[0] = 1.0;
            } else {
                let (without_a, without_b): (&Vec<f64>, &Vec<f64>) =
                    (&orders[i - 1][j], &orders[i][j - 1]);
                without_a.iter().enumerate().for_each(|(u, count)| counts[u] += count);
                without_b.iter().enumerate().for_each(|(u, count)| counts[u + i] += count);
            }
            orders[i][j] = counts;
        }
    }
    let counts = &orders[m][n];
    let extreme = u.min((m * n) as f64 - u);
    let total: f64 = counts.iter().sum();
    let below: f64 =
        counts.iter().zip(0..).filter(|(_, u)| f64::from(*u) <= extreme).map(|it| it.0).sum();
    (2.0 * below / total).min(1.0)
}

#[expect(clippy::cast_precision_loss, reason = "numbers of runs")]
fn normal(u: f64, a: &[f64], b: &[f64]) -> f64 {
    let pairs = (a.len() * b.len()) as f64;
    let mut all: Vec<f64> = a.iter().chain(b).copied().collect();
    all.sort_by(f64::total_cmp);
    let ties: f64 = all
        .chunk_by(|left, right| left.total_cmp(right).is_eq())
        .map(|tied| (tied.len() as f64).powi(3) - tied.len() as f64)
        .sum();
    let total = all.len() as f64;
    let variance = pairs / 12.0 * (total + 1.0 - ties / (total * (total - 1.0)));
    if variance <= 0.0 {
        return 1.0; // all runs are the same
    }
    let distance = ((u - pairs / 2.0).abs() - 0.5).max(0.0);
    2.0 * Normal::standard().sf(distance / variance.sqrt())
}

/// The probabilities corrected for how many questions were asked: that any one answer of them is
/// by chance is no more probable than the largest one that is believed.
/// S. Holm, "A Simple Sequentially Rejective Multiple Test Procedure", Scandinavian Journal of
/// Statistics 6 (1979).
pub(super) fn holm(probabilities: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..probabilities.len()).collect();
    order.sort_by(|&a, &b| probabilities[a].total_cmp(&probabilities[b]));
    let mut corrected = vec![0.0; probabilities.len()];
    let mut largest: f64 = 0.0;
    for (&at, left) in order.iter().zip((1..=probabilities.len()).rev()) {
        #[expect(clippy::cast_precision_loss, reason = "a number of questions")]
        let scaled = probabilities[at] * left as f64;
        largest = largest.max(scaled.min(1.0));
        corrected[at] = largest;
    }
    corrected
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-4
    }

    /// The values of R's `wilcox.test`, exact; with ties, those of the formula computed elsewhere.
    #[test]
    fn mann_whitney_is_that_of_r() {
        let (a, b) = ([1.1, 2.2, 3.3, 4.4], [5.5, 6.6, 7.7, 8.8]);
        assert!(near(mann_whitney(&a, &b), 0.028_571), "{}", mann_whitney(&a, &b));
        let (a, b) = (
            [0.8, 0.83, 1.89, 1.04, 1.45, 1.38, 1.91, 1.64, 0.73, 1.46],
            [1.15, 0.88, 0.90, 0.74, 1.21],
        );
        assert!(near(mann_whitney(&a, &b), 0.254_412), "{}", mann_whitney(&a, &b));
        let (a, b) = ([1.0, 2.0, 2.0, 3.0], [2.0, 3.0, 4.0, 5.0]);
        assert!(near(mann_whitney(&a, &b), 0.136_658), "{}", mann_whitney(&a, &b));
        assert!(near(mann_whitney(&[1.0, 1.0], &[1.0, 1.0]), 1.0));
    }

    #[test]
    fn holm_steps_down() {
        let corrected = holm(&[0.01, 0.04, 0.03, 0.005]);
        assert!(
            corrected.iter().zip([0.03, 0.06, 0.06, 0.02]).all(|(a, b)| near(*a, b)),
            "{corrected:?}"
        );
    }

    #[test]
    fn the_interval_has_the_ratio() {
        let a: Vec<f64> = (0..20).map(|it| 100.0 + f64::from(it % 5)).collect();
        let b: Vec<f64> = a.iter().map(|it| it * 1.2).collect();
        let (low, high) = bootstrap_ratio(&a, &b, 0.95, &mut Rng::with_seed(1));
        assert!(low > 1.1 && low < 1.2 && high > 1.2 && high < 1.3, "{low} {high}");
    }
}
