//! A server that must not lose sight of anything.

use std::{
    fmt, fs,
    path::{Path, PathBuf},
    process::Command,
    sync::{Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use fastrand::Rng;
use fib_client::{Connection, Options};
use procfs::process::{Process, Stat};
use rustix::process::{Pid, Signal, kill_process};

use super::{model::MAX_N, tls::Tls};
use crate::{
    bench::Counters,
    build::target_folder,
    peers::{COMPUTES, STRATEGIES},
    server::Server,
    tools::skip,
};

/// How long a server may take to be at rest.
const PATIENCE: Duration = Duration::from_secs(30);

const GLANCE: Duration = Duration::from_millis(20);

/// How long clients have at least to end by themselves once another process serves.
const GRACE: Duration = Duration::from_secs(1);

/// For how many glances nothing must change before nothing does.
const STILL: usize = 10;

/// The strategies that speak TLS, too.
const TLS_STRATEGIES: [&str; 2] = ["tokio-tasks", "thread-per-core"];

/// How a server serves: who owns its sockets, who computes, and whether that is encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Way {
    pub(super) strategy: &'static str,
    pub(super) compute: &'static str,
    over_tls: bool,
}

/// A server that runs.
#[derive(Debug)]
pub(super) struct Subject {
    pub(super) way: Way,
    server: Server,
    /// Where it is watched.
    admin: String,
    /// The file of its settings.
    config: PathBuf,
    tls: Option<Tls>,
    before: Footprint,
    restarts: Mutex<Vec<Restart>>,
}

/// When another process took its place.
#[derive(Clone, Copy, Debug)]
struct Restart {
    /// The earliest time at which the old one drained.
    drain: Instant,
    /// When that was gone.
    end: Option<Instant>,
}

/// What a server and its children hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Footprint {
    processes: usize,
    threads: i64,
    descriptors: usize,
}

impl Way {
    /// All there are, in the same order at any time.
    pub(super) fn all() -> impl Iterator<Item = Self> {
        let of = |strategies: &'static [&str], over_tls| {
            let way = move |strategy| COMPUTES.map(|compute| Self { strategy, compute, over_tls });
            strategies.iter().copied().flat_map(way)
        };
        of(&STRATEGIES, false).chain(of(&TLS_STRATEGIES, true))
    }

    /// How many clients it is given at once.
    pub(super) fn clients(self) -> u64 {
        if self.strategy == "sequential" { 1 } else { 8 }
    }

    /// How many threads or processes compute.
    fn workers(self) -> Result<u64> {
        let nobody = self.compute == "inline" && self.strategy != "prefork";
        Ok(if nobody { 0 } else { thread::available_parallelism()?.get() as u64 })
    }

    /// A file of its own, with this extension.
    fn file(self, extension: &str) -> PathBuf {
        let Self { strategy, compute, over_tls } = self;
        let suffix = if over_tls { "-tls" } else { "" };
        target_folder().join(format!("soak/{strategy}-{compute}{suffix}.{extension}"))
    }

    fn command(self, server: &Path) -> Command {
        let mut command = Command::new(server);
        command.args(["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]);
        command.args(["--strategy", self.strategy, "--compute", self.compute]);
        command.args(["--max-n", &MAX_N.to_string()]);
        command.arg("--config").arg(self.file("toml"));
        if self.over_tls {
            command.arg("--tls-cert").arg(self.file("pem"));
            command.arg("--tls-key").arg(self.file("key"));
        }
        for flag in ["--idle-timeout", "--line-timeout", "--write-timeout"] {
            command.args([flag, "1s"]);
        }
        command
    }
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { strategy, compute, over_tls } = self;
        write!(f, "{strategy} + {compute}{}", if *over_tls { " over TLS" } else { "" })
    }
}

impl Subject {
    /// Starts it, and has everything done once that is done when it is first needed. `None` where
    /// this machine cannot have it.
    pub(super) fn start(way: Way, program: &Path) -> Result<Option<Self>> {
        let config = way.file("toml");
        fs::create_dir_all(config.parent().context("it lies in a folder")?)?;
        fs::write(&config, "")?;
        let certify = || Tls::certify(way.file("pem"), &way.file("key"));
        let tls = way.over_tls.then(certify).transpose()?;
        if let Some(refusal) = Server::refusal(way.command(program))? {
            return skip(&way.to_string(), &refusal).map(|()| None);
        }
        let mut server = Server::start_logged(way.command(program), &way.file("log"))?;
        let admin = server.next_line("admin on ")?;
        let nothing = Footprint { processes: 0, threads: 0, descriptors: 0 };
        let restarts = Mutex::default();
        let mut subject = Self { way, server, admin, config, tls, before: nothing, restarts };
        subject.ask_for_the_most()?;
        subject.wait_until_idle()?;
        subject.before = subject.still_footprint()?;
        Ok(Some(subject))
    }

    pub(super) fn address(&self) -> &str {
        self.server.address()
    }

    pub(super) const fn tls(&self) -> Option<&Tls> {
        self.tls.as_ref()
    }

    pub(super) fn rss_bytes(&self) -> Result<u64> {
        Ok(self.server.usage()?.rss_bytes)
    }

    /// Kills one of its children, if it has any; whether it had.
    pub(super) fn kill_a_child(&self, rng: &mut Rng) -> Result<bool> {
        let children: Vec<Stat> = self.server.tree()?.into_iter().skip(1).collect();
        let Some(child) = rng.choice(&children) else { return Ok(false) };
        let pid = Pid::from_raw(child.pid).context("a child has a number")?;
        // It may have been somebody's who has just been killed.
        Ok(kill_process(pid, Signal::KILL).is_ok())
    }

    /// Has it read other settings, and waits until they are in force.
    pub(super) fn reload(&self, rng: &mut Rng) -> Result<()> {
        let max_connections = rng.u64(1_000..10_000);
        fs::write(&self.config, format!("max-connections = {max_connections}\n"))?;
        self.server.signal(Signal::HUP)?;
        self.wait_until(&[("fib_connections_max", max_connections)])
    }

    /// Has another process take its place, and waits until the one that served is gone.
    pub(super) fn restart(&self) -> Result<()> {
        let at = {
            let mut restarts = self.restarts();
            restarts.push(Restart { drain: Instant::now() + GRACE, end: None });
            restarts.len() - 1
        };
        self.server.restart()?;
        self.restarts()[at].end = Some(Instant::now());
        self.wait_until(&[(r#"fib_restarts_total{outcome="ok"}"#, at as u64 + 1)])
    }

    /// From when on a process may have drained that has let somebody in at this time or later.
    pub(super) fn drain_after(&self, time: Instant) -> Option<Instant> {
        let was_there = |it: &&Restart| it.end.is_none_or(|end| end >= time);
        self.restarts().iter().find(was_there).map(|it| it.drain)
    }

    /// Nothing panics while it is locked.
    fn restarts(&self) -> MutexGuard<'_, Vec<Restart>> {
        self.restarts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What takes most of the memory, for as many clients as there will be.
    fn ask_for_the_most(&self) -> Result<()> {
        let address = self.address().parse()?;
        let tls = self.tls.as_ref().map(Tls::client).transpose()?;
        let options = Options { tls, ..Options::default() };
        thread::scope(|scope| {
            for _ in 0..self.way.clients() {
                // On a busy machine a client may be too late for the timeouts; this is no test.
                scope.spawn(|| Connection::open(&address, options.clone())?.ask(MAX_N));
            }
        });
        Ok(())
    }

    /// Once all clients are gone: every connection and request is accounted for, and nothing is
    /// held that was not held before.
    pub(super) fn check_rest(&self) -> Result<()> {
        self.wait_until_idle()?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            let now = self.footprint()?;
            if now == self.before {
                return Ok(());
            }
            ensure!(Instant::now() < deadline, "it holds {now:?}; {:?} before", self.before);
            thread::sleep(GLANCE);
        }
    }

    /// The same, and it ends in order.
    pub(super) fn finish(self) -> Result<()> {
        self.check_rest()?;
        for counted in self.server.stop_and_count_each()? {
            let Counters { accepted, closed, requests, ok, err, cancelled } = counted;
            let is_complete = accepted == closed && requests == ok + err + cancelled;
            ensure!(is_complete, "it counts {counted:?}");
        }
        Ok(())
    }

    fn wait_until_idle(&self) -> Result<()> {
        self.wait_until(&[
            ("fib_connections_open", 0),
            ("fib_jobs_in_flight", 0),
            ("fib_workers", self.way.workers()?),
        ])
    }

    /// Waits until these metrics have these values.
    fn wait_until(&self, wanted: &[(&str, u64)]) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let metrics = self.metrics()?;
            let is = |name: &str| {
                let mut values = metrics.lines().filter_map(|line| line.strip_prefix(name));
                values.find_map(|value| value.trim().parse::<u64>().ok())
            };
            let other = wanted.iter().find(|(name, value)| is(name) != Some(*value));
            let Some((name, value)) = other else { return Ok(()) };
            if Instant::now() >= deadline {
                bail!("{name} is {:?} and not {value}", is(name));
            }
            thread::sleep(GLANCE);
        }
    }

    fn metrics(&self) -> Result<String> {
        let mut response = ureq::get(format!("http://{}/metrics", self.admin)).call()?;
        Ok(response.body_mut().read_to_string()?)
    }

    fn footprint(&self) -> Result<Footprint> {
        let tree = self.server.tree()?;
        let descriptors = |it: &Stat| Process::new(it.pid).and_then(|it| it.fd_count());
        Ok(Footprint {
            processes: tree.len(),
            threads: tree.iter().map(|it| it.num_threads).sum(),
            // One that is gone has none.
            descriptors: tree.iter().filter_map(|it| descriptors(it).ok()).sum(),
        })
    }

    /// Once it has stopped changing: what was begun may still be ending.
    fn still_footprint(&self) -> Result<Footprint> {
        let deadline = Instant::now() + PATIENCE;
        let mut footprint = self.footprint()?;
        let mut times_seen = 0;
        while times_seen < STILL {
            thread::sleep(GLANCE);
            let now = self.footprint()?;
            times_seen = if now == footprint { times_seen + 1 } else { 0 };
            footprint = now;
            ensure!(Instant::now() < deadline, "what it holds changes on and on");
        }
        Ok(footprint)
    }
}
