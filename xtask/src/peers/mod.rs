//! Servers to be compared: ours under every strategy, those of other languages, and references.
//!
//! All of them are started alike, with port 0, and say where they listen; only references must be
//! told. A file each says how a family is built and run.

mod absence;
mod c;
mod go;
mod ours;
mod peer;
mod python;
mod reference;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use anyhow::Result;
use xshell::{Shell, cmd};

pub(crate) use self::{
    absence::Absence,
    c::{C_THREADS, compile_c, threads as c_threads},
    go::{GOROUTINES, compile_go, goroutines},
    ours::{COMPUTES, DEFAULT, STRATEGIES, TWIN, fib_server, name_of},
    peer::{Algorithm, Family, Peer},
    reference::{REDIS_PING, redis},
};
use crate::{
    build::{Programs, target_folder},
    tools::{Tool, workspace},
};

/// Every server there is, ours first, and the default once more at the end.
pub(crate) fn all(sh: &Shell, programs: &Programs) -> Result<Vec<Peer>> {
    Ok([ours::rows(programs), others(sh)?, vec![ours::twin(programs)]].concat())
}

fn others(sh: &Shell) -> Result<Vec<Peer>> {
    let families =
        [c::rows(sh)?, go::rows(sh)?, python::pypy()?, python::python()?, reference::rows(sh)?];
    Ok(families.concat())
}

/// The first of these tools that the machine lacks.
fn first_missing(tools: &[Tool]) -> Result<Option<Tool>> {
    for tool in tools {
        if tool.find()?.is_none() {
            return Ok(Some(*tool));
        }
    }
    Ok(None)
}

/// Where the other languages' programs lie.
fn folder() -> PathBuf {
    workspace().join("xtask/peers")
}

/// Where they are when they are compiled.
fn compiled(name: &str) -> PathBuf {
    target_folder().join("peers").join(name)
}

/// A program's version, as it tells it.
pub(crate) fn version_of(sh: &Shell, program: &Path, flag: &str) -> String {
    let output = cmd!(sh, "{program} {flag}").quiet().ignore_stderr().read().unwrap_or_default();
    output.lines().next().unwrap_or("unknown").to_owned()
}
