//! What all strategies share: the limits, the way to compute, the clients, and the end.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use arc_swap::Guard;
use socket2::Socket;
use tracing::{Span, field::Empty, info_span};

use crate::{
    access::Standing,
    compute::Compute,
    connection::{Connection, Connections},
    counters::Counters,
    peer::Peer,
    progress::Verdict,
    rejection::Rejection,
    reload::Reloads,
    reserve::Reserve,
    restart::Restarts,
    session::{InputEnd, Session},
    settings::Settings,
    shutdown::Latch,
    tls::Tls,
};

/// What every strategy is given.
#[derive(Debug)]
pub struct Context {
    strategy: String,
    compute: Compute,
    busy_poll: Option<Duration>,
    connections: Arc<Connections>,
    reloads: Reloads,
    reserve: Reserve,
    restarts: Restarts,
    is_stopping: AtomicBool,
    has_successor: AtomicBool,
    latch: Latch,
    draining: Latch,
}

impl Context {
    /// A server without clients yet. The strategy's name is for the log.
    ///
    /// # Errors
    ///
    /// Where the system has no pipe left for the latch.
    pub fn new(
        strategy: String,
        compute: Compute,
        connections: Connections,
        busy_poll: Option<Duration>,
    ) -> io::Result<Self> {
        Ok(Self {
            strategy,
            compute,
            busy_poll,
            connections: Arc::new(connections),
            reloads: Reloads::default(),
            reserve: Reserve::new(),
            restarts: Restarts::default(),
            is_stopping: AtomicBool::new(false),
            has_successor: AtomicBool::new(false),
            latch: Latch::new()?,
            draining: Latch::new()?,
        })
    }

    /// How answers are computed.
    #[must_use]
    pub const fn compute(&self) -> &Compute {
        &self.compute
    }

    /// How long a loop polls before it sleeps, if at all.
    #[must_use]
    pub const fn busy_poll(&self) -> Option<Duration> {
        self.busy_poll
    }

    /// The settings in force, to be looked at for a moment.
    pub(crate) fn settings(&self) -> Guard<Arc<Settings>> {
        self.connections.settings().load()
    }

    /// The certificates for whoever connects now, where conversations are encrypted.
    pub(crate) fn tls(&self) -> Option<Tls> {
        self.settings().tls.clone()
    }

    /// Puts others into force, for this process.
    pub(crate) fn change_settings(&self, settings: Settings) {
        self.connections.settings().change(settings);
    }

    /// How often that was tried.
    pub(crate) const fn reloads(&self) -> &Reloads {
        &self.reloads
    }

    /// How often the server was succeeded.
    pub(crate) const fn restarts(&self) -> &Restarts {
        &self.restarts
    }

    /// The clients.
    #[must_use]
    pub fn connections(&self) -> &Connections {
        &self.connections
    }

    /// What is counted, of clients and of whoever computes.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        self.connections.counters()
    }

    /// Fires when nobody else is to be let in: the drain begins, or another process lets them in.
    #[must_use]
    pub const fn latch(&self) -> &Latch {
        &self.latch
    }

    /// Makes a connection of an accepted socket; `None` where it is not to be served.
    pub fn admit(&self, socket: Socket, peer: Peer) -> Option<Connection> {
        let settings = self.settings();
        let standing = match settings.access.standing(peer, &socket) {
            Standing::Stranger if self.is_own_check(&socket, peer) => Standing::Client,
            standing => standing,
        };
        let refusal = match standing {
            Standing::Stranger => Some(Rejection::NotAllowed),
            _ if !self.reserve.is_kept() => Some(Rejection::NoDescriptor),
            _ => None,
        };
        if let Some(why) = refusal {
            self.connections.refuse(&Arc::new(socket), peer, why);
            return None;
        }
        let session = Session::new(settings.protocol, Instant::now());
        self.connections.admit(socket, peer, standing, session)
    }

    /// Whether it is the server that asks itself, from a port that nobody else can have.
    fn is_own_check(&self, socket: &Socket, peer: Peer) -> bool {
        let Peer::Internet(peer) = peer else { return false };
        let local = socket.local_addr().ok().and_then(|it| it.as_socket());
        local.is_some_and(|it| it.ip() == peer.ip()) && self.counters().own_port() == peer.port()
    }

    /// A descriptor for the time when there is no other.
    pub(crate) const fn reserve(&self) -> &Reserve {
        &self.reserve
    }

    /// The span of one connection, around everything that is logged while it is served.
    #[must_use]
    pub fn span(&self, connection: &Connection) -> Span {
        let Connection { peer, standing, .. } = connection;
        let strategy = &*self.strategy;
        if *standing == Standing::Proxy {
            // It is yet to say who the client is.
            return info_span!("conn", peer = Empty, proxy = %peer, strategy);
        }
        info_span!("conn", %peer, strategy)
    }

    /// Why a connection's input ended: the server may have ended this one, and a drain ends it for
    /// all of them.
    #[must_use]
    pub(crate) fn input_end(&self, verdict: Option<Verdict>) -> InputEnd {
        let limit = self.settings().limits.timeouts.line;
        match (verdict, limit) {
            _ if self.draining.is_fired() => InputEnd::Drain,
            (Some(Verdict::Line), Some(limit)) => InputEnd::LineTimeout(limit),
            _ => InputEnd::Client,
        }
    }

    /// Whether the server was told to stop, though it may go on for a while before the drain.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.is_stopping.load(Ordering::Relaxed)
    }

    /// Takes note that the server was told to stop: new clients had better go elsewhere.
    pub fn announce_stop(&self) {
        self.is_stopping.store(true, Ordering::Relaxed);
    }

    /// Whether another process lets in who waits: not even those who have connected are this one's.
    #[must_use]
    pub fn has_successor(&self) -> bool {
        self.has_successor.load(Ordering::Acquire)
    }

    /// Leaves all who connect to another process. Who is in is served as before.
    ///
    /// # Errors
    ///
    /// Where the latch could not be fired.
    pub(crate) fn hand_over(&self) -> io::Result<()> {
        self.announce_stop();
        self.has_successor.store(true, Ordering::Release);
        self.latch.fire()
    }

    /// Fires when the drain begins.
    pub(crate) const fn draining(&self) -> &Latch {
        &self.draining
    }

    /// Lets no more requests in. What the kernel has received for a client is still read and
    /// answered; then its connection ends, and when all have ended the server does.
    ///
    /// # Errors
    ///
    /// Where the latch could not be fired.
    pub fn begin_drain(&self) -> io::Result<()> {
        // In this order, whoever finds the input ended finds the latches fired.
        self.draining.fire()?;
        self.latch.fire()?;
        self.connections.end_input_of_all();
        Ok(())
    }
}
