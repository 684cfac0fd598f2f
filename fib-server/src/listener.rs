//! Where clients come in: TCP and Unix sockets behind one type.

use std::{
    fmt, fs, io, iter,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs},
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::fs::FileTypeExt,
    },
    path::{Path, PathBuf},
    str::FromStr,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use fib_proto::Address;
use rustix::{
    fs::{Mode, RawMode},
    process::umask,
};
use socket2::{Domain, SockAddr, Socket, Type};
use tracing::debug;

use crate::{
    connection::Connection,
    context::Context,
    peer::Peer,
    rejection::Rejection,
    shortage::{self, Shortage, is_short_of_resources},
};

/// How many clients may wait to be accepted; the kernel may lower it (somaxconn).
const BACKLOG: i32 = 4096;

/// How long the children of a server that was killed may have its sockets.
const PATIENCE: Duration = Duration::from_secs(1);

/// How often it is tried until then.
const TICK: Duration = Duration::from_millis(5);

/// A listening socket, non-blocking.
#[derive(Debug)]
pub struct Listener {
    socket: Arc<Socket>,
    address: Address,
    /// Shared by the listeners of one path.
    file: Option<Arc<SocketFile>>,
    is_passed: bool,
}

/// A listening socket, for as long as somebody listens on it.
#[derive(Debug)]
pub(crate) struct Handle {
    socket: Weak<Socket>,
    file: Weak<SocketFile>,
}

impl Handle {
    /// The socket, unless it is closed.
    pub(crate) fn socket(&self) -> Option<Arc<Socket>> {
        self.socket.upgrade()
    }

    /// Leaves the file of a Unix socket to another process.
    pub(crate) fn leave_file(&self) {
        if let Some(file) = self.file.upgrade() {
            file.is_left.store(true, Ordering::Relaxed);
        }
    }
}

impl Listener {
    /// Listens there, with so many sockets. The mode is for the file of a path.
    ///
    /// Who has the address may only just have been killed: then it is free in a moment.
    pub fn bind(address: &Address, sockets: usize, mode: SocketMode) -> io::Result<Vec<Self>> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let bound = match address {
                Address::Tcp(host_and_port) => bind_tcp(host_and_port, sockets),
                Address::Unix(path) => bind_unix(path, sockets, mode),
            };
            match bound {
                Err(error) if is_in_use(&error) && Instant::now() < deadline => thread::sleep(TICK),
                bound => return bound,
            }
        }
    }

    /// A socket that somebody else has opened for this process, as so many. The file of a path is
    /// theirs.
    pub(crate) fn passed(socket: OwnedFd, sockets: usize) -> Result<Vec<Self>> {
        let socket = Socket::from(socket);
        let domain = socket.domain().context("it is no socket")?;
        let is_stream = socket.r#type()? == Type::STREAM;
        let is_known = [Domain::IPV4, Domain::IPV6, Domain::UNIX].contains(&domain);
        ensure!(is_stream && is_known, "it is no stream socket of TCP or Unix");
        ensure!(socket.is_listener()?, "it does not listen; does its unit say Accept=yes?");
        socket.set_nonblocking(true)?;
        let passed = |it| Ok(Self { is_passed: true, ..Self::of_another(it)? });
        (0..sockets).map(|_| passed(socket.try_clone()?)).collect()
    }

    /// A socket that another process listens on as well. That one removes the file of a path.
    pub(crate) fn inherited(socket: OwnedFd) -> Result<Self> {
        Self::of_another(socket.into()).context("reading the local address")
    }

    /// The sockets of one address, that another process leaves to this one, as so many at least.
    /// With them goes the file of a path, if it was that process's.
    pub(crate) fn handed_over(descriptors: Vec<OwnedFd>, sockets: usize) -> Result<Vec<Self>> {
        let mut listeners =
            descriptors.into_iter().map(Self::inherited).collect::<Result<Vec<_>>>()?;
        for at in 0..sockets.saturating_sub(listeners.len()) {
            let another = Self::of_another(listeners[at].socket.try_clone()?)?;
            listeners.push(another);
        }
        if let Some(Address::Unix(path)) = listeners.first().map(Self::address) {
            let file = Arc::new(SocketFile::new(path.clone()));
            for listener in &mut listeners {
                listener.file = Some(Arc::clone(&file));
            }
        }
        Ok(listeners)
    }

    fn of_another(socket: Socket) -> io::Result<Self> {
        let address = address_of(&socket.local_addr()?);
        Ok(Self { socket: Arc::new(socket), address, file: None, is_passed: false })
    }

    /// The socket, for who may hand it over while it is open.
    pub(crate) fn handle(&self) -> Handle {
        let file = self.file.as_ref().map(Arc::downgrade).unwrap_or_default();
        Handle { socket: Arc::downgrade(&self.socket), file }
    }

    /// Where it listens, with the real port.
    #[must_use]
    pub const fn address(&self) -> &Address {
        &self.address
    }

    /// The same, if it is one of the Internet.
    pub(crate) fn tcp_address(&self) -> Option<SocketAddr> {
        self.socket.local_addr().ok()?.as_socket()
    }

    /// Where to connect to it from this machine.
    pub(crate) fn connect_address(&self) -> io::Result<SockAddr> {
        let local = self.socket.local_addr()?;
        Ok(match local.as_socket() {
            Some(any) if any.ip().is_unspecified() => {
                let loopback: IpAddr = match any {
                    SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
                    SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
                };
                SocketAddr::new(loopback, any.port()).into()
            }
            _ => local,
        })
    }

    /// Accepts the client that waits longest, if there is one. Where the last descriptor is taken,
    /// it is told so.
    pub(crate) fn accept(&self, context: &Context, shortage: &mut Shortage) -> Accepted {
        if context.has_successor() {
            return Accepted::NobodyWaits;
        }
        match self.accept_socket() {
            Ok((socket, peer)) => {
                shortage.end();
                context.admit(socket, peer).map_or(Accepted::Nothing, Accepted::Client)
            }
            Err(error) if is_short_of_resources(&error) => {
                shortage::tell(&error);
                match context.reserve().lend(|| self.refuse(context)) {
                    Some(Ok(())) => Accepted::Nothing,
                    Some(Err(error)) if is_nobody(&error) => Accepted::NobodyWaits,
                    _ => {
                        shortage.wait();
                        Accepted::NoResources
                    }
                }
            }
            Err(error) if is_nobody(&error) => Accepted::NobodyWaits,
            Err(error) => {
                debug!("a client was gone before it was accepted: {error}");
                Accepted::Nothing
            }
        }
    }

    /// Has no room for the client that waits longest.
    fn refuse(&self, context: &Context) -> io::Result<()> {
        let (socket, peer) = self.accept_socket()?;
        context.connections().refuse(&Arc::new(socket), peer, Rejection::NoDescriptor);
        Ok(())
    }

    /// Accepts a socket, and names the client.
    pub(crate) fn accept_socket(&self) -> io::Result<(Socket, Peer)> {
        let (socket, peer) = self.socket.accept()?;
        let peer = prepare(&socket, &peer)?;
        Ok((socket, peer))
    }

    /// Whether others may have the socket, and have had it.
    #[cfg(target_os = "linux")]
    pub(crate) const fn is_passed(&self) -> bool {
        self.is_passed
    }

    /// Whether accepting waits for a client.
    #[cfg(target_os = "linux")]
    pub(crate) fn set_blocking(&self, blocking: bool) -> io::Result<()> {
        self.socket.set_nonblocking(!blocking)
    }
}

/// Makes a connection of a socket that the kernel accepted by itself; `None` for one too many.
#[cfg(target_os = "linux")]
pub(crate) fn admit_accepted(socket: Socket, context: &Context) -> Option<Connection> {
    let peer = socket.peer_addr().and_then(|peer| prepare(&socket, &peer));
    context.admit(socket, peer.unwrap_or(Peer::Unknown))
}

/// Makes an accepted socket as conversations want it, and names the client.
fn prepare(socket: &Socket, address: &SockAddr) -> io::Result<Peer> {
    let peer = Peer::new(address);
    if let Peer::Internet(_) = peer {
        // Replies are small and somebody waits for each: Nagle's algorithm would hold them back.
        socket.set_tcp_nodelay(true)?;
    }
    Ok(peer)
}

/// Readable while a client waits to be accepted.
impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// What one accept brought.
#[expect(clippy::large_enum_variant, reason = "it is taken apart where it was made")]
pub(crate) enum Accepted {
    /// A client to serve.
    Client(Connection),
    /// A client that was refused, or gone before it was accepted; others may wait.
    Nothing,
    /// No client.
    NobodyWaits,
    /// Perhaps a client, but nothing to serve it with, nor to refuse it: not now.
    NoResources,
}

/// Who may open the file of a Unix socket: the server's own user, if nothing else is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SocketMode(Mode);

impl SocketMode {
    /// Creates a file, which never has any other mode. To be called while there is one thread: what
    /// it sets is the whole process's.
    fn while_it_holds<T>(self, create: impl FnOnce() -> T) -> T {
        let before = umask(self.0.complement());
        let created = create();
        umask(before);
        created
    }
}

impl Default for SocketMode {
    fn default() -> Self {
        Self(Mode::RUSR | Mode::WUSR)
    }
}

/// As `chmod` takes it.
impl FromStr for SocketMode {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mode = RawMode::from_str_radix(text, 8).ok().filter(|it| *it <= 0o777);
        mode.map(|it| Self(Mode::from_raw_mode(it))).ok_or("expected 0 to 777, as in 0660")
    }
}

impl fmt::Display for SocketMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04o}", self.0.as_raw_mode())
    }
}

/// The file of a Unix socket, which is removed with the last listener.
#[derive(Debug)]
struct SocketFile {
    path: PathBuf,
    is_left: AtomicBool,
}

impl SocketFile {
    const fn new(path: PathBuf) -> Self {
        Self { path, is_left: AtomicBool::new(false) }
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if !*self.is_left.get_mut() {
            // Somebody may have removed it; then there is nothing left to do.
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn address_of(local: &SockAddr) -> Address {
    if let Some(path) = local.as_pathname() {
        return Address::Unix(path.to_owned());
    }
    if let Some(name) = local.as_abstract_namespace() {
        return Address::Unix(format!("@{}", String::from_utf8_lossy(name)).into());
    }
    Address::Tcp(local.as_socket().map_or_else(String::new, |it| it.to_string()))
}

fn bind_tcp(host_and_port: &str, sockets: usize) -> io::Result<Vec<Listener>> {
    let mut last_error = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in host_and_port.to_socket_addrs()? {
        match bind_port(address, sockets) {
            Ok(listeners) => return Ok(listeners),
            Err(error) => last_error = error,
        }
    }
    Err(last_error)
}

/// Several sockets share a port, and the kernel hashes the clients to them.
fn bind_port(address: SocketAddr, sockets: usize) -> io::Result<Vec<Listener>> {
    let domain = Domain::for_address(address);
    // Alone, also where several are wanted: another server's sockets that share their port would
    // share it with us, and take a part of our clients in silence.
    let first = listen(domain, &address.into(), PortUse::Alone)?;
    let address = first.local_addr()?;
    // From now on it is ours to share.
    first.set_reuse_port(sockets > 1)?;
    let others = (1..sockets).map(|_| listen(domain, &address, PortUse::Shared));
    iter::once(Ok(first)).chain(others).map(|socket| Listener::of_another(socket?)).collect()
}

/// Listens on a path; a socket file that a killed server left behind is replaced. Where several
/// sockets are wanted they are one: a path cannot be shared, and whoever is free accepts.
fn bind_unix(path: &Path, sockets: usize, mode: SocketMode) -> io::Result<Vec<Listener>> {
    let address = SockAddr::unix(path)?;
    let bind = || mode.while_it_holds(|| listen(Domain::UNIX, &address, PortUse::Alone));
    let socket = match bind() {
        Err(error) if is_in_use(&error) && is_abandoned(path, &address) => {
            fs::remove_file(path)?;
            bind()?
        }
        result => result?,
    };
    let file = Arc::new(SocketFile::new(path.to_owned()));
    let shared = |_| {
        let (socket, address) = (socket.try_clone()?, Address::Unix(path.to_owned()));
        let file = Some(Arc::clone(&file));
        Ok(Listener { socket: Arc::new(socket), address, file, is_passed: false })
    };
    (0..sockets).map(shared).collect()
}

fn is_in_use(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::AddrInUse
}

fn is_abandoned(path: &Path, address: &SockAddr) -> bool {
    let is_socket = fs::symlink_metadata(path).is_ok_and(|data| data.file_type().is_socket());
    let refused = Socket::new(Domain::UNIX, Type::STREAM, None)
        .and_then(|probe| probe.connect(address))
        .is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused);
    is_socket && refused
}

/// Whether a port is one socket's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PortUse {
    Alone,
    Shared,
}

fn listen(domain: Domain, address: &SockAddr, port_use: PortUse) -> io::Result<Socket> {
    let socket = Socket::new(domain, Type::STREAM, None)?;
    if domain != Domain::UNIX {
        // A restarted server must not wait for the connections of the last one to be forgotten.
        socket.set_reuse_address(true)?;
    }
    if port_use == PortUse::Shared {
        socket.set_reuse_port(true)?;
    }
    socket.bind(address)?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// Whether nobody waits to be accepted.
fn is_nobody(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock
}
