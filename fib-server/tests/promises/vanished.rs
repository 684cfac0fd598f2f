//! What the server keeps of clients that are gone without a word: whose machine has lost its power,
//! or its network. Neither an end nor a reset comes from them, only nothing.
//!
//! Such a test runs once more in a network of its own, where it can take the link down.

use std::{env, process::Command, sync::OnceLock};

use procfs::net::TcpState;

use super::{Subject, at_once, attempts};
use crate::support::{Client, Way, for_each_way, skip, wait_until};

for_each_way! {{
    who_vanishes_is_let_go,
}}

/// Tells a test that it is in a network of its own.
const OWN_NETWORK: &str = "OWN_NETWORK";

/// What a client is at when it vanishes: it has been answered; it waits for an answer; it is in the
/// middle of a large one; it is in the middle of a line.
const KINDS: [fn(&mut Client); 4] = [
    |client| assert_eq!(client.ask("20"), "6765"),
    |client| client.send("20\n28\n"),
    |client| client.send("2000000\n"),
    |client| client.send("3"),
];

fn who_vanishes_is_let_go(way: Way) {
    if env::var_os(OWN_NETWORK).is_none() {
        return run_in_own_network("who_vanishes_is_let_go", way);
    }
    set_link("up");
    // So many clients take longer to come.
    let limit = format!("{}s", attempts(1, 10));
    let limits = ["--idle-timeout", "--line-timeout", "--write-timeout"];
    let limits = limits.iter().flat_map(|it| [it, &*limit]);
    let flags: Vec<_> = ["--algorithm", "recursive"].into_iter().chain(limits).collect();
    let subject = Subject::start(way, &flags);
    // One after the other, or all at once.
    let count = if way.strategy == "sequential" { attempts(4, 20) } else { attempts(8, 1_000) };
    let kinds: Vec<_> = KINDS.iter().cycle().take(count).collect();
    for begin in kinds.chunks(at_once(way, kinds.len())) {
        let connect = |begin: &&fn(&mut Client)| {
            let mut client = subject.server().connect_with_room(4096);
            begin(&mut client);
            client
        };
        let clients: Vec<_> = begin.iter().map(connect).collect();
        set_link("down");
        subject.wait_until_it_holds_nothing();
        wait_until("its kernel holds nothing", || sockets_to_clients(&subject) == 0);
        // Only now do they learn of it.
        set_link("up");
        drop(clients);
    }
    let metrics = subject.watched.metrics();
    assert_eq!(metrics.sum("fib_connections_timed_out_total"), kinds.len() as u64);
    subject.finish();
}

/// How many ends of connections the server's kernel has, without those that a client's kernel has
/// taken leave of before the link went down.
fn sockets_to_clients(subject: &Subject) -> usize {
    let server = subject.server().address().parse().unwrap();
    let sockets = procfs::net::tcp().unwrap().into_iter();
    let has_ended = [TcpState::Listen, TcpState::FinWait2, TcpState::TimeWait];
    sockets.filter(|it| it.local_address == server && !has_ended.contains(&it.state)).count()
}

fn set_link(state: &str) {
    let status = Command::new("ip").args(["link", "set", "lo", state]).status();
    assert!(status.unwrap().success());
}

fn run_in_own_network(promise: &str, way: Way) {
    if !has_own_network() {
        return;
    }
    let (strategy, compute) = (way.strategy.replace('-', "_"), way.compute);
    let test = format!("promises::vanished::{strategy}::{compute}::{promise}");
    let mut command = Command::new("unshare");
    command.arg("-rn").arg(env::current_exe().unwrap()).args([&test, "--exact", "--nocapture"]);
    let output = command.env(OWN_NETWORK, "1").output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{told}{}", String::from_utf8_lossy(&output.stderr));
    assert!(told.contains("1 passed"), "{test} is this test: {told}");
}

fn has_own_network() -> bool {
    static WORKS: OnceLock<bool> = OnceLock::new();
    let works = WORKS.get_or_init(|| {
        let output =
            Command::new("unshare").args(["-rn", "ip", "link", "set", "lo", "up"]).output();
        output.is_ok_and(|it| it.status.success())
    });
    if !works {
        skip(
            "no network of its own: apt-get install util-linux iproute2, or namespaces are forbidden",
        );
    }
    *works
}
