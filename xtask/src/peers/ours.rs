//! `fib-server`, every strategy with every way to compute.

use super::peer::{ALGORITHM, Family, PORT, Peer};
use crate::build::Programs;

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

/// Room for the many clients of a scenario.
const ROOM: [&str; 2] = ["--max-connections", "11000"];

pub(super) fn rows(programs: &Programs) -> Vec<Peer> {
    let of = |strategy| COMPUTES.map(|compute| combination(programs, strategy, compute));
    let mut rows: Vec<_> = STRATEGIES.into_iter().flat_map(of).collect();
    let flags = [&ROOM[..], &["--deadline", "50ms"]].concat();
    rows.push(fib_server(programs, WITH_DEADLINE, &flags));
    rows
}

pub(super) fn twin(programs: &Programs) -> Peer {
    fib_server(programs, TWIN, &ROOM)
}

/// As it comes, but with room for the many clients of a scenario.
fn combination(programs: &Programs, strategy: &str, compute: &str) -> Peer {
    let flags = [&["--strategy", strategy, "--compute", compute], &ROOM[..]].concat();
    let peer = fib_server(programs, &name_of(strategy, compute), &flags);
    let peer = if strategy == "sequential" { peer.one_at_a_time() } else { peer };
    match (strategy, compute) {
        (_, "pool") | ("tokio-tasks", "inline") => peer,
        _ => peer.variation(),
    }
}

pub(crate) fn name_of(strategy: &str, compute: &str) -> String {
    format!("fib-server, {strategy} + {compute}")
}

/// Ours with these flags.
pub(crate) fn fib_server(programs: &Programs, name: &str, flags: &[&str]) -> Peer {
    let listen = format!("127.0.0.1:{PORT}");
    let common = ["--listen", &listen, "--algorithm", ALGORITHM];
    Peer::new(name, Family::Fib, &programs.server, &[&common, flags].concat())
}
