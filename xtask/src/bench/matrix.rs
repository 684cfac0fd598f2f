//! The matrix: every server in every scenario, as tables and as a page.

use anyhow::Result;
use xshell::Shell;

use crate::{
    bench::{
        Shown, files, page,
        plan::{Budget, Case, Effort, Plan, is_wanted},
        record::Record,
        scenario::{IDLE, PIPELINED, Scenario, matrix},
        summarize, tables,
    },
    build::Programs,
    peers::{self, Algorithm, Family, Peer},
};

impl Budget {
    /// What a matrix of this effort is made of.
    pub(super) const fn of_matrix(effort: Effort) -> Self {
        match effort {
            Effort::Smoke => Self { repetitions: 1, seconds: 0.02, retries: 0 },
            Effort::Quick => Self { repetitions: 2, seconds: 0.055, retries: 0 },
            Effort::Full => Self { repetitions: 5, seconds: 0.2, retries: 1 },
        }
    }
}

/// Every server goes through every scenario that it can.
pub(super) fn plan(
    sh: &Shell,
    programs: &Programs,
    effort: Effort,
    only: &[String],
) -> Result<Plan> {
    let mut peers = peers::all(sh, programs)?;
    if effort == Effort::Quick {
        peers.retain(Peer::is_representative);
    }
    peers.retain(|peer| is_wanted(&peer.name, only));
    let mut cases = Vec::new();
    for at in 0..peers.len() {
        cases.extend(matrix(effort).iter().map(|scenario| Case { peer: at, scenario }));
    }
    let excuse = |case: &Case| excuse(&peers[case.peer], case.scenario);
    let (excused, cases) = cases.into_iter().partition(|case| excuse(case).is_some());
    let excused: Vec<Case> = excused;
    let excused = excused.into_iter().filter_map(|case| Some((case, excuse(&case)?))).collect();
    Ok(Plan { peers, cases, excused, budget: Budget::of_matrix(effort) })
}

/// Why a server is not asked to go through a scenario.
fn excuse(peer: &Peer, scenario: &Scenario) -> Option<&'static str> {
    if peer.family == Family::Reference && scenario.name != PIPELINED.name {
        Some("it has no Fibonacci numbers, and is here for the pipelined requests alone")
    } else if scenario.algorithm == Algorithm::Doubling && !peer.has_big_integers() {
        Some("its language has no big integers")
    } else if scenario.name == IDLE.name && peer.serves_one_at_a_time() {
        Some("it serves one client at a time")
    } else {
        None
    }
}

pub(super) fn show(record: &Record) -> Shown {
    let summary = summarize::summarize(record);
    tables::print(record, &summary);
    let json = serde_json::to_string_pretty(&summary).expect("a summary can be written");
    Shown {
        documents: vec![
            (files::SUMMARY, json + "\n"),
            ("report.md", tables::markdown(&summary)),
            ("report.html", page::page(&summary)),
        ],
        places: tables::places(record, &summary),
    }
}
