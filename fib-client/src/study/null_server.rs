//! A server that does nothing but answer: what a client makes of it is the client's own limit.

use std::{
    collections::HashMap,
    io::{self, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use fib_proto::{Address, Dialect};
use memchr::memchr;

use crate::load::{Plan, Poller, Ready, Script};

/// How soon it notices that it is no longer needed.
const TICK: Duration = Duration::from_millis(20);

/// How much is read from a socket at a time.
const CHUNK_LEN: usize = 64 * 1024;

/// The number under which its listener is ready; no connection has it.
const LISTENER: usize = usize::MAX;

/// Answers the requests of one plan, on a thread of its own and a loopback port, until it is
/// dropped. It looks requests up and computes nothing.
#[derive(Debug)]
pub struct NullServer {
    address: Address,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl NullServer {
    /// Begins to listen.
    ///
    /// # Errors
    ///
    /// Where the system does not let it.
    pub fn start(plan: &Plan) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        listener.set_nonblocking(true)?;
        let address = Address::Tcp(listener.local_addr()?.to_string());
        let poller = Poller::new()?;
        poller.add(&listener, LISTENER)?;
        let stop = Arc::new(AtomicBool::new(false));
        let service = Service {
            listener,
            poller,
            clients: Vec::new(),
            answers: Answers::new(plan),
            stop: Arc::clone(&stop),
        };
        let thread = thread::Builder::new().name("null-server".to_owned());
        let thread = thread.spawn(move || service.run())?;
        Ok(Self { address, stop, thread: Some(thread) })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> &Address {
        &self.address
    }
}

impl Drop for NullServer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // If it panicked, its clients have noticed.
            let _ = thread.join();
        }
    }
}

struct Service {
    listener: TcpListener,
    poller: Poller,
    clients: Vec<Option<Client>>,
    answers: Answers,
    stop: Arc<AtomicBool>,
}

struct Client {
    socket: TcpStream,
    /// The beginning of a request whose end has not come yet.
    partial: Vec<u8>,
    output: Vec<u8>,
}

impl Service {
    fn run(mut self) {
        let (mut ready, mut chunk) = (Ready::new(), vec![0; CHUNK_LEN]);
        while !self.stop.load(Ordering::Relaxed) {
            self.poller.wait(&mut ready, TICK);
            for (number, ends) in ready.iter() {
                if number == LISTENER {
                    self.accept();
                } else if let Some(client) = &mut self.clients[number]
                    && client.serve(&self.answers, &mut chunk, ends).is_err()
                {
                    self.clients[number] = None;
                }
            }
        }
    }

    fn accept(&mut self) {
        while let Ok((socket, _)) = self.listener.accept() {
            let number = self.clients.len();
            let prepared = socket.set_nonblocking(true).and_then(|()| socket.set_nodelay(true));
            if prepared.is_ok() && self.poller.add(&socket, number).is_ok() {
                let client = Client { socket, partial: Vec::new(), output: Vec::new() };
                self.clients.push(Some(client));
            }
        }
    }
}

impl Client {
    fn serve(&mut self, answers: &Answers, chunk: &mut [u8], ends: bool) -> io::Result<()> {
        loop {
            let len = match self.socket.read(chunk) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(len) => len,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            };
            self.answer(answers, &chunk[..len]);
            if len < chunk.len() && !ends {
                break;
            }
        }
        self.flush()
    }

    fn answer(&mut self, answers: &Answers, mut input: &[u8]) {
        if answers.dialect == Dialect::Classic {
            return self.output.extend_from_slice(answers.to(input));
        }
        while let Some(end) = memchr(b'\n', input) {
            let (line, rest) = input.split_at(end + 1);
            if self.partial.is_empty() {
                self.output.extend_from_slice(answers.to(line));
            } else {
                self.partial.extend_from_slice(line);
                self.output.extend_from_slice(answers.to(&self.partial));
                self.partial.clear();
            }
            input = rest;
        }
        self.partial.extend_from_slice(input);
    }

    fn flush(&mut self) -> io::Result<()> {
        while !self.output.is_empty() {
            match self.socket.write(&self.output) {
                Ok(len) => drop(self.output.drain(..len)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// What is answered to which bytes.
struct Answers {
    dialect: Dialect,
    /// Most loads ask for one number.
    first: Script,
    others: HashMap<Vec<u8>, Vec<u8>>,
}

impl Answers {
    fn new(plan: &Plan) -> Self {
        let scripts = plan.mix.classes().iter().map(|class| Script::new(class.n, plan.dialect));
        let others = scripts.skip(1).map(|script| (script.request, script.reply)).collect();
        let first = Script::new(plan.mix.classes()[0].n, plan.dialect);
        Self { dialect: plan.dialect, first, others }
    }

    fn to(&self, request: &[u8]) -> &[u8] {
        if request == self.first.request {
            return &self.first.reply;
        }
        self.others.get(request).map_or(b"ERR internal nobody asks that\n", Vec::as_slice)
    }
}
