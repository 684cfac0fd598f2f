//! Children: further processes of this program, which serve it and do not outlive it.
//!
//! A child's stdin is one end of a pair of sockets, and its server has the other. So each of them
//! learns from its own end when the other process is gone, whatever ended it, and nothing else has
//! to be inherited.

use std::{
    env,
    ffi::{OsStr, OsString},
    fmt::Display,
    fs, io, iter,
    net::Shutdown,
    os::{
        fd::{AsFd, OwnedFd},
        unix::{net::UnixStream, process::CommandExt},
    },
    path::{Path, PathBuf},
    process::{self, Command, Stdio},
    sync::{Arc, atomic::AtomicBool},
    thread::{self, JoinHandle},
    time::Duration,
};

use anyhow::{Context as _, Result};
use clap::ValueEnum;
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::{Errno, retry_on_intr},
    process::{Pid, Signal, WaitOptions, WaitStatus, kill_process, waitpid},
};
use signal_hook::{
    consts::{SIGCHLD, SIGHUP, SIGINT, SIGTERM},
    flag,
    iterator::{Handle, Signals},
};
use socket2::Socket;
use thiserror::Error;
use tracing::{error, warn};

use crate::{arguments::Typed, inheritance, sys, systemd};

/// What a child is called, by the kernel and in its own arguments.
const NAME: &str = "fib-server";

/// How long to wait before a child is started in the place of one that did not live; twice as long
/// after each failure, up to a limit.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// The same limit where somebody keeps killing them before they can do anything: they are not to
/// blame.
const LONGEST_PAUSE_AFTER_A_KILL: Duration = Duration::from_millis(20);

/// How long a child may take to end once it has nothing to do.
const CLOSING: Duration = Duration::from_secs(1);

/// Which part a process plays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Role {
    /// The one that was started by others.
    #[default]
    Server,
    /// Computes for a server.
    Compute,
    /// Serves a part of a server's clients.
    Prefork,
    /// Takes the place of a server.
    Successor,
}

impl Role {
    fn flag(self) -> String {
        let value = self.to_possible_value();
        format!("--role={}", value.as_ref().map_or("", |value| value.get_name()))
    }
}

/// A child, as its server has it. Dropping it kills and reaps it.
#[derive(Debug)]
pub(crate) struct Child {
    pid: Pid,
    socket: UnixStream,
    is_reaped: bool,
}

/// Why a child can be of no more use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(crate) enum Trouble {
    #[error("it was stopped by signal {signal}")]
    Stopped { signal: i32 },
    #[error("it was killed by signal {signal}")]
    Killed { signal: i32 },
    #[error("it ended with status {status}")]
    Exited { status: i32 },
    #[error("somebody else has waited for it")]
    Missing,
}

impl Child {
    /// Starts this program once more, with these arguments, for another part.
    ///
    /// It has a process group of its own: what is typed at a terminal is for the server alone.
    pub(crate) fn start(role: Role, typed: &Typed) -> io::Result<Self> {
        let (socket, stdin) = UnixStream::pair()?;
        let mut command = Command::new(program()?);
        command.arg0(NAME).arg(role.flag()).args(typed.arguments());
        // The file may say something else by now.
        for told in systemd::ENVIRONMENT.into_iter().chain(["FIB_CONFIG"]) {
            command.env_remove(told);
        }
        command.stdin(OwnedFd::from(stdin)).stdout(Stdio::null()).process_group(0);
        let process = unborn::guard(|| command.spawn())?;
        Ok(Self::new(&process, socket))
    }

    /// Starts the program that this server was started from, as its file is by now, with the same
    /// flags, to take its place.
    pub(crate) fn start_successor(program: &Path) -> io::Result<Self> {
        let (socket, stdin) = UnixStream::pair()?;
        let mut arguments = env::args_os();
        let mut command = Command::new(program);
        command.arg0(arguments.next().unwrap_or_else(|| NAME.into())).arg(Role::Successor.flag());
        command.args(arguments.filter(|it| *it != *Role::Successor.flag()));
        for told in systemd::FOR_ONE_PROCESS {
            command.env_remove(told);
        }
        let process = unborn::guard(|| command.stdin(OwnedFd::from(stdin)).spawn())?;
        Ok(Self::new(&process, socket))
    }

    /// A process that was started, and the socket to it.
    pub(crate) fn new(process: &process::Child, socket: UnixStream) -> Self {
        Self { pid: Pid::from_child(process), socket, is_reaped: false }
    }

    /// The socket to it.
    pub(crate) const fn socket(&self) -> &UnixStream {
        &self.socket
    }

    /// What has become of it, unless it still runs.
    pub(crate) fn trouble(&mut self) -> Option<Trouble> {
        self.look(WaitOptions::NOHANG | WaitOptions::UNTRACED)
    }

    /// Kills it, if it is not dead already, and tells what it died of.
    pub(crate) fn kill(&mut self) -> Trouble {
        if !self.is_reaped {
            // Nobody else can have its number before it is reaped. It can only be dead already.
            let _ = kill_process(self.pid, Signal::KILL);
        }
        self.look(WaitOptions::empty()).unwrap_or(Trouble::Missing)
    }

    /// Its number.
    pub(crate) const fn pid(&self) -> Pid {
        self.pid
    }

    /// Lets it live on without this process.
    pub(crate) fn release(mut self) {
        self.is_reaped = true;
    }

    /// Tells it to let nobody else in.
    pub(crate) fn close_doors(&self) {
        // It can only be dead already.
        let _ = inheritance::send_arguments(&self.socket, iter::empty::<&OsStr>());
    }

    /// Tells it how to serve from now on.
    pub(crate) fn tell(&self, typed: &Typed) -> io::Result<()> {
        // It has nothing else to do there than to listen.
        self.socket.set_write_timeout(Some(CLOSING))?;
        inheritance::send_arguments(&self.socket, typed.arguments())
    }

    /// Ends its input: it need not do anything but finish.
    pub(crate) fn end_input(&self) {
        // It can only be dead already.
        let _ = self.socket.shutdown(Shutdown::Write);
    }

    /// Ends its input and lets it end by itself.
    pub(crate) fn close(self) {
        self.end_input();
        // Its end of the socket closes with it. If it does not, it is killed when this is dropped.
        let _ = wait_for_hang_up(&self.socket, Some(CLOSING));
    }

    /// Says that it is of no more use, and why.
    pub(crate) fn log_loss(&self, loss: &impl Display) {
        let pid = self.pid.as_raw_nonzero();
        warn!(pid, "a child process is lost: {loss}");
    }

    /// How long it has waited for a core since it was started, as far as the system tells.
    pub(crate) fn waited_for_core(&self) -> Duration {
        let path = format!("/proc/{}/schedstat", self.pid.as_raw_nonzero());
        let text = fs::read_to_string(path).unwrap_or_default();
        // "time on a core, time waiting for one, number of turns", the times in ns.
        let waited = text.split(' ').nth(1).and_then(|waited| waited.parse().ok());
        Duration::from_nanos(waited.unwrap_or(0))
    }

    fn look(&mut self, options: WaitOptions) -> Option<Trouble> {
        if self.is_reaped {
            return Some(Trouble::Missing);
        }
        let trouble = match retry_on_intr(|| waitpid(Some(self.pid), options)) {
            Ok(status) => Trouble::new(status?.1),
            Err(_) => Trouble::Missing,
        };
        self.is_reaped = !matches!(trouble, Trouble::Stopped { .. });
        Some(trouble)
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Trouble {
    fn new(status: WaitStatus) -> Self {
        let stopped = status.stopping_signal().map(|signal| Self::Stopped { signal });
        let killed = status.terminating_signal().map(|signal| Self::Killed { signal });
        let exited = status.exit_status().map(|status| Self::Exited { status });
        stopped.or(killed).or(exited).unwrap_or(Self::Missing)
    }
}

/// How long to wait before the next attempt, when children do not live.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    last: Option<Duration>,
}

impl Backoff {
    /// The pause after another one has failed, of this trouble or before it could even begin.
    pub(crate) fn next_pause(&mut self, trouble: Option<&Trouble>) -> Duration {
        let longest = match trouble {
            Some(Trouble::Killed { .. } | Trouble::Stopped { .. }) => LONGEST_PAUSE_AFTER_A_KILL,
            _ => LONGEST_PAUSE,
        };
        let pause = self.last.map_or(FIRST_PAUSE, |last| last * 2).min(longest);
        self.last = Some(pause);
        pause
    }
}

/// This program, also when its file has been replaced since it was started.
fn program() -> io::Result<PathBuf> {
    if cfg!(target_os = "linux") { Ok("/proc/self/exe".into()) } else { env::current_exe() }
}

/// Children that have not become this program yet.
///
/// Until then the kernel holds up the thread that starts one, and that does not know its number. So
/// if one is stopped just then, somebody else must find and kill it, or that thread hangs.
#[cfg(target_os = "linux")]
mod unborn {
    use std::{
        fs,
        sync::{Mutex, MutexGuard, PoisonError},
    };

    use rustix::{
        process::{Pid, Signal, kill_process},
        thread::gettid,
    };

    static STARTING_THREADS: Mutex<Vec<Pid>> = Mutex::new(Vec::new());

    /// Notes that this thread is starting a child, while it does.
    pub(super) fn guard<T>(start: impl FnOnce() -> T) -> T {
        let thread = gettid();
        starting_threads().push(thread);
        let started = start();
        starting_threads().retain(|&it| it != thread);
        started
    }

    /// To be called when some child has stopped.
    pub(super) fn kill_stopped() {
        for thread in &*starting_threads() {
            let path = format!("/proc/self/task/{}/children", thread.as_raw_nonzero());
            let children = fs::read_to_string(path).unwrap_or_default();
            for child in children.split_whitespace().filter(|child| is_stopped(child)) {
                if let Some(child) = child.parse().ok().and_then(Pid::from_raw) {
                    // It cannot be gone: this thread's children are reaped by itself alone.
                    let _ = kill_process(child, Signal::KILL);
                }
            }
        }
    }

    fn is_stopped(pid: &str) -> bool {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.rsplit_once(") ").is_some_and(|(_, fields)| fields.starts_with('T'))
    }

    fn starting_threads() -> MutexGuard<'static, Vec<Pid>> {
        STARTING_THREADS.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(not(target_os = "linux"))]
mod unborn {
    pub(super) fn guard<T>(start: impl FnOnce() -> T) -> T {
        start()
    }

    pub(super) fn kill_stopped() {}
}

/// A thread that is told by the kernel whenever a child has ended or stopped. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct ChildSignals {
    handle: Handle,
    thread: Option<JoinHandle<()>>,
}

impl ChildSignals {
    /// Calls `on_change` from now on, for any child, and perhaps once for several.
    pub(crate) fn new(on_change: impl Fn() + Send + 'static) -> io::Result<Self> {
        let mut signals = Signals::new([SIGCHLD])?;
        let handle = signals.handle();
        let watch = move || {
            signals.forever().for_each(|_| {
                unborn::kill_stopped();
                on_change();
            });
        };
        let thread = thread::Builder::new().name("children".into()).spawn(watch)?;
        Ok(Self { handle, thread: Some(thread) })
    }
}

impl Drop for ChildSignals {
    fn drop(&mut self) {
        self.handle.close();
        if let Some(thread) = self.thread.take() {
            // A panic of it is on stderr already.
            let _ = thread.join();
        }
    }
}

/// What a child does first: it takes its end of the pair, and ties its life to the other one.
///
/// When to end is left to the server: a terminal, or a manager of services, may signal every
/// process of it.
pub(crate) fn begin() -> Result<Socket> {
    let socket = io::stdin().as_fd().try_clone_to_owned().context("duplicating stdin")?;
    let socket = Socket::from(socket);
    socket.local_addr().context("stdin is not a server's socket: --role is for its children")?;
    sys::die_of_faults();
    ignore_signals().context("ignoring signals")?;
    name_process();
    let server = socket.try_clone().context("duplicating stdin")?;
    let watch = move || exit_with(&server);
    thread::Builder::new().name("server".into()).spawn(watch).context("starting a thread")?;
    Ok(socket)
}

/// Calls `change` whenever the server has told this child how to serve from now on, `close_doors`
/// when it has told it nothing at all, and `begin_drain` once it has ended the input.
pub(crate) fn obey(
    mut socket: Socket,
    change: impl Fn(Vec<OsString>) + Send + 'static,
    close_doors: impl Fn() -> io::Result<()> + Send + 'static,
    begin_drain: impl FnOnce() -> io::Result<()> + Send + 'static,
) -> io::Result<()> {
    let wait = move || {
        // A server that is gone has ended it, too.
        while let Ok(Some(arguments)) = inheritance::receive_arguments(&mut socket) {
            if !arguments.is_empty() {
                change(arguments);
            } else if let Err(error) = close_doors() {
                error!("the listening sockets were not closed: {error}");
            }
        }
        if let Err(error) = begin_drain() {
            error!("the drain could not begin: {error}");
        }
    };
    thread::Builder::new().name("orders".into()).spawn(wait).map(drop)
}

fn ignore_signals() -> io::Result<()> {
    let ignored = Arc::new(AtomicBool::new(false));
    flag::register(SIGHUP, Arc::clone(&ignored))?;
    flag::register(SIGTERM, Arc::clone(&ignored))?;
    flag::register(SIGINT, ignored)?;
    Ok(())
}

#[expect(clippy::exit, reason = "whatever this process is at, nobody waits for it any more")]
fn exit_with(server: &Socket) {
    if wait_for_hang_up(server, None).is_ok() {
        process::exit(0);
    }
}

/// Returns once the process at the other end is gone, or has said that it is done and this one has
/// too; at the latest after that time.
fn wait_for_hang_up(socket: &impl AsFd, timeout: Option<Duration>) -> Result<(), Errno> {
    // A hang-up is reported without being asked for.
    let mut events = [PollFd::new(socket, PollFlags::empty())];
    let timeout = timeout.and_then(|it| Timespec::try_from(it).ok());
    retry_on_intr(|| poll(&mut events, timeout.as_ref())).map(drop)
}

/// The program was started by another name, `/proc/self/exe`.
fn name_process() {
    #[cfg(target_os = "linux")]
    let _ = rustix::thread::set_name(c"fib-server");
}
