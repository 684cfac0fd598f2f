//! The clients: how many there are, and how to reach all of them when the server must stop.

use std::{
    collections::HashMap,
    io::{self, Read},
    mem,
    net::Shutdown,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use anyhow::{Context as _, Result};
use fib_proto::{ErrorCode, encode_error};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    process::{Resource, Rlimit, getrlimit, setrlimit},
};
use socket2::Socket;
use tracing::{debug, warn};

use crate::{
    counters::Counters,
    session::{CHUNK_LEN, Session},
};

/// Descriptors that are no client's: listeners, logs, wake-ups, a runtime's own.
const OWN_DESCRIPTORS: u64 = 64;

/// One client: its socket and its conversation. Dropping it closes both and counts them.
#[derive(Debug)]
pub struct Connection {
    /// The socket, shared with the registry that ends its input in a drain.
    pub socket: Arc<Socket>,
    /// The conversation.
    pub session: Session,
    /// Who the client is, for the log.
    pub peer: String,
    id: u64,
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
        self.connections.close(self.id);
    }
}

/// The clients that are connected now, and the count of those that were.
#[derive(Debug)]
pub struct Connections {
    max: usize,
    counters: Arc<Counters>,
    registry: Mutex<Registry>,
}

#[derive(Debug, Default)]
struct Registry {
    /// Weak, so that a socket closes when its connection ends and not a lock later.
    open: HashMap<u64, Weak<Socket>>,
    next_id: u64,
    draining: bool,
}

impl Connections {
    pub(crate) fn new(max: usize, counters: Arc<Counters>) -> Self {
        Self { max, counters, registry: Mutex::default() }
    }

    /// How many there may be.
    pub(crate) const fn max(&self) -> usize {
        self.max
    }

    /// How many clients and requests there were, and are.
    pub(crate) fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Makes a connection of an accepted socket; `None` for one too many, which is told so.
    pub(crate) fn admit(
        self: &Arc<Self>,
        socket: Socket,
        peer: String,
        session: Session,
    ) -> Option<Connection> {
        let socket = Arc::new(socket);
        if let Some(id) = self.open(&socket) {
            return Some(Connection { socket, session, peer, id, connections: Arc::clone(self) });
        }
        debug!(peer, max = self.max, "refused: too many connections");
        if let Err(error) = self.refuse(&socket) {
            debug!(peer, "the refusal was not sent: {error}");
        }
        None
    }

    /// Registers a socket and names it; `None` when there are too many.
    fn open(&self, socket: &Arc<Socket>) -> Option<u64> {
        if !self.counters.open(self.max as u64) {
            return None;
        }
        let mut registry = self.registry();
        let id = registry.next_id;
        registry.next_id += 1;
        registry.open.insert(id, Arc::downgrade(socket));
        if registry.draining {
            end_input(socket);
        }
        Some(id)
    }

    /// Says `ERR busy` and closes, without ever waiting for the client.
    fn refuse(&self, socket: &Socket) -> io::Result<()> {
        let mut line = Vec::new();
        let max = self.max;
        let text = format!("{max} clients are connected; --max-connections raises the limit");
        encode_error(ErrorCode::Busy, &text, &mut line);
        socket.set_nonblocking(true)?;
        socket.send(&line)?;
        socket.shutdown(Shutdown::Write)?;
        discard_received(socket)
    }

    fn close(&self, id: u64) {
        self.registry().open.remove(&id);
        self.counters.close();
    }

    pub(crate) fn end_input_of_all(&self) {
        let mut registry = self.registry();
        if !mem::replace(&mut registry.draining, true) {
            registry.open.values().filter_map(Weak::upgrade).for_each(|socket| end_input(&socket));
        }
    }

    /// A panic elsewhere cannot leave it half-changed, so a poisoned lock is a good one.
    fn registry(&self) -> MutexGuard<'_, Registry> {
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Wakes whoever reads from this socket. The kernel still hands out what it had received, and
/// then reports the end of input, to blocking and to readiness loops alike.
fn end_input(socket: &Socket) {
    // It fails for a client that is gone already, which is an end of input too.
    let _ = socket.shutdown(Shutdown::Read);
}

/// Reads away what has come: closing a socket with unread bytes would reset the connection, and
/// could take the reply from under the client.
fn discard_received(mut socket: &Socket) -> io::Result<()> {
    // Enough for an honest client's first requests, and no more of this thread's time.
    let mut discarded = [0; CHUNK_LEN];
    match socket.read(&mut discarded) {
        Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
        _ => Ok(()),
    }
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
