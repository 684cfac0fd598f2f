//! A server as a row of a comparison: what it is called, how it is started, and what it can do.

use std::{path::PathBuf, process::Command};

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};

use super::Absence;
use crate::{
    build::target_folder,
    line_client::LineClient,
    server::{Server, free_port},
    tools::{Tool, workspace},
};

/// What stands for the port in a server's arguments.
pub(super) const PORT: &str = "{port}";

/// What stands for the algorithm in them.
pub(super) const ALGORITHM: &str = "{algorithm}";

/// The port in a command for readers.
const SHOWN_PORT: u16 = 25_000;

/// A server that takes part in a comparison, or would if the machine had what it needs.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    /// The row's title.
    pub(crate) name: String,
    pub(crate) family: Family,
    program: PathBuf,
    arguments: Vec<String>,
    environment: Vec<(&'static str, String)>,
    clients: Clients,
    rank: Rank,
    pub(super) missing: Option<Tool>,
    /// Of a reference, which speaks a protocol of its own.
    client: Option<LineClient>,
}

/// What a server is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Family {
    /// Ours.
    Fib,
    C,
    Go,
    PyPy,
    Python,
    /// No fib at all: a server that everybody calls fast.
    Reference,
}

/// How a server answers. All of them know both, but for C, which has no big integers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Algorithm {
    /// Every call of the recursion is made.
    Recursive,
    /// A step for each binary digit of n, and so for large answers.
    Doubling,
}

/// How many clients a server serves at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Clients {
    One,
    Many,
}

/// Whether a short comparison needs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rank {
    Representative,
    /// It differs in little from a representative.
    Variation,
}

impl Algorithm {
    const fn name(self) -> &'static str {
        match self {
            Self::Recursive => "recursive",
            Self::Doubling => "doubling",
        }
    }
}

impl Peer {
    /// A representative that serves many clients; others say how they differ.
    pub(super) fn new(
        name: &str,
        family: Family,
        program: impl Into<PathBuf>,
        arguments: &[&str],
    ) -> Self {
        Self {
            name: name.to_owned(),
            family,
            program: program.into(),
            arguments: arguments.iter().map(|&it| it.to_owned()).collect(),
            environment: Vec::new(),
            clients: Clients::Many,
            rank: Rank::Representative,
            missing: None,
            client: None,
        }
    }

    /// The same under another name.
    pub(crate) fn named(self, name: &str) -> Self {
        Self { name: name.to_owned(), ..self }
    }

    pub(super) fn one_at_a_time(self) -> Self {
        Self { clients: Clients::One, ..self }
    }

    pub(super) fn variation(self) -> Self {
        Self { rank: Rank::Variation, ..self }
    }

    pub(super) fn without(self, missing: Option<Tool>) -> Self {
        Self { missing, ..self }
    }

    pub(super) fn with_environment(mut self, name: &'static str, value: String) -> Self {
        self.environment.push((name, value));
        self
    }

    pub(super) fn asked_by(self, client: Option<LineClient>) -> Self {
        Self { client, ..self }
    }

    /// Why it cannot take part, or `None` if it can.
    pub(crate) fn absence(&self) -> Result<Option<Absence>> {
        if let Some(tool) = self.missing {
            return Ok(Some(tool.into()));
        }
        if self.family != Family::Fib {
            return Ok(None);
        }
        let refusal = Server::refusal(self.process(0, Algorithm::Recursive));
        let refusal = refusal.with_context(|| format!("starting {}", self.name))?;
        Ok(refusal.map(|reason| Absence::Refused { reason }))
    }

    /// A fresh server.
    pub(crate) fn start(&self, algorithm: Algorithm) -> Result<Server> {
        self.spawn(algorithm).with_context(|| format!("starting {}", self.name))
    }

    fn spawn(&self, algorithm: Algorithm) -> Result<Server> {
        if let Some(Tool { program, install }) = self.missing {
            bail!("{program} is missing; {install}");
        }
        let knows = algorithm == Algorithm::Recursive || self.has_big_integers();
        ensure!(knows, "it has no big integers");
        if self.family == Family::Reference {
            let port = free_port()?;
            return Server::start_silent(self.process(port, algorithm), port);
        }
        let log = target_folder().join("bench/server.log");
        Server::start_logged(self.process(0, algorithm), &log)
    }

    fn process(&self, port: u16, algorithm: Algorithm) -> Command {
        let mut process = Command::new(&self.program);
        process.args(self.arguments(port, algorithm)).current_dir(workspace());
        // Ours has a flag, too; nobody's depends on what the developer's shell has set.
        process.env("FIB_ALGORITHM", algorithm.name());
        process.envs(self.environment.iter().map(|(name, value)| (name, value)));
        process
    }

    fn arguments(&self, port: u16, algorithm: Algorithm) -> impl Iterator<Item = String> {
        let port = port.to_string();
        let fill = move |it: &String| it.replace(PORT, &port).replace(ALGORITHM, algorithm.name());
        self.arguments.iter().map(fill)
    }

    /// What a reader types into a shell, in the workspace, to have the same server.
    pub(crate) fn command(&self) -> String {
        let environment = self.environment.iter().map(|(name, value)| format!("{name}={value}"));
        let program = self.program.strip_prefix(workspace()).unwrap_or(&self.program);
        let arguments = self.arguments(SHOWN_PORT, Algorithm::Recursive).map(quoted);
        let words = environment.chain([program.display().to_string()]).chain(arguments);
        words.collect::<Vec<_>>().join(" ")
    }

    /// Whether its answers may be larger than F(93).
    pub(crate) const fn has_big_integers(&self) -> bool {
        !matches!(self.family, Family::C | Family::Reference)
    }

    pub(crate) fn serves_one_at_a_time(&self) -> bool {
        self.clients == Clients::One
    }

    /// Whether it belongs into a short comparison.
    pub(crate) fn is_representative(&self) -> bool {
        self.rank == Rank::Representative
    }

    /// What asks it for what it has instead of fib; `None` if it is asked for numbers.
    pub(crate) const fn client(&self) -> Option<&LineClient> {
        self.client.as_ref()
    }
}

/// For a shell.
fn quoted(word: String) -> String {
    let plain = |it: char| it.is_ascii_alphanumeric() || "-_./:=".contains(it);
    if !word.is_empty() && word.chars().all(plain) { word } else { format!("'{word}'") }
}
