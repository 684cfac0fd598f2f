//! Each toxic does what it says, and nothing else.

use std::{
    io::{ErrorKind, Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    thread,
    time::{Duration, Instant},
};

use super::*;

/// What passed at the server's end.
#[derive(Debug, Default)]
struct Seen {
    asked: Vec<u8>,
    answered: Vec<u8>,
}

impl Witness for Seen {
    fn asked(&mut self, bytes: &[u8]) {
        self.asked.extend(bytes);
    }

    fn answered(&mut self, bytes: &[u8]) {
        self.answered.extend(bytes);
    }
}

/// What came of a client that sends, half-closes and reads, and a server that does the same.
#[derive(Debug)]
struct Outcome {
    end: End,
    seen: Seen,
    /// What the server has received, and whether that ended in order.
    at_server: (Vec<u8>, bool),
    /// The same of the client.
    at_client: (Vec<u8>, bool),
    took: Duration,
}

const REQUESTS: &[u8] = b"the quick brown fox jumps over the lazy dog\n";
const REPLIES: &[u8] = b"0123456789\n";

fn pair() -> [TcpStream; 2] {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let one = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    [one, listener.accept().unwrap().0]
}

fn drain(mut socket: &TcpStream) -> (Vec<u8>, bool) {
    let mut bytes = Vec::new();
    let in_order = match socket.read_to_end(&mut bytes) {
        Ok(_) => true,
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::ConnectionReset);
            false
        }
    };
    (bytes, in_order)
}

/// Reads all requests, then sends all replies.
fn serve(server: &TcpStream) -> (Vec<u8>, bool) {
    server.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let received = drain(server);
    let mut sending = server;
    let _ = sending.write_all(REPLIES);
    let _ = server.shutdown(Shutdown::Write);
    received
}

fn ask(mut client: &TcpStream) -> (Vec<u8>, bool) {
    // It may be reset in the midst of it.
    let _ = client.write_all(REQUESTS);
    let _ = client.shutdown(Shutdown::Write);
    drain(client)
}

/// Passes on what passes between these two.
fn relay_now(near: TcpStream, far: TcpStream, faults: Faults, seed: u64) -> (End, Seen) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let witness = RefCell::new(Seen::default());
    let end = runtime.block_on(async {
        let [client, server] = [near, far].map(|socket| {
            socket.set_nonblocking(true).unwrap();
            tokio::net::TcpStream::from_std(socket).unwrap()
        });
        relay(client, server, faults, seed, &witness).await.unwrap()
    });
    (end, witness.into_inner())
}

fn exchange(faults: Faults, seed: u64) -> Outcome {
    let ([client, near], [far, server]) = (pair(), pair());
    let began = Instant::now();
    let server = thread::spawn(move || serve(&server));
    let client = thread::spawn(move || ask(&client));
    let (end, witness) = relay_now(near, far, faults, seed);
    let (at_server, at_client) = (server.join().unwrap(), client.join().unwrap());
    Outcome { end, seen: witness, at_server, at_client, took: began.elapsed() }
}

fn in_requests(toxic: Toxic) -> Faults {
    Faults { requests: Some(toxic), replies: None }
}

fn in_replies(toxic: Toxic) -> Faults {
    Faults { requests: None, replies: Some(toxic) }
}

fn assert_all_passed(outcome: &Outcome) {
    assert_eq!(outcome.at_server, (REQUESTS.to_vec(), true), "{outcome:?}");
    assert_eq!(outcome.at_client, (REPLIES.to_vec(), true), "{outcome:?}");
    assert_eq!((&*outcome.seen.asked, &*outcome.seen.answered), (REQUESTS, REPLIES));
    assert_eq!(outcome.end, End::Server);
}

#[test]
fn what_only_delays_lets_everything_pass() {
    assert_all_passed(&exchange(Faults::default(), 1));
    let time = Duration::from_millis(5);
    for toxic in [
        Toxic::Latency(time),
        Toxic::Jitter(time),
        Toxic::Bandwidth(10_000),
        Toxic::Slices,
        Toxic::SlowClose(time),
    ] {
        assert_all_passed(&exchange(in_requests(toxic), 2));
        assert_all_passed(&exchange(in_replies(toxic), 3));
    }
}

#[test]
fn what_delays_takes_its_time() {
    let time = Duration::from_millis(40);
    for faults in [
        in_requests(Toxic::Latency(time)),
        in_replies(Toxic::Latency(time)),
        in_requests(Toxic::SlowClose(time)),
        in_requests(Toxic::Bandwidth(1_000)),
    ] {
        assert!(exchange(faults, 4).took >= time, "{faults}");
    }
}

#[test]
fn a_cut_lets_exactly_so_many_bytes_pass() {
    for after in 0..=REQUESTS.len() {
        let outcome = exchange(in_requests(Toxic::Cut { after: after as u64 }), 5);
        assert_eq!(outcome.at_server, (REQUESTS[..after].to_vec(), true));
        assert_eq!(outcome.seen.asked, REQUESTS[..after]);
        assert_eq!(outcome.at_client, (REPLIES.to_vec(), true));
    }
    for after in 0..=REPLIES.len() {
        let outcome = exchange(in_replies(Toxic::Cut { after: after as u64 }), 6);
        assert_eq!(outcome.at_client.0, REPLIES[..after]);
        assert_eq!(outcome.end, End::Fault);
    }
}

#[test]
fn a_reset_is_one_for_both() {
    for after in [0, 1, 20] {
        let outcome = exchange(in_requests(Toxic::Reset { after: after as u64 }), 7);
        // The client may have learnt it when it wrote, and is not told twice.
        assert!(!outcome.at_server.1 && outcome.at_client.0.is_empty(), "{outcome:?}");
        // A reset takes what was not read yet from under the receiver.
        assert!(REQUESTS[..after].starts_with(&outcome.at_server.0));
        assert_eq!(outcome.seen.asked, REQUESTS[..after]);
        assert_eq!(outcome.end, End::Fault);
    }
}

/// Until whoever sends into it gives up.
#[test]
fn a_black_hole_takes_all_that_comes_later() {
    let outcome = exchange(in_replies(Toxic::BlackHole { after: 4 }), 8);
    assert_eq!(outcome.at_client, (REPLIES[..4].to_vec(), true));
    assert_eq!(outcome.seen.answered, REPLIES, "they were sent, nevertheless");
    let ([client, near], [far, server]) = (pair(), pair());
    let server = thread::spawn(move || {
        server.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
        let mut bytes = [0; 100];
        let len = (&server).read(&mut bytes).unwrap();
        let error = (&server).read(&mut bytes[len..]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::WouldBlock, "it is not told that there is an end");
        bytes[..len].to_vec()
    });
    let client = thread::spawn(move || ask(&client));
    relay_now(near, far, in_requests(Toxic::BlackHole { after: 4 }), 9);
    assert_eq!(server.join().unwrap(), REQUESTS[..4]);
    client.join().unwrap();
}

#[test]
fn corruption_is_seen_as_it_arrived() {
    let outcome = exchange(in_requests(Toxic::Corruption { one_in: 3 }), 10);
    assert_eq!(outcome.seen.asked, outcome.at_server.0, "what arrived is what is judged");
    assert_eq!(outcome.at_server.0.len(), REQUESTS.len());
    assert_ne!(outcome.at_server.0, REQUESTS);
    let outcome = exchange(in_replies(Toxic::Corruption { one_in: 1 }), 11);
    assert_eq!(outcome.seen.answered, REPLIES, "what left is what is judged");
    let pairs = outcome.at_client.0.iter().zip(REPLIES);
    assert!(pairs.clone().count() == REPLIES.len() && pairs.clone().all(|(it, was)| it != was));
}

#[test]
fn a_seed_is_a_schedule() {
    let draw = |seed| {
        let mut rng = Rng::with_seed(seed);
        (0..100).map(|_| Faults::draw(&mut rng, [100, 1_000])).collect::<Vec<_>>()
    };
    assert_eq!(draw(1), draw(1));
    assert_ne!(draw(1), draw(2));
    let corrupted = |seed| exchange(in_requests(Toxic::Corruption { one_in: 3 }), seed).at_server.0;
    assert_eq!(corrupted(12), corrupted(12));
    assert_ne!(corrupted(12), corrupted(13));
}
