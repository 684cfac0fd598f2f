//! fib-server, under every strategy with every way to compute.

use std::path::Path;

use crate::{
    build::Programs,
    peers::{Family, Peer, Traits, command},
};

/// Every value of `fib-server --strategy`.
pub(crate) const STRATEGIES: [&str; 8] = [
    "sequential",
    "thread-per-connection",
    "thread-pool",
    "prefork",
    "coroutines",
    "tokio-tasks",
    "thread-per-core",
    "io-uring",
];

/// Every value of `fib-server --compute`.
pub(crate) const COMPUTES: [&str; 3] = ["inline", "pool", "processes"];

/// What `fib-server` does without flags.
pub(crate) const DEFAULT: &str = "fib-server, tokio-tasks + pool";

/// The same once more: what differs is noise.
pub(crate) const TWIN: &str = "fib-server, the default once more";

/// What refuses what it cannot do in time.
const WITH_DEADLINE: &str = "fib-server, tokio-tasks + pool, --deadline 50ms";

pub(super) fn all(programs: &Programs) -> Vec<Peer> {
    let mut peers = Vec::new();
    for strategy in STRATEGIES {
        peers.extend(COMPUTES.map(|compute| combination(&programs.server, strategy, compute)));
    }
    let flags = [&flags("tokio-tasks", "pool")[..], &["--deadline", "50ms"]].concat();
    let deadline = fib_server(&programs.server, WITH_DEADLINE.to_owned(), &flags);
    let traits = Traits { is_representative: true, ..Traits::default() };
    peers.push(Peer { traits, ..deadline });
    peers
}

pub(super) fn twin(programs: &Programs) -> Peer {
    combination(&programs.server, "tokio-tasks", "pool").named(TWIN.to_owned())
}

fn combination(program: &Path, strategy: &str, compute: &str) -> Peer {
    let server = fib_server(program, name_of(strategy, compute), &flags(strategy, compute));
    let traits = Traits {
        is_one_at_a_time: strategy == "sequential",
        is_representative: compute == "pool" || (strategy, compute) == ("tokio-tasks", "inline"),
        ..Traits::default()
    };
    Peer { traits, ..server }
}

const fn flags<'a>(strategy: &'a str, compute: &'a str) -> [&'a str; 4] {
    ["--strategy", strategy, "--compute", compute]
}

pub(crate) fn name_of(strategy: &str, compute: &str) -> String {
    format!("fib-server, {strategy} + {compute}")
}

/// Ours with these flags, and with room for ten thousand silent clients beside others.
pub(crate) fn fib_server(program: &Path, name: String, flags: &[&str]) -> Peer {
    let common = ["--listen", "127.0.0.1:0", "--max-connections", "11000"];
    let start = command(program, &[&common, flags].concat());
    Peer { name, family: Family::Fib, start, traits: Traits::default() }
}
