//! Where clients come in: TCP and Unix sockets behind one type, and a blocking accept over all.

use std::{
    fs, io, mem,
    net::ToSocketAddrs,
    os::{
        fd::{AsFd, BorrowedFd},
        unix::fs::FileTypeExt,
    },
    path::Path,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use fib_proto::Address;
use rustix::{
    event::{PollFd, PollFlags, poll},
    io::Errno,
};
use socket2::{Domain, SockAddr, Socket, Type};
use tracing::{debug, warn};

use crate::{connection::Connection, context::Context};

/// How many clients may wait to be accepted; the kernel may lower it (somaxconn).
const BACKLOG: i32 = 4096;

/// How long to wait where the system has no descriptor or memory for one more client.
const PAUSE_WITHOUT_RESOURCES: Duration = Duration::from_millis(50);

/// A listening socket, non-blocking.
#[derive(Debug)]
pub struct Listener {
    socket: Socket,
    address: Address,
}

impl Listener {
    /// Listens there.
    pub fn bind(address: &Address) -> Result<Self> {
        let socket = match address {
            Address::Tcp(host_and_port) => bind_tcp(host_and_port),
            Address::Unix(path) => bind_unix(path),
        };
        let socket = socket.with_context(|| format!("--listen {address}"))?;
        let local = socket.local_addr().context("reading the local address")?;
        let address = match local.as_socket() {
            Some(local) => Address::Tcp(local.to_string()),
            None => address.clone(),
        };
        Ok(Self { socket, address })
    }

    /// Where it listens, with the real port.
    #[must_use]
    pub const fn address(&self) -> &Address {
        &self.address
    }

    /// Accepts the client that waits longest, if there is one.
    pub(crate) fn accept(&self, context: &Context) -> Accepted {
        match self.accept_socket() {
            Ok((socket, peer)) => {
                context.admit(socket, peer).map_or(Accepted::Nothing, Accepted::Client)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Accepted::NobodyWaits,
            Err(error) if is_short_of_resources(&error) => Accepted::NoResources(error),
            Err(error) => {
                debug!("a client was gone before it was accepted: {error}");
                Accepted::Nothing
            }
        }
    }

    fn accept_socket(&self) -> io::Result<(Socket, String)> {
        let (socket, peer) = self.socket.accept()?;
        let Some(peer) = peer.as_socket() else { return Ok((socket, "unix".to_owned())) };
        // Replies are small and somebody waits for each: Nagle's algorithm would hold them back.
        socket.set_tcp_nodelay(true)?;
        Ok((socket, peer.to_string()))
    }
}

/// Readable while a client waits to be accepted.
impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// What one accept brought.
pub(crate) enum Accepted {
    /// A client to serve.
    Client(Connection),
    /// A client that was refused, or gone before it was accepted; others may wait.
    Nothing,
    /// No client.
    NobodyWaits,
    /// Perhaps a client, but nothing to serve it with.
    NoResources(io::Error),
}

/// A lack of what one more client needs. It lasts, and is met again and again until it ends.
#[derive(Debug, Default)]
pub(crate) struct Shortage {
    was_told: bool,
    retry_at: Option<Instant>,
}

impl Shortage {
    /// Takes note that there was no descriptor or memory for a client.
    pub(crate) fn meet(&mut self, error: &io::Error) {
        if !mem::replace(&mut self.was_told, true) {
            warn!("cannot accept until another client leaves: {error}");
        }
        self.retry_at = Some(Instant::now() + PAUSE_WITHOUT_RESOURCES);
    }

    /// How long not to try again.
    pub(crate) fn time_left(&self) -> Option<Duration> {
        let left = self.retry_at?.saturating_duration_since(Instant::now());
        (!left.is_zero()).then_some(left)
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Address::Unix(path) = &self.address {
            // Somebody may have removed it; then there is nothing left to do.
            let _ = fs::remove_file(path);
        }
    }
}

/// The next client of any listener, waiting for it; `None` once the drain has begun and whoever
/// had already connected is accepted.
pub(crate) fn accept_any(
    listeners: &[Listener],
    context: &Context,
) -> io::Result<Option<Connection>> {
    let mut shortage = Shortage::default();
    loop {
        let draining = context.latch().is_fired();
        let mut nobody_waits = true;
        for listener in listeners {
            match listener.accept(context) {
                Accepted::Client(connection) => return Ok(Some(connection)),
                Accepted::NoResources(error) => {
                    shortage.meet(&error);
                    shortage.time_left().into_iter().for_each(thread::sleep);
                }
                Accepted::Nothing => nobody_waits = false,
                Accepted::NobodyWaits => {}
            }
        }
        if draining && nobody_waits {
            return Ok(None);
        }
        if !draining {
            wait_for_clients(listeners, context)?;
        }
    }
}

fn wait_for_clients(listeners: &[Listener], context: &Context) -> io::Result<()> {
    let mut events: Vec<_> =
        listeners.iter().map(|it| PollFd::new(&it.socket, PollFlags::IN)).collect();
    events.push(PollFd::new(context.latch(), PollFlags::IN));
    match poll(&mut events, None) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn bind_tcp(host_and_port: &str) -> io::Result<Socket> {
    let mut last_error = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in host_and_port.to_socket_addrs()? {
        match listen(Domain::for_address(address), &address.into()) {
            Ok(socket) => return Ok(socket),
            Err(error) => last_error = error,
        }
    }
    Err(last_error)
}

/// Listens on a path; a socket file that a killed server left behind is replaced.
fn bind_unix(path: &Path) -> io::Result<Socket> {
    let address = SockAddr::unix(path)?;
    match listen(Domain::UNIX, &address) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse && is_abandoned(path, &address) => {
            fs::remove_file(path)?;
            listen(Domain::UNIX, &address)
        }
        result => result,
    }
}

fn is_abandoned(path: &Path, address: &SockAddr) -> bool {
    let is_socket = fs::symlink_metadata(path).is_ok_and(|data| data.file_type().is_socket());
    let refused = Socket::new(Domain::UNIX, Type::STREAM, None)
        .and_then(|probe| probe.connect(address))
        .is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused);
    is_socket && refused
}

fn listen(domain: Domain, address: &SockAddr) -> io::Result<Socket> {
    let socket = Socket::new(domain, Type::STREAM, None)?;
    if domain != Domain::UNIX {
        // A restarted server must not wait for the connections of the last one to be forgotten.
        socket.set_reuse_address(true)?;
    }
    socket.bind(address)?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

fn is_short_of_resources(error: &io::Error) -> bool {
    let errno = Errno::from_io_error(error);
    matches!(errno, Some(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM))
}
