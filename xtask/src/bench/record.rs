//! Everything that a bench measured, as a document.

use std::time::{Duration, SystemTime};

use fib_client::report::Report;
use serde::{Deserialize, Serialize};

use crate::tools::to_f64;

/// Grows when a field changes its meaning or goes away.
const SCHEMA_VERSION: u32 = 1;

/// One bench.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(super) schema_version: u32,
    pub(super) date: String,
    pub(super) machine: Vec<(String, String)>,
    pub(super) budget: String,
    pub(super) seed: u64,
    /// Who took part, in the order of the table.
    pub(super) servers: Vec<String>,
    pub(super) missing: Vec<Missing>,
    pub(super) cells: Vec<Cell>,
}

/// One server under one load, once.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Cell {
    pub(super) server: String,
    pub(super) scenario: Scenario,
    pub(super) repetition: usize,
    /// Of the server's whole process tree.
    pub(super) server_cpu_us_per_reply: Option<f64>,
    /// Of the server's whole process tree, after the load.
    pub(super) rss_bytes: u64,
    /// What the client found.
    pub(super) report: Report,
}

/// A server that could not take part.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Missing {
    pub(super) server: String,
    pub(super) tool: String,
    pub(super) install: String,
}

/// What a server is asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Scenario {
    /// One connection asks fib(30) over and over.
    Long,
    /// One connection asks fib(1) over and over.
    OneClient,
    /// Three do.
    ThreeClients,
}

impl Scenario {
    pub(super) const ALL: [Self; 3] = [Self::Long, Self::OneClient, Self::ThreeClients];

    pub(super) const fn title(self) -> &'static str {
        match self {
            Self::Long => "fib(30)",
            Self::OneClient => "1 client",
            Self::ThreeClients => "3 clients",
        }
    }

    /// The flags of `fib-client perf`.
    pub(super) const fn flags(self) -> &'static [&'static str] {
        match self {
            Self::Long => &["-n", "30"],
            Self::OneClient => &["-n", "1"],
            Self::ThreeClients => &["-n", "1", "-c", "3"],
        }
    }
}

impl Record {
    pub(super) fn new(
        machine: Vec<(String, String)>,
        budget: &str,
        seed: u64,
        servers: Vec<String>,
        missing: Vec<Missing>,
    ) -> Self {
        let (schema_version, budget, date) = (SCHEMA_VERSION, budget.to_owned(), today());
        Self { schema_version, date, machine, budget, seed, servers, missing, cells: Vec::new() }
    }
}

pub(super) fn per_reply(cpu: Duration, report: &Report) -> Option<f64> {
    (report.replies > 0).then(|| cpu.as_secs_f64() * 1e6 / to_f64(report.replies))
}

/// The date in UTC, as the record's file name.
fn today() -> String {
    let mut now = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
    now.truncate("2026-01-01".len());
    now
}
