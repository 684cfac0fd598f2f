//! A connected socket, in clear text or encrypted. What is read and written blocks where the socket
//! does.

use std::{
    io::{self, ErrorKind, Read, Write},
    time::Duration,
};

use rustix::net::{RecvFlags, recv};
use rustls::ClientConnection;
use socket2::Socket;

use crate::tls::name_the_flag;

/// Where requests go, and replies come from.
#[derive(Debug)]
pub(crate) enum Wire {
    Clear(Socket),
    Encrypted(Box<Encrypted>),
}

/// A socket, and the layer of TLS on it.
#[derive(Debug)]
pub(crate) struct Encrypted {
    socket: Socket,
    tls: ClientConnection,
}

impl Wire {
    pub(crate) const fn socket(&self) -> &Socket {
        match self {
            Self::Clear(socket) => socket,
            Self::Encrypted(it) => &it.socket,
        }
    }

    pub(crate) fn encrypted(socket: Socket, tls: ClientConnection) -> Self {
        Self::Encrypted(Box::new(Encrypted { socket, tls }))
    }

    /// Ends the handshake, or goes as far as it can: then it would block.
    pub(crate) fn shake_hands(&mut self) -> io::Result<()> {
        let Self::Encrypted(it) = self else { return Ok(()) };
        while it.tls.is_handshaking() {
            it.tls.complete_io(&mut &it.socket).map_err(name_the_flag)?;
        }
        Ok(())
    }

    /// The same where the socket blocks: no step of it waits for longer than this.
    pub(crate) fn shake_hands_within(&mut self, timeout: Duration) -> io::Result<()> {
        if let Self::Clear(_) = self {
            return Ok(());
        }
        self.set_patience(Some(timeout))?;
        match self.shake_hands() {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                let told = "the server does not shake hands; leave out --tls if it speaks none";
                return Err(io::Error::new(ErrorKind::TimedOut, told));
            }
            result => result?,
        }
        self.set_patience(None)
    }

    fn set_patience(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.socket().set_read_timeout(timeout)?;
        self.socket().set_write_timeout(timeout)
    }
}

impl Read for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Clear(socket) => socket.read(buffer),
            Self::Encrypted(it) => it.read(buffer),
        }
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Clear(socket) => socket.write(bytes),
            Self::Encrypted(it) => it.write(bytes),
        }
    }

    /// Sends what TLS has taken and the kernel has not.
    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Clear(_) => Ok(()),
            Self::Encrypted(it) => it.send(),
        }
    }
}

impl Encrypted {
    /// Reads until nothing more is there or the buffer is full, as of a socket. Only for the first
    /// byte it waits.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        let mut is_drained = false;
        loop {
            match self.tls.reader().read(&mut buffer[filled..]) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                // A reply has an end of its own: it is no news from TLS that it was cut off.
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(filled),
                Err(error) => return Err(error),
                Ok(0) => return Ok(filled),
                Ok(len) => filled += len,
            }
            if filled == buffer.len() || filled > 0 && is_drained {
                return Ok(filled);
            }
            match self.receive(filled == 0) {
                Ok(drained) => is_drained = drained,
                // Whatever it is: it comes again.
                Err(_) if filled > 0 => return Ok(filled),
                Err(error) => return Err(error),
            }
        }
    }

    /// Takes in what one read brings, waiting for it or not; whether it was all there is.
    fn receive(&mut self, waits: bool) -> io::Result<bool> {
        let flags = if waits { RecvFlags::empty() } else { RecvFlags::DONTWAIT };
        let mut source = Source { socket: &self.socket, flags, is_drained: false };
        self.tls.read_tls(&mut source)?;
        let is_drained = source.is_drained;
        self.decrypt().inspect_err(|_| {
            // The server shall know why. If it cannot be told, this is what went wrong first.
            let _ = self.send();
        })?;
        Ok(is_drained)
    }

    fn decrypt(&mut self) -> io::Result<()> {
        match self.tls.process_new_packets() {
            Ok(_) => Ok(()),
            Err(error) => Err(name_the_flag(io::Error::new(ErrorKind::InvalidData, error))),
        }
    }

    /// What is taken counts as written, whether the kernel has it or not: what comes next waits.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.send()?;
        let len = self.tls.writer().write(bytes)?;
        match self.send() {
            Err(error) if error.kind() != ErrorKind::WouldBlock => Err(error),
            _ => Ok(len),
        }
    }

    fn send(&mut self) -> io::Result<()> {
        while self.tls.wants_write() {
            match self.tls.write_tls(&mut &self.socket) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Err(error),
                Err(error) => return Err(self.why_it_ended().unwrap_or(error)),
                Ok(_) => {}
            }
        }
        Ok(())
    }

    /// What the server has said before it closed. It is there although nothing can be sent.
    fn why_it_ended(&mut self) -> Option<io::Error> {
        let mut source =
            Source { socket: &self.socket, flags: RecvFlags::DONTWAIT, is_drained: false };
        self.tls.read_tls(&mut source).ok()?;
        self.decrypt().err()
    }
}

/// A socket as TLS reads it.
struct Source<'a> {
    socket: &'a Socket,
    flags: RecvFlags,
    /// Whether the last read has left nothing.
    is_drained: bool,
}

impl Read for Source<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = buffer.len();
        let (len, _) = recv(self.socket, buffer, self.flags)?;
        self.is_drained = len < wanted;
        Ok(len)
    }
}
