//! Every name of a failure, forced by a server, or a machine, that fails so.

use std::{
    io::{ErrorKind, Read, Write},
    net::{TcpListener, TcpStream},
    os::unix::net::UnixListener,
    path::PathBuf,
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use fib_client::{
    Tls, TlsOptions,
    load::{Arrivals, Failure, Late, Mix, Pace, Plan, Until},
};
use fib_proto::Address;
use rustix::process::{Pid, Resource, Rlimit, prlimit};
use socket2::{Domain, SockRef, Socket, Type};

use crate::{
    certificates::Certificates,
    load::{plan, run},
    support::{Process, answer, honest, serve, tool},
    tls::encrypted,
    truth::open_loop,
};

fn kinds_of(plan: &Plan) -> Vec<String> {
    run(plan).failures.into_iter().map(|failure| failure.kind).collect()
}

fn has(plan: &Plan, failure: Failure) {
    let kinds = kinds_of(plan);
    assert!(
        kinds.iter().any(|kind| kind == failure.name()),
        "{} is not in {kinds:?}",
        failure.name()
    );
}

/// Reads a request, does this, and is done with the connection.
fn after_a_request(act: impl Fn(&mut TcpStream) + Clone + Send + 'static) -> Plan {
    plan(serve(move |mut socket| {
        if socket.read(&mut [0; 100]).is_ok_and(|len| len > 0) {
            act(&mut socket);
        }
    }))
}

#[test]
fn replies_that_are_not_right() {
    let long = "1".repeat(600);
    for (reply, failure) in [
        ("2\n", Failure::WrongValue),
        ("hello\n", Failure::Malformed),
        (&*(long + "\n"), Failure::Oversize),
        ("1\n1\n", Failure::Unsolicited),
        ("ERR parse x\n", Failure::ServerParse),
        ("ERR range x\n", Failure::ServerRange),
        ("ERR too-long x\n", Failure::ServerTooLong),
        ("ERR busy x\n", Failure::ServerBusy),
        ("ERR deadline x\n", Failure::ServerDeadline),
        ("ERR internal x\n", Failure::ServerInternal),
        ("ERR shutdown x\n", Failure::ServerShutdown),
    ] {
        let reply = reply.to_owned();
        has(&plan(answer(move |_| reply.clone())), failure);
    }
}

#[test]
fn connections_that_end() {
    has(&after_a_request(|_| {}), Failure::Closed);
    let half = after_a_request(|socket| socket.write_all(b"83").unwrap());
    has(&Plan { mix: Mix::only(30), ..half }, Failure::ClosedMidReply);
    let idle = after_a_request(|socket| socket.write_all(b"1\n").unwrap());
    let think = Duration::from_millis(50);
    has(&Plan { pace: Pace::Closed { think }, ..idle }, Failure::ClosedIdle);
    let reset = after_a_request(|socket| {
        SockRef::from(&*socket).set_linger(Some(Duration::ZERO)).unwrap();
    });
    has(&reset, Failure::Reset);
    // No server can make a socket fail otherwise; a network can.
    let otherwise = Failure::of_connection(&ErrorKind::HostUnreachable.into());
    assert_eq!(otherwise, Failure::Io);
}

#[test]
fn replies_that_do_not_come() {
    let hanging = || after_a_request(|_| thread::sleep(Duration::from_secs(2)));
    let impatient = Plan { timeout: Duration::from_millis(50), ..hanging() };
    has(&impatient, Failure::Timeout);
    has(&Plan { depth: 4.try_into().unwrap(), ..impatient }, Failure::Abandoned);
    let late = |late| Plan { pace: open_loop("100", Arrivals::Const, late), ..hanging() };
    has(&late(Late::Skip), Failure::Skipped);
    has(&late(Late::Shed(Duration::from_millis(20))), Failure::Shed);
}

#[test]
fn connections_that_cannot_be_made() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let gone = Address::Tcp(listener.local_addr().unwrap().to_string());
    thread::spawn(move || drop(listener.accept())); // ... and the listener
    has(&plan(gone), Failure::ConnectRefused);

    let path = std::env::temp_dir().join(format!("fib-client-fault-{}", std::process::id()));
    let listener = UnixListener::bind(&path).unwrap();
    let address: Address = format!("unix:{}", path.display()).parse().unwrap();
    thread::spawn(move || {
        let client = listener.accept().unwrap();
        std::fs::remove_file(path).unwrap();
        drop(client);
    });
    has(&plan(address), Failure::ConnectFailed);
}

/// A listener whose queue is full does not answer.
#[test]
fn connections_that_are_not_taken() {
    let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    listener.bind(&"127.0.0.1:0".parse::<std::net::SocketAddr>().unwrap().into()).unwrap();
    listener.listen(0).unwrap();
    let address = listener.local_addr().unwrap().as_socket().unwrap();
    let done = Arc::new(AtomicBool::new(false));
    let is_done = Arc::clone(&done);
    let server = thread::spawn(move || {
        let first = listener.accept().unwrap();
        let queue: Vec<_> = (0..3)
            .map(|_| {
                let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
                socket.set_nonblocking(true).unwrap();
                let _ = socket.connect(&address.into());
                socket
            })
            .collect();
        drop(first);
        while !is_done.load(Ordering::Relaxed) {
            thread::sleep(Duration::from_millis(10));
        }
        drop(queue);
    });
    let until = Until::Elapsed(Duration::from_secs(2));
    has(&Plan { until, ..plan(Address::Tcp(address.to_string())) }, Failure::ConnectTimeout);
    done.store(true, Ordering::Relaxed);
    server.join().unwrap();
}

/// The client as a process, for what would hit the test as well.
fn client(server: &Address) -> Command {
    let mut client = Command::new(env!("CARGO_BIN_EXE_fib-client"));
    client.args(["perf", "-d", "1s", "--quiet", "--server", &server.to_string()]);
    client.stdout(Stdio::piped()).stderr(Stdio::piped());
    client
}

#[test]
fn no_file_left() {
    // The connection lasts until the limit is there.
    let lasting = after_a_request(|_| thread::sleep(Duration::from_millis(400)));
    let child = client(&lasting.address).spawn().unwrap();
    thread::sleep(Duration::from_millis(200));
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    prlimit(Some(Pid::from_child(&child)), Resource::Nofile, none).unwrap();
    let output = child.wait_with_output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(told.contains(Failure::FdLimit.name()), "{told}");
}

#[test]
fn no_port_left() {
    let (Some(unshare), Some(_)) = (tool("unshare", "util-linux"), tool("ip", "iproute2")) else {
        return;
    };
    // A network of its own, in which there are eight ports and a closed one rests.
    let few_ports = "ip link set lo up && cd /proc/sys/net/ipv4 && \
                     echo 40000 40007 > ip_local_port_range && echo 0 > tcp_tw_reuse && \
                     exec \"$0\" --exact faults::a_client_with_few_ports --ignored --nocapture";
    let this = std::env::current_exe().unwrap();
    let mut shell = Command::new(unshare);
    let output = shell.args(["-rn", "sh", "-c", few_ports]).arg(this).output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    let refused = String::from_utf8_lossy(&output.stderr);
    assert!(told.contains("no-ports"), "{told} {refused}");
}

#[test]
#[ignore = "what no_port_left runs"]
fn a_client_with_few_ports() {
    let server = Process::start();
    let output = client(&server.address).args(["--reconnect", "every=1"]).output().unwrap();
    println!("{}", String::from_utf8_lossy(&output.stdout));
}

#[test]
fn a_client_whom_the_server_does_not_know() {
    let certificates = Certificates::new();
    let ca = Some(certificates.path("ca.pem").into());
    let tls = Tls::new(&TlsOptions { ca, ..TlsOptions::default() }).unwrap();
    let server = encrypted(&certificates, true);
    has(&Plan { tls: Some(tls), ..plan(server) }, Failure::Tls);
}

/// Nobody invents a failure without a test that forces it.
#[test]
fn every_name_is_forced() {
    let source: PathBuf = [env!("CARGO_MANIFEST_DIR"), "tests", "faults.rs"].iter().collect();
    let source = std::fs::read_to_string(source).unwrap();
    for failure in Failure::ALL {
        let forced = format!("Failure::{failure:?}");
        assert!(source.contains(&forced) || failure == Failure::NoPorts, "{forced}");
    }
    assert!(kinds_of(&plan(honest())).is_empty());
}
