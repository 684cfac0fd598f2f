//! HAProxy in front of three servers, with the configuration of `deploy/haproxy`: what clients
//! notice when one of the servers is stopped in order, or killed.

use std::{
    collections::BTreeMap,
    io::{Read, Write},
    net::TcpStream,
    num::NonZero,
    process::Command,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread::{self, ScopedJoinHandle},
    time::Duration,
};

use fib_client::{
    ClientError, Connection, Options,
    load::{self, Failure, Mix, Outcome, Pace, Plan, Progress, Reconnect, Until},
};
use rustix::process::Signal;

use super::support::{Place, Port, Program, get, read_with, tool};
use crate::support::{Client, Server, wait_until};

/// The last number of the servers' addresses.
const HOSTS: [u8; 3] = [11, 12, 13];

/// Short requests and some that are computed.
const FLAGS: [&str; 8] = [
    "--algorithm",
    "recursive",
    "--drain-delay",
    DRAIN_DELAY,
    "--allow",
    "127.0.0.1",
    "--trust-proxy",
    "127.0.0.1",
];

/// What `haproxy.cfg` demands.
const DRAIN_DELAY: &str = "5s";

#[test]
fn a_server_that_leaves_costs_nobody_anything() {
    let Some(mut cluster) = Cluster::start() else { return };
    let outcome = under_load(&cluster.plan(), |progress| {
        cluster.wait_until_loaded(&HOSTS);
        let leaving = cluster.take(12);
        leaving.signal(Signal::TERM);
        cluster.wait_until_told("DOWN", 12);
        assert_eq!(leaving.wait().status.code(), Some(0));
        cluster.wait_until_loaded(&[11, 13]);
        cluster.bring_back(12);
        cluster.wait_until_loaded(&HOSTS);
        progress.stop();
    });
    assert_eq!(outcome.tally.failures.iter().collect::<Vec<_>>(), []);
    assert!(outcome.tally.renewals > 0, "no client came and went");
}

#[test]
fn a_killed_server_costs_what_it_had_under_way() {
    let Some(mut cluster) = Cluster::start() else { return };
    let outcome = under_load(&cluster.plan(), |progress| {
        cluster.wait_until_loaded(&HOSTS);
        let (killed, leaving) = (cluster.take(11), cluster.take(12));
        leaving.signal(Signal::TERM);
        killed.signal(Signal::KILL);
        killed.wait();
        cluster.wait_until_told("DOWN", 11);
        cluster.wait_until_told("DOWN", 12);
        assert_eq!(leaving.wait().status.code(), Some(0));
        cluster.wait_until_loaded(&[13]);
        cluster.bring_back(11);
        cluster.wait_until_loaded(&[11, 13]);
        progress.stop();
    });
    // Each connection has one request under way, so no more can be lost than there ever were
    // connections at once to the killed server.
    let at_most = cluster.statistics(11).number("smax");
    let lost: u64 = outcome.tally.failures.iter().map(|(_, count, _)| count).sum();
    assert!(lost <= at_most, "lost {lost} of {at_most}: {:?}", outcome.tally.failures);
    for (failure, ..) in outcome.tally.failures.iter() {
        let is_a_lost_connection = matches!(
            failure,
            Failure::Closed | Failure::ClosedIdle | Failure::ClosedMidReply | Failure::Reset
        );
        assert!(is_a_lost_connection, "{failure:?}");
    }
}

/// A client that stays connected until the drain begins can lose the request that it sends into the
/// closing connection. It asks again, and another server answers.
#[test]
fn a_client_that_stays_repeats_at_most_one_request() {
    let Some(mut cluster) = Cluster::start() else { return };
    let (stop, repeats, address) = (AtomicBool::new(false), AtomicU64::new(0), cluster.address());
    thread::scope(|scope| {
        let clients: Vec<_> =
            (0..9).map(|_| scope.spawn(|| stay(&address, &stop, &repeats))).collect();
        wait_until("everybody is connected", || cluster.sessions() == 9);
        let at_most = cluster.statistics(12).number("scur");
        assert_eq!(at_most, 3, "the least connections are not preferred");
        let leaving = cluster.take(12);
        leaving.signal(Signal::TERM);
        assert_eq!(leaving.wait().status.code(), Some(0));
        wait_until("everybody is connected again", || cluster.sessions() == 9);
        stop.store(true, Ordering::Relaxed);
        let answers = clients.into_iter().map(ScopedJoinHandle::join).map(Result::unwrap);
        assert!(answers.sum::<u64>() > 0);
        let repeated = repeats.load(Ordering::Relaxed);
        assert!(repeated <= at_most, "{repeated} requests were repeated, of {at_most} clients");
    });
}

/// A server that died a moment ago, and no health check has noticed.
#[test]
fn a_client_of_a_dead_server_does_not_notice() {
    let Some(mut cluster) = Cluster::start() else { return };
    cluster.command("disable health fib/fib1");
    cluster.take(11).signal(Signal::KILL);
    let address = cluster.address().parse().unwrap();
    for _ in HOSTS {
        let mut client = Connection::open(&address, Options::default()).unwrap();
        assert_eq!(client.ask(30).unwrap(), "832040");
    }
    assert!(cluster.statistics(11).number("wredis") > 0, "nobody was sent to the dead one");
}

#[test]
fn a_client_may_close_its_half() {
    let Some(cluster) = Cluster::start() else { return };
    let mut client = TcpStream::connect(cluster.address()).unwrap();
    client.write_all(b"30\n1\n").unwrap();
    client.shutdown(std::net::Shutdown::Write).unwrap();
    let mut answers = String::new();
    client.read_to_string(&mut answers).unwrap();
    assert_eq!(answers, "832040\n1\n");
}

/// In both versions of the protocol.
#[test]
fn clients_are_known_by_their_own_address() {
    for introduction in ["send-proxy-v2", "send-proxy"] {
        let Some(cluster) = Cluster::start_with(introduction) else { return };
        let proxy = cluster.address().parse().unwrap();
        let connect = |last| Client::connect_from([127, 0, 0, last].into(), proxy);
        assert_eq!(connect(1).ask("30"), "832040");
        let mut stranger = connect(5);
        stranger.send_in_vain(b"30\n");
        assert_eq!(stranger.rest_or_reset(), "", "{introduction}");
        let refused = |it: &Server| it.times_logged(r#""peer":"127.0.0.5:"#) > 0;
        wait_until("it is logged", || cluster.servers.values().any(refused));
    }
}

/// Asks over one connection for as long as it lasts; how many answers there were.
fn stay(address: &str, stop: &AtomicBool, repeats: &AtomicU64) -> u64 {
    let open = || Connection::open(&address.parse().unwrap(), Options::default()).unwrap();
    let (mut connection, mut answers) = (open(), 0);
    while !stop.load(Ordering::Relaxed) {
        match connection.ask(20) {
            Ok(answer) => {
                assert_eq!(answer, "6765");
                answers += 1;
            }
            Err(ClientError::Closed | ClientError::Io(_)) => {
                repeats.fetch_add(1, Ordering::Relaxed);
                connection = open();
            }
            Err(error) => panic!("{error}"),
        }
        thread::sleep(Duration::from_millis(2)); // a load, not a flood
    }
    answers
}

/// Loads while something happens, and tells what became of every request.
fn under_load(plan: &Plan, happening: impl FnOnce(&Progress)) -> Outcome {
    let progress = Progress::new(plan);
    let outcome = thread::scope(|scope| {
        let load = scope.spawn(|| load::run(plan, &progress, None).unwrap());
        happening(&progress);
        load.join().unwrap()
    });
    let tally = &outcome.tally;
    assert_eq!(tally.wrong_answers(), 0);
    assert!(tally.replies() > 0);
    outcome
}

/// HAProxy and the servers behind it.
struct Cluster {
    place: Place,
    servers: BTreeMap<u8, Server>,
    proxy: Program,
}

impl Cluster {
    /// Waits until the proxy has found all servers ready. `None` without a proxy, said aloud.
    fn start() -> Option<Self> {
        Self::start_with("send-proxy-v2")
    }

    /// The same, with this word for how the servers are told of clients.
    fn start_with(introduction: &str) -> Option<Self> {
        let haproxy = tool("haproxy", "apt-get install haproxy")?;
        let place = Place::new();
        let servers = HOSTS.map(|host| (host, place.server(host, &FLAGS))).into();
        let server = |host| place.address(host, Port::Clients);
        let configuration = read_with(
            "haproxy/haproxy.cfg",
            &[
                ("default-server send-proxy-v2", &format!("default-server {introduction}")),
                ("bind :25000", &format!("bind {}", server(1))),
                ("/run/haproxy/fib.sock", &format!("ipv4@{}", place.address(1, Port::Statistics))),
                ("port 9100", &format!("port {}", place.port(Port::Admin))),
                ("10.0.0.11:25000", &server(11)),
                ("10.0.0.12:25000", &server(12)),
                ("10.0.0.13:25000", &server(13)),
            ],
        );
        let file = place.write("haproxy.cfg", &configuration);
        let proxy = place.start("haproxy", Command::new(haproxy).arg("-db").arg("-f").arg(file));
        let mut cluster = Self { place, servers, proxy };
        wait_until("haproxy listens", || {
            cluster.proxy.must_run();
            TcpStream::connect(cluster.address()).is_ok()
        });
        for host in HOSTS {
            cluster.wait_until_told("UP", host);
        }
        Some(cluster)
    }

    /// Where clients connect.
    fn address(&self) -> String {
        self.place.address(1, Port::Clients)
    }

    /// Clients that come, ask five times, and go.
    fn plan(&self) -> Plan {
        Plan {
            connections: NonZero::new(12).unwrap(),
            pace: Pace::Closed { think: Duration::from_millis(5) },
            mix: "1=9,20=1".parse::<Mix>().unwrap(),
            until: Until::Elapsed(Duration::from_mins(2)),
            reconnect: Reconnect::Every(NonZero::new(5).unwrap()),
            ..Plan::new(self.address().parse().unwrap())
        }
    }

    /// A server, for the test to put an end to.
    fn take(&mut self, host: u8) -> Server {
        self.servers.remove(&host).unwrap()
    }

    /// Starts a server again, where it was before.
    fn bring_back(&mut self, host: u8) {
        self.servers.insert(host, self.place.server(host, &FLAGS));
        self.wait_until_told("UP", host);
    }

    /// Waits until all of these servers have got new clients, and have answered them.
    fn wait_until_loaded(&self, hosts: &[u8]) {
        let served = |host| (self.statistics(host).number("stot"), self.requests(host));
        let before: Vec<_> = hosts.iter().map(|&host| served(host)).collect();
        wait_until("all of them are loaded", || {
            hosts.iter().zip(&before).all(|(&host, (clients, requests))| {
                let now = served(host);
                now.0 > clients + 10 && now.1 > requests + 50
            })
        });
    }

    /// How many requests a server has answered, in its own words.
    fn requests(&self, host: u8) -> u64 {
        let (_, metrics) = get(&self.place.address(host, Port::Admin), "/metrics").unwrap();
        let name = "fib_requests_total{outcome=\"ok\"} ";
        metrics.lines().find_map(|line| line.strip_prefix(name)).unwrap().parse().unwrap()
    }

    /// Waits until a health check has told the proxy so.
    fn wait_until_told(&self, status: &str, host: u8) {
        wait_until(&format!("{host} is {status}"), || {
            let told = self.statistics(host);
            told.word("status") == status
                && ["L7OK", "L7STS", "L4CON"].contains(&told.word("check_status"))
        });
    }

    /// How many clients are connected to servers.
    fn sessions(&self) -> u64 {
        HOSTS.iter().map(|&host| self.statistics(host).number("scur")).sum()
    }

    /// What the proxy answers on its socket for statistics.
    fn command(&self, command: &str) -> String {
        let mut socket = TcpStream::connect(self.place.address(1, Port::Statistics)).unwrap();
        writeln!(socket, "{command}").unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).unwrap();
        answer
    }

    /// What the proxy tells of a server.
    fn statistics(&self, host: u8) -> Statistics {
        let table = self.command("show stat");
        let mut rows = table.trim_start_matches("# ").lines();
        let names = rows.next().unwrap().split(',');
        let server = format!("fib,fib{},", host - 10);
        let values = rows.find(|row| row.starts_with(&server)).unwrap().split(',');
        Statistics(names.zip(values).map(|(name, it)| (name.to_owned(), it.to_owned())).collect())
    }
}

/// A row of `show stat`.
struct Statistics(BTreeMap<String, String>);

impl Statistics {
    fn word(&self, name: &str) -> &str {
        &self.0[name]
    }

    fn number(&self, name: &str) -> u64 {
        self.word(name).parse().unwrap()
    }
}
