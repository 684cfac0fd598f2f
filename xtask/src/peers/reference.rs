//! Servers that everybody calls fast. They have no fib: they answer the least that they can, and
//! a client in C asks for it.

use std::thread;

use anyhow::Result;
use xshell::Shell;

use super::{
    first_missing,
    peer::{Family, PORT, Peer},
};
use crate::{
    line_client::LineClient,
    tools::{CC, MEMCACHED, REDIS, Tool},
};

pub(crate) const REDIS_PING: &str = "Redis, PING";

/// What memcached has by itself.
const MEMCACHED_THREADS: usize = 4;

pub(super) fn rows(sh: &Shell) -> Result<Vec<Peer>> {
    Ok(vec![redis(sh)?, memcached(sh)?])
}

/// Without persistence: it does nothing but answer.
pub(crate) fn redis(sh: &Shell) -> Result<Peer> {
    let arguments = ["--bind", "127.0.0.1", "--port", PORT];
    let quiet = ["--save", "", "--appendonly", "no", "--logfile", "/dev/null"];
    reference(sh, REDIS_PING, REDIS, &[&arguments[..], &quiet].concat(), "PING")
}

/// With a thread for each core, but not fewer than it has by itself: two were slower on two cores.
/// And without its habit to turn to another client after 20 requests.
fn memcached(sh: &Shell) -> Result<Peer> {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let threads = cores.max(MEMCACHED_THREADS).to_string();
    let arguments = ["-u", "nobody", "-l", "127.0.0.1", "-p", PORT, "-t", &threads, "-R", "1024"];
    reference(sh, "memcached, version", MEMCACHED, &arguments, "version")
}

fn reference(
    sh: &Shell,
    name: &str,
    tool: Tool,
    arguments: &[&str],
    line: &'static str,
) -> Result<Peer> {
    let missing = first_missing(&[tool, CC])?;
    let client = if missing.is_none() { Some(LineClient::compile(sh, line)?) } else { None };
    let peer = Peer::new(name, Family::Reference, tool.program, arguments);
    Ok(peer.without(missing).asked_by(client))
}
