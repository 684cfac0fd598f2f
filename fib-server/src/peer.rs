//! Who a client is, as far as its address tells.

use std::{fmt, net::SocketAddr};

use socket2::SockAddr;

/// Where a client comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// Over TCP, from there.
    Internet(SocketAddr),
    /// Over a Unix socket, from this machine.
    Local,
    /// Nobody can say any more: it has reset the connection.
    Unknown,
}

impl Peer {
    /// Of an accepted socket.
    pub(crate) fn new(address: &SockAddr) -> Self {
        address.as_socket().map_or(Self::Local, Self::Internet)
    }
}

/// For the log.
impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Internet(address) => address.fmt(f),
            Self::Local => f.pad("unix"),
            Self::Unknown => f.pad("gone"),
        }
    }
}
