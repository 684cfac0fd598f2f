//! A network for a test alone, and the programs that run in it.

use std::{
    env, fs,
    fs::File,
    io::{Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{self, Child, Command},
    sync::atomic::{AtomicU8, Ordering},
};

use crate::support::{PATIENCE, Server, skip};

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

/// Addresses of this machine that nobody else uses, and a folder of the same kind. So every program
/// listens on the port that its configuration says, also when it is started again.
pub(super) struct Place {
    network: String,
    folder: PathBuf,
}

impl Place {
    pub(super) fn new() -> Self {
        static PLACES: AtomicU8 = AtomicU8::new(1);
        let place = PLACES.fetch_add(1, Ordering::Relaxed);
        // All of 127.0.0.0/8 is this machine. Its own connections come from 127.0.0.1.
        let network = format!("127.{}.{place}", 1 + process::id() % 250);
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(&network);
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        Self { network, folder }
    }

    /// The first three numbers of its addresses.
    pub(super) fn network(&self) -> &str {
        &self.network
    }

    pub(super) fn address(&self, host: u8, port: u16) -> String {
        format!("{}.{host}:{port}", self.network)
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

    /// A server as `deploy/` expects it on a host: clients on port 25000, health on 9100.
    pub(super) fn server(&self, host: u8, flags: &[&str]) -> Server {
        let (clients, admin) = (self.address(host, 25000), self.address(host, 9100));
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
