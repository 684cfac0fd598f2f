//! A proxy for one TCP connection that does to it what networks do.
//!
//! Each direction has a toxic of its own, or none. What it does is drawn from a generator that the
//! caller seeds, so that a seed is a schedule of faults.

mod pump;
#[cfg(test)]
mod tests;
mod toxic;

use std::{cell::RefCell, fmt, future, io, time::Duration};

use fastrand::Rng;
use socket2::SockRef;
use tokio::net::TcpStream;

use self::pump::{Ending, Pump};
pub(crate) use self::toxic::Toxic;

/// What happens to a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Faults {
    pub(crate) requests: Option<Toxic>,
    pub(crate) replies: Option<Toxic>,
}

/// Who sees what the server sees: the bytes that reach it, and those that leave it, whatever
/// happens to them on their way. No bytes stand for the end.
pub(crate) trait Witness {
    fn asked(&mut self, bytes: &[u8]);
    fn answered(&mut self, bytes: &[u8]);
}

/// Nobody is told.
#[derive(Debug)]
pub(crate) struct Nobody;

impl Witness for Nobody {
    fn asked(&mut self, _: &[u8]) {}
    fn answered(&mut self, _: &[u8]) {}
}

/// Who ended a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The server, in order.
    Server,
    /// The server, by a reset, or by its death.
    ServerReset,
    /// A toxic, or the client that was its victim.
    Fault,
}

impl Faults {
    /// How many kinds there are of which there is one in one direction.
    pub(crate) const KINDS: u64 = 18;

    /// One of each kind, for about so many bytes in each direction.
    pub(crate) fn one_of_each(rng: &mut Rng, [requests, replies]: [u64; 2]) -> Vec<Self> {
        let requests =
            Toxic::one_of_each(rng, requests).map(|it| Self { requests: Some(it), replies: None });
        let replies =
            Toxic::one_of_each(rng, replies).map(|it| Self { requests: None, replies: Some(it) });
        [requests, replies].concat()
    }

    /// One of each kind or none, for each direction, for about so many bytes.
    pub(crate) fn draw(rng: &mut Rng, [requests_len, replies_len]: [u64; 2]) -> Self {
        let mut one = |len| {
            let toxics = Toxic::one_of_each(rng, len);
            rng.choice(toxics).filter(|_| rng.bool())
        };
        Self { requests: one(requests_len), replies: one(replies_len) }
    }

    /// Whether not all that is sent arrives, as it was.
    pub(crate) fn lose(self) -> bool {
        [self.requests, self.replies].into_iter().flatten().any(Toxic::loses)
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let told =
            |it: Option<Toxic>| it.map_or_else(|| "no fault".to_owned(), |it| it.to_string());
        write!(f, "requests: {}, replies: {}", told(self.requests), told(self.replies))
    }
}

/// Passes bytes on between a client and a server until the connection has ended.
pub(crate) async fn relay(
    mut client: TcpStream,
    mut server: TcpStream,
    faults: Faults,
    seed: u64,
    witness: &RefCell<impl Witness>,
) -> io::Result<End> {
    for socket in [&client, &server] {
        socket.set_nodelay(true)?;
    }
    let mut rng = Rng::with_seed(seed);
    let ending = {
        let (from_client, to_client) = client.split();
        let (from_server, to_server) = server.split();
        let requests =
            Pump { from: from_client, to: to_server, toxic: faults.requests, rng: rng.fork() };
        let replies =
            Pump { from: from_server, to: to_client, toxic: faults.replies, rng: rng.fork() };
        let requests = requests.run(|_| {}, |bytes| witness.borrow_mut().asked(bytes));
        let replies = replies.run(|bytes| witness.borrow_mut().answered(bytes), |_| {});
        tokio::select! {
            ending = replies => ending,
            () = until_reset(requests) => Ending::Reset,
        }
    };
    if ending == Ending::Reset {
        for socket in [&client, &server] {
            SockRef::from(socket).set_linger(Some(Duration::ZERO))?;
        }
    }
    let was_cut = matches!(faults.replies, Some(Toxic::Cut { .. }));
    Ok(match ending {
        Ending::End if !was_cut => End::Server,
        Ending::SenderReset => End::ServerReset,
        _ => End::Fault,
    })
}

/// A connection does not end with its requests.
async fn until_reset(requests: impl Future<Output = Ending>) {
    if requests.await != Ending::Reset {
        future::pending::<()>().await;
    }
}
