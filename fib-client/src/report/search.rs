//! The largest rate at which a server meets a demand.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::report::{Decision, Latency};

/// A search by loads of several rates.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Search {
    /// What was demanded.
    pub demand: String,
    /// All loads, by rate.
    pub curve: Vec<Probe>,
    /// The largest rate that met the demand, and met it again when that was confirmed.
    pub maximum_per_s: Option<f64>,
    /// How often it was confirmed.
    pub confirmations: usize,
    /// The rate with the best relation of throughput to latency: beyond it, latency grows faster.
    pub knee_per_s: Option<f64>,
    /// Why the search ended.
    pub ended: String,
}

/// A load of one rate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Probe {
    /// Requests per second that were due.
    pub offered_per_s: f64,
    /// Right replies per second.
    pub rate_per_s: f64,
    /// Their response times.
    pub response: Latency,
    /// Whether the demand was met.
    pub decision: Decision,
    /// Why.
    pub reason: String,
}
