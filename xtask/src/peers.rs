//! Servers to be compared: ours under every strategy, and those of other languages.
//!
//! All of them are started alike, with port 0, and say where they listen.

use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use procfs::process::{Process, Stat, all_processes};
use rustix::process::{Pid, Signal, kill_process};
use xshell::{Shell, cmd};

use crate::{
    build::{Programs, target_folder},
    tools::{GO, PYPY, PYTHON, Tool, workspace},
};

/// A server that takes part in a comparison, or would if the machine had what it needs.
#[derive(Debug)]
pub(crate) struct Peer {
    /// The row's title.
    pub(crate) name: String,
    /// How to start it.
    pub(crate) start: Start,
}

#[derive(Debug)]
pub(crate) enum Start {
    Command { program: PathBuf, arguments: Vec<String> },
    Missing(Tool),
}

/// Every server there is, ours first.
pub(crate) fn all(sh: &Shell, programs: &Programs) -> Result<Vec<Peer>> {
    let mut peers: Vec<_> = ["thread-per-connection", "tokio-tasks", "coroutines", "sequential"]
        .map(|strategy| fib_server(programs, strategy))
        .into();
    peers.push(go(sh)?);
    peers.push(python(PYPY, "PyPy, synchronous", "synchronous.py")?);
    peers.push(python(PYTHON, "Python, synchronous", "synchronous.py")?);
    peers.push(python(PYTHON, "Python, coroutines + processes", "coroutines.py")?);
    Ok(peers)
}

/// Ours makes every call of the recursion, as the others do.
fn fib_server(programs: &Programs, strategy: &str) -> Peer {
    let flags = ["--listen", "127.0.0.1:0", "--algorithm", "recursive", "--strategy", strategy];
    Peer {
        name: format!("fib-server, {strategy}"),
        start: Start::Command {
            program: programs.server.clone(),
            arguments: flags.map(str::to_owned).into(),
        },
    }
}

fn go(sh: &Shell) -> Result<Peer> {
    let start = match GO.find()? {
        Some(_) => Start::Command {
            program: compile_go(sh, "server")?,
            arguments: vec!["127.0.0.1:0".to_owned()],
        },
        None => Start::Missing(GO),
    };
    Ok(Peer { name: "Go, goroutines".to_owned(), start })
}

fn python(interpreter: Tool, name: &str, script: &str) -> Result<Peer> {
    let script = folder().join("python").join(script).display().to_string();
    let start = interpreter.find()?.map_or(Start::Missing(interpreter), |program| Start::Command {
        program,
        arguments: vec![script, "127.0.0.1".to_owned(), "0".to_owned()],
    });
    Ok(Peer { name: name.to_owned(), start })
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

/// A server that runs. Dropping it kills it and its children.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    address: String,
}

/// What a server, with its children, has used.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Usage {
    pub(crate) cpu: Duration,
    pub(crate) rss_bytes: u64,
}

impl Server {
    /// Starts a server and waits until it says where it listens.
    pub(crate) fn start(mut command: Command) -> Result<Self> {
        let mut child = command.stdout(Stdio::piped()).spawn()?;
        let mut line = String::new();
        let stdout = child.stdout.take().context("its stdout is piped")?;
        let read = BufReader::new(stdout).read_line(&mut line);
        let mut server = Self { child, address: String::new() };
        read.context("waiting for the server to say where it listens")?;
        let address = line.trim().strip_prefix("listening on ");
        address.with_context(|| format!("it said {line:?}"))?.clone_into(&mut server.address);
        Ok(server)
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    pub(crate) fn usage(&self) -> Result<Usage> {
        let ticks_per_second = procfs::ticks_per_second();
        let mut usage = Usage::default();
        for stat in self.tree()? {
            let children = u64::try_from(stat.cutime + stat.cstime)?;
            let ticks = stat.utime + stat.stime + children;
            usage.cpu += Duration::from_millis(ticks * 1_000 / ticks_per_second);
            usage.rss_bytes += stat.rss * procfs::page_size();
        }
        Ok(usage)
    }

    /// Ends the server as an operator would, and checks that it ended well.
    pub(crate) fn stop(mut self) -> Result<()> {
        kill_process(Pid::from_child(&self.child), Signal::TERM).context("the server is gone")?;
        let deadline = Instant::now() + Duration::from_secs(5);
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait()? {
                ensure!(status.success(), "the server ended with {status}");
                return Ok(());
            }
            thread::sleep(Duration::from_millis(5));
        }
        bail!("the server does not end")
    }

    /// The server and all that descend from it.
    fn tree(&self) -> Result<Vec<Stat>> {
        let stats: Vec<_> =
            all_processes()?.filter_map(|process| process.ok()?.stat().ok()).collect();
        let mut tree = vec![Process::new(i32::try_from(self.child.id())?)?.stat()?];
        let mut parent = 0;
        while parent < tree.len() {
            let pid = tree[parent].pid;
            tree.extend(stats.iter().filter(|stat| stat.ppid == pid).cloned());
            parent += 1;
        }
        Ok(tree)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let tree = self.tree().unwrap_or_default();
        let descendants = tree.iter().skip(1).filter_map(|stat| Pid::from_raw(stat.pid));
        let _ = self.child.kill();
        let _ = self.child.wait();
        for descendant in descendants {
            let _ = kill_process(descendant, Signal::KILL);
        }
    }
}

impl Peer {
    /// A fresh server, or `None` where the machine lacks what it needs.
    pub(crate) fn start(&self) -> Result<Option<Server>> {
        let Start::Command { program, arguments } = &self.start else { return Ok(None) };
        let mut command = Command::new(program);
        command.args(arguments).env("RUST_LOG", "warn");
        Server::start(command).map(Some).with_context(|| format!("starting {}", self.name))
    }
}

/// A program's version, as it tells it.
pub(crate) fn version_of(sh: &Shell, program: &Path, flag: &str) -> String {
    let output = cmd!(sh, "{program} {flag}").quiet().ignore_stderr().read().unwrap_or_default();
    output.lines().next().unwrap_or("unknown").to_owned()
}
