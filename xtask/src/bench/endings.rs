//! How conversations end: clients that reset in the middle of a long request, and clients that
//! half-close behind theirs. The first must cost nothing more, the second must be answered.

use std::{
    io::{Read, Write},
    net::{Shutdown, TcpStream},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use socket2::Socket;

use crate::{bench::record::Endings, server::Server};

/// What is being computed when the client resets: most of a second.
const LONG: &[u8] = b"45\n";

/// How long it computes before that.
const HEAD_START: Duration = Duration::from_millis(3);

/// How long a reply, or the end of a computation, may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Resets so many connections in the middle of a long request, one after the other.
pub(super) fn reset(server: &Server, clients: u64) -> Result<Endings> {
    let mut endings = Endings { clients, ..Endings::default() };
    for _ in 0..clients {
        let mut client = TcpStream::connect(server.address())?;
        client.write_all(LONG)?;
        thread::sleep(HEAD_START);
        let socket = Socket::from(client);
        socket.set_linger(Some(Duration::ZERO))?;
        let begin = Instant::now();
        drop(socket);
        while server.computes()? {
            ensure!(begin.elapsed() < PATIENCE, "what nobody waits for is computed on and on");
        }
        endings.slowest_ms = endings.slowest_ms.max(begin.elapsed().as_secs_f64() * 1e3);
    }
    Ok(endings)
}

/// Has so many clients half-close behind their request, one after the other.
pub(super) fn half_close(server: &Server, clients: u64) -> Result<Endings> {
    let mut endings = Endings { clients, ..Endings::default() };
    for client in 0..clients {
        // What is answered at once, what is not, and what takes a few slices.
        let n = [1, 25, 30][usize::try_from(client % 3)?];
        let mut client = TcpStream::connect(server.address())?;
        client.set_read_timeout(Some(PATIENCE))?;
        client.write_all(format!("{n}\n").as_bytes())?;
        client.shutdown(Shutdown::Write)?;
        let mut reply = String::new();
        let right = fib_core::fib(n).map(|value| format!("{value}\n"));
        let answered = client.read_to_string(&mut reply).is_ok() && Some(reply) == right;
        endings.answered += u64::from(answered);
    }
    Ok(endings)
}
