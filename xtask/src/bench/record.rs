//! Everything that a bench measured, as a document.

use std::{collections::BTreeMap, time::SystemTime};

use anyhow::Result;
use serde::{Deserialize, Serialize};

use crate::{
    bench::{found::Found, run::Run},
    peers::{Absence, Family, Peer},
};

/// Grows when a field changes its meaning or goes away.
pub(super) const SCHEMA_VERSION: u32 = 3;

/// One bench.
#[derive(Debug)]
pub(crate) struct Record {
    pub(super) head: Head,
    pub(super) cells: Vec<Cell>,
}

/// What is known before anything is measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Head {
    pub(super) schema_version: u32,
    pub(super) date: String,
    pub(super) machine: Vec<(String, String)>,
    /// What was asked for: how long it may take, and of what.
    pub(super) budget: String,
    pub(super) figures: bool,
    pub(super) only: Vec<String>,
    pub(super) repetitions: usize,
    pub(super) seed: u64,
    /// In the order of the table.
    pub(super) servers: Vec<Participant>,
    /// What they are not asked for.
    pub(super) excused: Vec<Excuse>,
}

/// Why a server does not go through a scenario, although it takes part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Excuse {
    pub(super) server: String,
    pub(super) scenario: String,
    pub(super) why: String,
}

/// A server that took part, or why it did not.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Participant {
    pub(super) name: String,
    pub(super) family: Family,
    /// What starts it by hand.
    pub(super) command: String,
    pub(super) absence: Option<Absence>,
}

/// One server in one scenario, once.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Cell {
    pub(super) server: String,
    pub(super) scenario: String,
    pub(super) repetition: usize,
    /// The share of the wanted CPU time that the host of this machine gave to others meanwhile.
    pub(super) stolen: f64,
    /// How often it was measured; the attempt counts from which least was stolen.
    pub(super) attempts: usize,
    /// Why it ended early, if it did: the server died, or did not keep its clients.
    pub(super) trouble: Option<String>,
    /// What connections cost that say nothing, where there were any.
    pub(super) idle: Option<Idle>,
    /// How conversations ended, where that was the point.
    pub(super) endings: Option<Endings>,
    /// What the client of each load found.
    pub(super) loads: BTreeMap<String, Found>,
}

/// The server's whole process tree before and after connections that say nothing were opened.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Idle {
    pub(super) connections: usize,
    pub(super) rss_bytes_before: u64,
    pub(super) rss_bytes_after: u64,
}

/// What became of clients that ended their conversations early.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
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
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Counters {
    pub(crate) accepted: u64,
    pub(crate) closed: u64,
    pub(crate) requests: u64,
    pub(crate) ok: u64,
    pub(crate) err: u64,
    pub(crate) cancelled: u64,
}

impl Participant {
    pub(super) fn of(peer: &Peer) -> Result<Self> {
        Ok(Self {
            name: peer.name.clone(),
            family: peer.family,
            command: peer.command(),
            absence: peer.absence()?,
        })
    }
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

    /// Whether two are attempts at the same run.
    pub(super) fn is_of_the_run(&self, other: &Self) -> bool {
        let run = |it: &Self| (it.server.clone(), it.scenario.clone(), it.repetition);
        run(self) == run(other)
    }
}

impl Record {
    /// Whether a run has been made.
    pub(super) fn has(&self, run: &Run<'_>) -> bool {
        let blank = run.blank();
        self.cells.iter().any(|cell| cell.is_of_the_run(&blank))
    }

    /// Why a server did not take part.
    pub(super) fn absence(&self, server: &str) -> Option<&Absence> {
        self.head.servers.iter().find(|it| it.name == server)?.absence.as_ref()
    }

    /// Why a server does not go through a scenario, if it does not.
    pub(super) fn excuse(&self, server: &str, scenario: &str) -> Option<&str> {
        let excuses = self.head.excused.iter();
        let mut found = excuses.filter(|it| it.server == server && it.scenario == scenario);
        found.next().map(|it| it.why.as_str())
    }

    /// The repetitions of one server in one scenario.
    pub(super) fn cells(&self, server: &str, scenario: &str) -> Vec<&Cell> {
        let wanted = |cell: &&Cell| cell.server == server && cell.scenario == scenario;
        self.cells.iter().filter(wanted).collect()
    }
}

/// The date in UTC, as the record's file name.
pub(super) fn today() -> String {
    let mut now = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
    now.truncate("2026-01-01".len());
    now
}
