//! Last words to clients that are not served.
//!
//! Closing a socket with unread bytes resets the connection, and a reset may take the line from
//! under the client that it is for. So whoever was refused is listened to for a while, without
//! being heard. Those who accept cannot wait for that: a thread does, which there is only as long
//! as somebody is about to leave.

use std::{
    io::{self, Read},
    net::Shutdown,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use socket2::Socket;
use tracing::debug;

use crate::session::CHUNK_LEN;

/// How long a client may take to read its line and hang up, and how much it may send meanwhile.
const PATIENCE: Duration = Duration::from_secs(1);
const LEFTOVERS: usize = 64 * 1024;

/// How many are waited for at once. One more is hung up on, as is everybody where there is no
/// thread to wait.
pub(crate) const AT_ONCE: usize = 1024;

/// How often they are looked after.
const PAUSE: Duration = Duration::from_millis(5);

/// A client that has been told why it is not served.
#[derive(Debug)]
pub(crate) struct Leaving {
    socket: Arc<Socket>,
    until: Instant,
    leftovers: usize,
}

impl Leaving {
    /// Says this line, and that it is the last one. It never waits.
    pub(crate) fn begin(socket: &Arc<Socket>, line: &[u8]) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        socket.send(line)?;
        socket.shutdown(Shutdown::Write)?;
        let until = Instant::now() + PATIENCE;
        Ok(Self { socket: Arc::clone(socket), until, leftovers: LEFTOVERS })
    }

    /// Reads away some of what has come; whether there is nothing more to wait for.
    pub(crate) fn is_over(&mut self) -> bool {
        use io::ErrorKind::{Interrupted, WouldBlock};
        match (&*self.socket).read(&mut [0; CHUNK_LEN]) {
            Ok(len) => {
                self.leftovers = self.leftovers.saturating_sub(len);
                len == 0 || self.leftovers == 0
            }
            Err(error) if matches!(error.kind(), WouldBlock | Interrupted) => {
                self.until <= Instant::now()
            }
            Err(_) => true,
        }
    }
}

/// Those that are leaving. There is a thread that waits for them while there are any.
#[derive(Debug, Default)]
pub(crate) struct Farewells(Arc<Mutex<Vec<Leaving>>>);

impl Farewells {
    /// Has somebody waited for, if there is room.
    pub(crate) fn wait_for(&self, mut leaving: Leaving) {
        if leaving.is_over() {
            return;
        }
        let mut all = lock(&self.0);
        if all.len() < AT_ONCE {
            all.push(leaving);
        }
        if all.len() == 1
            && let Err(error) = self.start()
        {
            debug!("nobody waits for those who leave: {error}");
            all.clear();
        }
    }

    fn start(&self) -> io::Result<()> {
        let all = Arc::clone(&self.0);
        let wait = move || {
            while !is_empty_after_a_look(&all) {
                thread::sleep(PAUSE);
            }
        };
        thread::Builder::new().name("farewell".into()).spawn(wait).map(drop)
    }
}

fn is_empty_after_a_look(all: &Mutex<Vec<Leaving>>) -> bool {
    let mut all = lock(all);
    all.retain_mut(|it| !it.is_over());
    all.is_empty()
}

/// Nothing panics while it is locked.
fn lock(all: &Mutex<Vec<Leaving>>) -> MutexGuard<'_, Vec<Leaving>> {
    all.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::{io::Write, os::unix::net::UnixStream};

    use super::*;

    fn pair() -> (UnixStream, Leaving) {
        let (client, socket) = UnixStream::pair().unwrap();
        (client, Leaving::begin(&Arc::new(socket.into()), b"bye\n").unwrap())
    }

    #[test]
    fn a_client_reads_its_line_and_hangs_up() {
        let (mut client, mut leaving) = pair();
        assert!(!leaving.is_over());
        client.write_all(b"30\n").unwrap();
        assert!(!leaving.is_over());
        let mut told = String::new();
        client.read_to_string(&mut told).unwrap();
        assert_eq!(told, "bye\n");
        drop(client);
        assert!(leaving.is_over());
    }

    #[test]
    fn patience_has_an_end() {
        let (mut client, mut talkative) = pair();
        let mut sent = 0;
        while !talkative.is_over() {
            sent += client.write(&[b'1'; CHUNK_LEN]).unwrap();
        }
        assert_eq!(sent, LEFTOVERS);
        let (_client, mut silent) = pair();
        silent.until = Instant::now();
        assert!(silent.is_over());
    }

    #[test]
    fn somebody_waits_whenever_somebody_leaves() {
        let farewells = Farewells::default();
        for _ in 0..2 {
            let (mut client, leaving) = pair();
            farewells.wait_for(leaving);
            assert_eq!(lock(&farewells.0).len(), 1);
            client.shutdown(Shutdown::Write).unwrap();
            client.read_to_string(&mut String::new()).unwrap();
            while !lock(&farewells.0).is_empty() {
                thread::sleep(PAUSE);
            }
        }
    }
}
