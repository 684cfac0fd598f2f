//! How large a difference between two medians must be to be one: the same server is measured
//! twice, under two names, and the runs of both are dealt out anew in all possible ways. How far
//! apart the medians of such deals lie is what chance alone does on this machine.

use crate::bench::statistics::Values;

/// The share of deals that the noise is not exceeded by.
const CONFIDENCE: f64 = 0.95;

/// The factor by which the medians differ of 95 % of all ways to split these runs in two; `None`
/// where there are too few to be split, or a value that has no ratio.
pub(super) fn floor(one: &[f64], other: &[f64]) -> Option<f64> {
    let all: Vec<f64> = one.iter().chain(other).copied().collect();
    let half = all.len() / 2;
    if half < 2 || !all.len().is_multiple_of(2) || all.len() > 20 || all.iter().any(|it| *it <= 0.0)
    {
        return None;
    }
    // The first run is always in the same half: its complement is the same deal.
    let deals =
        (0_u32..1 << all.len()).filter(|it| it & 1 == 1 && it.count_ones() as usize == half);
    let mut factors: Vec<f64> = deals.filter_map(|deal| factor(&all, deal)).collect();
    factors.sort_by(f64::total_cmp);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small index")]
    #[expect(clippy::cast_precision_loss, reason = "at most 92,378 deals")]
    let rank = (factors.len() as f64 * CONFIDENCE).ceil() as usize;
    factors.get(rank.saturating_sub(1)).copied()
}

/// By how much the medians of one deal differ.
fn factor(all: &[f64], deal: u32) -> Option<f64> {
    let side = |bit: u32| {
        let runs = all.iter().zip(0..).filter(|(_, at)| deal >> at & 1 == bit);
        Values::from(runs.map(|(value, _)| *value).collect::<Vec<_>>()).median()
    };
    Some(ratio(side(1)?, side(0)?))
}

/// How many times larger the larger one of two positive numbers is.
pub(super) fn ratio(one: f64, other: f64) -> f64 {
    (one / other).max(other / one)
}

#[cfg(test)]
mod tests {
    use fastrand::Rng;

    use super::*;

    #[test]
    fn what_does_not_vary_has_no_noise() {
        assert_eq!(floor(&[7.0; 5], &[7.0; 5]), Some(1.0));
    }

    #[test]
    fn runs_that_cannot_be_split_tell_nothing() {
        assert_eq!(floor(&[7.0], &[8.0]), None);
        assert_eq!(floor(&[7.0, 8.0], &[7.0]), None);
        assert_eq!(floor(&[7.0, 0.0], &[7.0, 7.0]), None);
    }

    /// Of two sides that are the same, about one in twenty is called different.
    #[test]
    fn a_side_stays_within_its_own_noise() {
        let mut rng = Rng::with_seed(1);
        let mut runs = || [(); 5].map(|()| 100.0 + 20.0 * (rng.f64() + rng.f64() - 1.0));
        let mut exceeded = || {
            let (one, other) = (runs(), runs());
            let median = |side: [f64; 5]| Values::from(side.to_vec()).median().unwrap();
            ratio(median(one), median(other)) > floor(&one, &other).unwrap()
        };
        let told_apart = (0..1_000).filter(|_| exceeded()).count();
        assert!(told_apart <= 70, "{told_apart} of 1000");
    }

    #[test]
    fn twice_as_fast_is_no_noise() {
        let floor = floor(&[98.0, 99.0, 100.0, 101.0, 102.0], &[97.0, 99.5, 100.5, 101.0, 103.0]);
        assert!(floor.unwrap() < 1.05, "{floor:?}");
    }
}
