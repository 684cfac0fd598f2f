//! Whether the server serves, asked as a client would: through its own listening sockets.
//!
//! Its connections are accepted, limited and counted as all others are. Only that it may connect is
//! known to the server, whatever `--allow` says.
//!
//! Over TLS it takes the server's own certificate and no other. Where clients have to have one it
//! has none, and to be told so proves as much: the loop that accepts has accepted, and the one that
//! serves has shaken hands.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use rustix::io::Errno;
use rustls::{ClientConnection, StreamOwned, pki_types::ServerName};
use socket2::{SockAddr, Socket, Type};
use tracing::warn;

use crate::{
    access::Standing, context::Context, listener::Listener, shortage::is_short_of_resources,
    strategy::Turns, tls::Tls,
};

/// The longest reply that is read.
const REPLY_LEN_MAX: u64 = 256;

/// How long to wait where waiting is to be tried again.
const PAUSE: Duration = Duration::from_millis(20);

/// How long a process may see nobody beside another that serves.
const PATIENCE_BESIDE_ANOTHER: Duration = Duration::from_millis(500);

/// A client that asks whether the server lives.
#[derive(Debug)]
pub(crate) struct SelfCheck {
    context: Arc<Context>,
    turns: Turns,
    doors: Vec<SockAddr>,
}

/// What asking has shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Finding {
    /// It answers, or has a reason not to that is none to worry about.
    Serves,
    /// It does not.
    Silent,
}

impl SelfCheck {
    pub(crate) fn new<'a>(
        listeners: impl Iterator<Item = &'a Listener>,
        turns: Turns,
        context: &Arc<Context>,
    ) -> Self {
        let doors = listeners.filter_map(|listener| listener.connect_address().ok());
        Self { context: Arc::clone(context), turns, doors: doors.collect() }
    }

    /// Forgets the sockets that this process cannot connect to, though others may: they can be of
    /// another network, or behind a filter.
    pub(crate) fn forget_the_unreachable(&mut self) {
        let until = Instant::now() + Duration::from_secs(1);
        let context = Arc::clone(&self.context);
        self.doors.retain(|door| match visit(door, &context, until, leave) {
            Err(error) if !is_no_sign(&error) && error.kind() != io::ErrorKind::TimedOut => {
                warn!("a listening socket cannot be checked from within: {error}");
                false
            }
            _ => true,
        });
    }

    /// Asks at every socket, again and again for so long. Where there is none to ask at, that this
    /// thread runs must do.
    pub(crate) fn ask(&self, patience: Duration) -> Finding {
        let until = Instant::now() + patience;
        for door in &self.doors {
            while !self.is_excused()
                && let Err(error) = self.ask_at(door, until)
                && !is_no_sign(&error)
            {
                if time_left(until).is_err() {
                    warn!("the server does not answer itself: {error}");
                    return Finding::Silent;
                }
                thread::sleep(PAUSE);
            }
        }
        Finding::Serves
    }

    /// Asks at every socket, until this process and not another that has the same sockets has let
    /// somebody in; at most for a while, because the kernel may prefer the other.
    pub(crate) fn wait_until_served(&self) {
        let has_seen_a_client = || {
            let tally = self.context.counters().tally();
            tally.accepted + tally.refused.iter().sum::<u64>() > 0
        };
        let until = Instant::now() + PATIENCE_BESIDE_ANOTHER;
        while !has_seen_a_client() && Instant::now() < until {
            for door in &self.doors {
                // Who does not answer may be the other.
                let _ = self.ask_at(door, until);
            }
            thread::sleep(PAUSE / 4);
        }
    }

    fn ask_at(&self, door: &SockAddr, until: Instant) -> io::Result<()> {
        let tls = self.context.tls();
        visit(door, &self.context, until, |socket, until| ask(socket, tls.as_ref(), until))
    }

    /// Whether there is a good reason not to answer: the server drains, for which there is a time
    /// limit of its own; or it serves a client for whom all others, this one too, have to wait.
    fn is_excused(&self) -> bool {
        let serves_another = || {
            let tally = self.context.counters().tally();
            tally.accepted > tally.closed
        };
        let takes_turns = self.turns == Turns::OneAfterTheOther;
        self.context.latch().is_fired() || takes_turns && serves_another()
    }
}

/// Asks nothing, and waits until the server has noticed.
fn leave(mut socket: &Socket, until: Instant) -> io::Result<()> {
    socket.shutdown(Shutdown::Write)?;
    socket.set_read_timeout(Some(time_left(until)?))?;
    // Whether it has does not matter here.
    let _ = socket.read(&mut [0]);
    Ok(())
}

/// Asks for F(1). Any reply will do, also that the server is busy, or takes no such client.
fn ask(socket: &Socket, tls: Option<&Tls>, until: Instant) -> io::Result<()> {
    socket.set_write_timeout(Some(time_left(until)?))?;
    socket.set_read_timeout(Some(time_left(until)?))?;
    let Some(tls) = tls else { return ask_over(socket) };
    // Whatever its name: it is known by its certificate.
    let name = ServerName::from(IpAddr::from(Ipv4Addr::LOCALHOST));
    let client = ClientConnection::new(tls.itself(), name).map_err(io::Error::other)?;
    match ask_over(StreamOwned::new(client, socket)) {
        Err(error) if is_alert(&error) => Ok(()),
        result => result,
    }
}

fn ask_over(mut stream: impl Read + Write) -> io::Result<()> {
    stream.write_all(b"1\n")?;
    let mut reply = String::new();
    BufReader::new(stream.take(REPLY_LEN_MAX)).read_line(&mut reply)?;
    if reply == "1\n" || reply.starts_with("ERR ") {
        Ok(())
    } else {
        Err(io::Error::new(io::ErrorKind::InvalidData, format!("F(1) is 1, not {reply:?}")))
    }
}

/// Whether the server has said in TLS what is wrong with its client.
fn is_alert(error: &io::Error) -> bool {
    let cause = error.get_ref().and_then(|it| it.downcast_ref());
    matches!(cause, Some(rustls::Error::AlertReceived(_)))
}

/// Connects, in such a way that the server lets it in, and talks.
fn visit(
    door: &SockAddr,
    context: &Context,
    until: Instant,
    talk: impl FnOnce(&Socket, Instant) -> io::Result<()>,
) -> io::Result<()> {
    // A connection of this process comes from the address that it goes to.
    let own = door.as_socket().map(|it| SocketAddr::new(it.ip(), 0));
    let standing =
        own.map_or(Standing::Client, |own| context.settings().access.standing_of(own.ip()));
    let come_from = own.filter(|_| standing == Standing::Stranger);
    let mut socket = &connect(door, come_from, context, until)?;
    if standing == Standing::Proxy {
        // It speaks for itself.
        socket.write_all(b"PROXY UNKNOWN\r\n")?;
    }
    let result = talk(socket, until);
    // As long as it has the port, nobody else can.
    context.counters().set_own_port(0);
    result
}

fn connect(
    door: &SockAddr,
    come_from: Option<SocketAddr>,
    context: &Context,
    until: Instant,
) -> io::Result<Socket> {
    loop {
        let socket = Socket::new(door.domain(), Type::STREAM, None)?;
        if let Some(own) = come_from {
            socket.bind(&own.into())?;
            let port = socket.local_addr()?.as_socket().map_or(0, |it| it.port());
            context.counters().set_own_port(port);
        }
        match socket.connect_timeout(door, time_left(until)?) {
            // A Unix socket does not wait for room in its queue.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => thread::sleep(PAUSE),
            result => return result.map(|()| socket),
        }
    }
}

fn time_left(until: Instant) -> io::Result<Duration> {
    let left = until.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
}

/// Whether it is this client that lacks something, so that nothing is known of the server.
fn is_no_sign(error: &io::Error) -> bool {
    is_short_of_resources(error) || Errno::from_io_error(error) == Some(Errno::ADDRNOTAVAIL)
}
