//! Everything that a bench measured, as a document.

use std::{collections::BTreeMap, time::SystemTime};

use fib_client::report::Report;
use serde::{Deserialize, Serialize};

use crate::peers::Absence;

/// Grows when a field changes its meaning or goes away.
const SCHEMA_VERSION: u32 = 2;

/// One bench.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(super) schema_version: u32,
    pub(super) date: String,
    pub(super) machine: Vec<(String, String)>,
    pub(super) budget: String,
    pub(super) seed: u64,
    /// In the order of the table.
    pub(super) servers: Vec<Participant>,
    pub(super) cells: Vec<Cell>,
}

/// A server that took part, or why it did not.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Participant {
    pub(super) name: String,
    pub(super) absence: Option<Absence>,
}

/// One server in one scenario, once.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Cell {
    pub(super) server: String,
    pub(super) scenario: String,
    pub(super) repetition: usize,
    /// The share of the wanted CPU time that the host of this machine gave to others meanwhile.
    pub(super) stolen: f64,
    /// How often it was measured; the attempt counts from which least was stolen.
    pub(super) attempts: usize,
    /// Of the server's whole process tree.
    pub(super) server_cpu_s: f64,
    /// Of the server's whole process tree, at the end.
    pub(super) rss_bytes: u64,
    /// What connections cost that say nothing, where there were any.
    pub(super) idle: Option<Idle>,
    /// How conversations ended, where that was the point.
    pub(super) endings: Option<Endings>,
    /// What the client of each load found.
    pub(super) reports: BTreeMap<String, Report>,
}

/// The server's whole process tree before and after connections that say nothing were opened.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Idle {
    pub(super) connections: usize,
    pub(super) rss_bytes_before: u64,
    pub(super) rss_bytes_after: u64,
}

/// What became of clients that ended their conversations early.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(super) struct Endings {
    pub(super) clients: u64,
    /// How many were answered rightly.
    pub(super) answered: u64,
    /// The longest time from a reset until nothing was computed any more.
    pub(super) slowest_ms: f64,
    /// What the server counted.
    pub(super) counted: Counters,
}

/// The counters that the server logs when it has drained.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Counters {
    pub(crate) accepted: u64,
    pub(crate) closed: u64,
    pub(crate) requests: u64,
    pub(crate) ok: u64,
    pub(crate) err: u64,
    pub(crate) cancelled: u64,
}

impl Cell {
    /// Another attempt at the same run.
    pub(super) fn replace_if_better(&mut self, again: Self) {
        let attempts = self.attempts + again.attempts;
        if again.stolen < self.stolen {
            *self = again;
        }
        self.attempts = attempts;
    }
}

impl Record {
    pub(super) fn new(machine: Vec<(String, String)>, budget: &str, seed: u64) -> Self {
        Self {
            schema_version: SCHEMA_VERSION,
            date: today(),
            machine,
            budget: budget.to_owned(),
            seed,
            servers: Vec::new(),
            cells: Vec::new(),
        }
    }

    /// Why a server did not take part.
    pub(super) fn absence(&self, server: &str) -> Option<&Absence> {
        self.servers.iter().find(|it| it.name == server)?.absence.as_ref()
    }

    /// The repetitions of one server in one scenario.
    pub(super) fn cells(&self, server: &str, scenario: &str) -> Vec<&Cell> {
        let wanted = |cell: &&Cell| cell.server == server && cell.scenario == scenario;
        self.cells.iter().filter(wanted).collect()
    }
}

/// The date in UTC, as the record's file name.
fn today() -> String {
    let mut now = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
    now.truncate("2026-01-01".len());
    now
}
