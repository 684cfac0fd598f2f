//! One connection to a server, for programs that want answers.

use std::{
    io::{self, Read, Write},
    time::{Duration, Instant},
};

use fib_proto::{Address, Dialect, ErrorCode, MalformedReply, Reply, encode_request, parse_reply};
use memchr::memchr;
use thiserror::Error;

use crate::{dial::Target, tls::Tls, wire::Wire};

/// How many requests a pipeline keeps under way: enough to hide the round trip, and so few that
/// their bytes always fit the socket's buffer. Neither side can block the other.
const PIPELINE_DEPTH: usize = 64;

const CHUNK_LEN: usize = 64 * 1024;

/// How a connection is made, and how patient it is.
#[derive(Clone, Debug)]
pub struct Options {
    /// How long connecting may take.
    pub connect_timeout: Duration,
    /// How long a reply may take, from the call that waits for it.
    pub reply_timeout: Duration,
    /// How the server expects requests. A pipeline needs [`Dialect::Line`].
    pub dialect: Dialect,
    /// The longest reply line that is taken, in bytes.
    pub max_reply: usize,
    /// How it is encrypted, if it is.
    pub tls: Option<Tls>,
}

impl Default for Options {
    /// Ten seconds to connect, a minute for a reply of at most 256 MiB, a line for each request, in
    /// clear text.
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(10),
            reply_timeout: Duration::from_mins(1),
            dialect: Dialect::Line,
            max_reply: 256 << 20,
            tls: None,
        }
    }
}

/// Why there is no answer.
#[non_exhaustive]
#[derive(Debug, Error)]
pub enum ClientError {
    /// The server could not be reached.
    #[error("connecting to {address}")]
    Connect {
        /// Where it was expected.
        address: Address,
        /// What the system said.
        source: io::Error,
    },
    /// The server answered with an `ERR` line. The connection goes on.
    #[error("the server says {code}: {text}")]
    Server {
        /// What kind of failure it is.
        code: ErrorCode,
        /// The server's explanation.
        text: String,
    },
    /// The server closed the connection and owes a reply.
    #[error("the server closed the connection before it replied")]
    Closed,
    /// No reply came in time.
    #[error("no reply within {after:?}")]
    Timeout {
        /// How long it was waited for.
        after: Duration,
    },
    /// The peer speaks another protocol.
    #[error(transparent)]
    Malformed(#[from] MalformedReply),
    /// The reply does not end within the limit.
    #[error("the reply is longer than {limit} bytes")]
    TooLong {
        /// The limit.
        limit: usize,
    },
    /// The connection failed.
    #[error("the connection failed")]
    Io(#[from] io::Error),
    /// An earlier failure left replies on their way that nobody waits for.
    #[error("the connection lost its step in an earlier failure; open a new one")]
    OutOfStep,
}

/// A connection that asks and waits.
///
/// After any error but [`ClientError::Server`] it is [`ClientError::OutOfStep`]: a reply that comes
/// late would answer another request.
#[derive(Debug)]
pub struct Connection {
    wire: Wire,
    options: Options,
    /// Bytes received; those before `taken` belong to replies already given out.
    received: Vec<u8>,
    taken: usize,
    in_step: bool,
}

impl Connection {
    /// Connects to a server.
    ///
    /// # Errors
    ///
    /// [`ClientError::Connect`].
    pub fn open(address: &Address, options: Options) -> Result<Self, ClientError> {
        let wire = Target::resolve(address, options.tls.as_ref())
            .and_then(|target| target.connect(options.connect_timeout))
            .map_err(|source| ClientError::Connect { address: address.clone(), source })?;
        Ok(Self { wire, options, received: Vec::new(), taken: 0, in_step: true })
    }

    /// Asks for F(n) and waits for its decimal digits.
    ///
    /// # Errors
    ///
    /// Any of [`ClientError`] but `Connect`.
    pub fn ask(&mut self, n: u64) -> Result<String, ClientError> {
        self.send(&[n])?;
        self.receive()
    }

    /// Asks for many numbers without waiting for each reply, and gives the answers in order.
    ///
    /// It stops after the first error that is not [`ClientError::Server`].
    pub fn pipeline<'a>(
        &'a mut self,
        numbers: &'a [u64],
    ) -> impl Iterator<Item = Result<String, ClientError>> + 'a {
        Pipeline { connection: self, unsent: numbers, in_flight: 0 }
    }

    fn send(&mut self, numbers: &[u64]) -> Result<(), ClientError> {
        if !self.in_step {
            return Err(ClientError::OutOfStep);
        }
        let mut bytes = Vec::new();
        for &n in numbers {
            encode_request(n, &mut bytes);
        }
        if self.options.dialect == Dialect::Classic {
            bytes.pop(); // the newline
        }
        self.wire.write_all(&bytes).map_err(|error| self.fail(error.into()))
    }

    fn receive(&mut self) -> Result<String, ClientError> {
        if !self.in_step {
            return Err(ClientError::OutOfStep);
        }
        let end = self.read_line().map_err(|error| self.fail(error))?;
        let line = self.taken..end;
        self.taken = end + 1;
        match parse_reply(&self.received[line]) {
            Ok(Reply::Value(digits)) => Ok(digits.to_owned()),
            Ok(Reply::Error { code, text }) => {
                Err(ClientError::Server { code, text: text.to_owned() })
            }
            Err(malformed) => Err(self.fail(malformed.into())),
        }
    }

    /// Reads until there is a line, and says where it ends.
    fn read_line(&mut self) -> Result<usize, ClientError> {
        let deadline = Instant::now() + self.options.reply_timeout;
        let mut searched = self.taken;
        loop {
            if let Some(at) = memchr(b'\n', &self.received[searched..]) {
                return Ok(searched + at);
            }
            if self.received.len() - self.taken > self.options.max_reply {
                return Err(ClientError::TooLong { limit: self.options.max_reply });
            }
            self.received.drain(..self.taken);
            self.taken = 0;
            searched = self.received.len();
            self.read_chunk(deadline)?;
        }
    }

    fn read_chunk(&mut self, deadline: Instant) -> Result<(), ClientError> {
        let timeout = ClientError::Timeout { after: self.options.reply_timeout };
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(timeout);
        }
        self.wire.socket().set_read_timeout(Some(left))?;
        let filled = self.received.len();
        self.received.resize(filled + CHUNK_LEN, 0);
        let result = self.wire.read(&mut self.received[filled..]);
        self.received.truncate(filled + result.as_ref().map_or(0, |&len| len));
        match result {
            Ok(0) => Err(ClientError::Closed),
            Ok(_) => Ok(()),
            Err(error) => match error.kind() {
                io::ErrorKind::Interrupted => Ok(()),
                io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => Err(timeout),
                _ => Err(error.into()),
            },
        }
    }

    fn fail(&mut self, error: ClientError) -> ClientError {
        self.in_step = false;
        error
    }
}

struct Pipeline<'a> {
    connection: &'a mut Connection,
    unsent: &'a [u64],
    in_flight: usize,
}

impl Pipeline<'_> {
    fn fill(&mut self) -> Result<(), ClientError> {
        let depth = match self.connection.options.dialect {
            Dialect::Line => PIPELINE_DEPTH,
            Dialect::Classic => 1,
        };
        let (now, later) = self.unsent.split_at(self.unsent.len().min(depth - self.in_flight));
        if !now.is_empty() {
            self.connection.send(now)?;
        }
        self.unsent = later;
        self.in_flight += now.len();
        Ok(())
    }

    fn stop(&mut self) {
        self.unsent = &[];
        self.in_flight = 0;
    }
}

impl Iterator for Pipeline<'_> {
    type Item = Result<String, ClientError>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Err(error) = self.fill() {
            self.stop();
            return Some(Err(error));
        }
        if self.in_flight == 0 {
            return None;
        }
        self.in_flight -= 1;
        let result = self.connection.receive();
        if !matches!(result, Ok(_) | Err(ClientError::Server { .. })) {
            self.stop();
        }
        Some(result)
    }
}

/// Replies that nobody fetched would answer the next request.
impl Drop for Pipeline<'_> {
    fn drop(&mut self) {
        if self.in_flight > 0 {
            self.connection.in_step = false;
        }
    }
}
