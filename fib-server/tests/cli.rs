//! What people and scripts type, and what they are told.

use std::{
    collections::BTreeSet,
    fs,
    io::{self, BufRead, BufReader, Write},
    os::unix::net::UnixStream,
    process::{Command, Output},
    thread,
};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::support::{Server, all_strategies, concurrent_strategies, wait_until};

fn fib_server(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_fib-server")).args(arguments).output().expect("it runs")
}

#[test]
fn contradictions_are_usage_errors() {
    for (arguments, told) in [
        (&["--strategy", "sequential", "--io-threads", "2"][..], "--io-threads has no meaning"),
        (&["--algorithm", "recursive", "--max-n", "93"], "the limit can be at most 92"),
        (&["--max-line", "19"], "it must be from 20 to 4096"),
        (&["--max-line", "1000000"], "it must be from 20 to 4096"),
        (&["--max-connections", "0"], "serves nobody"),
        (&["--max-in-flight", "0"], "computes nothing"),
        (&["--compute", "inline", "--compute-threads", "2"], "no meaning with --compute inline"),
        (&["--compute", "inline", "--schedule", "fifo"], "--schedule has no meaning"),
        (&["--listen", "25000"], "expected HOST:PORT"),
        (&["--strategy", "threads"], "possible values"),
        (&["--dialect", "talk"], "line, classic"),
        (&["--cores", "0"], "--cores"),
    ] {
        let output = fib_server(arguments);
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {stderr}");
        assert!(stderr.contains(told), "{arguments:?}: {stderr}");
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn one_request_too_many_is_told_the_limit() {
    let flags = ["--algorithm", "recursive", "--max-n", "60", "--max-in-flight", "1"];
    let server = Server::start("thread-per-connection", &flags);
    let mut first = server.connect();
    first.send("60\n");
    assert!(first.hears_nothing(), "it is being computed");
    let mut second = server.connect();
    let limit = "ERR busy 1 requests are being computed; --max-in-flight raises the limit";
    assert_eq!(second.ask("30"), limit);
    assert_eq!(second.ask("10"), "55", "what costs nothing has no limit");
    first.reset();
    while second.ask("30") != "832040" {} // until the first one is found to be gone
}

#[test]
fn an_address_in_use_is_a_failure_that_names_it() {
    // Sockets that share a port do so within a server, not with another one.
    let kinds = ["sequential", "thread-per-core"];
    for (first, second) in kinds.into_iter().flat_map(|it| kinds.map(|other| (it, other))) {
        let server = Server::start(first, &[]);
        let output = fib_server(&["--listen", server.address(), "--strategy", second]);
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1));
        assert!(stderr.contains(&format!("--listen {}", server.address())), "{stderr}");
        assert!(stderr.contains("in use"), "{stderr}");
    }
}

/// As in a container whose profile forbids it.
#[cfg(target_os = "linux")]
#[test]
fn a_forbidden_io_uring_is_told() {
    const WITHOUT_IO_URING: &str = "
import ctypes, errno, os, struct, sys
PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2
IO_URING_SETUP, ALLOW, FAIL = 425, 0x7fff0000, 0x00050000
program = b''.join(struct.pack('HBBI', *it) for it in [
    (0x20, 0, 0, 0),                # load the number of the call
    (0x15, 0, 1, IO_URING_SETUP),   # unless it is this one, skip a line
    (0x06, 0, 0, FAIL | errno.EPERM),
    (0x06, 0, 0, ALLOW),
])
buffer = ctypes.create_string_buffer(program)
filter = struct.pack('HxxxxxxP', 4, ctypes.addressof(buffer))
prctl = ctypes.CDLL(None, use_errno=True).prctl
assert prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
assert prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, filter, 0, 0) == 0
os.execv(sys.argv[1], sys.argv[1:])
";
    let server = env!("CARGO_BIN_EXE_fib-server");
    let mut command = Command::new("python3");
    command.args(["-c", WITHOUT_IO_URING, server, "--strategy", "io-uring"]);
    let Ok(output) = command.args(["--listen", "127.0.0.1:0"]).output() else {
        return crate::support::skip("python3 is missing: apt-get install python3");
    };
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(stderr.contains("--strategy io-uring: no io_uring"), "{stderr}");
    assert!(stderr.contains("forbids it") || stderr.contains("io_uring_disabled is"), "{stderr}");
    assert!(stderr.contains("--strategy coroutines does without"), "{stderr}");
    assert!(output.stdout.is_empty(), "it does not say that it listens");
}

#[test]
fn every_flag_has_its_twin_in_the_environment() {
    let help = String::from_utf8(fib_server(&["--help"]).stdout).unwrap();
    let flags = help.lines().filter_map(|line| line.trim_start().strip_prefix("--"));
    for flag in flags.map(|line| line.split(' ').next().unwrap()) {
        let twin = format!("[env: FIB_{}=", flag.to_uppercase().replace('-', "_"));
        assert!(help.contains(&twin), "--{flag} has no {twin}...]");
    }
    let output = Command::new(env!("CARGO_BIN_EXE_fib-server"))
        .env("FIB_MAX_LINE", "7")
        .output()
        .expect("it runs");
    assert_eq!(output.status.code(), Some(2));
}

/// More than a library's tables may have been made for.
#[test]
fn five_thousand_clients_are_served_at_once() {
    const CLIENTS: usize = 5_000;
    if !raise_descriptor_limit(CLIENTS as u64 + 100) {
        let told = b"SKIPPED, five thousand clients: the limit of open files is too low\n";
        return io::stderr().write_all(told).unwrap();
    }
    for strategy in concurrent_strategies() {
        let server = Server::start(strategy, &[]);
        let mut clients: Vec<_> = (0..CLIENTS).map(|_| server.connect()).collect();
        for client in &mut clients {
            client.send("30\n");
        }
        for client in &mut clients {
            assert_eq!(client.line(), "832040");
        }
        assert_eq!(server.stop().count("ok"), CLIENTS as u64);
    }
}

fn raise_descriptor_limit(wanted: u64) -> bool {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: Some(wanted), ..limit };
    limit.current.is_none_or(|current| current >= wanted)
        || setrlimit(Resource::Nofile, raised).is_ok()
}

#[test]
fn unix_sockets_and_several_listeners_work() {
    let path = std::env::temp_dir().join(format!("fib-test-{}.sock", std::process::id()));
    for strategy in all_strategies() {
        let unix = format!("unix:{}", path.display());
        let flags = ["--strategy", strategy, "--listen", "127.0.0.1:0", "--listen", &unix];
        // A file that a killed server leaves behind does not keep the next one from starting.
        drop(Server::run(&flags));
        assert!(fs::metadata(&path).is_ok(), "it was killed");
        wait_until("its children are gone, too", || UnixStream::connect(&path).is_err());
        let server = Server::run(&flags);
        assert_eq!(server.connect().ask("30"), "832040");
        let mut socket = UnixStream::connect(&path).unwrap();
        socket.write_all(b"10\n").unwrap();
        let mut reply = String::new();
        BufReader::new(socket).read_line(&mut reply).unwrap();
        assert_eq!(reply, "55\n");
        assert_eq!(server.stop().count("ok"), 2);
        assert!(fs::metadata(&path).is_err(), "the file goes with the server");
    }
}

/// What the kernel tells of each thread.
#[cfg(target_os = "linux")]
fn threads_of(server: &Server) -> Vec<String> {
    let threads = fs::read_dir(format!("/proc/{}/task", server.pid())).unwrap();
    // One that has ended meanwhile is none.
    threads.filter_map(|it| fs::read_to_string(it.unwrap().path().join("status")).ok()).collect()
}

#[cfg(target_os = "linux")]
#[test]
fn io_threads_are_counted() {
    for strategy in ["thread-pool", "tokio-tasks", "thread-per-core"] {
        let [few, many] = ["2", "5"].map(|it| Server::start(strategy, &["--io-threads", it]));
        for server in [&few, &many] {
            assert_eq!(server.connect().ask("30"), "832040");
        }
        // Other threads than the one that has answered may not have started yet.
        wait_until("there are three more threads", || {
            threads_of(&many).len() == threads_of(&few).len() + 3
        });
    }
}

#[cfg(target_os = "linux")]
#[test]
fn each_core_has_a_thread_of_its_own() {
    let server = Server::start("thread-per-core", &[]);
    let cores = thread::available_parallelism().unwrap().get();
    let cpu_of = |status: String| {
        let line = status.lines().find_map(|it| it.strip_prefix("Cpus_allowed_list:\t"));
        line.filter(|_| status.starts_with("Name:\tcore ")).map(str::to_owned)
    };
    wait_until("each thread is pinned to another core", || {
        let cpus: BTreeSet<_> = threads_of(&server).into_iter().filter_map(cpu_of).collect();
        cpus.len() == cores && cpus.iter().all(|cpus| cpus.parse::<usize>().is_ok())
    });
}

#[cfg(target_os = "linux")]
#[test]
fn cores_bound_every_thread() {
    let server = Server::start("tokio-tasks", &["--cores", "1"]);
    assert_eq!(server.connect().ask("30"), "832040");
    let threads = threads_of(&server);
    for status in &threads {
        let allowed = status.lines().find(|line| line.starts_with("Cpus_allowed_list:")).unwrap();
        assert!(!allowed.contains([',', '-']), "{allowed}");
    }
    assert!(threads.len() > 1, "a runtime has threads");
    let output = fib_server(&["--listen", "127.0.0.1:0", "--cores", "100000"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        String::from_utf8(output.stderr).unwrap().contains("--cores 100000: this process may use")
    );
}
