//! Who may be a client: by where a connection comes from, and, behind a proxy that is trusted, by
//! where its client comes from.
//!
//! All of it is one value, made of the flags. A connection is judged when it is accepted, before a
//! byte of it is read.

mod network;
mod proxy;
mod user;

use std::net::{IpAddr, SocketAddr};

use fib_proto::Address;
use socket2::Socket;
use thiserror::Error;

pub use self::{
    network::{Network, NetworkError},
    proxy::{HEADER_LEN_MAX, Header, HeaderError},
    user::{User, UserError},
};
use crate::{Cli, peer::Peer};

/// Who may be a client.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Access {
    /// From where clients may come; if nothing is said, from this machine.
    pub networks: Vec<Network>,
    /// From where proxies come that are believed what they say of their clients.
    pub proxies: Vec<Network>,
    /// Who may connect to a Unix socket; if nobody, whoever may open its file.
    pub users: Vec<User>,
}

/// What a connection is, by who has made it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// A client's own.
    Client,
    /// A proxy's, which says for whom.
    Proxy,
    /// Of somebody who is not to be served.
    Stranger,
}

/// Everybody could connect, and nobody has said that everybody may.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "{address} can be reached from other machines: say who may connect, as in --allow 10.0.0.0/8, \
     or --allow any"
)]
pub struct Exposed {
    /// Where it would listen.
    pub address: Address,
}

impl Access {
    /// What the flags mean.
    ///
    /// # Errors
    ///
    /// Where it is to listen for other machines, and nothing says which of them may connect.
    pub(crate) fn new(cli: &Cli) -> Result<Self, Exposed> {
        let Cli { allow, trust_proxy, allow_user, .. } = cli;
        let (networks, proxies) = (allow.clone(), trust_proxy.clone());
        let access = Self { networks, proxies, users: allow_user.clone() };
        // What a name means is known when it is listened on.
        let addresses = cli.listen.iter().filter_map(|it| it.to_string().parse().ok());
        addresses.into_iter().try_for_each(|it| access.check_listening(it))?;
        Ok(access)
    }

    /// What a connection from there is.
    pub(crate) fn standing(&self, peer: Peer, socket: &Socket) -> Standing {
        let is_client = match peer {
            Peer::Internet(address) => return self.standing_of(address.ip()),
            Peer::Local => self.lets_in_user(socket),
            Peer::Unknown => *self == Self::default(),
        };
        if is_client { Standing::Client } else { Standing::Stranger }
    }

    /// What a connection from that address is.
    pub(crate) fn standing_of(&self, address: IpAddr) -> Standing {
        if contain(&self.proxies, address) {
            Standing::Proxy
        } else if is_loopback(address) && self.networks.is_empty()
            || contain(&self.networks, address)
        {
            Standing::Client
        } else {
            Standing::Stranger
        }
    }

    /// Whether a client of that address may come in by a proxy. If nothing is said, that is for the
    /// proxy to say.
    pub(crate) fn lets_in_behind_proxy(&self, address: IpAddr) -> bool {
        self.networks.is_empty() || contain(&self.networks, address)
    }

    /// Whom it runs as may: who could be that user could also be the server.
    fn lets_in_user(&self, socket: &Socket) -> bool {
        self.users.is_empty()
            || User::of_peer(socket).is_ok_and(|it| it == User::own() || self.users.contains(&it))
    }

    /// Whether a server may listen there.
    ///
    /// # Errors
    ///
    /// Where other machines could connect, and nothing says which of them may.
    pub(crate) fn check_listening(&self, local: SocketAddr) -> Result<(), Exposed> {
        if is_loopback(local.ip()) || !self.networks.is_empty() {
            return Ok(());
        }
        Err(Exposed { address: Address::Tcp(local.to_string()) })
    }
}

fn is_loopback(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

fn contain(networks: &[Network], address: IpAddr) -> bool {
    networks.iter().any(|network| network.contains(address))
}
