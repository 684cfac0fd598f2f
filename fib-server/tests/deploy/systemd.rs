//! The units of `deploy/systemd`: `systemd-analyze` reads and rates them, and the server runs under
//! their system call filter, on sockets that `systemd-socket-activate` passes, in every way.

use std::{
    env, fs, net::TcpStream, os::unix::process::ExitStatusExt, path::PathBuf, process::Command,
    time::Duration,
};

use fib_client::{Connection, Options};

use super::support::{Place, Port, get, path, python_with, read, read_with, run, tool};
use crate::support::{is_available, wait_until};

const INSTALL: &str = "apt-get install systemd";

/// What `systemd-analyze security` calls the exposure of a service, times ten.
const EXPOSURE_MAX: &str = "--threshold=15";

const SERVER: &str = env!("CARGO_BIN_EXE_fib-server");

const STRATEGIES: [&str; 8] = [
    "sequential",
    "thread-per-connection",
    "thread-pool",
    "tokio-tasks",
    "thread-per-core",
    "coroutines",
    "io-uring",
    "prefork",
];

#[test]
fn the_units_are_right_and_give_little_away() {
    let Some(analyze) = tool("systemd-analyze", INSTALL) else { return };
    let place = Place::new();
    let service = read_with("systemd/fib-server.service", &[("/usr/local/bin/fib-server", SERVER)]);
    let service = place.write("fib-server.service", &service);
    let sockets = ["fib-server.socket", "fib-server-admin.socket"]
        .map(|name| place.write(name, &read(&format!("systemd/{name}"))));
    let verified = Command::new(&analyze).arg("verify").arg(&service).args(&sockets).output();
    let verified = verified.unwrap();
    let told = String::from_utf8_lossy(&verified.stderr);
    assert!(verified.status.success() && told.is_empty(), "{told}");
    let security = ["--no-pager", "security", "--offline=true", EXPOSURE_MAX];
    run(Command::new(&analyze).args(security).arg(&service));
}

#[test]
fn systemd_waits_for_the_drain() {
    let duration = |name| humantime::parse_duration(&setting(name)).unwrap();
    let drain = duration("FIB_DRAIN_DELAY") + duration("FIB_DRAIN_TIMEOUT");
    assert!(duration("TimeoutStopSec") > drain + Duration::from_secs(5));
}

/// The value of a setting of the service, or of a variable in its environment.
fn setting(name: &str) -> String {
    let service = read("systemd/fib-server.service");
    let mut words = service.split_whitespace().map(|it| it.trim_start_matches("Environment="));
    let value = words.find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
    value.unwrap_or_else(|| panic!("there is no {name}")).to_owned()
}

#[test]
fn the_server_needs_no_more_than_it_is_allowed() {
    let Some(cell) = Cell::find() else { return };
    for strategy in STRATEGIES.into_iter().filter(|strategy| is_available(strategy)) {
        for compute in ["inline", "pool", "processes"] {
            let way = ["--strategy", strategy, "--compute", compute, "--cores", "1"];
            cell.serve_in(&[&way, &["--algorithm", "recursive"][..]].concat());
        }
    }
}

/// If the filter let everything pass, the test before would show nothing.
#[test]
fn nobody_does_what_is_not_allowed() {
    let Some(cell) = Cell::find() else { return };
    let forbidden = ["os.chown('.', 0, 0)", "__import__('socket').socket(16)"];
    for call in forbidden {
        let mut command = cell.command();
        let status = command.arg(&cell.python).args(["-c", &format!("import os; {call}")]).status();
        assert_eq!(status.unwrap().signal(), Some(libc::SIGSYS), "{call}");
    }
}

/// What runs a program under the filter of the unit.
struct Cell {
    python: PathBuf,
    activate: PathBuf,
}

impl Cell {
    fn find() -> Option<Self> {
        tool("systemd-analyze", INSTALL)?;
        let activate = tool("systemd-socket-activate", INSTALL)?;
        let python = python_with("pyseccomp", "pip install pyseccomp")?;
        Some(Self { python, activate })
    }

    /// The program and its arguments follow.
    fn command(&self) -> Command {
        let mut command = Command::new(&self.python);
        command.arg(confine()).arg(path("systemd/fib-server.service"));
        command
    }

    /// Starts a server on passed sockets, has it answer whoever asks, and ends it.
    fn serve_in(&self, flags: &[&str]) {
        let place = Place::new();
        let (clients, admin) = (place.address(1, Port::Clients), place.address(1, Port::Admin));
        let mut command = Command::new(&self.activate);
        command.args(["--fdname=clients:admin", "-l", &clients, "-l", &admin]);
        command.arg(&self.python).arg(confine()).arg(path("systemd/fib-server.service"));
        let mut server = place.start("server", command.arg(SERVER).args(flags));
        wait_until("systemd listens", || {
            server.must_run();
            TcpStream::connect(&clients).is_ok()
        });
        {
            let mut client =
                Connection::open(&clients.parse().unwrap(), Options::default()).unwrap();
            // One that is answered at once, and one that is computed.
            assert_eq!(client.ask(1).unwrap(), "1", "{flags:?}");
            assert_eq!(client.ask(24).unwrap(), "46368", "{flags:?}");
        }
        assert_eq!(get(&admin, "/readyz").unwrap().0, 200, "{flags:?}");
        assert!(get(&admin, "/metrics").unwrap().1.contains("process_open_fds"), "{flags:?}");
        assert_eq!(server.stop().code(), Some(0), "{flags:?}");
    }
}

fn confine() -> PathBuf {
    fs::canonicalize("tests/deploy/confine.py").unwrap()
}
