//! Why a rate stops growing with the number of clients: the Universal Scalability Law.
//!
//! X(N) = λ N / (1 + σ (N − 1) + κ N (N − 1)), after N. J. Gunther, "Guerrilla Capacity Planning"
//! (2007). N / X(N) is linear in its parameters, so the best fit is a linear regression, here of
//! relative errors: a curve that spans two orders of magnitude is to be met everywhere.

use fastrand::Rng;

use crate::bench::summary::{Fit, Interval, Scaling};

/// Fewer client counts than this leave too little to contradict three parameters.
const POINTS_MIN: usize = 6;

/// A law that tells less of the curve's variation does not describe it.
const R_SQUARED_MIN: f64 = 0.8;

/// How often the repetitions are drawn anew to see how far the parameters move.
const RESAMPLES: usize = 1_000;

/// The rates of some repetitions with so many clients.
#[derive(Clone, Debug)]
pub(super) struct Level {
    pub(super) clients: usize,
    pub(super) rates: Vec<f64>,
}

/// λ, σ and κ.
type Parameters = [f64; 3];

/// The law of these levels, or why there is none.
pub(super) fn fit(levels: &[Level]) -> Scaling {
    if levels.len() < POINTS_MIN {
        return Scaling::Refused(format!("it needs {POINTS_MIN} numbers of clients; see --full"));
    }
    let points: Vec<_> = levels.iter().map(|it| (to_f64(it.clients), mean(&it.rates))).collect();
    let Some(law) = regress(&points) else {
        return Scaling::Refused("no law of this form meets the rates".to_owned());
    };
    let r_squared = r_squared(&points, law);
    if r_squared < R_SQUARED_MIN {
        return Scaling::Refused(format!(
            "the law does not describe this curve: R² {r_squared:.2}"
        ));
    }
    let mut rng = Rng::with_seed(0);
    let resample = |level: &Level| {
        let draws = level.rates.iter().map(|_| level.rates[rng.usize(..level.rates.len())]);
        (to_f64(level.clients), mean(&draws.collect::<Vec<_>>()))
    };
    let mut resample = resample;
    let laws: Vec<Parameters> = (0..RESAMPLES)
        .filter_map(|_| regress(&levels.iter().map(&mut resample).collect::<Vec<_>>()))
        .collect();
    let [lambda, sigma, kappa] = [0, 1, 2].map(|at| interval(law[at], &laws, at));
    let peak = (kappa.value > 0.0).then(|| ((1.0 - sigma.value).max(0.0) / kappa.value).sqrt());
    let peak_clients = peak.filter(|it| *it >= 1.0);
    Scaling::Fit(Fit { lambda, sigma, kappa, r_squared, peak_clients })
}

/// What holds the middle 95 % of a parameter's resampled values, and the value.
fn interval(value: f64, laws: &[Parameters], at: usize) -> Interval {
    let mut values: Vec<f64> = laws.iter().map(|law| law[at]).collect();
    values.sort_by(f64::total_cmp);
    let beyond = values.len() / 40;
    let low = values.get(beyond).copied().unwrap_or(value);
    let high = values.iter().rev().nth(beyond).copied().unwrap_or(value);
    // A resampled mean may lie on one side of the measured one throughout.
    Interval { value, low: low.min(value), high: high.max(value) }
}

/// The law with the smallest relative errors, of those with nothing negative in it.
fn regress(points: &[(f64, f64)]) -> Option<Parameters> {
    if points.iter().any(|(_, rate)| *rate <= 0.0) {
        return None;
    }
    // Where the best parameter would be negative, the best allowed one is zero.
    let laws = [[true, true], [true, false], [false, true], [false, false]]
        .into_iter()
        .filter_map(|free| regress_free(points, free))
        .filter(|[lambda, sigma, kappa]| *lambda > 0.0 && *sigma >= 0.0 && *kappa >= 0.0);
    laws.min_by(|one, other| error(points, *one).total_cmp(&error(points, *other)))
}

/// Least squares of N / X(N) over 1, N − 1 and N (N − 1), of which only the free ones are used.
fn regress_free(points: &[(f64, f64)], [sigma, kappa]: [bool; 2]) -> Option<Parameters> {
    let mut system = [[0.0; 4]; 3];
    for &(clients, rate) in points {
        let time = clients / rate;
        let terms = [1.0, clients - 1.0, clients * (clients - 1.0)];
        let used = [1.0, f64::from(u8::from(sigma)), f64::from(u8::from(kappa))];
        for row in 0..3 {
            for column in 0..3 {
                system[row][column] +=
                    used[row] * used[column] * terms[row] * terms[column] / (time * time);
            }
            system[row][3] += used[row] * terms[row] / time;
        }
    }
    for (at, is_free) in [(1, sigma), (2, kappa)] {
        if !is_free {
            system[at][at] = 1.0;
        }
    }
    let [one, contention, coherency] = solve(system)?;
    Some([1.0 / one, contention / one, coherency / one])
}

/// Gauss-Jordan elimination, each time with the largest pivot there is.
fn solve(mut system: [[f64; 4]; 3]) -> Option<[f64; 3]> {
    for column in 0..3 {
        let pivot = (column..3)
            .max_by(|&one, &other| {
                system[one][column].abs().total_cmp(&system[other][column].abs())
            })
            .filter(|&row| system[row][column].abs() > f64::MIN_POSITIVE)?;
        system.swap(column, pivot);
        for row in (0..3).filter(|&row| row != column) {
            let factor = system[row][column] / system[column][column];
            let pivot = system[column];
            system[row].iter_mut().zip(pivot).for_each(|(it, above)| *it -= factor * above);
        }
    }
    Some([0, 1, 2].map(|row| system[row][3] / system[row][row]))
}

fn predicted([lambda, sigma, kappa]: Parameters, clients: f64) -> f64 {
    lambda * clients / (1.0 + sigma * (clients - 1.0) + kappa * clients * (clients - 1.0))
}

fn error(points: &[(f64, f64)], law: Parameters) -> f64 {
    points.iter().map(|&(clients, rate)| (rate / predicted(law, clients) - 1.0).powi(2)).sum()
}

fn r_squared(points: &[(f64, f64)], law: Parameters) -> f64 {
    let mean = mean(&points.iter().map(|it| it.1).collect::<Vec<_>>());
    let left: f64 = points.iter().map(|it| (it.1 - predicted(law, it.0)).powi(2)).sum();
    let all: f64 = points.iter().map(|it| (it.1 - mean).powi(2)).sum();
    if all > 0.0 { 1.0 - left / all } else { 0.0 }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / to_f64(values.len())
}

#[expect(clippy::cast_precision_loss, reason = "numbers of clients and of repetitions")]
fn to_f64(count: usize) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLIENTS: [usize; 8] = [1, 2, 3, 4, 8, 16, 32, 64];

    /// Rates of a law, each of three repetitions off by up to one percent.
    fn levels(law: Parameters) -> Vec<Level> {
        let mut rng = Rng::with_seed(7);
        let mut level = |clients| {
            let mut rate = |()| predicted(law, to_f64(clients)) * (0.99 + 0.02 * rng.f64());
            Level { clients, rates: [(); 3].map(&mut rate).into() }
        };
        CLIENTS.into_iter().map(&mut level).collect()
    }

    #[test]
    fn the_law_is_found_again() {
        for law in [[10_000.0, 0.05, 0.000_5], [500.0, 0.3, 0.0], [2_000.0, 0.0, 0.01]] {
            let Scaling::Fit(fit) = fit(&levels(law)) else { panic!("{law:?} is refused") };
            let found = [fit.lambda, fit.sigma, fit.kappa];
            for (found, real) in found.into_iter().zip(law) {
                assert!((found.value - real).abs() <= 0.05 * real + 0.003, "{found:?}, {real}");
                assert!(found.low <= found.value && found.value <= found.high, "{found:?}");
            }
            assert!(fit.r_squared > 0.95, "{fit:?}");
        }
    }

    #[test]
    fn a_peak_is_where_the_rate_is_highest() {
        let Scaling::Fit(fit) = fit(&levels([1_000.0, 0.1, 0.01])) else { panic!("refused") };
        let peak = fit.peak_clients.unwrap();
        assert!((8.0..11.0).contains(&peak), "{peak}");
    }

    #[test]
    fn what_the_law_does_not_describe_is_refused() {
        let rates = [100.0, 90.0, 400.0, 50.0, 700.0, 20.0, 900.0, 10.0];
        let level = |(clients, rate)| Level { clients, rates: vec![rate] };
        let levels: Vec<_> = CLIENTS.into_iter().zip(rates).map(level).collect();
        assert!(matches!(fit(&levels), Scaling::Refused(why) if why.contains("R²")));
        assert!(matches!(fit(&levels[..3]), Scaling::Refused(why) if why.contains("--full")));
    }
}
