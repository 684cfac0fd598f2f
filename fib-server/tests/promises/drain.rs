//! What it does that is told to stop: it answers what it has received, and ends with the last
//! answer.
//!
//! *Received* is a request that lies in the server's kernel when the signal is sent: its client has
//! sent it, and knows from its own kernel that it has arrived. Who goes on sending after that is
//! answered, too, but not for ever.

use std::{
    fmt::Write as _,
    io::{self, ErrorKind, Read, Write},
    net::{Shutdown, TcpStream},
    sync::{PoisonError, RwLock},
    thread,
    time::{Duration, Instant},
};

use fastrand::Rng;
use rustix::process::Signal;

use crate::{
    effort::{attempts, choices},
    support::{Client, Measured, PATIENCE, Server, Way, for_each_way, wait_until},
    watched::Watched,
};

for_each_way! {{
    no_answer_is_lost,
    who_watches_is_told_in_time,
}}

/// How often it is tried in each way, so that all of them make a thousand.
const TRIES: usize = 42;

/// How many requests a client sends at a time: there is always room for so many.
const BATCH: usize = 16;

/// What is promised is 50 ms after the last answer; a busy machine needs longer.
const EXIT_CEILING: Duration = Duration::from_secs(5);

/// What is promised is 50 ms.
const WATCHED_CEILING: Duration = Duration::from_secs(5);

/// At a random moment, among all kinds of clients.
fn no_answer_is_lost(way: Way) {
    let mut choices = choices();
    let mut exits = Measured::new("from the last answer to the exit", EXIT_CEILING);
    for _ in 0..attempts(2, TRIES) {
        let server = Server::start(way, &["--algorithm", "recursive"]);
        let gate = Gate::default();
        let moment = Duration::from_millis(choices.u64(..60));
        let scripts = [choices.fork(), choices.fork(), choices.fork(), choices.fork()];
        let last_answer = thread::scope(|scope| {
            let (server, gate) = (&server, &gate);
            let [one, another, coming, going] = scripts.map(Script);
            let mut clients = vec![
                scope.spawn(move || stay(server, gate, one)),
                scope.spawn(move || stay(server, gate, another)),
                scope.spawn(move || come_and_go(server, gate, coming)),
                scope.spawn(move || come_and_go(server, gate, going)),
            ];
            // Nobody takes what it sends while another is the client in front.
            if way.strategy != "sequential" {
                clients.push(scope.spawn(move || never_stop(server, gate)));
            }
            thread::sleep(moment);
            gate.close(server);
            clients.into_iter().map(|client| client.join().unwrap()).max().unwrap()
        });
        let ended = server.wait();
        exits.take(last_answer.elapsed());
        assert_eq!(ended.status.code(), Some(0), "{}", ended.log);
        ended.check_counts();
    }
}

/// Lets nobody send while the signal is sent, and nobody but those who never stop after it.
#[derive(Default)]
struct Gate {
    is_closed: RwLock<bool>,
}

impl Gate {
    /// Sends, unless the server was told to stop.
    fn pass<T>(&self, send: impl FnOnce() -> T) -> Option<T> {
        let is_closed = self.is_closed.read().unwrap_or_else(PoisonError::into_inner);
        (!*is_closed).then(send)
    }

    /// Tells the server to stop, once all that was sent has arrived.
    fn close(&self, server: &Server) {
        let mut is_closed = self.is_closed.write().unwrap_or_else(PoisonError::into_inner);
        let server_address = server.address().parse().unwrap();
        wait_until("what was sent has arrived", || {
            let mut sockets = procfs::net::tcp().unwrap().into_iter();
            sockets.all(|it| it.remote_address != server_address || it.tx_queue == 0)
        });
        server.signal(Signal::TERM);
        *is_closed = true;
    }
}

/// Asks again and again; when the last answer came.
fn stay(server: &Server, gate: &Gate, mut script: Script) -> Instant {
    let mut caller = Caller::connect(server).unwrap();
    while gate.pass(|| caller.send(&mut script)).is_some() {
        caller.take_all();
    }
    caller.take_end()
}

/// Asks in one connection after the other; half of them are half-closed at once.
fn come_and_go(server: &Server, gate: &Gate, mut script: Script) -> Instant {
    let mut last_answer = Instant::now();
    while let Some(mut caller) = gate.pass(|| {
        let mut caller = Caller::connect(server).unwrap();
        caller.send(&mut script);
        caller
    }) {
        let half_closes = script.0.bool();
        if half_closes {
            caller.socket.shutdown(Shutdown::Write).unwrap();
        }
        caller.take_all();
        last_answer = if half_closes { caller.take_end() } else { Instant::now() };
    }
    // Too late: who gets in is answered or cut off, but not told anything else.
    if let Ok(mut caller) = Caller::connect(server) {
        caller.send(&mut script);
        last_answer = caller.take_some();
    }
    last_answer
}

/// Sends without pause, until its connection is over.
fn never_stop(server: &Server, gate: &Gate) -> Instant {
    let requests = "7\n".repeat(BATCH);
    let mut socket = TcpStream::connect(server.address()).unwrap();
    let answers = socket.try_clone().unwrap();
    thread::scope(|scope| {
        let reader = scope.spawn(|| take_until_over(answers));
        let mut owed = 0;
        while gate.pass(|| socket.write_all(requests.as_bytes()).unwrap()).is_some() {
            owed += BATCH;
        }
        while socket.write_all(requests.as_bytes()).is_ok() {}
        let (given, last_answer) = reader.join().unwrap();
        let given = given.trim_end_matches("ERR shutdown the server is stopping\n");
        let answers = given.len() / "13\n".len();
        assert_eq!(given, "13\n".repeat(answers));
        assert!(answers >= owed, "{answers} of {owed} answers, and then no more");
        last_answer
    })
}

/// Whatever comes, and when that was over. Who sends has to stop then, too.
fn take_until_over(mut socket: TcpStream) -> (String, Instant) {
    let mut given = Vec::new();
    let end = socket.read_to_end(&mut given).map_err(|error| error.kind());
    assert!(matches!(end, Ok(_) | Err(ErrorKind::ConnectionReset)), "{end:?}");
    let last_answer = Instant::now();
    // It may have been reset already.
    let _ = socket.shutdown(Shutdown::Both);
    (String::from_utf8(given).unwrap(), last_answer)
}

/// Requests for numbers that are at hand and for such that take time, and what is said to them.
struct Script(Rng);

impl Script {
    fn next_batch(&mut self) -> (String, String) {
        let (mut requests, mut answers) = (String::new(), String::new());
        for _ in 0..self.0.usize(1..=BATCH) {
            let n = if self.0.u8(..8) == 0 { self.0.u64(20..24) } else { self.0.u64(..15) };
            writeln!(requests, "{n}").unwrap();
            writeln!(answers, "{}", fib_core::exact(n)).unwrap();
        }
        (requests, answers)
    }
}

/// A client that knows what it is owed.
struct Caller {
    socket: TcpStream,
    owed: String,
    given: String,
}

impl Caller {
    fn connect(server: &Server) -> io::Result<Self> {
        let socket = TcpStream::connect(server.address())?;
        socket.set_read_timeout(Some(PATIENCE))?;
        Ok(Self { socket, owed: String::new(), given: String::new() })
    }

    fn send(&mut self, script: &mut Script) {
        let (requests, answers) = script.next_batch();
        self.owed += &answers;
        // It fails for one who was let in and cut off before it could send.
        let _ = self.socket.write_all(requests.as_bytes());
    }

    /// Takes a part of what comes; whether that was the end.
    fn take(&mut self) -> io::Result<bool> {
        let mut chunk = [0; 4096];
        let len = self.socket.read(&mut chunk)?;
        self.given += str::from_utf8(&chunk[..len]).unwrap();
        assert!(self.owed.starts_with(&self.given), "owed {:?}\ngot {:?}", self.owed, self.given);
        Ok(len == 0)
    }

    /// Takes all that it is owed.
    fn take_all(&mut self) {
        while self.given.len() < self.owed.len() {
            let is_over = self.take().expect("it is answered");
            assert!(!is_over, "owed {:?}\ngot {:?}", self.owed, self.given);
        }
    }

    /// Waits for the end of it, after all; when that was.
    fn take_end(mut self) -> Instant {
        self.take_all();
        assert!(self.take().expect("it is closed"), "that was all");
        Instant::now()
    }

    /// Takes what there is of it.
    fn take_some(mut self) -> Instant {
        while let Ok(false) = self.take() {}
        Instant::now()
    }
}

/// That it will not serve any more, before it does not; and that it lives, as long as it does.
fn who_watches_is_told_in_time(way: Way) {
    let flags = ["--algorithm", "recursive", "--max-n", "60", "--drain-delay", "300ms"];
    let watched = Watched::start(way, &flags);
    let mut asked = Measured::new("an answer of the admin endpoint", WATCHED_CEILING);
    let mut ask = |path| {
        let begin = Instant::now();
        let (status, _) = watched.get(path);
        asked.take(begin.elapsed());
        status
    };
    let takes_turns = way.strategy == "sequential";
    let cores = thread::available_parallelism().unwrap().get();
    let mut clients: Vec<_> = (0..2 * cores).map(|_| watched.server.connect()).collect();
    for client in &mut clients {
        client.send("60\n");
    }
    let under_way = if takes_turns { 1 } else { clients.len() };
    watched.wait_until_it_is("fib_jobs_in_flight", under_way);
    watched.server.signal(Signal::TERM);
    wait_until("nobody is let in any more", || {
        let is_ready = ask("/readyz") == "200";
        assert_eq!(ask("/healthz"), "200");
        let is_open = TcpStream::connect(watched.server.address()).is_ok();
        assert!(is_open || !is_ready, "it is ready, and closed");
        // Where all have to wait for the client in front, they may as well.
        !is_open || takes_turns && !is_ready
    });
    clients.drain(..).for_each(Client::reset);
    let ended = watched.server.wait();
    assert_eq!(ended.status.code(), Some(0), "{}", ended.log);
    ended.check_counts();
}
