//! From an address to a connection: what asking and loading share.

use std::{
    io::{self, ErrorKind},
    net::{SocketAddr, ToSocketAddrs},
    time::Duration,
};

use fib_proto::Address;
use rustix::io::Errno;
use socket2::{Domain, SockAddr, Socket, Type};

use crate::{tls::Tls, wire::Wire};

/// An address that names are already looked up for, so that connecting again costs no query.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    candidates: Vec<SockAddr>,
    address: Address,
    tls: Option<Tls>,
}

impl Target {
    /// Looks the name up, of a server that is spoken to in clear text or encrypted.
    pub(crate) fn resolve(address: &Address, tls: Option<&Tls>) -> io::Result<Self> {
        let candidates = match address {
            Address::Tcp(host_and_port) => {
                host_and_port.to_socket_addrs()?.map(|it: SocketAddr| it.into()).collect()
            }
            Address::Unix(path) => vec![SockAddr::unix(path)?],
        };
        Ok(Self { candidates, address: address.clone(), tls: tls.cloned() })
    }

    /// Connects to the first candidate that answers, and shakes hands with it.
    pub(crate) fn connect(&self, timeout: Duration) -> io::Result<Wire> {
        let mut wire = self.wire(self.connect_socket(timeout)?)?;
        wire.shake_hands_within(timeout)?;
        Ok(wire)
    }

    fn wire(&self, socket: Socket) -> io::Result<Wire> {
        let Some(tls) = &self.tls else { return Ok(Wire::Clear(socket)) };
        let layer = tls.begin(&self.address).map_err(|error| {
            io::Error::new(ErrorKind::InvalidInput, format!("{error}; --tls-name says another"))
        })?;
        Ok(Wire::encrypted(socket, layer))
    }

    fn connect_socket(&self, timeout: Duration) -> io::Result<Socket> {
        let mut result = Err(no_address());
        for address in &self.candidates {
            result = connect_to(address, timeout);
            if result.is_ok() {
                break;
            }
        }
        result
    }
}

impl Target {
    /// Begins to connect to the first candidate that can be tried; the socket does not block, and
    /// no hands are shaken yet.
    pub(crate) fn begin_to_connect(&self) -> io::Result<Wire> {
        let mut result = Err(no_address());
        for address in &self.candidates {
            result = begin_to_connect_to(address);
            if result.is_ok() {
                break;
            }
        }
        self.wire(result?)
    }
}

fn begin_to_connect_to(address: &SockAddr) -> io::Result<Socket> {
    let socket = open(address)?;
    socket.set_nonblocking(true)?;
    match socket.connect(address) {
        Err(error) if error.raw_os_error() != Some(Errno::INPROGRESS.raw_os_error()) => Err(error),
        _ => Ok(socket),
    }
}

fn no_address() -> io::Error {
    io::Error::new(ErrorKind::NotFound, "the name has no address")
}

fn connect_to(address: &SockAddr, timeout: Duration) -> io::Result<Socket> {
    let socket = open(address)?;
    socket.connect_timeout(address, timeout)?;
    Ok(socket)
}

fn open(address: &SockAddr) -> io::Result<Socket> {
    let domain = address.as_socket().map_or(Domain::UNIX, Domain::for_address);
    let socket = Socket::new(domain, Type::STREAM, None)?;
    if domain != Domain::UNIX {
        socket.set_tcp_nodelay(true)?;
    }
    Ok(socket)
}
