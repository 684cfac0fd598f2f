//! Whether one set of runs is better than another, or whether nobody can tell.
//!
//! The unit is the run: a million requests of one run are one observation, because what differs
//! between runs (where memory lay, what else the machine did) is the same for all of them.

mod statistics;
mod text;

use std::collections::BTreeMap;

use fastrand::Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::report::{
    Latency, Report, Verdict,
    compare::statistics::{bootstrap_ratio, holm, mann_whitney, median},
    to_f64,
};

/// Grows when a field changes its meaning or goes away.
const SCHEMA_VERSION: u32 = 1;

/// A verdict is wrong no more than once in twenty times.
const SIGNIFICANCE: f64 = 0.05;

/// Runs of the same load on the same server.
#[derive(Clone, Debug)]
pub struct Side {
    /// What it is called.
    pub name: String,
    /// One report a run.
    pub runs: Vec<Report>,
}

/// What counts as a difference.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Demands {
    /// A ratio nearer to 1 than this is no difference that matters, however sure it is.
    pub noise: f64,
    /// Sides are the same if the whole interval is nearer to 1 than this.
    pub same_within: f64,
}

impl Default for Demands {
    /// 2 % are noise, 5 % are the same.
    fn default() -> Self {
        Self { noise: 0.02, same_within: 0.05 }
    }
}

/// Why sides cannot be compared.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CompareError {
    /// One is no comparison.
    #[error("a comparison takes two sides")]
    Sides,
    /// A side without a run.
    #[error("{side} has no run")]
    Empty {
        /// Which one.
        side: String,
    },
    /// Other loads.
    #[error(
        "{side} has a run of another load than the first side: {}; --force compares them anyway",
        fields.join(", ")
    )]
    Unlike {
        /// Which one.
        side: String,
        /// What it was asked otherwise.
        fields: Vec<&'static str>,
    },
}

/// Sides beside the first one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Comparison {
    /// The version of this format.
    pub schema_version: u32,
    /// What counted as a difference.
    pub demands: Demands,
    /// The sides; the first one is what the others are compared with.
    pub sides: Vec<SideReport>,
    /// Each metric of each other side.
    pub findings: Vec<Finding>,
    /// What makes the comparison doubtful.
    pub warnings: Vec<String>,
}

/// One side.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SideReport {
    /// What it is called.
    pub name: String,
    /// How many runs it has.
    pub runs: usize,
    /// How many of them were given each grade.
    pub grades: BTreeMap<String, usize>,
    /// The response times of all runs together, where they have their samples.
    pub response: Option<Latency>,
}

/// A metric of a side beside that of the first one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Finding {
    /// The side.
    pub side: String,
    /// The metric.
    pub metric: String,
    /// The median run of the first side.
    pub before: Option<f64>,
    /// The median run of this side.
    pub after: Option<f64>,
    /// How the second relates to the first.
    pub ratio: Option<f64>,
    /// The interval that has the ratio with 95 % confidence.
    pub interval: Option<(f64, f64)>,
    /// How probable such a difference is by chance, corrected for the number of metrics and sides.
    pub probability: Option<f64>,
    /// The verdict.
    pub verdict: Difference,
}

/// What became of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Difference {
    /// It is better.
    Better,
    /// It is worse.
    Worse,
    /// It is as it was.
    Same,
    /// Nobody can tell.
    Inconclusive,
}

impl Difference {
    /// The name in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Better => "better",
            Self::Worse => "worse",
            Self::Same => "same",
            Self::Inconclusive => "inconclusive",
        }
    }
}

/// Something that each run has one value of.
struct Metric {
    name: &'static str,
    more_is_better: bool,
    of: fn(&Report) -> Option<f64>,
}

const METRICS: [Metric; 6] = [
    Metric { name: "reqs/s", more_is_better: true, of: |run| Some(run.rate_per_s) },
    Metric { name: "mean", more_is_better: false, of: |run| run.latency.response.mean_ns },
    Metric {
        name: "p50",
        more_is_better: false,
        of: |run| run.latency.response.p50_ns.map(to_f64),
    },
    Metric {
        name: "p99",
        more_is_better: false,
        of: |run| run.latency.response.p99_ns.map(to_f64),
    },
    Metric {
        name: "p99.9",
        more_is_better: false,
        of: |run| run.latency.response.p99_9_ns.map(to_f64),
    },
    Metric {
        name: "answered",
        more_is_better: true,
        of: |run| {
            (run.replies + run.errors > 0)
                .then(|| to_f64(run.replies) / to_f64(run.replies + run.errors))
        },
    },
];

/// Compares all other sides with the first one. With `force`, also loads that are not alike.
///
/// # Errors
///
/// [`CompareError`].
pub fn compare(sides: &[Side], demands: Demands, force: bool) -> Result<Comparison, CompareError> {
    let [first, others @ ..] = sides else { return Err(CompareError::Sides) };
    if others.is_empty() {
        return Err(CompareError::Sides);
    }
    if let Some(side) = sides.iter().find(|side| side.runs.is_empty()) {
        return Err(CompareError::Empty { side: side.name.clone() });
    }
    let mut warnings = warnings(sides);
    for side in sides {
        for run in &side.runs {
            let fields = first.runs[0].setup.unlike(&run.setup);
            if fields.is_empty() {
                continue;
            }
            if !force {
                return Err(CompareError::Unlike { side: side.name.clone(), fields });
            }
            let (side, fields) = (&side.name, fields.join(", "));
            warnings
                .push(format!("{side} has a run of another load than the first side: {fields}"));
            break;
        }
    }
    let mut findings: Vec<_> = others.iter().flat_map(|side| findings(first, side)).collect();
    let raw: Vec<f64> = findings.iter().filter_map(|it| it.probability).collect();
    let mut corrected = holm(&raw).into_iter();
    for finding in &mut findings {
        finding.probability = finding.probability.and_then(|_| corrected.next());
        finding.verdict = verdict(finding, demands);
    }
    let sides = sides.iter().map(SideReport::of).collect();
    Ok(Comparison { schema_version: SCHEMA_VERSION, demands, sides, findings, warnings })
}

fn findings(first: &Side, side: &Side) -> Vec<Finding> {
    METRICS.iter().map(|metric| finding(metric, first, side)).collect()
}

fn finding(metric: &Metric, first: &Side, side: &Side) -> Finding {
    // A metric that some run does not have would be one of the runs that do.
    let values = |side: &Side| side.runs.iter().map(metric.of).collect::<Option<Vec<f64>>>();
    let (a, b) = (values(first), values(side));
    let mut finding = Finding {
        side: side.name.clone(),
        metric: metric.name.to_owned(),
        before: a.as_deref().map(median),
        after: b.as_deref().map(median),
        ratio: None,
        interval: None,
        probability: None,
        verdict: Difference::Inconclusive,
    };
    if let (Some(a), Some(b)) = (a, b) {
        finding.ratio = Some(median(&b) / median(&a));
        if a.len() > 1 && b.len() > 1 {
            let mut rng = Rng::with_seed(0x0066_6962); // the same answer each time it is asked
            finding.interval = Some(bootstrap_ratio(&a, &b, 1.0 - SIGNIFICANCE, &mut rng));
            finding.probability = Some(mann_whitney(&a, &b));
        }
    }
    finding
}

/// A difference must be too large for chance, for the interval, and for noise.
fn verdict(finding: &Finding, demands: Demands) -> Difference {
    let (Some((low, high)), Some(probability)) = (finding.interval, finding.probability) else {
        return Difference::Inconclusive;
    };
    let more_is_better =
        METRICS.iter().any(|metric| metric.name == finding.metric && metric.more_is_better);
    let is_sure = probability < SIGNIFICANCE;
    if is_sure && low > 1.0 + demands.noise {
        if more_is_better { Difference::Better } else { Difference::Worse }
    } else if is_sure && high < 1.0 - demands.noise {
        if more_is_better { Difference::Worse } else { Difference::Better }
    } else if low >= 1.0 - demands.same_within && high <= 1.0 + demands.same_within {
        Difference::Same
    } else {
        Difference::Inconclusive
    }
}

/// How many runs each of two sides needs so that any difference can be told from chance.
#[must_use]
pub fn runs_needed(other_sides: usize) -> usize {
    let questions = to_f64((METRICS.len() * other_sides) as u64);
    let separate = |runs: usize| {
        let values =
            |from: u32| (0..runs).zip(from..).map(|(_, it)| f64::from(it)).collect::<Vec<_>>();
        mann_whitney(&values(0), &values(1_000)) * questions < SIGNIFICANCE
    };
    (2..20).find(|&runs| separate(runs)).unwrap_or(20)
}

fn warnings(sides: &[Side]) -> Vec<String> {
    let mut warnings = Vec::new();
    let needed = runs_needed(sides.len().saturating_sub(1));
    for Side { name, runs } in sides {
        if runs.len() < needed {
            let told =
                format!("{name} has {} runs; a verdict takes {needed} of each side", runs.len());
            warnings.push(told);
        }
        let wrong: u64 = runs.iter().map(|run| run.wrong_answers).sum();
        if wrong > 0 {
            warnings.push(format!("{name} has {wrong} wrong answers"));
        }
        let doubtful = runs.iter().filter(|run| run.grade.verdict != Verdict::Valid).count();
        if doubtful > 0 {
            warnings.push(format!("{name} has {doubtful} runs whose grade is not valid"));
        }
    }
    let machine = |run: &Report| (run.environment.cpu.clone(), run.environment.cores);
    let first = sides[0].runs.first().map(machine);
    let others = sides.iter().flat_map(|side| &side.runs);
    if others.clone().any(|run| Some(machine(run)) != first) {
        warnings.push("the clients ran on unlike machines".to_owned());
    }
    warnings
}

impl SideReport {
    fn of(side: &Side) -> Self {
        let mut grades = BTreeMap::new();
        for run in &side.runs {
            *grades.entry(run.grade.verdict.name().to_owned()).or_insert(0) += 1;
        }
        let samples: Result<Vec<_>, _> = side.runs.iter().map(Report::samples).collect();
        let response = samples.ok().map(|runs| {
            let mut all = crate::load::Latencies::new();
            for run in &runs {
                all.add(run);
            }
            Latency::of(&all.response)
        });
        Self { name: side.name.clone(), runs: side.runs.len(), grades, response }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Setup;

    /// Runs whose rate and latencies vary together, as those of a machine do that is faster now
    /// and slower then; tails vary more.
    fn side(name: &str, runs: usize, factor: f64, noise: f64, rng: &mut Rng) -> Side {
        let mut normal = || {
            let (u, v) = (1.0 - rng.f64(), rng.f64());
            (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()
        };
        let mut run = || {
            let speed = (noise * normal()).exp() * factor;
            let mut nanos = |base: f64, more: f64| {
                let value = base / speed * (noise * more * normal()).exp();
                #[expect(clippy::cast_possible_truncation, reason = "a latency")]
                #[expect(clippy::cast_sign_loss, reason = "a latency")]
                let nanos = value as u64;
                nanos
            };
            let mut report = Report { rate_per_s: 50_000.0 * speed, ..Report::default() };
            report.latency.response = Latency {
                mean_ns: Some(to_f64(nanos(60_000.0, 0.5))),
                p50_ns: Some(nanos(50_000.0, 0.5)),
                p99_ns: Some(nanos(200_000.0, 2.0)),
                p99_9_ns: Some(nanos(900_000.0, 4.0)),
                ..Latency::default()
            };
            (report.replies, report.grade.verdict) = (500_000, Verdict::Valid);
            report
        };
        Side { name: name.to_owned(), runs: (0..runs).map(|_| run()).collect() }
    }

    fn is_different(comparison: &Comparison) -> bool {
        let differs = |it: &Finding| matches!(it.verdict, Difference::Better | Difference::Worse);
        comparison.findings.iter().any(differs)
    }

    #[test]
    fn a_side_does_not_differ_from_itself() {
        let mut rng = Rng::with_seed(20);
        let different = (0..200).filter(|_| {
            let [a, b] = ["a", "b"].map(|name| side(name, 10, 1.0, 0.05, &mut rng));
            is_different(&compare(&[a, b], Demands::default(), false).unwrap())
        });
        let different = different.count();
        assert!(different <= 10, "{different} of 200 pairs are told to differ, and none does");
    }

    #[test]
    fn a_difference_is_found() {
        let mut rng = Rng::with_seed(21);
        let found = (0..50).filter(|_| {
            let a = side("a", 10, 1.0, 0.05, &mut rng);
            let b = side("b", 10, 0.8, 0.05, &mut rng);
            let comparison = compare(&[a, b], Demands::default(), false).unwrap();
            comparison.findings[0].verdict == Difference::Worse
        });
        let found = found.count();
        assert!(found >= 45, "only {found} of 50 were found");
    }

    #[test]
    fn single_runs_are_only_described() {
        let mut rng = Rng::with_seed(22);
        let [a, b] = [1.0, 5.0].map(|it| side("side", 1, it, 0.0, &mut rng));
        let comparison = compare(&[a, b], Demands::default(), false).unwrap();
        assert!(!is_different(&comparison));
        assert!(comparison.findings[0].ratio.unwrap() > 4.9);
        assert!(comparison.warnings[0].contains("has 1 runs; a verdict takes 5"), "{comparison:?}");
    }

    #[test]
    fn the_same_is_told_to_be_the_same() {
        let mut rng = Rng::with_seed(23);
        let [a, b] = ["a", "b"].map(|name| side(name, 20, 1.0, 0.005, &mut rng));
        let comparison = compare(&[a, b], Demands::default(), false).unwrap();
        assert_eq!(comparison.findings[0].verdict, Difference::Same);
    }

    #[test]
    fn unlike_loads_are_refused() {
        let mut rng = Rng::with_seed(24);
        let [a, mut b] = ["a", "b"].map(|name| side(name, 2, 1.0, 0.1, &mut rng));
        b.runs[1].setup = Setup { depth: 7, ..Setup::default() };
        let sides = [a, b];
        let error = compare(&sides, Demands::default(), false).unwrap_err();
        assert!(error.to_string().contains("depth"), "{error}");
        let forced = compare(&sides, Demands::default(), true).unwrap();
        assert!(forced.warnings.iter().any(|it| it.contains("depth")));
        assert_eq!(compare(&sides[..1], Demands::default(), false), Err(CompareError::Sides));
    }
}
