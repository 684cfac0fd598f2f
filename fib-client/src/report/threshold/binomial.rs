//! What a share of some requests says of the share of all.

use statrs::distribution::{Beta, ContinuousCDF};

use crate::report::to_f64;

/// A verdict on a share of requests is wrong no more than once in a hundred times.
pub(super) const CONFIDENCE: f64 = 0.99;

/// The bounds of a share of which `hits` of `total` were seen.
/// C. J. Clopper and E. S. Pearson, "The Use of Confidence or Fiducial Limits Illustrated in the
/// Case of the Binomial", Biometrika 26 (1934).
pub(super) fn clopper_pearson(hits: u64, total: u64, confidence: f64) -> (f64, f64) {
    let tail = (1.0 - confidence) / 2.0;
    let (hits, total) = (to_f64(hits), to_f64(total));
    let quantile = |a: f64, b: f64, at: f64| Beta::new(a, b).map(|it| it.inverse_cdf(at));
    let low = quantile(hits, total - hits + 1.0, tail).unwrap_or(0.0);
    let high = quantile(hits + 1.0, total - hits, 1.0 - tail).unwrap_or(1.0);
    (low, high)
}

/// How many more requests would tell, if they went on as they did; `None` if too many.
pub(super) fn samples_needed(hits: u64, total: u64, allowed: f64) -> Option<u64> {
    const ENOUGH: u32 = 40;
    let share = to_f64(hits) / to_f64(total);
    let mut factor = 1.0;
    for _ in 0..ENOUGH {
        factor *= 1.25;
        #[expect(clippy::cast_possible_truncation, reason = "counts stay far below 2^53")]
        #[expect(clippy::cast_sign_loss, reason = "counts are not negative")]
        let more = (to_f64(total) * factor) as u64;
        #[expect(clippy::cast_possible_truncation, reason = "counts stay far below 2^53")]
        #[expect(clippy::cast_sign_loss, reason = "counts are not negative")]
        let (low, high) = clopper_pearson((share * to_f64(more)) as u64, more, CONFIDENCE);
        if high <= allowed || low > allowed {
            return Some(more - total);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The rule of three, and a published example: 4 of 20, 95 %: 5.73 % to 43.66 %.
    #[test]
    fn the_bounds_are_those_of_the_tables() {
        let (low, high) = clopper_pearson(4, 20, 0.95);
        assert!((low - 0.0573).abs() < 1e-4 && (high - 0.4366).abs() < 1e-4, "{low} {high}");
        let (low, high) = clopper_pearson(0, 1_000, 0.9);
        assert!(low == 0.0 && (high - 0.003).abs() < 1e-4, "{low} {high}");
        assert!((clopper_pearson(7, 7, 0.99).1 - 1.0).abs() < 1e-12);
    }
}
