//! Where clients, and those who watch, come in: the addresses of the flags, and the sockets that a
//! manager of services has opened before it started this process.

use std::{
    io::{self, Write},
    os::fd::OwnedFd,
};

use anyhow::{Context as _, Result};
use fib_proto::Address;

use crate::{
    Config, ConfigError,
    listener::{Listener, SocketMode},
    sys,
};

/// Where clients come in when nothing says where.
const DEFAULT_ADDRESS: &str = "127.0.0.1:25000";

/// What a passed socket is called that is for those who watch.
const ADMIN_NAME: &str = "admin";

/// All listening sockets.
#[derive(Debug)]
pub(crate) struct Entrances {
    /// Those for clients: for each address as many as the strategy wants.
    pub(crate) clients: Vec<Vec<Listener>>,
    /// Those for who watches.
    pub(crate) admin: Vec<Listener>,
}

impl Entrances {
    /// Opens them. The sockets that were passed stand for the default address, not for those that
    /// somebody has asked for.
    pub(crate) fn open(config: &Config) -> Result<Self> {
        let sockets = config.strategy.sockets_per_address();
        let passed = sys::passed_descriptors().context("taking the sockets of LISTEN_FDS")?;
        let (admin, clients): (Vec<_>, Vec<_>) =
            passed.into_iter().partition(|(_, name)| name == ADMIN_NAME);
        let mut addresses = config.addresses.clone();
        if clients.is_empty() && addresses.is_empty() {
            addresses.push(Address::Tcp(DEFAULT_ADDRESS.to_owned()));
        }
        let clients = clients.into_iter().map(|it| take(it, sockets));
        let mode = config.socket_mode;
        let bound = addresses.iter().map(|address| bind("--listen", address, sockets, mode));
        let clients = clients.chain(bound).collect::<Result<Vec<_>>>()?;
        for address in clients.iter().flatten().filter_map(Listener::tcp_address) {
            config.settings.access.check_listening(address).map_err(ConfigError::from)?;
        }
        let admin = admin.into_iter().map(|it| take(it, 1));
        let bound = config.admin.iter().map(|address| bind("--admin", address, 1, mode));
        let admin = admin.chain(bound).collect::<Result<Vec<_>>>()?;
        Ok(Self { clients, admin: admin.into_iter().flatten().collect() })
    }

    /// One line per address, for people and for programs that asked for port 0.
    pub(crate) fn announce(&self) -> Result<()> {
        self.write(io::stdout().lock()).context("writing to stdout")
    }

    fn write(&self, mut stdout: impl Write) -> io::Result<()> {
        for listener in self.clients.iter().filter_map(|sockets| sockets.first()) {
            writeln!(stdout, "listening on {}", listener.address())?;
        }
        for listener in &self.admin {
            writeln!(stdout, "admin on {}", listener.address())?;
        }
        stdout.flush()
    }
}

fn bind(flag: &str, address: &Address, sockets: usize, mode: SocketMode) -> Result<Vec<Listener>> {
    Listener::bind(address, sockets, mode).with_context(|| format!("listening: {flag} {address}"))
}

fn take((socket, name): (OwnedFd, String), sockets: usize) -> Result<Vec<Listener>> {
    Listener::passed(socket, sockets)
        .with_context(|| format!("the socket {name:?} that was passed (LISTEN_FDS)"))
}
