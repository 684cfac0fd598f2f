//! A network for a test alone, and the programs that run in it.

use std::{
    env, fs,
    fs::File,
    io::{Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{self, Child, Command, ExitStatus},
    sync::atomic::{AtomicU16, Ordering},
};

use rustix::process::{Pid, Signal, kill_process};

use crate::support::{PATIENCE, Server, skip, wait_until};

/// A program that a test needs, or `None`, said aloud.
pub(super) fn tool(program: &str, install: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    // Debian keeps daemons where only root looks for programs.
    let folders = env::split_paths(&path).chain(["/usr/sbin".into()]);
    let found = folders.map(|folder| folder.join(program)).find(|it| it.is_file());
    if found.is_none() {
        skip(&format!("{program} is missing; {install}"));
    }
    found
}

/// A Python that has this module, or `None`, said aloud.
pub(super) fn python_with(module: &str, install: &str) -> Option<PathBuf> {
    let python = tool("python3", "apt-get install python3")?;
    let has_it = Command::new(&python).args(["-c", &format!("import {module}")]).output().unwrap();
    if !has_it.status.success() {
        skip(&format!("Python's {module} is missing; {install}"));
    }
    has_it.status.success().then_some(python)
}

/// A file of `deploy/`.
pub(super) fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy").join(name)
}

/// Its text.
pub(super) fn read(name: &str) -> String {
    fs::read_to_string(path(name)).unwrap()
}

/// Its text, with these words replaced: each must be there.
pub(super) fn read_with(name: &str, replacements: &[(&str, &str)]) -> String {
    let replace = |text: String, (from, to): &(&str, &str)| {
        assert!(text.contains(from), "{name} has no {from:?}");
        text.replace(from, to)
    };
    replacements.iter().fold(read(name), replace)
}

/// Runs a program to its end, which must be a good one; what it wrote to stdout.
pub(super) fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let [stdout, stderr] = [output.stdout, output.stderr].map(|it| String::from_utf8(it).unwrap());
    assert!(output.status.success(), "{command:?}: {}\n{stdout}{stderr}", output.status);
    stdout
}

/// Addresses and ports of this machine that nobody else uses, and a folder of the same kind. So a
/// program can be started again where it was before.
pub(super) struct Place {
    number: u16,
    folder: PathBuf,
}

/// What a program listens for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Port {
    Clients,
    Admin,
    Statistics,
}

/// How many ports a place has.
const PORTS: u16 = 3;

/// Below those that the system gives out. The usual ones may be taken, on all addresses.
const FIRST_PORT: u16 = 20_000;

impl Place {
    pub(super) fn new() -> Self {
        static PLACES: AtomicU16 = AtomicU16::new(0);
        let number = PLACES.fetch_add(1, Ordering::Relaxed);
        let name = format!("{}-{number}", process::id());
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        Self { number, folder }
    }

    /// The address of one of its hosts. All of 127.0.0.0/8 is this machine, whose own connections
    /// come from 127.0.0.1: none of them takes a server's port while it is away.
    pub(super) fn address(&self, host: u8, port: Port) -> String {
        let [.., high, low] = process::id().to_be_bytes();
        format!("127.{high}.{low}.{host}:{}", self.port(port))
    }

    pub(super) fn port(&self, port: Port) -> u16 {
        FIRST_PORT + self.number * PORTS + port as u16
    }

    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Writes a file that a program is started with.
    pub(super) fn write(&self, name: &str, text: &str) -> PathBuf {
        let file = self.file(name);
        fs::write(&file, text).unwrap();
        file
    }

    /// A server on a host.
    pub(super) fn server(&self, host: u8, flags: &[&str]) -> Server {
        let (clients, admin) = (self.address(host, Port::Clients), self.address(host, Port::Admin));
        let mut arguments = vec!["--listen", &clients, "--admin", &admin];
        arguments.extend(flags);
        Server::run(&arguments)
    }

    /// Starts a program that logs into a file here.
    pub(super) fn start(&self, name: &str, command: &mut Command) -> Program {
        let log = self.file(&format!("{name}.log"));
        let output = File::create(&log).unwrap();
        command.stdout(output.try_clone().unwrap()).stderr(output);
        Program { child: command.spawn().unwrap(), log }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// A program that runs, killed when dropped.
pub(super) struct Program {
    child: Child,
    log: PathBuf,
}

impl Program {
    /// Fails with its log if it has ended.
    pub(super) fn must_run(&mut self) {
        if let Some(status) = self.child.try_wait().unwrap() {
            panic!("{status}: {}", fs::read_to_string(&self.log).unwrap());
        }
    }

    /// Ends it as a manager of services does.
    pub(super) fn stop(mut self) -> ExitStatus {
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
        let mut status = None;
        wait_until("it ends", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a server answers over HTTP: the status, and the body. `None` if nobody answers.
pub(super) fn get(address: &str, path: &str) -> Option<(u16, String)> {
    let mut socket = TcpStream::connect(address).ok()?;
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    // In version 1.0 a body simply ends with its connection.
    write!(socket, "GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n").ok()?;
    let mut response = String::new();
    socket.read_to_string(&mut response).ok()?;
    let (head, body) = response.split_once("\r\n\r\n")?;
    Some((head.split(' ').nth(1)?.parse().ok()?, body.to_owned()))
}
