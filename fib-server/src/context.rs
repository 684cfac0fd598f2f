//! What all strategies share: the limits, the way to compute, the clients, and the end.

use std::{io, net::Shutdown, sync::Arc, time::Instant};

use anyhow::{Context as _, Result};
use fib_proto::{ErrorCode, Limits, encode_error};
use socket2::Socket;
use tracing::{debug, warn};

use crate::{
    compute::{Algorithm, Inline},
    connection::{Connection, Connections, Tally},
    session::{InputEnd, Session},
    shutdown::Latch,
    strategy::StrategyKind,
};

/// What every strategy is given.
#[derive(Debug)]
pub struct Context {
    strategy: StrategyKind,
    limits: Limits,
    compute: Inline,
    connections: Connections,
    latch: Latch,
}

impl Context {
    /// A server without clients yet.
    ///
    /// # Errors
    ///
    /// Where the system has no pipe left for the wake-up.
    pub fn new(
        strategy: StrategyKind,
        limits: Limits,
        algorithm: Algorithm,
        max_connections: usize,
    ) -> Result<Self> {
        let compute = Inline::new(algorithm);
        let latch = Latch::new().context("creating the wake-up pipe")?;
        Ok(Self {
            strategy,
            limits,
            compute,
            connections: Connections::new(max_connections),
            latch,
        })
    }

    /// Which strategy this is for.
    #[must_use]
    pub const fn strategy(&self) -> StrategyKind {
        self.strategy
    }

    /// How answers are computed.
    #[must_use]
    pub const fn compute(&self) -> &Inline {
        &self.compute
    }

    /// Fires when the drain begins.
    #[must_use]
    pub const fn latch(&self) -> &Latch {
        &self.latch
    }

    /// Makes a connection of an accepted socket; `None` for one too many, which is told so.
    pub fn admit(self: &Arc<Self>, socket: Socket, peer: String) -> Option<Connection> {
        let session = Session::new(self.limits, Instant::now());
        let socket = Arc::new(socket);
        let Some(id) = self.connections.open(&socket) else {
            debug!(peer, "refused: --max-connections {} are open", self.connections.max());
            if let Err(error) = self.refuse(&socket) {
                debug!(peer, "refusing failed: {error}");
            }
            return None;
        };
        Some(Connection::new(id, socket, peer, session, Arc::clone(self)))
    }

    /// Why a connection's input ended: a drain ends it for all of them.
    #[must_use]
    pub fn input_end(&self) -> InputEnd {
        if self.latch.is_fired() { InputEnd::Drain } else { InputEnd::Client }
    }

    /// Lets no more requests in. What the kernel has received for a client is still read and
    /// answered; then its connection ends, and when all have ended the server does.
    ///
    /// # Errors
    ///
    /// Where the wake-up could not be sent.
    pub fn begin_drain(&self) -> io::Result<()> {
        // In this order nobody is missed: a connection is opened before the latch fires, and
        // ended here, or after it, and ended when it is opened.
        self.latch.fire()?;
        self.connections.end_input_of_all();
        Ok(())
    }

    /// How many clients and requests there were.
    #[must_use]
    pub fn tally(&self) -> Tally {
        self.connections.tally()
    }

    pub(crate) fn connections(&self) -> &Connections {
        &self.connections
    }

    /// Says `ERR busy` and closes, without ever waiting for the client.
    fn refuse(&self, socket: &Socket) -> io::Result<()> {
        let mut line = Vec::new();
        let max = self.connections.max();
        let text = format!("{max} clients are connected; --max-connections raises the limit");
        encode_error(ErrorCode::Busy, &text, &mut line);
        socket.set_nonblocking(true)?;
        socket.send(&line)?;
        socket.shutdown(Shutdown::Write)?;
        discard_received(socket)
    }
}

/// Reads away what has come: closing a socket with unread bytes would reset the connection, and
/// could take the reply from under the client.
fn discard_received(mut socket: &Socket) -> io::Result<()> {
    let mut discarded = [0; 1024];
    loop {
        match io::Read::read(&mut socket, &mut discarded) {
            Ok(0) => return Ok(()),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        }
    }
}

/// Logs how a conversation ended, once, at its boundary.
pub(crate) fn log_end(result: io::Result<()>) {
    match result {
        Ok(()) => debug!("closed"),
        Err(error) if is_client_gone(error.kind()) => debug!("client gone: {error}"),
        Err(error) => warn!("connection failed: {error}"),
    }
}

fn is_client_gone(kind: io::ErrorKind) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, NotConnected};
    matches!(kind, BrokenPipe | ConnectionAborted | ConnectionReset | NotConnected)
}
