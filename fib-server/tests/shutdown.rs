//! How the server ends, for every strategy.

use std::{
    thread,
    time::{Duration, Instant},
};

use rustix::process::Signal;

use crate::{
    effort::attempts,
    support::{Measured, Server, Way, for_each_way},
};

for_each_way! {{
    what_was_received_is_answered,
    who_had_connected_is_answered,
    an_unfinished_line_is_told_why,
    idle_clients_do_not_hold_it_up,
    sigint_is_a_drain_too,
    the_second_signal_ends_it_at_once,
    the_drain_has_a_deadline,
}}

/// A request of many seconds; nobody waits for its answer.
const LONG: &[&str] = &["--algorithm", "recursive", "--max-n", "60"];

/// What is promised is a tenth of a second; a busy machine needs longer.
const CEILING: Duration = Duration::from_secs(5);

fn what_was_received_is_answered(way: Way) {
    let server = Server::start(way, &["--algorithm", "recursive"]);
    let mut client = server.connect();
    assert_eq!(client.ask("1"), "1");
    client.send("20\n".repeat(1_000));
    server.signal(Signal::TERM);
    assert_eq!(client.rest(), "6765\n".repeat(1_000));
    let ended = server.wait();
    assert_eq!(ended.status.code(), Some(0));
    assert_eq!((ended.count("ok"), ended.count("err")), (1_001, 0));
}

/// Clients that wait to be accepted have been received as well, by the kernel.
fn who_had_connected_is_answered(way: Way) {
    let server = Server::start(way, &["--algorithm", "recursive"]);
    let mut clients: Vec<_> = (0..20).map(|_| server.connect()).collect();
    for client in &mut clients {
        client.send("25\n");
    }
    server.signal(Signal::TERM);
    for mut client in clients {
        assert_eq!(client.rest(), "75025\n");
    }
    assert_eq!(server.wait().count("ok"), 20);
}

fn an_unfinished_line_is_told_why(way: Way) {
    let server = Server::start(way, &[]);
    let mut client = server.connect();
    client.send("1\n3");
    assert_eq!(client.line(), "1");
    server.signal(Signal::TERM);
    assert_eq!(client.rest(), "ERR shutdown the server is stopping\n");
    assert_eq!(server.wait().count("err"), 1);
}

fn idle_clients_do_not_hold_it_up(way: Way) {
    let mut times = Measured::new("the exit of an idle server", CEILING);
    for _ in 0..attempts(1, 42) {
        let server = Server::start(way, &[]);
        let mut clients = [server.connect(), server.connect(), server.connect()];
        assert_eq!(clients[0].ask("1"), "1");
        let begin = Instant::now();
        server.signal(Signal::TERM);
        let ended = server.wait();
        times.take(begin.elapsed());
        assert_eq!(ended.status.code(), Some(0));
        ended.check_counts();
        for client in &mut clients {
            assert_eq!(client.rest(), "");
        }
    }
}

fn sigint_is_a_drain_too(way: Way) {
    let server = Server::start(way, &[]);
    server.signal(Signal::INT);
    assert_eq!(server.wait().status.code(), Some(0));
}

fn the_second_signal_ends_it_at_once(way: Way) {
    let server = Server::start(way, LONG);
    server.connect().send("60\n");
    thread::sleep(Duration::from_millis(100));
    server.signal(Signal::TERM);
    // Two signals of a kind that wait to be handled are one.
    server.wait_until_logged("draining");
    server.signal(Signal::TERM);
    assert_eq!(server.wait().status.code(), Some(1));
}

fn the_drain_has_a_deadline(way: Way) {
    let mut flags = LONG.to_vec();
    flags.extend(["--drain-timeout", "200ms"]);
    let server = Server::start(way, &flags);
    let mut client = server.connect();
    client.send("60\n");
    thread::sleep(Duration::from_millis(100));
    let begin = Instant::now();
    server.signal(Signal::TERM);
    let ended = server.wait();
    let time = begin.elapsed();
    assert!(time >= Duration::from_millis(200), "{time:?}");
    Measured::new("the exit of a drain that has 200 ms", CEILING).take(time);
    assert_eq!(ended.status.code(), Some(3));
    assert!(ended.log.contains("--drain-timeout 200ms"), "{}", ended.log);
}
