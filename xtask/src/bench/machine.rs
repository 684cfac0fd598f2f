//! What the numbers were measured on and with: without it they mean nothing.

use std::fs;

use procfs::{CpuInfo, Current, Meminfo};
use xshell::{Shell, cmd};

use crate::{
    peers::version_of,
    tools::{CC, GO, MEMCACHED, PYPY, PYTHON, REDIS, Tool},
};

/// Facts in the order in which people ask for them.
pub(super) fn facts(sh: &Shell) -> Vec<(String, String)> {
    let mut facts = vec![
        ("CPU".to_owned(), cpu()),
        ("memory".to_owned(), memory()),
        ("kernel".to_owned(), read("/proc/sys/kernel/osrelease")),
        ("load at start".to_owned(), read("/proc/loadavg")),
        ("fib".to_owned(), describe(sh)),
        ("rustc".to_owned(), cmd!(sh, "rustc --version").quiet().read().unwrap_or_default()),
    ];
    let tools = [
        (GO, "version"),
        (PYTHON, "--version"),
        (PYPY, "--version"),
        (CC, "--version"),
        (REDIS, "--version"),
        (MEMCACHED, "--version"),
    ];
    facts.extend(tools.map(|(tool, flag)| (tool.program.to_owned(), version(sh, tool, flag))));
    facts
}

fn cpu() -> String {
    let info = CpuInfo::current().ok();
    let model = info.as_ref().and_then(|info| info.model_name(0)).unwrap_or("unknown").to_owned();
    format!("{model}, {} cores", info.map_or(0, |info| info.num_cores()))
}

fn memory() -> String {
    let total = Meminfo::current().map_or(0, |info| info.mem_total);
    format!("{} GiB", total >> 30)
}

fn describe(sh: &Shell) -> String {
    let commit = cmd!(sh, "git describe --always --dirty").quiet().ignore_stderr().read();
    commit.unwrap_or_else(|_| "not from a git checkout".to_owned())
}

fn version(sh: &Shell, tool: Tool, flag: &str) -> String {
    match tool.find() {
        Ok(Some(program)) => version_of(sh, &program, flag),
        _ => format!("missing; {}", tool.install),
    }
}

fn read(path: &str) -> String {
    fs::read_to_string(path).map_or_else(|_| "unknown".to_owned(), |text| text.trim().to_owned())
}
