//! Servers in other languages, each with its best flags, and what everybody calls fast.

use std::{collections::BTreeMap, thread};

use anyhow::Result;
use xshell::Shell;

use crate::{
    peers::{Family, Peer, Start, Traits, command, compile_c, compile_go, folder},
    tools::{GCC, GO, MEMCACHED, PYPY, PYTHON, REDIS, Tool, UVLOOP},
};

/// Names of servers that take part in more than one comparison.
pub(crate) const C_THREADS: &str = "C, threads";
const REDIS_PING: &str = "Redis, PING";

/// Scripts that a plain interpreter runs, and what is special about them.
const SCRIPTS: [(&str, &str, Traits); 3] = [
    ("synchronous", "synchronous.py", Traits { is_one_at_a_time: true, ..REPRESENTATIVE }),
    ("threads", "threads.py", ORDINARY),
    ("asyncio", "asyncio_server.py", ORDINARY),
];

/// Scripts that need many processes, in which PyPy has no advantage.
const WITH_PROCESSES: [(&str, &str); 2] =
    [("threads + processes", "threads_processes.py"), ("coroutines + processes", "coroutines.py")];

const ORDINARY: Traits =
    Traits { is_one_at_a_time: false, has_no_big_integers: false, is_representative: false };
const REPRESENTATIVE: Traits = Traits { is_representative: true, ..ORDINARY };

/// Of each language the simplest first.
pub(super) fn all(sh: &Shell) -> Result<Vec<Peer>> {
    let mut peers = vec![c_threads(sh)?, c_epoll(sh)?, go_sequential(sh)?];
    for cores in gomaxprocs() {
        peers.push(goroutines_on(sh, cores)?);
    }
    for (name, script, traits) in SCRIPTS {
        peers.push(python(PYPY, &format!("PyPy, {name}"), &[script], traits)?);
    }
    for (name, script, traits) in SCRIPTS {
        let traits = Traits { is_representative: true, ..traits };
        peers.push(python(PYTHON, &format!("Python, {name}"), &[script], traits)?);
    }
    peers.push(uvloop(sh)?);
    for (name, script) in WITH_PROCESSES {
        peers.push(python(PYTHON, &format!("Python, {name}"), &[script], REPRESENTATIVE)?);
    }
    peers.extend([redis(sh)?, memcached(sh)?]);
    Ok(peers)
}

/// A thread for each client.
pub(crate) fn c_threads(sh: &Shell) -> Result<Peer> {
    c(sh, C_THREADS, "server.c", "server-c")
}

/// One thread for all clients.
fn c_epoll(sh: &Shell) -> Result<Peer> {
    c(sh, "C, epoll", "epoll.c", "epoll-c")
}

fn c(sh: &Shell, name: &str, source: &str, program: &str) -> Result<Peer> {
    let start = match GCC.find()? {
        Some(_) => command(&compile_c(sh, source, program, &["-pthread"])?, &["127.0.0.1", "0"]),
        None => Start::Missing(GCC),
    };
    let traits = Traits { has_no_big_integers: true, ..REPRESENTATIVE };
    Ok(Peer { name: name.to_owned(), family: Family::C, start, traits })
}

fn go_sequential(sh: &Shell) -> Result<Peer> {
    let traits = Traits { is_one_at_a_time: true, ..REPRESENTATIVE };
    go(sh, "Go, synchronous".to_owned(), "sequential", traits)
}

/// A goroutine for each client, on all cores: Go as it comes.
pub(crate) fn goroutines(sh: &Shell) -> Result<Peer> {
    goroutines_on(sh, cores())
}

fn goroutines_on(sh: &Shell, cores: usize) -> Result<Peer> {
    let name = format!("Go, goroutines, GOMAXPROCS={cores}");
    let traits = Traits { is_representative: cores == self::cores(), ..ORDINARY };
    let mut peer = go(sh, name, "goroutines", traits)?;
    if let Start::Command { environment, .. } = &mut peer.start {
        *environment = BTreeMap::from([("GOMAXPROCS".to_owned(), cores.to_string())]);
    }
    Ok(peer)
}

fn go(sh: &Shell, name: String, mode: &str, traits: Traits) -> Result<Peer> {
    let start = match GO.find()? {
        Some(_) => command(&compile_go(sh, "server")?, &[mode, "127.0.0.1:0"]),
        None => Start::Missing(GO),
    };
    Ok(Peer { name, family: Family::Go, start, traits })
}

/// From one core to all; where there are many, each time twice as many.
fn gomaxprocs() -> Vec<usize> {
    const EACH_UP_TO: usize = 4;
    let all = cores();
    let mut counts: Vec<usize> = (1..=all.min(EACH_UP_TO)).collect();
    counts.extend((3..).map(|power| 1 << power).take_while(|&count| count < all));
    if all > EACH_UP_TO {
        counts.push(all);
    }
    counts
}

fn cores() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

/// The event loop that is written in C.
fn uvloop(sh: &Shell) -> Result<Peer> {
    let name = "Python, asyncio + uvloop";
    let peer = python(PYTHON, name, &["asyncio_server.py", "uvloop"], ORDINARY)?;
    let is_missing = matches!(peer.start, Start::Command { .. }) && !UVLOOP.is_in_python(sh)?;
    let start = if is_missing { Start::Missing(UVLOOP) } else { peer.start };
    Ok(Peer { start, ..peer })
}

/// A script and what comes behind the address.
fn python(interpreter: Tool, name: &str, script: &[&str], traits: Traits) -> Result<Peer> {
    let path = folder().join("python").join(script[0]).display().to_string();
    let arguments = [&[path.as_str(), "127.0.0.1", "0"], &script[1..]].concat();
    let found = interpreter.find()?;
    let start = found.map_or(Start::Missing(interpreter), |program| command(&program, &arguments));
    let family = if interpreter == PYPY { Family::PyPy } else { Family::Python };
    Ok(Peer { name: name.to_owned(), family, start, traits })
}

/// Without persistence: it does nothing but answer.
pub(crate) fn redis(sh: &Shell) -> Result<Peer> {
    let arguments = "--bind 127.0.0.1 --appendonly no --logfile /dev/null --save";
    let mut arguments: Vec<_> = arguments.split(' ').collect();
    arguments.extend(["", "--port"]);
    reference(sh, REDIS, REDIS_PING, &arguments, "PING")
}

/// It answers its version without touching what it stores.
fn memcached(sh: &Shell) -> Result<Peer> {
    let arguments = ["-l", "127.0.0.1", "-u", "nobody", "-p"];
    reference(sh, MEMCACHED, "memcached, version", &arguments, "version")
}

fn reference(
    sh: &Shell,
    tool: Tool,
    name: &str,
    arguments: &[&str],
    line: &'static str,
) -> Result<Peer> {
    let start = match (tool.find()?, GCC.find()?) {
        (None, _) => Start::Missing(tool),
        (_, None) => Start::Missing(GCC),
        (Some(program), Some(_)) => Start::Silent {
            program: program.display().to_string(),
            arguments: arguments.iter().map(|&word| word.to_owned()).collect(),
            client: compile_c(sh, "line_client.c", "line-client-c", &["-pthread"])?,
            line,
        },
    };
    Ok(Peer { name: name.to_owned(), family: Family::Reference, start, traits: REPRESENTATIVE })
}
