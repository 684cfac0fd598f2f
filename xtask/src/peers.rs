//! Servers to be compared: ours under every strategy, and those of other languages.
//!
//! All of them are started alike, with port 0, and say where they listen; only Redis must be told.

use std::{
    fmt,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use xshell::{Shell, cmd};

use crate::{
    build::{Programs, target_folder},
    server::{Server, free_port},
    tools::{GCC, GO, PYPY, PYTHON, REDIS, Tool, workspace},
};

/// Every value of `fib-server --strategy`.
pub(crate) const STRATEGIES: [&str; 8] = [
    "sequential",
    "thread-per-connection",
    "thread-pool",
    "prefork",
    "coroutines",
    "tokio-tasks",
    "thread-per-core",
    "io-uring",
];

/// Every value of `fib-server --compute`.
pub(crate) const COMPUTES: [&str; 3] = ["inline", "pool", "processes"];

/// Names of servers that take part in more than one table.
pub(crate) const C_THREADS: &str = "C, threads";
pub(crate) const GOROUTINES: &str = "Go, goroutines";
pub(crate) const REDIS_PING: &str = "Redis, PING";

/// A server that takes part in a comparison, or would if the machine had what it needs.
#[derive(Debug)]
pub(crate) struct Peer {
    /// The row's title.
    pub(crate) name: String,
    start: Start,
}

/// How to start it.
#[derive(Debug)]
enum Start {
    Command { program: PathBuf, arguments: Vec<String> },
    Redis(PathBuf),
    Missing(Tool),
}

/// Who wrote a server, or in which language.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Family {
    Fib,
    C,
    Go,
    PyPy,
    Python,
    Reference,
}

/// Why a server cannot take part.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Absence {
    /// The machine lacks a program.
    Missing { program: String, install: String },
    /// The server does not accept its flags.
    Refused { reason: String },
}

impl Absence {
    pub(crate) const fn word(&self) -> &'static str {
        match self {
            Self::Missing { .. } => "missing",
            Self::Refused { .. } => "refused",
        }
    }
}

impl fmt::Display for Absence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { program, install } => write!(f, "{program} is missing; {install}"),
            Self::Refused { reason } => write!(f, "refused: {reason}"),
        }
    }
}

/// Every server there is, ours first.
pub(crate) fn all(sh: &Shell, programs: &Programs) -> Result<Vec<Peer>> {
    let mut peers = Vec::new();
    for strategy in STRATEGIES {
        peers.extend(COMPUTES.map(|compute| combination(programs, strategy, compute)));
    }
    peers.push(c(sh)?);
    peers.push(go(sh)?);
    peers.push(python(PYPY, "PyPy, synchronous", "synchronous.py")?);
    peers.push(python(PYTHON, "Python, synchronous", "synchronous.py")?);
    peers.push(python(PYTHON, "Python, coroutines + processes", "coroutines.py")?);
    Ok(peers)
}

fn combination(programs: &Programs, strategy: &str, compute: &str) -> Peer {
    let flags = ["--strategy", strategy, "--compute", compute];
    fib_server(programs, name_of(strategy, compute), &flags)
}

pub(crate) fn name_of(strategy: &str, compute: &str) -> String {
    format!("fib-server, {strategy} + {compute}")
}

/// Ours with these flags. It makes every call of the recursion, as the others do.
pub(crate) fn fib_server(programs: &Programs, name: String, flags: &[&str]) -> Peer {
    let common = ["--listen", "127.0.0.1:0", "--algorithm", "recursive"];
    let arguments = common.iter().chain(flags).map(|&flag| flag.to_owned()).collect();
    Peer { name, start: Start::Command { program: programs.server.clone(), arguments } }
}

/// A thread for each client, in C.
pub(crate) fn c(sh: &Shell) -> Result<Peer> {
    let start = match GCC.find()? {
        Some(_) => Start::Command {
            program: compile_c(sh, "server.c", "server-c", &["-pthread"])?,
            arguments: vec!["127.0.0.1".to_owned(), "0".to_owned()],
        },
        None => Start::Missing(GCC),
    };
    Ok(Peer { name: C_THREADS.to_owned(), start })
}

/// A goroutine for each client.
pub(crate) fn go(sh: &Shell) -> Result<Peer> {
    let start = match GO.find()? {
        Some(_) => Start::Command {
            program: compile_go(sh, "server")?,
            arguments: vec!["127.0.0.1:0".to_owned()],
        },
        None => Start::Missing(GO),
    };
    Ok(Peer { name: GOROUTINES.to_owned(), start })
}

fn python(interpreter: Tool, name: &str, script: &str) -> Result<Peer> {
    let script = folder().join("python").join(script).display().to_string();
    let start = interpreter.find()?.map_or(Start::Missing(interpreter), |program| Start::Command {
        program,
        arguments: vec![script, "127.0.0.1".to_owned(), "0".to_owned()],
    });
    Ok(Peer { name: name.to_owned(), start })
}

/// What everybody calls fast. It has no fib: it answers PING.
pub(crate) fn redis() -> Result<Peer> {
    let start = REDIS.find()?.map_or(Start::Missing(REDIS), Start::Redis);
    Ok(Peer { name: REDIS_PING.to_owned(), start })
}

/// Where the other languages' programs lie.
pub(crate) fn folder() -> PathBuf {
    workspace().join("xtask/peers")
}

/// Compiles one of the Go programs.
pub(crate) fn compile_go(sh: &Shell, name: &str) -> Result<PathBuf> {
    let program = target_folder().join("peers").join(format!("{name}-go"));
    let _folder = sh.push_dir(folder().join("go"));
    cmd!(sh, "go build -o {program} ./{name}").quiet().run().context("building with Go")?;
    Ok(program)
}

/// Compiles a C program with the best portable flags.
pub(crate) fn compile_c(sh: &Shell, source: &str, name: &str, flags: &[&str]) -> Result<PathBuf> {
    let program = target_folder().join("peers").join(name);
    sh.create_dir(target_folder().join("peers"))?;
    let source = folder().join("c").join(source);
    cmd!(sh, "gcc -O3 {flags...} -o {program} {source}").quiet().run()?;
    Ok(program)
}

impl Peer {
    /// Why it cannot take part, or `None` if it can.
    pub(crate) fn absence(&self) -> Result<Option<Absence>> {
        match &self.start {
            Start::Missing(Tool { program, install }) => {
                let (program, install) = ((*program).to_owned(), (*install).to_owned());
                Ok(Some(Absence::Missing { program, install }))
            }
            Start::Redis(_) => Ok(None),
            Start::Command { program, arguments } => {
                let refusal = Server::refusal(command(program, arguments));
                let refusal = refusal.with_context(|| format!("starting {}", self.name))?;
                Ok(refusal.map(|reason| Absence::Refused { reason }))
            }
        }
    }

    /// A fresh server.
    pub(crate) fn start(&self) -> Result<Server> {
        let server = match &self.start {
            Start::Command { program, arguments } => {
                let mut command = command(program, arguments);
                Server::logged(&mut command)?;
                Server::start(command)
            }
            Start::Redis(program) => start_redis(program),
            Start::Missing(tool) => Err(anyhow::anyhow!("{} is missing", tool.program)),
        };
        server.with_context(|| format!("starting {}", self.name))
    }

    pub(crate) const fn is_redis(&self) -> bool {
        matches!(self.start, Start::Redis(_))
    }
}

fn command(program: &Path, arguments: &[String]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments);
    command
}

/// Without persistence: it does nothing but answer.
fn start_redis(program: &Path) -> Result<Server> {
    let port = free_port()?;
    let mut command = Command::new(program);
    command.args(["--bind", "127.0.0.1", "--port", &port.to_string()]);
    command.args(["--save", "", "--appendonly", "no", "--logfile", "/dev/null"]);
    Server::start_silent(command, port)
}

/// A program's version, as it tells it.
pub(crate) fn version_of(sh: &Shell, program: &Path, flag: &str) -> String {
    let output = cmd!(sh, "{program} {flag}").quiet().ignore_stderr().read().unwrap_or_default();
    output.lines().next().unwrap_or("unknown").to_owned()
}
