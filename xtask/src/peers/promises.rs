//! What every server of another language promises before it is compared with ours.

use std::{
    io::{BufRead, BufReader, Write},
    net::TcpStream,
    sync::OnceLock,
    time::Duration,
};

use socket2::Socket;
use xshell::Shell;

use super::{Algorithm, Family, Peer, others};
use crate::{server::Server, tools::say};

/// Long enough for the slowest machine, short enough to fail.
const PATIENCE: Duration = Duration::from_secs(30);

/// A client that sees every line.
struct Client(BufReader<TcpStream>);

impl Client {
    fn of(server: &Server) -> Self {
        let stream = TcpStream::connect(server.address()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self(BufReader::new(stream))
    }

    fn send(&mut self, bytes: &str) {
        self.0.get_mut().write_all(bytes.as_bytes()).unwrap();
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        line
    }

    fn ask(&mut self, request: &str) -> String {
        self.send(request);
        self.line()
    }

    fn reset(self) {
        Socket::from(self.0.into_inner()).set_linger(Some(Duration::ZERO)).unwrap();
    }
}

/// Each server that can take part; one that cannot is told of.
fn for_each(promise: impl Fn(&Peer)) {
    // Compiled once: a program cannot be written while another test runs it.
    static PEERS: OnceLock<Vec<Peer>> = OnceLock::new();
    let peers = PEERS.get_or_init(|| others::all(&Shell::new().unwrap()).unwrap());
    for peer in peers.iter().filter(|peer| peer.family != Family::Reference) {
        match peer.absence().unwrap() {
            Some(absence) => say(&format!("SKIPPED {}: {absence}", peer.name)),
            None => promise(peer),
        }
    }
}

#[test]
fn peers_answer_lines_in_order() {
    for_each(|peer| {
        let server = peer.start(Algorithm::Recursive).unwrap();
        let mut client = Client::of(&server);
        let told = ["1\n", "10\n", "20\n", "0\n"].map(|request| client.ask(request));
        assert_eq!(told, ["1\n", "55\n", "6765\n", "0\n"], "{}", peer.name);
        // Several in a packet, and one in two.
        client.send("22\n1\n1");
        assert_eq!([client.line(), client.line()], ["17711\n", "1\n"], "{}", peer.name);
        assert_eq!(client.ask("0\n"), "55\n", "{}", peer.name);
    });
}

#[test]
fn peers_survive_their_clients() {
    for_each(|peer| {
        let server = peer.start(Algorithm::Recursive).unwrap();
        let mut client = Client::of(&server);
        let told = client.ask("ten\n");
        assert!(told.starts_with("ERR "), "{}: {told:?}", peer.name);
        assert_eq!(client.ask("10\n"), "55\n", "{}", peer.name);
        client.send("25\n25\n25\n");
        client.reset();
        let mut client = Client::of(&server);
        client.send(&"9".repeat(1_000));
        assert_eq!(client.line(), "", "{} reads a line without end", peer.name);
        assert_eq!(Client::of(&server).ask("10\n"), "55\n", "{}", peer.name);
    });
}

#[test]
fn peers_serve_whom_they_say() {
    for_each(|peer| {
        let server = peer.start(Algorithm::Recursive).unwrap();
        let (mut one, mut other) = (Client::of(&server), Client::of(&server));
        assert_eq!(one.ask("10\n"), "55\n", "{}", peer.name);
        other.send("20\n");
        if peer.is_one_at_a_time() {
            drop(one);
        }
        assert_eq!(other.line(), "6765\n", "{}", peer.name);
    });
}

#[test]
fn peers_have_big_integers_or_say_so() {
    for_each(|peer| {
        let server = peer.start(Algorithm::Doubling).unwrap();
        let mut client = Client::of(&server);
        let told = client.ask("1000\n");
        if peer.has_big_integers() {
            assert_eq!(told.trim_end(), fib_core::exact(1_000).as_str(), "{}", peer.name);
        } else {
            assert!(told.starts_with("ERR range"), "{}: {told:?}", peer.name);
        }
    });
}
