//! A client's socket, in clear text or encrypted: so that what is promised is asked for over both.

use std::{
    io::{self, ErrorKind, Read, Write},
    net::{Shutdown, TcpStream},
    sync::{Arc, Mutex},
    time::Duration,
};

use rustls::ClientConnection;
use socket2::SockRef;

/// A connected socket.
#[derive(Clone)]
pub(crate) struct Wire {
    socket: Arc<TcpStream>,
    tls: Option<Arc<Tls>>,
}

/// A layer of TLS that one thread may write to while another reads.
struct Tls {
    connection: Mutex<ClientConnection>,
    /// What is encrypted and not sent.
    unsent: Mutex<Vec<u8>>,
}

impl Wire {
    pub(crate) fn new(socket: TcpStream) -> Self {
        Self { socket: Arc::new(socket), tls: None }
    }

    /// Shakes hands first.
    pub(crate) fn encrypted(
        socket: TcpStream,
        mut connection: ClientConnection,
    ) -> io::Result<Self> {
        while connection.is_handshaking() {
            connection.complete_io(&mut &socket)?;
        }
        let tls = Tls { connection: Mutex::new(connection), unsent: Mutex::default() };
        Ok(Self { socket: Arc::new(socket), tls: Some(Arc::new(tls)) })
    }

    pub(crate) fn socket(&self) -> &TcpStream {
        &self.socket
    }

    pub(crate) fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.socket.set_read_timeout(timeout)
    }

    pub(crate) fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.socket.set_write_timeout(timeout)
    }

    /// In the order that TLS demands: first it is told, then TCP.
    pub(crate) fn half_close(&self) -> io::Result<()> {
        if let Some(tls) = &self.tls {
            tls.connection.lock().unwrap().send_close_notify();
            tls.send(&self.socket)?;
        }
        self.socket.shutdown(Shutdown::Write)
    }

    /// Closes with a reset, as a crashed client's kernel does.
    pub(crate) fn reset(self) {
        SockRef::from(&*self.socket).set_linger(Some(Duration::ZERO)).unwrap();
    }
}

impl Tls {
    /// Sends all that is encrypted, and leaves the reader alone meanwhile.
    fn send(&self, mut socket: &TcpStream) -> io::Result<()> {
        let mut unsent = self.unsent.lock().unwrap();
        let mut connection = self.connection.lock().unwrap();
        while connection.wants_write() {
            connection.write_tls(&mut *unsent)?;
        }
        drop(connection);
        while !unsent.is_empty() {
            let len = socket.write(&unsent)?;
            unsent.drain(..len);
        }
        Ok(())
    }

    fn read(&self, mut socket: &TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.connection.lock().unwrap().reader().read(buffer) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                result => return result,
            }
            // Waits without the lock, which the writer may want.
            socket.peek(&mut [0])?;
            let mut connection = self.connection.lock().unwrap();
            connection.read_tls(&mut socket)?;
            connection.process_new_packets().map_err(io::Error::other)?;
        }
    }

    fn write(&self, socket: &TcpStream, bytes: &[u8]) -> io::Result<usize> {
        self.send(socket)?;
        let len = self.connection.lock().unwrap().writer().write(bytes)?;
        match self.send(socket) {
            // Sent or not: it is taken.
            Err(error) if error.kind() != ErrorKind::WouldBlock => Err(error),
            _ => Ok(len),
        }
    }
}

impl Read for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &self.tls {
            None => (&*self.socket).read(buffer),
            Some(tls) => tls.read(&self.socket, buffer),
        }
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &self.tls {
            None => (&*self.socket).write(bytes),
            Some(tls) => tls.write(&self.socket, bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
