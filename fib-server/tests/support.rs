//! A server under test, and a client that sees every byte.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{Shutdown, TcpStream},
    process::{Child, ChildStderr, ChildStdout, Command, ExitStatus, Stdio},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// Long enough for the slowest machine, short enough to fail.
const PATIENCE: Duration = Duration::from_secs(30);

/// Writes a module for each strategy, with a test for each promise in it.
macro_rules! for_each_strategy {
    ($promises:tt) => {
        for_each_strategy! { @strategy sequential "sequential" $promises }
        for_each_strategy! { @strategy thread_per_connection "thread-per-connection" $promises }
        #[cfg(target_os = "linux")]
        for_each_strategy! { @strategy thread_pool "thread-pool" $promises }
        for_each_strategy! { @strategy tokio_tasks "tokio-tasks" $promises }
        for_each_strategy! { @strategy thread_per_core "thread-per-core" $promises }
        for_each_strategy! { @strategy coroutines "coroutines" $promises }
    };
    (@strategy $module:ident $name:literal { $($promise:ident),* $(,)? }) => {
        mod $module {
            $(#[test]
            fn $promise() {
                super::$promise($name);
            })*
        }
    };
}
pub(crate) use for_each_strategy;

/// A running `fib-server`, killed when dropped.
pub(crate) struct Server {
    child: Child,
    /// Kept, because a program whose stdout is closed fails to write to it.
    _stdout: BufReader<ChildStdout>,
    address: String,
    log: Option<JoinHandle<String>>,
}

/// How a server ended.
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) log: String,
}

impl Server {
    /// Starts a server on a free port, with these further flags.
    pub(crate) fn start(strategy: &str, flags: &[&str]) -> Self {
        let mut arguments = vec!["--listen", "127.0.0.1:0", "--strategy", strategy];
        arguments.extend(flags);
        Self::run(&arguments)
    }

    /// Starts a server that may open so many descriptors.
    pub(crate) fn start_limited_to(descriptors: usize, strategy: &str) -> Self {
        let server = env!("CARGO_BIN_EXE_fib-server");
        let flags = "--listen 127.0.0.1:0 --log-format json --strategy";
        let script = format!("ulimit -n {descriptors}; exec {server} {flags} {strategy}");
        let mut shell = Command::new("sh");
        shell.args(["-c", &script]);
        Self::spawn(shell)
    }

    /// Starts a server with exactly these flags.
    pub(crate) fn run(arguments: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_fib-server"));
        command.args(["--log-format", "json"]).args(arguments);
        Self::spawn(command)
    }

    fn spawn(mut command: Command) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the server starts");
        let mut line = String::new();
        let mut stdout = BufReader::new(child.stdout.take().expect("it is piped"));
        stdout.read_line(&mut line).expect("the server says where it listens");
        let address = line.trim().strip_prefix("listening on ").unwrap_or_default().to_owned();
        let stderr = child.stderr.take().expect("it is piped");
        Self { child, _stdout: stdout, address, log: Some(thread::spawn(move || read_all(stderr))) }
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    pub(crate) fn connect(&self) -> Client {
        let socket = TcpStream::connect(&self.address).expect("the server accepts");
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Client { socket: BufReader::new(socket) }
    }

    /// A client for whom there is room, once the server has noticed that another has left.
    pub(crate) fn connect_until_served(&self) -> Client {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let mut client = self.connect();
            if client.hears_nothing() {
                return client;
            }
            assert!(Instant::now() < deadline, "no place becomes free");
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("the server runs");
    }

    /// Waits for the end that something has caused.
    pub(crate) fn wait(mut self) -> Ended {
        let deadline = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(Instant::now() < deadline, "the server does not end");
            thread::sleep(Duration::from_millis(2));
        };
        let log = self.log.take().expect("it is read once").join().unwrap();
        Ended { status, log }
    }

    /// Ends the server in order, and checks that it lost sight of nothing.
    pub(crate) fn stop(self) -> Ended {
        self.signal(Signal::TERM);
        let ended = self.wait();
        assert_eq!(ended.status.code(), Some(0), "{}", ended.log);
        ended
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Ended {
    /// A number of the log line that tells what was served.
    pub(crate) fn count(&self, name: &str) -> u64 {
        let lines = self.log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let drained =
            lines.map(|line| line["fields"].clone()).find(|it| it["message"] == "drained");
        drained.expect("it has drained")[name].as_u64().expect("it is counted")
    }
}

fn read_all(mut stderr: ChildStderr) -> String {
    let mut log = String::new();
    stderr.read_to_string(&mut log).expect("the log is text");
    log
}

/// A client, with nothing between the test and the bytes.
pub(crate) struct Client {
    socket: BufReader<TcpStream>,
}

impl Client {
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.socket.get_mut().write_all(bytes.as_ref()).expect("the server reads");
    }

    /// Sends what may not all be read.
    pub(crate) fn send_in_vain(&mut self, bytes: &[u8]) {
        let _ = self.socket.get_mut().write_all(bytes);
    }

    /// Sends the same again and again; whether the server put an end to it.
    pub(crate) fn send_until_cut_off(&mut self, bytes: &[u8]) -> bool {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if self.socket.get_mut().write_all(bytes).is_err() {
                return true;
            }
        }
        false
    }

    /// The same connection, for another thread.
    pub(crate) fn another_end(&self) -> Self {
        Self { socket: BufReader::new(self.socket.get_ref().try_clone().unwrap()) }
    }

    /// Closes both directions, also for the other ends.
    pub(crate) fn shutdown(&mut self) {
        self.socket.get_mut().shutdown(Shutdown::Both).unwrap();
    }

    pub(crate) fn half_close(&mut self) {
        self.socket.get_mut().shutdown(Shutdown::Write).unwrap();
    }

    /// The next line, without its newline.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.socket.read_line(&mut line).expect("the server replies");
        assert_eq!(line.pop(), Some('\n'), "a reply is a line");
        line
    }

    /// Everything until the server closes.
    pub(crate) fn rest(&mut self) -> String {
        let mut rest = String::new();
        self.socket.read_to_string(&mut rest).expect("the server closes");
        rest
    }

    /// Reads everything away; how many bytes there were.
    pub(crate) fn receive_until_closed(&mut self) -> u64 {
        std::io::copy(&mut self.socket, &mut std::io::sink()).expect("the server closes")
    }

    pub(crate) fn ask(&mut self, request: &str) -> String {
        self.send(format!("{request}\n"));
        self.line()
    }

    /// Whether nothing arrives for a while.
    pub(crate) fn hears_nothing(&mut self) -> bool {
        let socket = self.socket.get_ref();
        socket.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
        let silent = self.socket.fill_buf().is_err();
        self.socket.get_ref().set_read_timeout(Some(PATIENCE)).unwrap();
        silent
    }

    /// Closes with a reset, as a crashed client's kernel does.
    pub(crate) fn reset(self) {
        let socket = socket2::Socket::from(self.socket.into_inner());
        socket.set_linger(Some(Duration::ZERO)).unwrap();
    }
}
