//! A server under test as a process: started, measured, and ended with all its children.

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    net::{Ipv4Addr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
    sync::{Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use procfs::process::{Process, Stat, all_processes};
use rustix::process::{Pid, Signal, kill_process};

use crate::bench::Counters;

/// How long a server may take to be there, and to end.
const PATIENCE: Duration = Duration::from_secs(30);

/// How often it is looked whether it is.
const GLANCE: Duration = Duration::from_millis(5);

/// The exit code of a program that does not accept its flags.
const EXIT_USAGE: i32 = 2;

/// A server that runs. Dropping it kills it and its children.
#[derive(Debug)]
pub(crate) struct Server {
    /// The process that it was at first.
    child: Child,
    /// Who has taken that one's place, and serves now.
    successor: Mutex<Option<Pid>>,
    /// Kept, because a program whose stdout is closed fails to write to it.
    stdout: BufReader<ChildStdout>,
    address: String,
    log: Option<PathBuf>,
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
        let mut server = Self::spawn(&mut command)?;
        server.address = server.next_line("listening on ")?;
        Ok(server)
    }

    /// The same, and writes its log to this file, for whoever wants to know why it failed.
    pub(crate) fn start_logged(mut command: Command, log: &Path) -> Result<Self> {
        fs::create_dir_all(log.parent().context("a log lies in a folder")?)?;
        command.env("RUST_LOG", "info").stderr(fs::File::create(log)?);
        let mut server = Self::start(command)?;
        server.log = Some(log.to_owned());
        Ok(server)
    }

    /// Starts a server that is told its port and says nothing, and waits until it accepts.
    pub(crate) fn start_silent(mut command: Command, port: u16) -> Result<Self> {
        let mut server = Self::spawn(&mut command)?;
        server.address = format!("{}:{port}", Ipv4Addr::LOCALHOST);
        let deadline = Instant::now() + PATIENCE;
        while TcpStream::connect(server.address()).is_err() {
            let status = server.child.try_wait()?;
            ensure!(status.is_none(), "it ended before it listened");
            ensure!(Instant::now() < deadline, "it does not listen");
            thread::sleep(GLANCE);
        }
        Ok(server)
    }

    /// Why it does not accept its flags, in its own words; `None` if it does.
    pub(crate) fn refusal(mut command: Command) -> Result<Option<String>> {
        let mut server = Self::spawn(command.stderr(Stdio::piped()))?;
        if server.stdout.read_line(&mut String::new())? > 0 {
            return Ok(None);
        }
        let mut words = String::new();
        let stderr = server.child.stderr.take().context("its stderr is piped")?;
        BufReader::new(stderr).read_to_string(&mut words)?;
        let status = server.child.wait()?;
        ensure!(status.code() == Some(EXIT_USAGE), "it ended with {status}: {}", words.trim());
        let first = words.lines().next().unwrap_or("it does not say why");
        Ok(Some(first.trim_start_matches("error: ").to_owned()))
    }

    fn spawn(command: &mut Command) -> Result<Self> {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
        let stdout = child.stdout.take().context("its stdout is piped")?;
        let (successor, stdout) = (Mutex::default(), BufReader::new(stdout));
        Ok(Self { child, successor, stdout, address: String::new(), log: None })
    }

    /// What its next line says behind these words.
    pub(crate) fn next_line(&mut self, words: &str) -> Result<String> {
        let mut line = String::new();
        self.stdout.read_line(&mut line).context("waiting for the server to say where")?;
        let rest = line.trim().strip_prefix(words);
        Ok(rest.with_context(|| format!("it said {line:?}"))?.to_owned())
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

    pub(crate) fn signal(&self, signal: Signal) -> Result<()> {
        kill_process(self.pid(), signal).context("the server is gone")
    }

    /// Has another process take its place, and waits until the one that served has ended.
    pub(crate) fn restart(&self) -> Result<()> {
        let (old, before) = (self.pid(), self.successors()?.len());
        self.signal(Signal::USR2)?;
        wait_until("no process takes its place", || Ok(self.successors()?.len() > before))?;
        let successor = self.successors()?.pop();
        *self.successor.lock().unwrap_or_else(PoisonError::into_inner) = successor;
        wait_until("it does not make way", || Ok(is_gone(old)))
    }

    /// Ends the server as an operator would, and checks that it ended well.
    pub(crate) fn stop(mut self) -> Result<()> {
        self.signal(Signal::TERM)?;
        let pid = self.pid();
        wait_until("the server does not end", || Ok(is_gone(pid)))?;
        // Of successors, which are nobody's children by then, only their log tells.
        let status = self.child.wait()?;
        ensure!(status.success(), "the server ended with {status}");
        Ok(())
    }

    /// The process that serves.
    fn pid(&self) -> Pid {
        let successor = *self.successor.lock().unwrap_or_else(PoisonError::into_inner);
        successor.unwrap_or_else(|| Pid::from_child(&self.child))
    }

    /// The processes that have taken the place of another, as the log has them.
    fn successors(&self) -> Result<Vec<Pid>> {
        let log = self.read_log()?;
        let pids = log.lines().filter_map(|line| count_in(line, "successor"));
        Ok(pids.filter_map(|pid| Pid::from_raw(pid.try_into().ok()?)).collect())
    }

    fn read_log(&self) -> Result<String> {
        let log = self.log.as_ref().context("it has no log")?;
        fs::read_to_string(log).context("reading the server's log")
    }

    /// Whether any of its compute threads runs, or would if it had a core.
    pub(crate) fn computes(&self) -> Result<bool> {
        let tasks = Process::new(self.pid().as_raw_pid())?.tasks()?;
        let mut stats = tasks.filter_map(|task| task.ok()?.stat().ok());
        Ok(stats.any(|stat| stat.comm == "compute" && stat.state == 'R'))
    }

    /// Ends the server, which logs what it has counted.
    pub(crate) fn stop_and_count(self) -> Result<Counters> {
        self.stop_and_count_each()?.pop().context("it has counted")
    }

    /// The same, of each of the processes that it was.
    pub(crate) fn stop_and_count_each(mut self) -> Result<Vec<Counters>> {
        let processes = 1 + self.successors()?.len();
        let log = self.log.take().context("it has no log")?;
        self.stop()?;
        let log = fs::read_to_string(log).context("reading the server's log")?;
        let drained = log.lines().filter(|line| line.contains(" drained "));
        let each = drained.map(counters_in).collect::<Result<Vec<_>>>()?;
        ensure!(each.len() == processes, "{} of {processes} say that they drained", each.len());
        Ok(each)
    }

    /// The server and all that descend from it.
    pub(crate) fn tree(&self) -> Result<Vec<Stat>> {
        let stats: Vec<_> =
            all_processes()?.filter_map(|process| process.ok()?.stat().ok()).collect();
        let mut tree = vec![Process::new(self.pid().as_raw_pid())?.stat()?];
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
        let _ = self.child.kill();
        let _ = self.child.wait();
        for pid in tree.iter().filter_map(|stat| Pid::from_raw(stat.pid)) {
            if pid != Pid::from_child(&self.child) {
                let _ = kill_process(pid, Signal::KILL);
            }
        }
    }
}

fn wait_until(otherwise: &'static str, mut is_so: impl FnMut() -> Result<bool>) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while !is_so()? {
        ensure!(Instant::now() < deadline, otherwise);
        thread::sleep(GLANCE);
    }
    Ok(())
}

/// Whether it has ended, though nobody may have asked how.
fn is_gone(pid: Pid) -> bool {
    let stat = Process::new(pid.as_raw_pid()).and_then(|it| it.stat());
    stat.map_or(true, |stat| stat.state == 'Z')
}

/// What a line of the log says of what was counted.
fn counters_in(line: &str) -> Result<Counters> {
    let count = |name| count_in(line, name).with_context(|| format!("{name} in {line:?}"));
    Ok(Counters {
        accepted: count("accepted")?,
        closed: count("closed")?,
        requests: count("requests")?,
        ok: count("ok")?,
        err: count("err")?,
        cancelled: count("cancelled")?,
    })
}

/// `name=number`
fn count_in(line: &str, name: &str) -> Option<u64> {
    let word = line.split(' ').find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
    word?.parse().ok()
}

/// A port that nobody listens on, for servers that cannot pick one themselves.
pub(crate) fn free_port() -> Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    Ok(listener.local_addr()?.port())
}
