//! What a manager of services sees of a server: the messages of `sd_notify` on a real socket, and
//! sockets that it opens and passes, by systemd's own tool and by hand.

use std::{
    env, fs,
    io::{self, Write},
    net::{Shutdown, TcpListener, TcpStream},
    os::{
        fd::OwnedFd,
        unix::net::{UnixDatagram, UnixListener, UnixStream},
    },
    path::PathBuf,
    process::{self, Command, Output, Stdio},
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use rustix::process::Signal;

use crate::{
    certificates::Certificates,
    config_file::ConfigFile,
    support::{
        ENDLESS, ENDLESS_FLAGS, PATIENCE, Server, Way, all_strategies, for_each_way, skip,
        wait_until,
    },
    watched::{free_address, get, status},
};

for_each_way! {{
    it_reports_to_its_manager,
}}

/// After how long without a word a manager would end the server.
const WATCHDOG: Duration = Duration::from_millis(300);

/// A path for a socket that no other test has.
pub(crate) fn fresh_path() -> PathBuf {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    env::temp_dir().join(format!("fib-systemd-{}-{number}.sock", process::id()))
}

/// A manager of services, as a server sees it.
pub(crate) struct Manager {
    socket: UnixDatagram,
    pub(crate) path: PathBuf,
}

impl Manager {
    pub(crate) fn new() -> Self {
        let path = fresh_path();
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { socket, path }
    }

    fn start(&self, flags: &[&str]) -> Server {
        let mut command = Command::new(env!("CARGO_BIN_EXE_fib-server"));
        command.args(["--log-format", "json", "--listen", "127.0.0.1:0"]).args(flags);
        command.env("NOTIFY_SOCKET", &self.path);
        command.env("WATCHDOG_USEC", WATCHDOG.as_micros().to_string());
        Server::spawn(command)
    }

    /// Waits for the next message.
    pub(crate) fn hear(&self) -> String {
        let mut message = [0; 1024];
        let len = self.socket.recv(&mut message).expect("the server says something");
        String::from_utf8(message[..len].to_vec()).unwrap()
    }

    /// Waits until the server is ready.
    pub(crate) fn hear_ready(&self) {
        assert_eq!(self.hear(), "READY=1\nSTATUS=serving\n");
    }

    /// Waits until the server has said so often that it lives.
    fn hear_life(&self, times: usize) {
        for _ in 0..times {
            assert_eq!(self.hear(), "WATCHDOG=1\n");
        }
    }

    /// Everything that was said and not heard yet.
    fn heard(&self) -> usize {
        self.socket.set_nonblocking(true).unwrap();
        let mut messages = 0;
        while self.socket.recv(&mut [0; 1024]).is_ok() {
            messages += 1;
        }
        self.socket.set_nonblocking(false).unwrap();
        messages
    }
}

impl Drop for Manager {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

fn it_reports_to_its_manager(way: Way) {
    let Way { strategy, compute, .. } = way;
    let manager = Manager::new();
    let server = manager.start(&["--strategy", strategy, "--compute", compute]);
    manager.hear_ready();
    manager.hear_life(2);
    let mut client = server.connect();
    assert_eq!(client.ask("30"), "832040");
    // One client that stays is no trouble, also where all others have to wait for it.
    manager.heard();
    manager.hear_life(2);
    server.signal(Signal::TERM);
    wait_until("it stops", || manager.hear() == "STOPPING=1\nSTATUS=draining\n");
    drop(client);
    let ended = server.wait();
    assert_eq!(ended.status.code(), Some(0), "{}", ended.log);
    ended.check_counts();
    assert!(!ended.log.contains("does not answer itself"), "{}", ended.log);
}

#[test]
fn it_tells_of_a_reload() {
    let file = ConfigFile::new("max-n = 100\n");
    let manager = Manager::new();
    let server = manager.start(&["--config", file.path()]);
    manager.hear_ready();
    for (text, told) in [
        ("max-n = 200\n", "serving\n"),
        ("max-n = 300\ncores = 1", "serving; the last reload was refused: it takes a restart"),
    ] {
        file.write(text);
        server.signal(Signal::HUP);
        let mut message = manager.hear();
        while message == "WATCHDOG=1\n" {
            message = manager.hear();
        }
        let since = message.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").unwrap();
        assert!(since.trim().parse::<u64>().unwrap() > 0);
        let message = manager.hear();
        assert!(message.starts_with(&format!("READY=1\nSTATUS={told}")), "{message}");
    }
    server.stop();
}

/// Whatever it does not let in, and whomever it wants to be introduced to.
#[test]
fn it_lets_itself_in() {
    for strategy in all_strategies() {
        for access in [
            &["--allow", "192.0.2.0/24"][..],
            &["--trust-proxy", "127.0.0.1"],
            &["--allow", "192.0.2.0/24", "--trust-proxy", "127.0.0.0/8"],
        ] {
            let manager = Manager::new();
            let server = manager.start(&[&["--strategy", strategy], access].concat());
            manager.hear_ready();
            manager.hear_life(2);
            let ended = server.stop();
            assert!(!ended.log.contains("not-allowed"), "{}", ended.log);
            assert!(ended.count("ok") > 0, "{}", ended.log);
        }
    }
}

/// It knows its own certificate; where clients need one, it is content with being told so.
#[test]
fn a_server_over_tls_asks_itself_too() {
    let certificates = Certificates::new();
    let (own, ca) = (certificates.flags_of("server"), certificates.path("ca.pem"));
    let own: Vec<_> = own.iter().map(String::as_str).collect();
    for strategy in ["tokio-tasks", "thread-per-core"] {
        for mutual in [&["--tls-client-ca", &ca][..], &[]] {
            let manager = Manager::new();
            let server = manager.start(&[&["--strategy", strategy], &own[..], mutual].concat());
            manager.hear_ready();
            manager.hear_life(2);
            let log = server.stop().log;
            assert!(!log.contains("does not answer itself"), "{log}");
        }
    }
}

/// A product of large numbers has no slices: it holds up a loop that computes it itself.
#[test]
fn a_server_that_is_stuck_is_not_fed() {
    let manager = Manager::new();
    let flags = ["--strategy", "coroutines", "--compute", "inline"];
    let server = manager.start(&[&flags[..], &ENDLESS_FLAGS].concat());
    manager.hear_ready();
    manager.hear_life(1);
    let mut client = server.connect();
    client.send(ENDLESS);
    client.half_close();
    let told = || server.times_logged("does not answer itself");
    wait_until("it is stuck", || told() >= 1);
    manager.heard();
    wait_until("it is still stuck", || told() >= 2);
    assert_eq!(manager.heard(), 0, "nobody says that it lives");
    client.receive_in_vain();
    manager.hear_life(2);
}

/// The same request is no trouble where somebody else computes.
#[test]
fn a_server_that_computes_is_fed() {
    for (strategy, compute) in [("coroutines", "pool"), ("prefork", "processes")] {
        let manager = Manager::new();
        let flags = ["--strategy", strategy, "--compute", compute];
        let server = manager.start(&[&flags[..], &ENDLESS_FLAGS].concat());
        manager.hear_ready();
        let mut client = server.connect();
        client.send(ENDLESS);
        manager.hear_life(5);
        assert!(client.hears_nothing(), "it is being computed");
        assert_eq!(server.times_logged("does not answer itself"), 0);
    }
}

/// Where it cannot ask itself, it does not take that for trouble.
#[test]
fn a_socket_out_of_reach_is_no_trouble() {
    let manager = Manager::new();
    let path = fresh_path();
    let listener = UnixListener::bind(&path).unwrap();
    fs::remove_file(&path).unwrap();
    let mut command = by_hand(listener.into());
    command.env("NOTIFY_SOCKET", &manager.path);
    command.env("WATCHDOG_USEC", WATCHDOG.as_micros().to_string());
    let server = Server::spawn(command);
    manager.hear_ready();
    manager.hear_life(2);
    server.wait_until_logged("cannot be checked from within");
}

/// A server that is passed this as its only descriptor.
pub(crate) fn by_hand(socket: OwnedFd) -> Command {
    let mut command = Command::new("sh");
    let script = "exec 3<&0 </dev/null; export LISTEN_FDS=1 LISTEN_PID=$$; exec \"$0\" \"$@\"";
    command.args(["-c", script, env!("CARGO_BIN_EXE_fib-server"), "--log-format", "json"]);
    command.stdin(socket);
    command
}

pub(crate) fn ask_at(path: &PathBuf) -> String {
    let mut socket = UnixStream::connect(path).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.write_all(b"30\n").unwrap();
    socket.shutdown(Shutdown::Write).unwrap();
    io::read_to_string(socket).unwrap()
}

#[test]
fn a_passed_socket_takes_the_place_of_the_default() {
    for strategy in all_strategies() {
        let path = fresh_path();
        let listener = UnixListener::bind(&path).unwrap();
        let mut command = by_hand(listener.try_clone().unwrap().into());
        command.args(["--strategy", strategy]);
        let server = Server::spawn(command);
        assert_eq!(ask_at(&path), "832040\n");
        let ended = server.stop();
        assert_eq!(ended.count("ok"), 1);
        assert!(fs::metadata(&path).is_ok(), "the file is not the server's");
        // Whoever comes now waits for the next one.
        let mut late = UnixStream::connect(&path).unwrap();
        late.write_all(b"10\n").unwrap();
        let server = Server::spawn(by_hand(listener.into()));
        late.shutdown(Shutdown::Write).unwrap();
        assert_eq!(io::read_to_string(late).unwrap(), "55\n");
        drop(server);
        fs::remove_file(path).unwrap();
    }
}

#[test]
fn an_address_that_was_asked_for_is_listened_on_as_well() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let passed = listener.local_addr().unwrap().to_string();
    let mut command = by_hand(listener.into());
    command.args(["--listen", "127.0.0.1:0"]);
    let mut server = Server::spawn(command);
    assert_eq!(server.address(), passed);
    assert_eq!(server.connect().ask("30"), "832040");
    let asked_for = server.next_line("listening on ");
    assert_ne!(asked_for, passed);
    assert!(TcpStream::connect(asked_for).is_ok());
}

/// What a manager told the server is not for its children.
#[test]
fn children_inherit_nothing_of_it() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut command = by_hand(listener.into());
    let manager = Manager::new();
    command.args(["--strategy", "prefork", "--compute", "processes"]);
    command.env("NOTIFY_SOCKET", &manager.path);
    let server = Server::spawn(command);
    manager.hear_ready();
    let family = server.descendants();
    assert!(!family.is_empty());
    for child in family {
        let environment = fs::read(format!("/proc/{child}/environ")).unwrap();
        let environment = String::from_utf8_lossy(&environment);
        for name in ["LISTEN_FDS", "LISTEN_PID", "NOTIFY_SOCKET"] {
            assert!(!environment.contains(name), "{child} has {name}");
        }
    }
}

#[test]
fn what_is_no_listening_stream_socket_is_refused() {
    let (one, _other) = UnixStream::pair().unwrap();
    let (datagrams, _others) = UnixDatagram::pair().unwrap();
    let file = fs::File::open("/dev/null").unwrap();
    for (descriptor, told) in [
        (OwnedFd::from(one), "it does not listen; does its unit say Accept=yes?"),
        (datagrams.into(), "it is no stream socket of TCP or Unix"),
        (file.into(), "it is no socket"),
    ] {
        let Output { status, stdout, stderr } = by_hand(descriptor).output().unwrap();
        let stderr = String::from_utf8(stderr).unwrap();
        assert_eq!(status.code(), Some(1), "{stderr}");
        assert!(stderr.contains("that was passed (LISTEN_FDS)"), "{stderr}");
        assert!(stderr.contains(told), "{stderr}");
        assert!(stdout.is_empty(), "it does not say that it listens");
    }
}

/// Nothing is taken that was meant for another process.
#[test]
fn another_processs_sockets_are_left_alone() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fib-server"));
    command.args(["--listen", "127.0.0.1:0"]).env("LISTEN_FDS", "1").env("LISTEN_PID", "1");
    assert_eq!(Server::spawn(command).connect().ask("30"), "832040");
}

#[test]
fn systemd_passes_sockets_to_every_strategy() {
    for strategy in all_strategies() {
        let (clients, admin) = (fresh_path(), fresh_path());
        let mut command = Command::new("systemd-socket-activate");
        command.args(["--fdname=clients:clients:admin", "-l", &free_address()]);
        command.arg("-l").arg(&clients).arg("-l").arg(&admin);
        command.args([env!("CARGO_BIN_EXE_fib-server"), "--log-format=json"]);
        command.args(["--strategy", strategy]).stdout(Stdio::piped()).stderr(Stdio::piped());
        let Ok(child) = command.spawn() else {
            return skip("systemd-socket-activate is missing: apt-get install systemd");
        };
        wait_until("systemd listens", || admin.exists());
        // It starts the server for whoever comes first.
        let first = UnixStream::connect(&clients).unwrap();
        let mut server = Server::of(child);
        drop(first);
        assert_eq!(server.connect().ask("30"), "832040");
        assert_eq!(server.next_line("listening on "), format!("unix:{}", clients.display()));
        assert_eq!(server.next_line("admin on "), format!("unix:{}", admin.display()));
        assert_eq!(ask_at(&clients), "832040\n");
        let response = get(UnixStream::connect(&admin).unwrap(), "/readyz");
        assert_eq!(status(&response), "200");
        assert_eq!(server.stop().count("ok"), 2);
        for path in [clients, admin] {
            fs::remove_file(path).unwrap();
        }
    }
}
