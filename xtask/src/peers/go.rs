//! Go: one client at a time, and a goroutine for each client on some or all cores.

use std::{path::PathBuf, thread};

use anyhow::{Context, Result};
use xshell::{Shell, cmd};

use super::{
    compiled, first_missing, folder,
    peer::{Family, PORT, Peer},
};
use crate::tools::{GO, Tool};

/// On all cores.
pub(crate) const GOROUTINES: &str = "Go, goroutines";

pub(super) fn rows(sh: &Shell) -> Result<Vec<Peer>> {
    let missing = build_server(sh)?;
    let cores = cores();
    let some = some_of(cores).into_iter().map(|width| {
        let peer = server(&format!("{GOROUTINES}, GOMAXPROCS={width}"), "goroutines", missing);
        let peer = on(peer, width);
        if width == 1 { peer } else { peer.variation() }
    });
    let synchronous = server("Go, synchronous", "synchronous", missing).one_at_a_time();
    let all = on(server(GOROUTINES, "goroutines", missing), cores);
    Ok([synchronous].into_iter().chain(some).chain([all]).collect())
}

/// A goroutine for each client, on all cores.
pub(crate) fn goroutines(sh: &Shell) -> Result<Peer> {
    Ok(on(server(GOROUTINES, "goroutines", build_server(sh)?), cores()))
}

fn build_server(sh: &Shell) -> Result<Option<Tool>> {
    let missing = first_missing(&[GO])?;
    if missing.is_none() {
        compile_go(sh, "server")?;
    }
    Ok(missing)
}

fn server(name: &str, mode: &str, missing: Option<Tool>) -> Peer {
    let address = format!("127.0.0.1:{PORT}");
    Peer::new(name, Family::Go, compiled("server-go"), &[mode, &address]).without(missing)
}

fn on(peer: Peer, width: usize) -> Peer {
    peer.with_environment("GOMAXPROCS", width.to_string())
}

fn cores() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

/// How many cores but all: each number, or where there are many of them, each power of two.
fn some_of(cores: usize) -> Vec<usize> {
    let wanted = |width: &usize| cores <= 4 || width.is_power_of_two();
    (1..cores).filter(wanted).collect()
}

/// Compiles one of the Go programs.
pub(crate) fn compile_go(sh: &Shell, name: &str) -> Result<PathBuf> {
    let program = compiled(&format!("{name}-go"));
    let _folder = sh.push_dir(folder().join("go"));
    cmd!(sh, "go build -o {program} ./{name}").quiet().run().context("building with Go")?;
    Ok(program)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn goroutines_run_on_some_of_many_cores() {
        let told = [1, 2, 4, 6, 8].map(some_of);
        assert_eq!(told, [vec![], vec![1], vec![1, 2, 3], vec![1, 2, 4], vec![1, 2, 4]]);
    }
}
