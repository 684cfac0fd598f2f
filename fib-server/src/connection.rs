//! The clients: how many there are, and how to reach all of them when the server must stop.

use std::{
    collections::HashMap,
    mem,
    net::Shutdown,
    num::NonZeroU64,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    process::{Resource, Rlimit, getrlimit, setrlimit},
};
use socket2::Socket;
use tracing::{debug, warn};

use crate::{
    access::Standing,
    counters::{Counters, Origin},
    farewell::{Farewells, Leaving},
    peer::Peer,
    progress::{Progress, Verdict},
    reaper::{self, Sight, Timeouts, Watched},
    rejection::Rejection,
    session::Session,
    settings::{InForce, Settings},
    telemetry::Seldom,
    tls,
};

/// Descriptors that are no client's: listeners, logs, wake-ups, a runtime's own.
const OWN_DESCRIPTORS: u64 = 64;

/// How much of a connection's output the kernel takes; it counts twice as much, for its own needs.
/// Left to itself it takes megabytes, asks for more when a third of them is gone, and a client that
/// reads slowly looks like one that does not read.
const KERNEL_OUTPUT: usize = 128 * 1024;

/// How much output a connection may have that does not count for `--max-output`: for short answers
/// it makes no difference, and the count is one that all threads share.
const FREE_OUTPUT: u64 = 16 * 1024;

/// One client: its socket and its conversation. Dropping it closes both and counts them.
#[derive(Debug)]
pub struct Connection {
    /// The socket, shared with the registry that ends its input in a drain.
    pub socket: Arc<Socket>,
    /// The conversation.
    pub session: Session,
    /// Who the client is, for the log.
    pub peer: Peer,
    /// Whether a proxy is yet to say who the client is.
    pub(crate) standing: Standing,
    id: u64,
    /// Its place among those from its address, if they are limited.
    place: Option<usize>,
    connections: Arc<Connections>,
}

/// Whoever waits for an answer, as those see it who compute it.
#[derive(Clone, Debug)]
pub struct Client(Arc<Socket>);

impl Connection {
    /// For whom this connection's requests are computed.
    #[must_use]
    pub fn client(&self) -> Client {
        Client::new(Arc::clone(&self.socket))
    }

    /// Counts what has been answered since the last time. To be called once for many answers,
    /// before they are sent: whoever has one finds it counted.
    pub fn count_answers(&mut self) {
        self.connections.counters.count(self.id, self.session.take_counts());
    }
}

impl Connection {
    /// Counts the output, as far as it is large, for what all clients may be owed.
    pub(crate) fn hold_output(&self) {
        let len = self.session.output().len() as u64;
        if len > FREE_OUTPUT {
            self.connections.hold(self.session.progress(), len);
        }
    }

    /// Counts an answer of this length before it is computed; whether there is room for it.
    #[must_use]
    pub(crate) fn reserve_output(&self, len: u64) -> bool {
        let progress = self.session.progress();
        let len = len.saturating_add(self.session.output().len() as u64);
        if len <= FREE_OUTPUT {
            return true;
        }
        self.connections.hold(progress, len);
        let Connections { counters, settings, .. } = &*self.connections;
        let has_room = counters.output() <= settings.load().limits.max_output;
        if !has_room {
            self.release_output();
        }
        has_room
    }

    /// Gives back what was counted: all of it is sent.
    pub(crate) fn release_output(&self) {
        if self.session.progress().held() > 0 {
            self.connections.hold(self.session.progress(), 0);
        }
    }
}

impl Connection {
    /// Counts it for the address that it comes from, once; whether there may be one more from
    /// there. If not, its client is told so, and it is to end.
    pub(crate) fn count_for(&mut self, peer: Peer) -> bool {
        let Some(max) = self.connections.limits().max_per_address else { return true };
        let Some(origin) = Origin::new(peer) else { return true };
        self.place = self.connections.counters.open_from(origin, max.get());
        if self.place.is_none() {
            self.connections.refuse(&self.socket, peer, Rejection::BusyForAddress);
        }
        self.place.is_some()
    }

    /// Takes note that the kernel has given it up, because its client took nothing for too long.
    pub(crate) fn count_given_up(&self) {
        // Unless it was given up twice.
        if self.session.progress().verdict().is_none() {
            self.connections.counters.timed_out(Verdict::Write);
        }
    }
}

impl Client {
    pub(crate) const fn new(socket: Arc<Socket>) -> Self {
        Self(socket)
    }

    /// Whether nobody can read an answer any more: the connection was reset, or is closed in both
    /// directions. A half-close is no sign of that: the client has sent all it wanted, and reads.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        // Errors and hang-ups are reported without being asked for.
        let mut events = [PollFd::new(&self.0, PollFlags::empty())];
        let gone = PollFlags::ERR | PollFlags::HUP;
        poll(&mut events, Some(&Timespec::default())).is_ok()
            && events[0].revents().intersects(gone)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.connections.counters.count(self.id, self.session.final_counts());
        self.release_output();
        if let Some(place) = self.place {
            self.connections.counters.close_from(place);
        }
        self.connections.close(self.id);
    }
}

/// What clients may take.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionLimits {
    /// How many there may be.
    pub max_connections: usize,
    /// How many of them from one address, if that is limited.
    pub max_per_address: Option<NonZeroU64>,
    /// How many bytes of large answers all of them may be owed.
    pub max_output: u64,
    /// How long they may keep the server waiting.
    pub timeouts: Timeouts,
}

impl ConnectionLimits {
    /// For so many clients that may take what they want.
    pub(crate) fn none(max_connections: usize) -> Self {
        let (max_per_address, timeouts) = (None, Timeouts::default());
        Self { max_connections, max_per_address, max_output: u64::MAX, timeouts }
    }
}

/// The clients that are connected now, and the count of those that were.
#[derive(Debug)]
pub struct Connections {
    settings: InForce,
    counters: Arc<Counters>,
    registry: Mutex<Registry>,
    /// What is logged of those that are not served, by why.
    refusals: [Seldom; Rejection::ALL.len()],
    /// Told when the first one comes.
    changed: Condvar,
    farewells: Farewells,
}

#[derive(Debug, Default)]
struct Registry {
    open: HashMap<u64, Open>,
    next_id: u64,
    draining: bool,
    /// Somebody sleeps until there is a client.
    is_awaited: bool,
    has_ended: bool,
}

#[derive(Debug)]
struct Open {
    /// Weak, so that a socket closes when its connection ends and not a lock later.
    socket: Weak<Socket>,
    progress: Arc<Progress>,
    sight: Sight,
}

impl Connections {
    pub(crate) fn new(settings: Settings, counters: Arc<Counters>) -> Self {
        Self {
            settings: InForce::new(settings),
            counters,
            registry: Mutex::default(),
            refusals: [const { Seldom::new() }; Rejection::ALL.len()],
            changed: Condvar::new(),
            farewells: Farewells::default(),
        }
    }

    /// The settings in force.
    pub(crate) const fn settings(&self) -> &InForce {
        &self.settings
    }

    /// What they may take now.
    pub(crate) fn limits(&self) -> ConnectionLimits {
        self.settings.load().limits
    }

    /// How many clients and requests there were, and are.
    pub(crate) fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Makes a connection of an accepted socket; `None` for one too many, which is told so.
    pub(crate) fn admit(
        self: &Arc<Self>,
        socket: Socket,
        peer: Peer,
        standing: Standing,
        mut session: Session,
    ) -> Option<Connection> {
        let limits = self.limits();
        limit_kernel(&socket, limits.timeouts.write);
        let socket = Arc::new(socket);
        let Some(id) = self.open(&socket, &mut session, &limits) else {
            self.refuse(&socket, peer, Rejection::Busy);
            return None;
        };
        let (place, connections) = (None, Arc::clone(self));
        let mut connection = Connection { socket, session, peer, standing, id, place, connections };
        // For whom a proxy speaks is not known yet.
        let has_room = standing == Standing::Proxy || connection.count_for(peer);
        has_room.then_some(connection)
    }

    /// Does not serve a client: says why, if it is to know, without ever waiting for it.
    pub(crate) fn refuse(&self, socket: &Arc<Socket>, peer: Peer, why: Rejection) {
        self.counters.refuse(why);
        let reason = why.reason();
        if let Some(unlogged) = self.refusals[why as usize].ask(Instant::now()) {
            warn!(%peer, reason, unlogged, "refused");
        } else {
            debug!(%peer, reason, "refused");
        }
        let settings = self.settings.load();
        let line = why.line(&settings.limits);
        // Who expects TLS would not understand it, and nobody else is to read it.
        let word = if settings.tls.is_some() && !line.is_empty() { tls::REFUSAL } else { &line };
        match Leaving::begin(socket, word) {
            Ok(leaving) if why.can_wait() => self.farewells.wait_for(leaving),
            Ok(mut leaving) => drop(leaving.is_over()),
            Err(error) => debug!(%peer, "the refusal was not sent: {error}"),
        }
    }

    /// Closes without a further word, but so that the client can read the last one.
    pub(crate) fn leave(&self, socket: &Arc<Socket>) {
        if let Ok(leaving) = Leaving::begin(socket, &[]) {
            self.farewells.wait_for(leaving);
        }
    }

    /// Registers a socket and names it; `None` when there are too many.
    fn open(
        &self,
        socket: &Arc<Socket>,
        session: &mut Session,
        limits: &ConnectionLimits,
    ) -> Option<u64> {
        if !self.counters.open(limits.max_connections as u64) {
            return None;
        }
        session.await_input();
        let progress = Arc::clone(session.progress());
        let sight = Sight::new(session.received_at());
        let mut registry = self.registry();
        let id = registry.next_id;
        registry.next_id += 1;
        registry.open.insert(id, Open { socket: Arc::downgrade(socket), progress, sight });
        if mem::take(&mut registry.is_awaited) {
            self.changed.notify_all();
        }
        if registry.draining {
            end_input(socket);
        }
        Some(id)
    }

    fn close(&self, id: u64) {
        self.registry().open.remove(&id);
        self.counters.close();
    }

    pub(crate) fn end_input_of_all(&self) {
        let mut registry = self.registry();
        if !mem::replace(&mut registry.draining, true) {
            let sockets = registry.open.values().filter_map(|it| it.socket.upgrade());
            sockets.for_each(|socket| end_input(&socket));
        }
    }

    /// Ends those that keep the server waiting for too long.
    pub(crate) fn reap(&self, now: Instant) {
        let ConnectionLimits { timeouts, max_output, .. } = self.limits();
        let mut registry = self.registry();
        let open = registry.open.values_mut();
        let all = open.map(|Open { socket, progress, sight }| Watched { socket, progress, sight });
        let too_much = self.counters.output().saturating_sub(max_output);
        reaper::reap(all, &timeouts, too_much, now, |verdict| self.counters.timed_out(verdict));
    }

    /// Sleeps for a while, or as long as there is no client; whether it is to go on.
    pub(crate) fn pause_reaping(&self, pause: Duration) -> bool {
        let registry = self.registry();
        let pause = self.changed.wait_timeout_while(registry, pause, |it| !it.has_ended);
        let (registry, _) = pause.unwrap_or_else(PoisonError::into_inner);
        let nobody = |it: &mut Registry| {
            it.is_awaited = it.open.is_empty() && !it.has_ended;
            it.is_awaited
        };
        let registry = self.changed.wait_while(registry, nobody);
        !registry.unwrap_or_else(PoisonError::into_inner).has_ended
    }

    pub(crate) fn end_reaping(&self) {
        self.registry().has_ended = true;
        self.changed.notify_all();
    }

    /// Has a connection's output count as so many bytes.
    fn hold(&self, progress: &Progress, bytes: u64) {
        // Only its own conversation changes what one holds.
        self.counters.hold_output(progress.held(), bytes);
        progress.set_held(bytes);
    }

    /// A panic elsewhere cannot leave it half-changed, so a poisoned lock is a good one.
    fn registry(&self) -> MutexGuard<'_, Registry> {
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Sets how much the kernel may keep for a client, and for how long.
fn limit_kernel(socket: &Socket, write_timeout: Option<Duration>) {
    // Where it fails, the kernel has limits of its own.
    let _ = socket.set_send_buffer_size(KERNEL_OUTPUT);
    if let Some(limit) = write_timeout {
        // For what the kernel has taken over, it waits in our place. It fails for Unix sockets,
        // which need no such thing.
        let _ = socket.set_tcp_user_timeout(Some(limit));
    }
}

/// Wakes whoever reads from this socket. The kernel still hands out what it had received, and
/// then reports the end of input, to blocking and to readiness loops alike.
fn end_input(socket: &Socket) {
    // It fails for a client that is gone already, which is an end of input too.
    let _ = socket.shutdown(Shutdown::Read);
}

/// Makes room for so many clients, and others, in the table of descriptors, as far as the system
/// allows.
pub(crate) fn reserve_descriptors(max_connections: usize, others: usize) -> Result<()> {
    let wanted = u64::try_from(max_connections.saturating_add(others))?;
    let wanted = wanted.saturating_add(OWN_DESCRIPTORS);
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|current| current >= wanted) {
        return Ok(());
    }
    let allowed = limit.maximum.map_or(wanted, |maximum| maximum.min(wanted));
    let raised = Rlimit { current: Some(allowed), maximum: limit.maximum };
    setrlimit(Resource::Nofile, raised).context("raising the limit of open files")?;
    if allowed < wanted {
        warn!(allowed, wanted, "the limit of open files (ulimit -Hn) is under --max-connections");
    }
    Ok(())
}
