//! Servers to be compared: ours under every strategy, and those of other languages.
//!
//! All of them are started alike, with port 0, and say where they listen; only Redis and memcached
//! must be told.

mod compile;
mod others;
mod ours;
#[cfg(test)]
mod promises;

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use xshell::{Shell, cmd};

pub(crate) use self::{
    compile::{compile_c, compile_go, folder},
    others::{C_THREADS, c_threads, goroutines, redis},
    ours::{COMPUTES, DEFAULT, STRATEGIES, TWIN, fib_server, name_of},
};
use crate::{
    build::Programs,
    server::{Server, free_port},
    tools::{Tool, workspace},
};

/// A server that takes part in a comparison, or would if the machine had what it needs.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    /// The row's title.
    pub(crate) name: String,
    pub(crate) family: Family,
    start: Start,
    traits: Traits,
}

/// Whose server it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Family {
    /// Ours.
    #[default]
    Fib,
    C,
    Go,
    PyPy,
    Python,
    /// It has no Fibonacci numbers: what everybody calls fast.
    Reference,
}

/// How F(n) is computed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Algorithm {
    /// By all calls of the recursive definition: the request that burns the CPU.
    #[default]
    Recursive,
    /// By fast doubling, with big integers.
    Doubling,
}

/// In what servers differ beside how they are started.
#[derive(Clone, Copy, Debug, Default)]
struct Traits {
    /// The others wait until the one that is served leaves.
    is_one_at_a_time: bool,
    has_no_big_integers: bool,
    /// Whether it stands for its like where there is little time.
    is_representative: bool,
}

/// How to start it.
#[derive(Clone, Debug)]
enum Start {
    Command {
        program: String,
        arguments: Vec<String>,
        environment: BTreeMap<String, String>,
    },
    /// A command whose last argument is a port, and who says nothing; the client that knows what
    /// to ask, and the line.
    Silent {
        program: String,
        arguments: Vec<String>,
        client: PathBuf,
        line: &'static str,
    },
    Missing(Tool),
}

/// Why a server cannot take part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
    let mut peers = ours::all(programs);
    peers.extend(others::all(sh)?);
    peers.push(ours::twin(programs));
    Ok(peers)
}

/// The port of the commands that are shown: ours listens there by default.
const SHOWN_PORT: &str = "25000";

impl Peer {
    /// The same under another name.
    pub(crate) fn named(self, name: String) -> Self {
        Self { name, ..self }
    }

    /// Why it cannot take part, or `None` if it can.
    pub(crate) fn absence(&self) -> Result<Option<Absence>> {
        match &self.start {
            Start::Missing(Tool { program, install }) => {
                let (program, install) = ((*program).to_owned(), (*install).to_owned());
                Ok(Some(Absence::Missing { program, install }))
            }
            Start::Silent { .. } => Ok(None),
            Start::Command { .. } => {
                let refusal = Server::refusal(self.to_command(Algorithm::Recursive)?);
                let refusal = refusal.with_context(|| format!("starting {}", self.name))?;
                Ok(refusal.map(|reason| Absence::Refused { reason }))
            }
        }
    }

    /// A fresh server.
    pub(crate) fn start(&self, algorithm: Algorithm) -> Result<Server> {
        let start = || {
            let mut command = self.to_command(algorithm)?;
            if let Start::Silent { .. } = &self.start {
                let port = free_port()?;
                command.arg(port.to_string());
                return Server::start_silent(command, port);
            }
            Server::logged(&mut command)?;
            Server::start(command)
        };
        start().with_context(|| format!("starting {}", self.name))
    }

    /// What it is asked if it has no Fibonacci numbers, and the program that does.
    pub(crate) fn line(&self) -> Option<(&Path, &'static str)> {
        match &self.start {
            Start::Silent { client, line, .. } => Some((client, line)),
            _ => None,
        }
    }

    pub(crate) const fn is_one_at_a_time(&self) -> bool {
        self.traits.is_one_at_a_time
    }

    pub(crate) const fn has_big_integers(&self) -> bool {
        !self.traits.has_no_big_integers
    }

    pub(crate) const fn is_representative(&self) -> bool {
        self.traits.is_representative
    }

    /// What starts it by hand in the workspace's folder, on the port that clients ask by default.
    pub(crate) fn command(&self) -> String {
        let (program, arguments, environment) = match &self.start {
            Start::Command { program, arguments, environment } => {
                (program, arguments.clone(), environment.clone())
            }
            Start::Silent { program, arguments, .. } => {
                let port = [SHOWN_PORT.to_owned()];
                (program, [arguments.as_slice(), &port].concat(), BTreeMap::new())
            }
            Start::Missing(Tool { program, .. }) => return (*program).to_owned(),
        };
        // Ours computes by fast doubling unless it is told otherwise; the others do not.
        let ours = (self.family == Family::Fib).then(|| "FIB_ALGORITHM=recursive".to_owned());
        let environment = environment.iter().map(|(name, value)| format!("{name}={value}"));
        let arguments = arguments.iter().map(|word| match word.as_str() {
            "0" => SHOWN_PORT.to_owned(),
            "" => "''".to_owned(),
            word => word.replace("127.0.0.1:0", &format!("127.0.0.1:{SHOWN_PORT}")),
        });
        let words = ours.into_iter().chain(environment).chain([program.clone()]).chain(arguments);
        let folder = format!("{}/", workspace().display());
        words.collect::<Vec<_>>().join(" ").replace(&folder, "")
    }

    fn to_command(&self, algorithm: Algorithm) -> Result<Command> {
        let (program, arguments) = match &self.start {
            Start::Command { program, arguments, .. }
            | Start::Silent { program, arguments, .. } => (program, arguments),
            Start::Missing(tool) => bail!("{} is missing; {}", tool.program, tool.install),
        };
        let mut command = Command::new(program);
        command.args(arguments).env("FIB_ALGORITHM", algorithm.name());
        if let Start::Command { environment, .. } = &self.start {
            command.envs(environment);
        }
        Ok(command)
    }
}

impl Algorithm {
    /// The value of `FIB_ALGORITHM`, which all servers know.
    const fn name(self) -> &'static str {
        match self {
            Self::Recursive => "recursive",
            Self::Doubling => "doubling",
        }
    }
}

/// A command that says where it listens.
fn command(program: &Path, arguments: &[&str]) -> Start {
    Start::Command {
        program: program.display().to_string(),
        arguments: arguments.iter().map(|&word| word.to_owned()).collect(),
        environment: BTreeMap::new(),
    }
}

/// A program's version, as it tells it.
pub(crate) fn version_of(sh: &Shell, program: &Path, flag: &str) -> String {
    let output = cmd!(sh, "{program} {flag}").quiet().ignore_stderr().read().unwrap_or_default();
    output.lines().next().unwrap_or("unknown").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_can_be_typed() {
        let program = workspace().join("target/release/fib-server");
        let mut peer = fib_server(&program, "ours".to_owned(), &["--cores", "1"]);
        let command = peer.command();
        assert!(
            command.starts_with("FIB_ALGORITHM=recursive target/release/fib-server "),
            "{command}"
        );
        assert!(command.contains("--listen 127.0.0.1:25000 ") && command.ends_with("--cores 1"));
        peer.family = Family::Reference;
        peer.start = Start::Silent {
            program: "redis-server".to_owned(),
            arguments: ["--save", "", "--port"].map(str::to_owned).into(),
            client: PathBuf::new(),
            line: "PING",
        };
        assert_eq!(peer.command(), "redis-server --save '' --port 25000");
    }
}
