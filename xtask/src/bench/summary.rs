//! Everything that a bench shows, computed from its raw record once. The table, the page and the
//! check against a baseline read nothing else, so they cannot disagree.

use serde::{Deserialize, Serialize};

use crate::peers::{Absence, Family};

/// Grows when a field changes its meaning or goes away.
pub(crate) const SCHEMA_VERSION: u32 = 1;

/// What a bench found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Summary {
    pub(crate) schema_version: u32,
    /// The day, in UTC.
    pub(crate) date: String,
    /// Its name: smoke, quick or full.
    pub(crate) budget: String,
    pub(crate) repetitions: usize,
    /// What the order of the runs was drawn from.
    pub(crate) seed: u64,
    /// Facts and their values, in the order in which people ask for them.
    pub(crate) machine: Vec<(String, String)>,
    /// What the host of the machine did to the runs, in words.
    pub(crate) disturbance: String,
    /// What the columns of every row are.
    pub(crate) columns: Vec<Column>,
    /// The servers, ours first.
    pub(crate) rows: Vec<Row>,
    /// The default server, measured once more under another name.
    pub(crate) twin: Option<Twin>,
}

/// One number that every server is asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Column {
    /// Stays the same from release to release: `rate-3`.
    pub(crate) id: String,
    /// `req/s, 3 clients`
    pub(crate) title: String,
    /// What the server goes through; neighbours often share it.
    pub(crate) scenario: String,
    pub(crate) unit: String,
    pub(crate) decimals: usize,
    pub(crate) better: Better,
    /// How it is measured, in a sentence or two.
    pub(crate) about: String,
    /// What repeats it by hand, beside the server's own command; a line each.
    pub(crate) commands: Vec<String>,
    /// Two medians that differ by a smaller factor are not different: 1.08 is eight percent. It is
    /// what 95 % of all ways to split the runs of the default server and its twin stay under.
    pub(crate) noise: Option<f64>,
}

/// Which way is up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Better {
    Higher,
    Lower,
}

/// A server and its numbers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Row {
    /// `fib-server, tokio-tasks + pool`
    pub(crate) name: String,
    pub(crate) family: Family,
    /// What starts it by hand, on port 25000.
    pub(crate) command: String,
    /// Whether it is what `fib-server` does without flags.
    pub(crate) is_default: bool,
    /// Why it did not take part; then nothing else is known of it.
    pub(crate) absence: Option<Absence>,
    /// One for each column.
    pub(crate) entries: Vec<Entry>,
    /// Short requests from more and more clients, in a closed loop.
    pub(crate) curve: Vec<CurvePoint>,
    /// One client's short requests beside more and more long ones.
    pub(crate) interference: Vec<InterferencePoint>,
    /// How long the slowest requests took.
    pub(crate) tails: Vec<Tail>,
    /// Why the rate stops growing with the number of clients.
    pub(crate) scaling: Scaling,
}

/// One number of one server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Entry {
    Number(Number),
    /// There is none, because.
    Nothing(String),
}

/// The median of the repetitions, and an interval in which the true one lies.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Number {
    pub(crate) median: f64,
    /// The smallest and the largest repetition: with five of them the true median lies between
    /// them in 94 of 100 cases, whatever the distribution.
    pub(crate) low: f64,
    pub(crate) high: f64,
    /// Whether it cannot be told from the default server's: their ratio is under the noise.
    pub(crate) is_within_noise: bool,
    /// What must be known with it: `1 of 3 served`.
    pub(crate) note: Option<String>,
}

/// What so many clients get.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct CurvePoint {
    pub(crate) clients: usize,
    /// Medians of the repetitions.
    pub(crate) rate_per_s: f64,
    pub(crate) p50_us: Option<f64>,
    pub(crate) p99_us: Option<f64>,
}

/// What one client's short requests get beside so many connections with long ones.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct InterferencePoint {
    pub(crate) long_connections: usize,
    /// Medians of the repetitions.
    pub(crate) rate_per_s: f64,
    pub(crate) p50_us: Option<f64>,
    pub(crate) p99_us: Option<f64>,
    pub(crate) long_per_s: f64,
}

/// The response times of all repetitions together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Tail {
    /// `64 clients`
    pub(crate) scenario: String,
    /// Percentiles, as shares of one (0.5, 0.9, 0.99, …), and their microseconds; only those with
    /// at least ten samples beyond.
    pub(crate) points: Vec<(f64, f64)>,
}

/// The Universal Scalability Law (N. J. Gunther, "Guerrilla Capacity Planning", 2007) of a row's
/// curve: X(N) = λ N / (1 + σ (N - 1) + κ N (N - 1)).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Scaling {
    Fit(Fit),
    /// It says nothing of this curve, because.
    Refused(String),
}

/// The law's parameters, each with the interval that holds 95 % of a bootstrap's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Fit {
    /// λ: requests per second of one client that waits for nobody.
    pub(crate) lambda: Interval,
    /// σ, contention: the share of the work that is done by one at a time.
    pub(crate) sigma: Interval,
    /// κ, coherency: what each pair of clients costs.
    pub(crate) kappa: Interval,
    /// How much of the curve's variation the law tells; 1 is all of it.
    pub(crate) r_squared: f64,
    /// Where it says that the rate is highest, if anywhere.
    pub(crate) peak_clients: Option<f64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Interval {
    pub(crate) value: f64,
    pub(crate) low: f64,
    pub(crate) high: f64,
}

/// How often the default server is told from itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Twin {
    /// The row that was measured twice.
    pub(crate) of: String,
    /// In how many columns the two would be called different: disjoint intervals, and a ratio
    /// above the noise of the other columns.
    pub(crate) told_apart: usize,
    /// Out of how many.
    pub(crate) columns: usize,
}
