//! What the rows of a comparison are, and what every server of another language promises, tried on
//! each that this machine has.

mod promises;

use std::{
    collections::HashSet,
    io::{self, Write},
    net::TcpListener,
    path::PathBuf,
    sync::LazyLock,
    thread,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use xshell::Shell;

use self::promises::{Client, PROMISES, serves_one_at_a_time, serves_two_at_once};
use super::{peer::PORT, *};
use crate::{line_client::Shape, tools::Tool};

/// Compiled once, whatever the number of tests.
static PEERS: LazyLock<Vec<Peer>> = LazyLock::new(|| {
    let peers = others(&Shell::new().unwrap()).unwrap();
    let (present, missing): (Vec<_>, Vec<_>) =
        peers.into_iter().partition(|it| it.missing.is_none());
    for Peer { name, missing, .. } in missing {
        let Tool { program, install } = missing.unwrap();
        let told = format!("SKIPPED {name}: {program} is missing; {install}\n");
        // Not by eprintln!, which the test harness would keep to itself.
        io::stderr().write_all(told.as_bytes()).unwrap();
    }
    present
});

#[test]
fn every_peer_keeps_its_promises() {
    on_each_that_speaks_fib(|peer| {
        let server = peer.start(Algorithm::Recursive)?;
        for (promise, holds) in PROMISES {
            holds(&server).context(promise)?;
        }
        let holds =
            if peer.serves_one_at_a_time() { serves_one_at_a_time } else { serves_two_at_once };
        holds(&server).context("serves clients beside each other")
    });
}

#[test]
fn those_with_big_integers_double() {
    on_each_that_speaks_fib(|peer| {
        if !peer.has_big_integers() {
            ensure!(peer.start(Algorithm::Doubling).is_err(), "it starts");
            return Ok(());
        }
        let server = peer.start(Algorithm::Doubling)?;
        let mut client = Client::of(&server)?;
        // The last has more digits than Python prints unasked.
        for n in [1, 2, 93, 94, 1_000, 1_001, 30_000] {
            let (told, right) = (client.ask(&format!("{n}\n"))?, fib_core::exact(n).to_string());
            ensure!(told == right, "F({n}) is not {told}");
        }
        Ok(())
    });
}

#[test]
fn references_answer_their_line() {
    for peer in PEERS.iter().filter(|it| it.family == Family::Reference) {
        let server = peer.start(Algorithm::Recursive).unwrap();
        let shape = Shape { connections: 3, depth: 16, threads: 2 };
        let client = peer.client().unwrap();
        let answered = client.load(server.address(), shape, Duration::from_millis(50)).unwrap();
        assert!(answered.replies >= 32 && answered.rate_per_s > 0.0, "{}: {answered:?}", peer.name);
    }
}

#[test]
fn a_reply_that_is_not_the_first_one_is_an_error() {
    let Some(client) = PEERS.iter().find_map(Peer::client) else { return };
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        for (stream, reply) in listener.incoming().zip(["a\n", "b\n"]) {
            stream.unwrap().write_all(reply.as_bytes()).unwrap();
        }
    });
    let shape = Shape { connections: 1, depth: 1, threads: 1 };
    let error = client.load(&address, shape, Duration::from_millis(1)).unwrap_err();
    assert_eq!(error.to_string(), "not the first reply");
}

/// Side by side; what fails with one of them fails when all of them were tried.
fn on_each_that_speaks_fib(check: impl Fn(&Peer) -> Result<()> + Sync) {
    let peers = PEERS.iter().filter(|it| it.family != Family::Reference);
    let failures: Vec<_> = thread::scope(|scope| {
        let checks: Vec<_> = peers
            .map(|peer| scope.spawn(|| check(peer).with_context(|| peer.name.clone())))
            .collect();
        checks
            .into_iter()
            .filter_map(|it| Some(format!("{:#}", it.join().unwrap().err()?)))
            .collect()
    });
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// Without building anything of ours.
fn ours() -> Vec<Peer> {
    let folder = workspace().join("target/release");
    ours::rows(&Programs { server: folder.join("fib-server"), client: PathBuf::new() })
}

#[test]
fn rows_have_names_of_their_own() {
    let peers = [ours(), PEERS.clone()].concat();
    let names: HashSet<_> = peers.iter().map(|it| &it.name).collect();
    assert_eq!(names.len(), peers.len());
}

#[test]
fn a_command_can_be_copied() {
    assert_eq!(
        ours()[0].command(),
        "target/release/fib-server --listen 127.0.0.1:25000 --algorithm recursive \
         --strategy sequential --compute inline --max-connections 11000"
    );
    let peer = Peer::new("", Family::Reference, "redis-server", &["--port", PORT, "--save", ""]);
    let peer = peer.with_environment("GOMAXPROCS", "1".to_owned());
    assert_eq!(peer.command(), "GOMAXPROCS=1 redis-server --port 25000 --save ''");
}

#[test]
fn a_short_comparison_has_every_strategy() {
    let ours = ours();
    let representatives: Vec<_> = ours.iter().filter(|it| it.is_representative()).collect();
    assert_eq!(representatives.len(), STRATEGIES.len() + 2);
    for strategy in STRATEGIES {
        let name = name_of(strategy, "pool");
        let peer = representatives.iter().find(|it| it.name == name).unwrap();
        assert_eq!(peer.serves_one_at_a_time(), strategy == "sequential");
    }
}
