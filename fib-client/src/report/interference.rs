//! What long requests do to short ones: the question that this service exists to ask.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::report::Latency;

/// Short requests, undisturbed and beside long ones, in one run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Interference {
    /// The number that the short requests ask for.
    pub short_n: u64,
    /// The number that the long ones ask for.
    pub long_n: u64,
    /// Without long requests first, and then with more and more of them.
    pub levels: Vec<InterferenceLevel>,
    /// The smallest of the levels' indices: 1 is undisturbed, 0 is starved.
    pub isolation: f64,
}

/// Short requests beside so many long ones.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct InterferenceLevel {
    /// How many connections asked for the long request, over and over.
    pub long_connections: usize,
    /// How long this was measured.
    pub elapsed_s: f64,
    /// Right replies to short requests per second.
    pub rate_per_s: f64,
    /// Their response times; 1 % precise.
    pub response: Latency,
    /// Right replies to long requests per second.
    pub long_rate_per_s: f64,
    /// What is left of the short requests: the smaller one of how much of their rate, and how much
    /// of the shortness of their 99th percentile, compared with no long requests.
    pub isolation: f64,
    /// How long after the long requests' connections were closed the short ones had their rate
    /// again; absent if they did not get it back.
    pub recovery_s: Option<f64>,
}
