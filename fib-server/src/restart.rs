//! SIGUSR2: the server starts its successor, the program that its file is by now, hands it all
//! listening sockets, and stops once that process serves. No socket is ever closed, so clients who
//! wait in its queue are let in by either of the two.
//!
//! They talk over a pair of sockets, which is the successor's stdin. The server says what it hands
//! over: its strategy, and for each address the number of its sockets and what it was asked for.
//! The successor says one byte when it has served. Then the server hangs up, whereby it is gone for
//! the successor, and lets its own clients finish.

use std::{
    env,
    io::{self, Read, Write},
    iter,
    os::fd::{AsFd, OwnedFd},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Error, Result, bail, ensure};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::retry_on_intr,
};
use signal_hook::{consts::SIGUSR2, iterator::Signals};
use socket2::Socket;
use tracing::{error, info};

use crate::{
    child::Child,
    context::Context,
    entrance::Entrance,
    inheritance,
    listener::{Handle, Listener},
    self_check::SelfCheck,
    shutdown::{Latch, Stop},
    strategy::StrategyKind,
    systemd,
};

/// How long a successor may take until it serves.
const PATIENCE: Duration = Duration::from_secs(30);

/// How often it is looked whether it need not any more.
const TICK: Duration = Duration::from_millis(50);

/// How often servers have followed each other here, and how often one could not be followed.
#[derive(Debug, Default)]
pub(crate) struct Restarts {
    ok: AtomicU64,
    failed: AtomicU64,
}

impl Restarts {
    /// Those that have succeeded, this process's predecessors' included, and the others.
    pub(crate) fn counts(&self) -> (u64, u64) {
        (self.ok.load(Relaxed), self.failed.load(Relaxed))
    }
}

/// What it takes to be succeeded.
pub(crate) struct Handover {
    context: Arc<Context>,
    strategy: StrategyKind,
    program: PathBuf,
    /// What each of the sockets was asked for, and who has them.
    entrances: Vec<(String, Vec<Handle>)>,
    /// Has the admin endpoint left to the successor.
    close_admin: Arc<Latch>,
    stop: Stop,
}

impl Handover {
    /// Of these sockets.
    pub(crate) fn new<'a>(
        context: &Arc<Context>,
        strategy: StrategyKind,
        entrances: impl Iterator<Item = &'a Entrance>,
        close_admin: Arc<Latch>,
        stop: Stop,
    ) -> Result<Self> {
        let handles = |it: &Entrance| it.listeners.iter().map(Listener::handle).collect();
        Ok(Self {
            context: Arc::clone(context),
            strategy,
            // By now: when the file is replaced, the kernel knows it by another name.
            program: env::current_exe().context("finding this program")?,
            entrances: entrances.map(|it| (it.origin.clone(), handles(it))).collect(),
            close_admin,
            stop,
        })
    }

    /// Begins whenever SIGUSR2 comes.
    pub(crate) fn on_signal(self) -> io::Result<()> {
        let mut signals = Signals::new([SIGUSR2])?;
        let wait = move || {
            for _ in signals.forever() {
                if let Err(error) = self.begin() {
                    self.context.restarts().failed.fetch_add(1, Relaxed);
                    error!("the server goes on without a successor: {error:#}");
                }
            }
        };
        thread::Builder::new().name("restart".into()).spawn(wait).map(drop)
    }

    fn begin(&self) -> Result<()> {
        self.must_not_stop()?;
        let path = self.program.display();
        info!("starting a successor: {path}");
        let successor = Child::start_successor(&self.program);
        let mut successor = successor.with_context(|| format!("starting {path}"))?;
        if let Err(error) = self.send_to(&successor) {
            ensure!(!is_hang_up(&error), "the successor has given up: {}", successor.kill());
            return Err(error.context("handing over the sockets"));
        }
        self.wait_until_served_by(&mut successor)?;
        let pid = successor.pid().as_raw_nonzero().get();
        systemd::tell_successor(pid.unsigned_abs());
        for (_, handles) in &self.entrances {
            handles.iter().for_each(Handle::leave_file);
        }
        // Where nobody is here, this process ends with the next line.
        info!(successor = pid, "another process serves: who is still here is served to the end");
        self.context.hand_over().context("closing the listening sockets")?;
        self.close_admin.fire().context("closing the admin port")?;
        self.stop.succeeded();
        successor.release();
        Ok(())
    }

    fn must_not_stop(&self) -> Result<()> {
        ensure!(!self.context.is_stopping(), "the server is stopping");
        Ok(())
    }

    fn send_to(&self, successor: &Child) -> Result<()> {
        successor.socket().set_write_timeout(Some(PATIENCE))?;
        let sockets = self.entrances.iter().flat_map(|(_, handles)| handles);
        let sockets = sockets.map(|it| it.socket().context("a listening socket is closed"));
        let sockets = sockets.collect::<Result<Vec<_>>>()?;
        let entrances = self.entrances.iter();
        let entrances = entrances.map(|(origin, handles)| format!("{} {origin}", handles.len()));
        let told = iter::once(self.strategy.to_string()).chain(entrances);
        inheritance::send_arguments(successor.socket(), told)?;
        let number = usize::try_from(self.context.restarts().ok.load(Relaxed))?;
        let descriptors: Vec<_> = sockets.iter().map(AsFd::as_fd).collect();
        Ok(inheritance::send(successor.socket(), number, &descriptors)?)
    }

    fn wait_until_served_by(&self, successor: &mut Child) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let mut events = [PollFd::new(successor.socket(), PollFlags::IN)];
            let tick = Timespec::try_from(TICK).unwrap_or_default();
            if retry_on_intr(|| poll(&mut events, Some(&tick)))? > 0 {
                return match successor.socket().read(&mut [0]) {
                    Ok(1) => Ok(()),
                    _ => bail!("the successor has given up: {}", successor.kill()),
                };
            }
            self.must_not_stop()?;
            ensure!(Instant::now() < deadline, "the successor does not serve within {PATIENCE:?}");
        }
    }
}

fn is_hang_up(error: &Error) -> bool {
    let kind = error.downcast_ref::<io::Error>().map(io::Error::kind);
    matches!(kind, Some(io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset))
}

/// The server that has started this process, which is to take its place.
pub(crate) struct Predecessor {
    socket: Socket,
    /// How many servers there were before this process.
    number: u64,
    entrances: Vec<(String, Vec<OwnedFd>)>,
}

impl Predecessor {
    /// Takes what it hands over.
    pub(crate) fn meet(strategy: StrategyKind) -> Result<Self> {
        let socket = io::stdin().as_fd().try_clone_to_owned().context("duplicating stdin")?;
        let mut socket = Socket::from(socket);
        let told = inheritance::receive_arguments(&mut socket);
        let told = told.context("stdin is not a server's socket: --role is for its children")?;
        let mut told = told.into_iter().flatten().filter_map(|it| it.into_string().ok());
        let before = told.next().context("the server has said nothing")?;
        // Those with a ring have their sockets blocking, and the others must not.
        ensure!(
            before == strategy.to_string(),
            "it takes a stop and a start to change --strategy {before} to {strategy}"
        );
        let (number, descriptors) = inheritance::receive(&socket)?;
        let mut descriptors = descriptors.into_iter();
        let entrances = told.map(|entrance| {
            let (count, origin) = entrance.split_once(' ').context("it is no entrance")?;
            Ok((origin.to_owned(), descriptors.by_ref().take(count.parse()?).collect()))
        });
        let entrances = entrances.collect::<Result<_>>()?;
        Ok(Self { socket, number: number as u64 + 1, entrances })
    }

    /// The sockets that it had for this.
    pub(crate) fn take(&mut self, origin: &str) -> Option<Vec<OwnedFd>> {
        let at = self.entrances.iter().position(|(it, _)| it == origin)?;
        Some(self.entrances.remove(at).1)
    }

    /// All that it had for something that begins so.
    pub(crate) fn take_all(&mut self, prefix: &str) -> Vec<(String, Vec<OwnedFd>)> {
        self.entrances.extract_if(.., |(origin, _)| origin.starts_with(prefix)).collect()
    }

    /// Tells it once this process serves, and a manager of services when it has made way.
    pub(crate) fn relieve(self, check: SelfCheck, context: &Arc<Context>) -> io::Result<()> {
        let context = Arc::clone(context);
        context.restarts().ok.store(self.number, Relaxed);
        let mut socket = self.socket;
        let relieve = move || {
            check.wait_until_served();
            // It may be gone already; then there is nobody to wait for.
            let _ = socket.write(b"!");
            let _ = socket.read(&mut [0]);
            info!("the server that was here before has made way");
            if let Err(error) = systemd::report(check, context) {
                error!("the manager of services is told nothing: {error}");
            }
        };
        thread::Builder::new().name("successor".into()).spawn(relieve).map(drop)
    }
}
