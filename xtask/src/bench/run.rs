//! One server in one scenario, once: what its clients found, and what it used meanwhile.

use std::{net::TcpStream, thread, time::Duration};

use anyhow::{Context, Result};
use fastrand::Rng;

use crate::{
    bench::{
        client::Client,
        endings,
        found::Found,
        idle,
        record::{Cell, Idle},
        scenario::{Load, Pace, Scenario, Step, head_start, warm_up},
        steal::while_measuring,
    },
    build::Programs,
    peers::Peer,
    server::Server,
};

/// A server and what it shall go through.
#[derive(Clone, Copy, Debug)]
pub(super) struct Run<'a> {
    pub(super) peer: &'a Peer,
    pub(super) scenario: &'static Scenario,
    pub(super) repetition: usize,
    /// What is drawn for it is drawn from this.
    pub(super) seed: u64,
}

impl Run<'_> {
    pub(super) fn title(&self) -> String {
        format!("{}: {}", self.peer.name, self.scenario.name)
    }

    /// Nothing measured yet.
    pub(super) fn blank(&self) -> Cell {
        Cell {
            server: self.peer.name.clone(),
            scenario: self.scenario.name.to_owned(),
            repetition: self.repetition,
            attempts: 1,
            ..Cell::default()
        }
    }

    /// Never fails: a server that does not come through is told of in the cell.
    pub(super) fn measure(&self, programs: &Programs, seconds: f64) -> Cell {
        let mut cell = self.blank();
        match while_measuring(|| Ok(self.go_through(&mut cell, programs, seconds))) {
            Ok((outcome, stolen)) => {
                cell.stolen = stolen;
                cell.trouble = outcome.err().map(|error| format!("{error:#}"));
            }
            Err(error) => cell.trouble = Some(format!("{error:#}")),
        }
        cell
    }

    fn go_through(&self, cell: &mut Cell, programs: &Programs, seconds: f64) -> Result<()> {
        let server = self.peer.start(self.scenario.algorithm)?;
        let client = Client::of(self.peer, programs);
        let timed = self.scenario.timed(seconds);
        let mut silent = Vec::new();
        for step in self.scenario.steps {
            match step {
                Step::Load(load) => alone(cell, client, &server, load, timed)?,
                Step::InTurn(loads) => {
                    let mut turns: Vec<_> = loads.iter().collect();
                    Rng::with_seed(self.seed).shuffle(&mut turns);
                    for load in turns {
                        alone(cell, client, &server, load, timed)?;
                    }
                }
                Step::Beside(loads) => beside(cell, client, &server, loads, timed)?,
                Step::Idle(connections) => silent = keep_idle(cell, &server, *connections)?,
                Step::Resets(clients) => {
                    cell.endings = Some(endings::reset(&server, some_of(*clients, seconds))?);
                }
                Step::HalfCloses(clients) => {
                    cell.endings = Some(endings::half_close(&server, some_of(*clients, seconds))?);
                }
            }
        }
        drop(silent);
        if let Some(endings) = &mut cell.endings {
            endings.counted = server.stop_and_count()?;
        }
        Ok(())
    }
}

/// All clients for a table that is kept, otherwise a tenth.
const fn some_of(clients: u64, seconds: f64) -> u64 {
    if seconds < 1.0 { clients / 10 } else { clients }
}

fn keep_idle(cell: &mut Cell, server: &Server, connections: usize) -> Result<Vec<TcpStream>> {
    let rss_bytes_before = server.usage()?.rss_bytes;
    let silent = idle::open(server.address(), connections)?;
    let rss_bytes_after = server.usage()?.rss_bytes;
    cell.idle = Some(Idle { connections: silent.len(), rss_bytes_before, rss_bytes_after });
    Ok(silent)
}

/// Makes one load.
fn alone(
    cell: &mut Cell,
    client: Client<'_>,
    server: &Server,
    load: &Load,
    timed: Duration,
) -> Result<()> {
    let before = server.usage()?;
    let span = Span { warm_up: warm_up(timed), measured: timed, rate_per_s: rate(load, cell)? };
    let found = client.load(server.address(), load, span)?.at_the_cost_of(before, server.usage()?);
    cell.loads.insert(load.name.to_owned(), found);
    Ok(())
}

/// Makes loads beside each other; they last until the first of them is so old.
fn beside(
    cell: &mut Cell,
    client: Client<'_>,
    server: &Server,
    loads: &[Load],
    timed: Duration,
) -> Result<()> {
    let end = timed + head_start(loads);
    let make = |load: &Load| -> Result<(String, Found)> {
        thread::sleep(load.after);
        let measured = end.saturating_sub(load.after);
        // They begin and end when the scenario says.
        let span = Span { warm_up: Duration::ZERO, measured, rate_per_s: None };
        Ok((load.name.to_owned(), client.load(server.address(), load, span)?))
    };
    let before = server.usage()?;
    let found = thread::scope(|scope| {
        let clients: Vec<_> = loads.iter().map(|load| scope.spawn(move || make(load))).collect();
        let ended = clients.into_iter().map(|it| it.join().expect("a client's thread panicked"));
        ended.collect::<Result<Vec<_>>>()
    })?;
    let after = server.usage()?;
    for (name, found) in found {
        cell.loads.insert(name, found.at_the_cost_of(before, after));
    }
    Ok(())
}

/// How long a load lasts, and how often it asks if that does not depend on the answers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    pub(super) warm_up: Duration,
    pub(super) measured: Duration,
    pub(super) rate_per_s: Option<f64>,
}

fn rate(load: &Load, cell: &Cell) -> Result<Option<f64>> {
    match load.pace {
        Pace::Closed => Ok(None),
        Pace::TimesTheRateOf(times, name) => {
            let other = cell.loads.get(name).context("the other load comes first")?;
            Ok(Some((f64::from(times) * other.rate_per_s).max(1.0)))
        }
    }
}
