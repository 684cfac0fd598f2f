//! What those see who watch the server, for every strategy and every way to compute.

#[cfg(target_os = "linux")]
use std::time::SystemTime;
use std::{
    env, fs,
    io::{ErrorKind, Read, Write},
    net::Shutdown,
    os::unix::net::UnixStream,
    process::{self, Command},
    thread,
};

use rustix::process::Signal;

use crate::{
    support::{Client, Process, Server, Way, for_each_way, strike, wait_until},
    watched::{Metrics, Prometheus, Watched, check_metrics, get, status},
};

for_each_way! {{
    it_is_well_and_ready,
    requests_are_counted_before_their_connection_ends,
    what_is_counted_is_conserved,
    a_stop_is_told_before_the_drain,
    it_answers_while_all_cores_compute,
}}

/// What takes longer than any test has patience.
const LONG: &[&str] = &["--algorithm", "recursive", "--max-n", "60"];

/// How many of so many clients are served at once.
fn served_at_once(way: Way, clients: usize) -> usize {
    if way.strategy == "sequential" { 1 } else { clients }
}

fn it_is_well_and_ready(way: Way) {
    let watched = Watched::start(way, &[]);
    assert_eq!(watched.get("/healthz"), ("200".to_owned(), "ok\n".to_owned()));
    assert_eq!(watched.get("/readyz"), ("200".to_owned(), "ready\n".to_owned()));
    let Way { strategy, compute, .. } = way;
    let labels = format!(r#"strategy="{strategy}",compute="{compute}",algorithm="doubling""#);
    let version = env!("CARGO_PKG_VERSION");
    let name = format!(r#"fib_build_info{{version="{version}",{labels}}}"#);
    assert_eq!(watched.metrics().count(&name), 1);
}

fn requests_are_counted_before_their_connection_ends(way: Way) {
    let watched = Watched::start(way, &[]);
    let mut client = watched.server.connect();
    for asked in 1..=3 {
        assert_eq!(client.ask("30"), "832040");
        assert_eq!(watched.metrics().count(r#"fib_requests_total{outcome="ok"}"#), asked);
    }
    client.ask("x");
    let metrics = watched.metrics();
    assert_eq!(metrics.count(r#"fib_requests_total{outcome="err"}"#), 1);
    assert_eq!(metrics.sum("fib_requests_total"), 4);
    assert_eq!((metrics.count("fib_connections_open"), metrics.sum("fib_jobs_total")), (1, 0));
    drop(client);
    watched.wait_until_it_is("fib_connections_open", 0);
    assert_eq!(watched.metrics().sum("fib_requests_total"), 4, "each is counted once");
}

fn what_is_counted_is_conserved(way: Way) {
    const CLIENTS: u64 = 4;
    const CHEAP: usize = 500;
    const COSTLY: usize = 3;
    const OK: u64 = CLIENTS * (CHEAP + COSTLY) as u64;
    const JOBS: u64 = CLIENTS * COSTLY as u64;
    let watched = Watched::start(way, &["--algorithm", "recursive"]);
    let mut clients: Vec<_> = (0..CLIENTS).map(|_| watched.server.connect()).collect();
    for client in &mut clients {
        client.send("10\n".repeat(CHEAP) + "x\n" + &"30\n".repeat(COSTLY));
        client.half_close();
    }
    for client in &mut clients {
        assert_eq!(client.rest().lines().count(), CHEAP + 1 + COSTLY);
    }
    watched.wait_until_it_is("fib_connections_open", 0);
    let page = watched.get("/metrics").1;
    check_metrics(&page);
    let metrics = Metrics::parse(&page);
    let count = |name: &str| metrics.count(name);
    assert!(metrics.len() <= 200, "{} series", metrics.len());
    assert_eq!(count("fib_connections_accepted_total"), CLIENTS);
    assert_eq!(count("fib_connections_closed_total"), CLIENTS);
    assert_eq!(count(r#"fib_requests_total{outcome="ok"}"#), OK);
    assert_eq!(count(r#"fib_requests_total{outcome="err"}"#), CLIENTS);
    assert_eq!(count(r#"fib_jobs_total{outcome="ok"}"#), JOBS);
    assert_eq!((metrics.sum("fib_jobs_total"), count("fib_jobs_in_flight")), (JOBS, 0));
    assert_eq!(count("fib_job_seconds_count"), JOBS);
    assert_eq!(count("fib_job_wait_seconds_count"), JOBS);
    assert!(metrics.number("fib_job_seconds_sum") >= metrics.number("fib_job_wait_seconds_sum"));
    assert!(count("fib_slices_total") >= JOBS + count("fib_steals_total"));
    #[cfg(target_os = "linux")]
    check_processes(way, &watched.server, &metrics);
    let ended = watched.server.stop();
    assert_eq!((ended.count("accepted"), ended.count("ok")), (CLIENTS, OK));
    assert_eq!(ended.count("requests"), metrics.sum("fib_requests_total"));
}

/// What the kernel tells of all processes together.
#[cfg(target_os = "linux")]
fn check_processes(way: Way, server: &Server, metrics: &Metrics) {
    let processes = 1 + server.descendants().len() as u64;
    assert_eq!(metrics.count("fib_processes"), processes);
    let has_workers = way.strategy == "prefork" || way.compute != "inline";
    assert_eq!(metrics.count("fib_workers") > 0, has_workers);
    assert!(metrics.count("process_threads") > processes);
    assert!(metrics.count("process_open_fds") < metrics.count("process_max_fds"));
    assert!(metrics.count("process_resident_memory_bytes") > 1_000_000);
    assert!(metrics.number("process_cpu_seconds_total") >= 0.0);
    let now = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs_f64();
    assert!((1.0..=now).contains(&metrics.number("process_start_time_seconds")));
}

fn a_stop_is_told_before_the_drain(way: Way) {
    let watched = Watched::start(way, &["--drain-delay", "1h"]);
    watched.server.signal(Signal::TERM);
    wait_until("it is not ready", || watched.get("/readyz").0 == "503");
    assert_eq!(watched.get("/readyz").1, "draining\n");
    assert_eq!(watched.get("/healthz").0, "200");
    assert_eq!(watched.metrics().count("fib_draining"), 1);
    assert_eq!(watched.server.connect().ask("30"), "832040", "nothing else has changed");
    watched.server.wait_until_logged("stopping in 1h");
    watched.server.signal(Signal::TERM);
    assert_eq!(watched.server.wait().status.code(), Some(1));
}

fn it_answers_while_all_cores_compute(way: Way) {
    let watched = Watched::start(way, LONG);
    let cores = thread::available_parallelism().unwrap().get();
    let mut clients: Vec<_> = (0..2 * cores).map(|_| watched.server.connect()).collect();
    for client in &mut clients {
        client.send("60\n");
    }
    watched.wait_until_it_is("fib_jobs_in_flight", served_at_once(way, clients.len()));
    assert_eq!(watched.get("/readyz").0, "200");
    for client in &mut clients {
        assert!(client.hears_nothing(), "it is being computed");
    }
    clients.drain(..).for_each(Client::reset);
    watched.wait_until_it_is("fib_jobs_in_flight", 0);
    assert!(watched.metrics().count(r#"fib_jobs_total{outcome="cancelled"}"#) >= 1);
}

#[test]
fn a_drain_begins_after_the_delay() {
    let server = Server::start("tokio-tasks", &["--drain-delay", "50ms"]);
    let mut idle = server.connect();
    assert_eq!(idle.ask("1"), "1");
    server.signal(Signal::TERM);
    assert_eq!(idle.rest(), "", "it is let go in the end");
    let ended = server.wait();
    assert_eq!(ended.status.code(), Some(0));
    assert!(ended.log.find("stopping in 50ms") < ended.log.find("draining"), "{}", ended.log);
}

#[test]
fn what_is_not_there_is_told() {
    let watched = Watched::start("tokio-tasks", &[]);
    for (request, expected) in [
        ("GET /healthz HTTP/1.0\r\n\r\n", "200"),
        ("GET /readyz?verbose HTTP/1.1\r\nHost: fib\r\n\r\n", "200"),
        ("HEAD /metrics HTTP/1.1\nHost: fib\n\n", "200"),
        ("GET / HTTP/1.1\r\n\r\n", "404"),
        ("GET /metrics/ HTTP/1.1\r\n\r\n", "404"),
        ("HEAD /nowhere HTTP/1.1\r\n\r\n", "404"),
        ("POST /metrics HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc", "405"),
        ("DELETE /healthz HTTP/1.1\r\n\r\n", "405"),
        ("30\n\n", "400"),
        ("GET\r\n\r\n", "400"),
        ("GET /healthz HTTP/9.9\r\n\r\n", "400"),
        ("GET /healthz HTTP/1.1\r\nno colon\r\n\r\n", "400"),
        ("\0\0\0\0\r\n\r\n", "400"),
    ] {
        let response = watched.response(request);
        assert_eq!(status(&response), expected, "{request:?}: {response}");
        assert_eq!(request.starts_with("HEAD"), response.ends_with("\r\n\r\n"), "{response}");
    }
    let many = "a: b\r\n".repeat(65);
    assert_eq!(status(&watched.response(format!("GET /healthz HTTP/1.1\r\n{many}\r\n"))), "400");
    let long = format!("GET /healthz HTTP/1.1\r\na: {}", "b".repeat(100_000));
    assert_eq!(status(&watched.response(long)), "400");
}

/// Whatever others do or leave undone, who asks is answered.
#[test]
fn nobody_holds_up_the_others() {
    let watched = Watched::start("tokio-tasks", &[]);
    let mut slow: Vec<_> = (0..20).map(|_| watched.connect()).collect();
    for (at, socket) in slow.iter_mut().enumerate() {
        socket.write_all(&b"GET /metrics HTTP/1.1\r\n"[..at]).unwrap();
    }
    for socket in &slow[..10] {
        // Some of them will never read either.
        socket.shutdown(Shutdown::Read).unwrap();
    }
    assert_eq!(watched.get("/healthz").0, "200");
    let mut last = slow.pop().unwrap();
    last.set_nonblocking(true).unwrap();
    let error = last.read(&mut [0]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WouldBlock, "its time is not over");
    let crowd: Vec<_> = (0..200).map(|_| watched.connect()).collect();
    assert_eq!(watched.get("/readyz").0, "200", "those who wait longest make room");
    last.set_nonblocking(false).unwrap();
    assert_eq!(last.read(&mut [0]).unwrap_or(0), 0);
    // The time of the others runs out, however little at a time they send.
    let mut dribbling = crowd.into_iter().next_back().unwrap();
    wait_until("it is cut off", || {
        dribbling.set_nonblocking(true).unwrap();
        dribbling.write_all(b"x").is_err() || dribbling.read(&mut [0]).is_ok()
    });
    assert_eq!(watched.get("/healthz").0, "200");
}

#[test]
fn a_unix_socket_will_do() {
    let path = env::temp_dir().join(format!("fib-admin-{}.sock", process::id()));
    let address = format!("unix:{}", path.display());
    let mut server = Server::start("tokio-tasks", &["--admin", &address]);
    assert_eq!(server.next_line("admin on "), address);
    assert_eq!(status(&get(UnixStream::connect(&path).unwrap(), "/healthz")), "200");
    server.stop();
    assert!(fs::metadata(&path).is_err(), "the file goes with the server");
}

#[test]
fn an_address_in_use_is_told() {
    let watched = Watched::start("tokio-tasks", &[]);
    let mut command = Command::new(env!("CARGO_BIN_EXE_fib-server"));
    command.args(["--listen", "127.0.0.1:0", "--admin", &watched.admin]);
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains(&format!("--admin {}", watched.admin)), "{told}");
}

#[cfg(target_os = "linux")]
#[test]
fn lost_processes_are_counted() {
    let prefork = (Way::new("prefork", "inline"), "--io-threads");
    let processes = (Way::new("coroutines", "processes"), "--compute-threads");
    for (way, flag) in [prefork, processes] {
        let watched = Watched::start(way, &[flag, "2"]);
        watched.wait_until_it_is("fib_workers", 2);
        assert_eq!(watched.metrics().count("fib_worker_restarts_total"), 0);
        let children = watched.server.child_pids();
        for &child in &children {
            strike(child, Signal::KILL);
        }
        watched.wait_until_it_is("fib_worker_restarts_total", 2);
        watched.wait_until_it_is("fib_workers", 2);
        assert!(watched.server.child_pids().is_disjoint(&children));
    }
}

/// What a killed process had begun is not under way for ever.
#[cfg(target_os = "linux")]
#[test]
fn the_jobs_of_a_killed_process_are_cancelled() {
    let way = Way::new("prefork", "pool");
    let watched = Watched::start(way, &[LONG, &["--io-threads", "1"]].concat());
    let mut client = watched.server.connect();
    client.send("1\n60\n");
    assert_eq!(client.line(), "1");
    watched.wait_until_it_is("fib_jobs_in_flight", 1);
    let child = *watched.server.child_pids().first().unwrap();
    strike(child, Signal::KILL);
    watched.wait_until_it_is("fib_jobs_in_flight", 0);
    wait_until("it is replaced", || Process::find(child).is_none());
    let metrics = watched.metrics();
    assert_eq!(metrics.count(r#"fib_jobs_total{outcome="cancelled"}"#), 1);
    assert_eq!(metrics.count(r#"fib_requests_total{outcome="ok"}"#), 1, "that one was answered");
    assert_eq!(metrics.count("fib_connections_open"), 0);
}

#[test]
fn refused_jobs_are_counted() {
    let flags = [LONG, &["--max-in-flight", "1", "--deadline", "10s"]].concat();
    let way = Way::new("tokio-tasks", "pool");
    let watched = Watched::start(way, &flags);
    let mut client = watched.server.connect();
    assert!(client.ask("60").starts_with("ERR busy"), "it would take hours");
    let mut first = watched.server.connect();
    first.send("45\n");
    watched.wait_until_it_is("fib_jobs_in_flight", 1);
    assert!(client.ask("30").starts_with("ERR busy"));
    let metrics = watched.metrics();
    assert_eq!(metrics.count("fib_jobs_max"), 1);
    assert_eq!(metrics.count(r#"fib_jobs_refused_total{reason="busy"}"#), 1);
    assert_eq!(metrics.count(r#"fib_jobs_refused_total{reason="deadline"}"#), 1);
}

/// The real thing finds the server up, and knows how many requests it had.
#[test]
fn prometheus_scrapes_it() {
    let watched = Watched::start("tokio-tasks", &[]);
    let mut client = watched.server.connect();
    client.send("10\n".repeat(123));
    (0..123).for_each(|_| assert_eq!(client.line(), "55"));
    let Some(prometheus) = Prometheus::watching(&watched.admin) else { return };
    wait_until("the target is up", || {
        let targets = prometheus.ask("/api/v1/targets");
        targets.is_some_and(|it| it["data"]["activeTargets"][0]["health"] == "up")
    });
    wait_until("it knows the requests", || {
        let answer = prometheus.ask("/api/v1/query?query=sum(fib_requests_total)");
        answer.is_some_and(|it| it["data"]["result"][0]["value"][1] == "123")
    });
}
