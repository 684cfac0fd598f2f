//! Where clients, and those who watch, come in: the addresses of the flags, and the sockets that
//! were opened before this process was started, by a manager of services or by the server whose
//! place it takes.

use std::{
    io::{self, Write},
    os::fd::OwnedFd,
};

use anyhow::{Context as _, Result};
use fib_proto::Address;

use crate::{Config, ConfigError, listener::Listener, restart::Predecessor, sys};

/// Where clients come in when nothing says where.
const DEFAULT_ADDRESS: &str = "127.0.0.1:25000";

/// What a passed socket is called that is for those who watch.
const ADMIN_NAME: &str = "admin";

/// What a socket was opened for that somebody has passed; its name follows.
const PASSED: &str = "LISTEN_FDS ";

/// All listening sockets.
#[derive(Debug)]
pub(crate) struct Entrances {
    /// Those for clients: for each address as many as the strategy wants.
    pub(crate) clients: Vec<Entrance>,
    /// Those for who watches.
    pub(crate) admin: Vec<Entrance>,
}

/// The sockets of one address.
#[derive(Debug)]
pub(crate) struct Entrance {
    /// What they were opened for, as a server tells its successor.
    pub(crate) origin: String,
    pub(crate) listeners: Vec<Listener>,
}

impl Entrances {
    /// Opens them. The sockets that were passed stand for the default address, not for those that
    /// somebody has asked for. What a predecessor has is not opened again.
    pub(crate) fn open(config: &Config, predecessor: &mut Option<Predecessor>) -> Result<Self> {
        let sockets = config.strategy.sockets_per_address();
        let passed = match predecessor {
            Some(predecessor) => predecessor.take_all(PASSED),
            None => passed()?,
        };
        let is_admin = |origin: &str| origin.strip_prefix(PASSED) == Some(ADMIN_NAME);
        let (admin, clients): (Vec<_>, Vec<_>) =
            passed.into_iter().partition(|(origin, _)| is_admin(origin));
        let mut addresses = config.addresses.clone();
        if clients.is_empty() && addresses.is_empty() {
            addresses.push(Address::Tcp(DEFAULT_ADDRESS.to_owned()));
        }
        let mut bind = |flag, address: &Address, sockets| {
            let origin = format!("{flag} {address}");
            let had = predecessor.as_mut().and_then(|it| it.take(&origin));
            let listeners = match had {
                Some(had) => Listener::handed_over(had, sockets),
                None => Listener::bind(address, sockets, config.socket_mode).map_err(Into::into),
            };
            let listeners = listeners.with_context(|| format!("listening: {origin}"))?;
            Ok(Entrance { origin, listeners })
        };
        let bound = addresses.iter().map(|address| bind("--listen", address, sockets));
        let bound = bound.collect::<Result<Vec<_>>>()?;
        let taken = clients.into_iter().map(|it| take(it, sockets));
        let clients = taken.chain(bound.into_iter().map(Ok)).collect::<Result<Vec<_>>>()?;
        let listeners = clients.iter().flat_map(|it: &Entrance| &it.listeners);
        for address in listeners.filter_map(Listener::tcp_address) {
            config.settings.access.check_listening(address).map_err(ConfigError::from)?;
        }
        let bound = config.admin.iter().map(|address| bind("--admin", address, 1));
        let bound = bound.collect::<Result<Vec<_>>>()?;
        let taken = admin.into_iter().map(|it| take(it, 1));
        let admin = taken.chain(bound.into_iter().map(Ok)).collect::<Result<_>>()?;
        Ok(Self { clients, admin })
    }

    /// One line per address, for people and for programs that asked for port 0.
    pub(crate) fn announce(&self) -> Result<()> {
        self.write(io::stdout().lock()).context("writing to stdout")
    }

    fn write(&self, mut stdout: impl Write) -> io::Result<()> {
        for listener in self.clients.iter().filter_map(|it| it.listeners.first()) {
            writeln!(stdout, "listening on {}", listener.address())?;
        }
        for listener in self.admin.iter().flat_map(|it| &it.listeners) {
            writeln!(stdout, "admin on {}", listener.address())?;
        }
        stdout.flush()
    }
}

fn passed() -> Result<Vec<(String, Vec<OwnedFd>)>> {
    let passed = sys::passed_descriptors().context("taking the sockets of LISTEN_FDS")?;
    let named = passed.into_iter().map(|(socket, name)| (format!("{PASSED}{name}"), vec![socket]));
    Ok(named.collect())
}

fn take((origin, mut had): (String, Vec<OwnedFd>), sockets: usize) -> Result<Entrance> {
    let name = origin.trim_start_matches(PASSED);
    let told = || format!("the socket {name:?} that was passed (LISTEN_FDS)");
    // A predecessor had it as several, which are one.
    had.truncate(1);
    let listeners = had.into_iter().map(|it| Listener::passed(it, sockets));
    let listeners = listeners.collect::<Result<Vec<_>>>().with_context(told)?;
    Ok(Entrance { listeners: listeners.into_iter().flatten().collect(), origin })
}
