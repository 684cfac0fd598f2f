//! One server in one scenario, once: what its clients found, and what it used meanwhile.

use std::{collections::BTreeMap, thread, time::Duration};

use anyhow::Result;
use fib_client::report::Report;

use crate::{
    bench::{
        client::Client,
        endings, idle,
        record::{Cell, Idle},
        scenario::{Load, Scenario, Step, head_start},
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
}

impl Run<'_> {
    pub(super) fn title(&self) -> String {
        format!("{}: {}", self.peer.name, self.scenario.name)
    }

    pub(super) fn measure(&self, programs: &Programs, seconds: f64) -> Result<Cell> {
        let server = self.peer.start()?;
        let client = Client::of(self.peer, programs);
        let (mut reports, mut idle, mut silent) = (BTreeMap::new(), None, Vec::new());
        let mut endings = None;
        let before = server.usage()?;
        let ((), stolen) = while_measuring(|| {
            for step in self.scenario.steps {
                match step {
                    Step::Idle(connections) => {
                        let rss_bytes_before = server.usage()?.rss_bytes;
                        silent = idle::open(server.address(), *connections)?;
                        let rss_bytes_after = server.usage()?.rss_bytes;
                        let connections = silent.len();
                        idle = Some(Idle { connections, rss_bytes_before, rss_bytes_after });
                    }
                    Step::Resets(clients) => {
                        endings = Some(endings::reset(&server, some_of(*clients, seconds))?);
                    }
                    Step::HalfCloses(clients) => {
                        endings = Some(endings::half_close(&server, some_of(*clients, seconds))?);
                    }
                    Step::Loads(loads) => {
                        let timed = self.scenario.timed(seconds) + head_start(loads);
                        reports.extend(load_beside(&client, &server, loads, timed)?);
                    }
                }
            }
            Ok(())
        })?;
        let after = server.usage()?;
        drop(silent);
        if let Some(endings) = &mut endings {
            endings.counted = server.stop_and_count()?;
        }
        Ok(Cell {
            server: self.peer.name.clone(),
            scenario: self.scenario.name.to_owned(),
            repetition: self.repetition,
            stolen,
            attempts: 1,
            server_cpu_s: after.cpu.saturating_sub(before.cpu).as_secs_f64(),
            rss_bytes: after.rss_bytes,
            idle,
            endings,
            reports,
        })
    }
}

/// All clients for a table that is kept, otherwise a tenth.
const fn some_of(clients: u64, seconds: f64) -> u64 {
    if seconds < 1.0 { clients / 10 } else { clients }
}

/// Makes loads beside each other; the timed ones last until the first of them is so old.
fn load_beside(
    client: &Client<'_>,
    server: &Server,
    loads: &[Load],
    timed: Duration,
) -> Result<Vec<(String, Report)>> {
    let make = |load: &Load| {
        thread::sleep(load.after);
        let duration = timed.saturating_sub(load.after);
        let report = client.load(server.address(), load, duration)?;
        Ok((load.name.to_owned(), report))
    };
    thread::scope(|scope| {
        let clients: Vec<_> = loads.iter().map(|load| scope.spawn(move || make(load))).collect();
        clients.into_iter().map(|it| it.join().expect("a client's thread panicked")).collect()
    })
}
