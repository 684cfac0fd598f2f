//! A server under test, and a client that sees every byte.

use std::{
    collections::BTreeSet,
    env, fs,
    io::{self, BufRead, BufReader, ErrorKind, Read, Write},
    mem,
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream},
    path::PathBuf,
    process::{Child, ChildStderr, ChildStdout, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex, OnceLock},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use socket2::{Domain, Type};

use crate::{certificates::Certificates, wire::Wire};

/// Long enough for the slowest machine, short enough to fail.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// How a server serves: who owns its sockets, who computes, and whether over TLS.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Way {
    pub(crate) strategy: &'static str,
    pub(crate) compute: &'static str,
    pub(crate) over_tls: bool,
}

impl Way {
    /// In clear text.
    pub(crate) const fn new(strategy: &'static str, compute: &'static str) -> Self {
        Self { strategy, compute, over_tls: false }
    }
}

/// A strategy alone computes inline.
impl From<&'static str> for Way {
    fn from(strategy: &'static str) -> Self {
        Self::new(strategy, "inline")
    }
}

/// Writes a module for each strategy, in it one for each way to compute, and in that a test for
/// each promise; for promises that are kept over TLS, too, in modules of their own.
macro_rules! for_each_way {
    (also_over_tls $promises:tt) => {
        $crate::support::for_each_way! { $promises }
        $crate::support::for_each_way! { over_tls_alone $promises }
    };
    (over_tls_alone $promises:tt) => {
        $crate::support::for_each_way! { @encrypted tokio_tasks_over_tls "tokio-tasks" $promises }
        $crate::support::for_each_way! { @encrypted thread_per_core_over_tls "thread-per-core" $promises }
    };
    ($promises:tt) => {
        $crate::support::for_each_way! { @strategy sequential "sequential" $promises }
        $crate::support::for_each_way! { @strategy thread_per_connection "thread-per-connection" $promises }
        #[cfg(target_os = "linux")]
        $crate::support::for_each_way! { @strategy thread_pool "thread-pool" $promises }
        $crate::support::for_each_way! { @strategy tokio_tasks "tokio-tasks" $promises }
        $crate::support::for_each_way! { @strategy thread_per_core "thread-per-core" $promises }
        $crate::support::for_each_way! { @strategy coroutines "coroutines" $promises }
        $crate::support::for_each_way! { @strategy io_uring "io-uring" $promises }
        $crate::support::for_each_way! { @strategy prefork "prefork" $promises }
    };
    (@strategy $module:ident $strategy:literal $promises:tt) => {
        $crate::support::for_each_way! { @wire $module $strategy false $promises }
    };
    (@encrypted $module:ident $strategy:literal $promises:tt) => {
        $crate::support::for_each_way! { @wire $module $strategy true $promises }
    };
    (@wire $module:ident $strategy:literal $over_tls:literal $promises:tt) => {
        mod $module {
            $crate::support::for_each_way! { @compute inline "inline" $strategy $over_tls $promises }
            $crate::support::for_each_way! { @compute pool "pool" $strategy $over_tls $promises }
            $crate::support::for_each_way! { @compute processes "processes" $strategy $over_tls $promises }
        }
    };
    (
        @compute $module:ident $compute:literal $strategy:literal $over_tls:literal
        { $($promise:ident),* $(,)? }
    ) => {
        mod $module {
            $(#[test]
            fn $promise() {
                if $crate::support::is_available($strategy) {
                    let way = $crate::support::Way::new($strategy, $compute);
                    let way = $crate::support::Way { over_tls: $over_tls, ..way };
                    super::super::$promise(way);
                }
            })*
        }
    };
}
pub(crate) use for_each_way;

/// The strategies that serve many clients at once, as far as this machine has them.
pub(crate) fn concurrent_strategies() -> impl Iterator<Item = &'static str> {
    let all = [
        "thread-per-connection",
        #[cfg(target_os = "linux")]
        "thread-pool",
        "coroutines",
        "tokio-tasks",
        "thread-per-core",
        "io-uring",
        "prefork",
    ];
    all.into_iter().filter(|strategy| is_available(strategy))
}

/// All strategies, as far as this machine has them.
pub(crate) fn all_strategies() -> impl Iterator<Item = &'static str> {
    concurrent_strategies().chain(["sequential"])
}

/// Whether this machine has what the strategy needs; a skipped test says so.
pub(crate) fn is_available(strategy: &str) -> bool {
    static REFUSAL: OnceLock<Option<String>> = OnceLock::new();
    if strategy != "io-uring" {
        return true;
    }
    let refusal = REFUSAL.get_or_init(|| {
        // It asks the kernel before it listens, which it cannot do there.
        let mut command = Command::new(env!("CARGO_BIN_EXE_fib-server"));
        command.args(["--strategy", "io-uring", "--listen", "unix:/nowhere/at/all"]);
        let told = command.output().expect("it runs").stderr;
        let told = String::from_utf8_lossy(&told);
        (!told.contains("/nowhere/at/all")).then(|| told.trim().to_owned())
    });
    refusal.as_ref().inspect(|told| skip(told)).is_none()
}

/// Says that a test cannot run here. With `FIB_REQUIRE_TOOLS=1` that is a failure.
pub(crate) fn skip(told: &str) {
    assert!(env::var("FIB_REQUIRE_TOOLS").is_err(), "{told}");
    // Not by println!, which the test harness would keep to itself.
    io::stderr().write_all(format!("SKIPPED, {told}\n").as_bytes()).unwrap();
}

/// Whether system calls can be made to fail here; a skipped test says so.
pub(crate) fn has_strace() -> bool {
    static WORKS: OnceLock<bool> = OnceLock::new();
    let works = WORKS.get_or_init(|| {
        let mut strace = Command::new("strace");
        let output = strace.args(["-D", "-o", "/dev/null", "true"]).output();
        output.is_ok_and(|it| it.status.success())
    });
    if !works {
        skip("strace is missing, or may not trace: apt-get install strace");
    }
    *works
}

/// A running `fib-server`, killed when dropped.
pub(crate) struct Server {
    child: Child,
    /// Kept, because a program whose stdout is closed fails to write to it.
    stdout: BufReader<ChildStdout>,
    address: String,
    log: Arc<Mutex<String>>,
    logging: Option<JoinHandle<()>>,
    /// What its clients need, where they need any.
    certificates: Option<Certificates>,
}

/// How a server ended.
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) log: String,
}

impl Server {
    /// Starts a server on a free port, with these further flags.
    pub(crate) fn start(way: impl Into<Way>, flags: &[&str]) -> Self {
        Self::start_by(&[], way, flags)
    }

    /// Starts a server that may open so many descriptors.
    pub(crate) fn start_limited_to(
        descriptors: usize,
        way: impl Into<Way>,
        flags: &[&str],
    ) -> Self {
        let script = format!("ulimit -n {descriptors}; exec \"$0\" \"$@\"");
        Self::start_by(&["sh", "-c", &script], way, flags)
    }

    /// Has another program start a server in its own place.
    pub(crate) fn start_by(starter: &[&str], way: impl Into<Way>, flags: &[&str]) -> Self {
        let Way { strategy, compute, over_tls } = way.into();
        let way = ["--listen", "127.0.0.1:0", "--strategy", strategy, "--compute", compute];
        let certificates = over_tls.then(Certificates::new);
        let tls = certificates.as_ref().map(|it| it.flags_of("server"));
        let tls: Vec<_> = tls.iter().flatten().map(String::as_str).collect();
        let mut server = Self::run_by(starter, &[&way, &tls[..], flags].concat());
        server.certificates = certificates;
        server
    }

    /// Starts a server with exactly these flags.
    pub(crate) fn run(arguments: &[&str]) -> Self {
        Self::run_by(&[], arguments)
    }

    /// The same, started by this command.
    pub(crate) fn run_by(starter: &[&str], arguments: &[&str]) -> Self {
        let server = [env!("CARGO_BIN_EXE_fib-server"), "--log-format", "json"];
        let words = [starter, &server, arguments].concat();
        let mut command = Command::new(words[0]);
        command.args(&words[1..]);
        // Who wants to see where a test fails does not want the server to load its symbols.
        command.env("RUST_BACKTRACE", "0");
        Self::spawn(command)
    }

    pub(crate) fn spawn(mut command: Command) -> Self {
        // What it needs for a trace would count as memory that it holds.
        command.env_remove("RUST_BACKTRACE");
        Self::of(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts"))
    }

    /// A server that has just been started, with pipes to write to.
    pub(crate) fn of(mut child: Child) -> Self {
        let mut line = String::new();
        let mut stdout = BufReader::new(child.stdout.take().expect("it is piped"));
        stdout.read_line(&mut line).expect("the server says where it listens");
        let address = line.trim().strip_prefix("listening on ").unwrap_or_default().to_owned();
        let stderr = child.stderr.take().expect("it is piped");
        let log = Arc::<Mutex<String>>::default();
        let copy = Arc::clone(&log);
        let logging = Some(thread::spawn(move || collect(stderr, &copy)));
        Self { child, stdout, address, log, logging, certificates: None }
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// What the next line says after the one that said where it listens.
    pub(crate) fn next_line(&mut self, words: &str) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).expect("the server says so");
        line.trim().strip_prefix(words).unwrap_or_else(|| panic!("{line:?}")).to_owned()
    }

    pub(crate) fn connect(&self) -> Client {
        self.client_on(self.connect_socket())
    }

    fn client_on(&self, socket: TcpStream) -> Client {
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Client::new(match &self.certificates {
            None => Wire::new(socket),
            Some(it) => Wire::encrypted(socket, it.client(None)).expect("they shake hands"),
        })
    }

    /// A socket that is connected and no more: no handshake has begun.
    pub(crate) fn connect_socket(&self) -> TcpStream {
        let socket = TcpStream::connect(&self.address).expect("the server accepts");
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket
    }

    /// What its clients trust.
    pub(crate) fn certificates(&self) -> &Certificates {
        self.certificates.as_ref().expect("it serves over TLS")
    }

    /// Connects from another address of this machine.
    pub(crate) fn connect_from(&self, address: Ipv4Addr) -> Client {
        self.client_on(self.connect_socket_from(address))
    }

    /// The same, where a proxy is that says this first, in clear text.
    pub(crate) fn connect_through(&self, proxy: Ipv4Addr, header: &[u8]) -> Client {
        let mut socket = self.connect_socket_from(proxy);
        socket.write_all(header).expect("the server reads");
        self.client_on(socket)
    }

    /// A socket that is connected from there and no more.
    pub(crate) fn connect_socket_from(&self, address: Ipv4Addr) -> TcpStream {
        let socket = socket_from(address, self.address.parse().unwrap());
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket
    }

    /// A client whose kernel keeps no more than so much for it.
    pub(crate) fn connect_with_room(&self, bytes: usize) -> Client {
        let socket = socket2::Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        // Later it would not be told to the server's kernel.
        socket.set_recv_buffer_size(bytes).unwrap();
        let server: SocketAddr = self.address.parse().unwrap();
        socket.connect(&server.into()).expect("the server accepts");
        self.client_on(socket.into())
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

    /// The children that it has now, zombies included.
    pub(crate) fn children(&self) -> Vec<Process> {
        Process::all().filter(|it| it.parent == self.child.id()).collect()
    }

    /// The children, and theirs.
    pub(crate) fn descendants(&self) -> BTreeSet<i32> {
        let children = self.child_pids();
        let theirs = Process::all().filter(|it| children.contains(&it.parent.cast_signed()));
        theirs.map(|it| it.pid).chain(children.iter().copied()).collect()
    }

    pub(crate) fn child_pids(&self) -> BTreeSet<i32> {
        self.children().into_iter().map(|it| it.pid).collect()
    }

    /// Which of its children serves this client.
    pub(crate) fn child_that_serves(&self, client: &Client) -> Option<i32> {
        let socket = client.socket.get_ref().socket();
        let (ours, theirs) = (socket.local_addr().unwrap(), socket.peer_addr().unwrap());
        let table = procfs::net::tcp().unwrap().into_iter();
        let inode = table.filter(|it| (it.local_address, it.remote_address) == (theirs, ours));
        let socket = format!("socket:[{}]", inode.map(|it| it.inode).next()?);
        let has_it = |pid: &i32| Process::files(*pid).any(|it| it.as_os_str() == &*socket);
        self.child_pids().into_iter().find(has_it)
    }

    /// How many descriptors it has open.
    pub(crate) fn descriptors(&self) -> usize {
        Process::descriptors(self.child.id().cast_signed())
    }

    /// How often its threads, and its children's, have waited for something.
    pub(crate) fn wakes(&self) -> u64 {
        let children = self.child_pids();
        let processes = children.iter().map(ToString::to_string).chain([self.pid().to_string()]);
        // A thread may end while it is looked at.
        let threads = processes.filter_map(|pid| fs::read_dir(format!("/proc/{pid}/task")).ok());
        let switches = threads.flatten().filter_map(|thread| {
            let status = fs::read_to_string(thread.ok()?.path().join("status")).ok()?;
            let line = status.lines().find_map(|it| it.strip_prefix("voluntary_ctxt_switches:"));
            Some(line.unwrap().trim().parse::<u64>().unwrap())
        });
        switches.sum()
    }

    /// The most memory that it ever had, with its children.
    pub(crate) fn peak_memory(&self) -> u64 {
        let family = self.descendants().into_iter().chain([self.pid().cast_signed()]);
        family.filter_map(Process::peak_memory).sum()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("the server runs");
    }

    /// Waits until the log has a line with these words.
    pub(crate) fn wait_until_logged(&self, words: &str) {
        wait_until(words, || self.times_logged(words) > 0);
    }

    /// All of it, until now.
    pub(crate) fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// How often the log has these words.
    pub(crate) fn times_logged(&self, words: &str) -> usize {
        self.log.lock().unwrap().matches(words).count()
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
        self.logging.take().expect("it is waited for once").join().unwrap();
        Ended { status, log: mem::take(&mut self.log.lock().unwrap()) }
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
        let drained = self.all_drained().next().expect("it has drained");
        drained[name].as_u64().expect("it is counted")
    }

    /// The same line of all processes that were the server, one after the other.
    pub(crate) fn all_drained(&self) -> impl Iterator<Item = Value> {
        // Whoever starts a server in its place may write its own lines before.
        let lines = self.log.lines().filter(|line| line.starts_with('{'));
        let lines = lines.map(|line| serde_json::from_str::<Value>(line).unwrap());
        lines.map(|line| line["fields"].clone()).filter(|it| it["message"] == "drained")
    }

    /// Every connection and request is accounted for.
    pub(crate) fn check_counts(&self) {
        assert_eq!(self.count("accepted"), self.count("closed"), "{}", self.log);
        let parts = ["ok", "err", "cancelled"].map(|name| self.count(name));
        assert_eq!(self.count("requests"), parts.iter().sum::<u64>(), "{}", self.log);
    }
}

/// How long something takes, again and again. What is promised holds on a machine that has nothing
/// else to do; the ceiling is for any, and shows what is broken. `--nocapture` shows the times.
pub(crate) struct Measured {
    what: &'static str,
    ceiling: Duration,
    times: Vec<Duration>,
}

impl Measured {
    pub(crate) const fn new(what: &'static str, ceiling: Duration) -> Self {
        Self { what, ceiling, times: Vec::new() }
    }

    pub(crate) fn take(&mut self, time: Duration) {
        let Self { what, ceiling, .. } = self;
        assert!(time <= *ceiling, "{what}: {time:?}; at most {ceiling:?} is allowed");
        self.times.push(time);
    }

    /// In which time so many of 100 were done; `None` of fewer than 100.
    pub(crate) fn percentile(&mut self, percent: usize) -> Option<Duration> {
        self.times.sort_unstable();
        let at = self.times.len() * percent / 100;
        self.times.get(at).copied().filter(|_| self.times.len() >= 100)
    }
}

impl Drop for Measured {
    #[expect(clippy::print_stdout, reason = "the test harness shows it to who asks for it")]
    fn drop(&mut self) {
        let Self { what, times, .. } = self;
        times.sort_unstable();
        if let (Some(middle), Some(longest)) = (times.get(times.len() / 2), times.last()) {
            println!("{what}: {middle:?}, at most {longest:?}, {} times", times.len());
        }
    }
}

/// A process, as the kernel tells of it.
pub(crate) struct Process {
    pub(crate) pid: i32,
    pub(crate) state: char,
    pub(crate) parent: u32,
    pub(crate) group: i32,
    pub(crate) nice: i32,
    /// The CPU time that it has used.
    pub(crate) ticks: u64,
}

impl Process {
    fn all() -> impl Iterator<Item = Self> {
        let entries = fs::read_dir("/proc").unwrap().filter_map(Result::ok);
        entries.filter_map(|entry| Self::find(entry.file_name().to_str()?.parse().ok()?))
    }

    /// How many descriptors it has open, if it lives.
    pub(crate) fn descriptors(pid: i32) -> usize {
        fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count)
    }

    /// The most memory that it ever had, in bytes, if it lives.
    fn peak_memory(pid: i32) -> Option<u64> {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let line = status.lines().find_map(|it| it.strip_prefix("VmHWM:"))?;
        let kilobytes = line.trim().strip_suffix(" kB").unwrap();
        Some(kilobytes.parse::<u64>().unwrap() * 1024)
    }

    /// What it has open.
    fn files(pid: i32) -> impl Iterator<Item = PathBuf> {
        let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten();
        descriptors.filter_map(|it| fs::read_link(it.ok()?.path()).ok())
    }

    /// Whether it has ended, though its parent may not have taken note of it.
    pub(crate) fn is_gone(pid: i32) -> bool {
        Self::find(pid).is_none_or(|it| it.state == 'Z')
    }

    /// `None` where there is none of that number.
    pub(crate) fn find(pid: i32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name before may have spaces in it, but these have not.
        let fields: Vec<_> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
        Some(Self {
            pid,
            state: fields[0].chars().next().unwrap(),
            parent: fields[1].parse().unwrap(),
            group: fields[2].parse().unwrap(),
            nice: fields[16].parse().unwrap(),
            ticks: [11, 12].map(|it| fields[it].parse::<u64>().unwrap()).iter().sum(),
        })
    }
}

/// Sends a signal that ends or stops a process.
pub(crate) fn strike(process: i32, signal: Signal) {
    let pid = Pid::from_raw(process).unwrap();
    kill_process(pid, signal).expect("it runs");
    if signal == Signal::SEGV {
        // A child that has only just begun has Rust's handler, which lets the first one pass.
        wait_until("it dies", || Process::is_gone(process) || kill_process(pid, signal).is_err());
    }
}

/// Waits for something that must happen.
pub(crate) fn wait_until(what: &str, happened: impl FnMut() -> bool) {
    assert!(comes_true(happened), "in vain: {what}");
}

/// Whether something happens while there is patience.
pub(crate) fn comes_true(mut happened: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + PATIENCE;
    while !happened() {
        if Instant::now() >= deadline {
            return false;
        }
        thread::sleep(Duration::from_millis(2));
    }
    true
}

fn collect(stderr: ChildStderr, log: &Mutex<String>) {
    for line in BufReader::new(stderr).lines() {
        log.lock().unwrap().extend([&line.expect("the log is text"), "\n"]);
    }
}

/// Connects from an address of this machine.
fn socket_from(address: Ipv4Addr, server: SocketAddr) -> TcpStream {
    let socket = socket2::Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::new(address.into(), 0).into()).unwrap();
    socket.connect(&server.into()).expect("the server accepts");
    socket.into()
}

/// A product of large numbers, which nothing can interrupt for seconds, and the flags for it.
pub(crate) const ENDLESS: &str = "1000000000\n";
pub(crate) const ENDLESS_FLAGS: [&str; 4] = ["--max-n", "1000000000", "--max-output", "1000000000"];

/// A client, with nothing between the test and the bytes.
pub(crate) struct Client {
    socket: BufReader<Wire>,
}

impl Client {
    pub(crate) fn new(wire: Wire) -> Self {
        wire.socket().set_nodelay(true).unwrap();
        Self { socket: BufReader::new(wire) }
    }

    /// Connects from an address of this machine, in clear text.
    pub(crate) fn connect_from(address: Ipv4Addr, server: SocketAddr) -> Self {
        let socket = socket_from(address, server);
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self::new(Wire::new(socket))
    }

    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.socket.get_mut().write_all(bytes.as_ref()).expect("the server reads");
    }

    /// Sends what may not all be read.
    pub(crate) fn send_in_vain(&mut self, bytes: &[u8]) {
        let _ = self.socket.get_mut().write_all(bytes);
    }

    /// Sends the same again and again, until the server takes no more or has taken so much; how
    /// much it took.
    pub(crate) fn send_until_stalled(&mut self, bytes: &[u8], limit: usize) -> usize {
        let socket = self.socket.get_mut();
        socket.set_write_timeout(Some(Duration::from_millis(300))).unwrap();
        let mut sent = 0;
        while sent < limit {
            match socket.write(bytes) {
                Ok(len) => sent += len,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => panic!("{error}"),
            }
        }
        sent
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
        Self { socket: BufReader::new(self.socket.get_ref().clone()) }
    }

    /// Closes both directions, also for the other ends.
    pub(crate) fn shutdown(&self) {
        self.socket.get_ref().socket().shutdown(Shutdown::Both).unwrap();
    }

    /// Ends TCP alone, without a word in the layer above it, where there is one.
    pub(crate) fn end_tcp(&self) {
        self.socket.get_ref().socket().shutdown(Shutdown::Write).unwrap();
    }

    pub(crate) fn half_close(&self) {
        self.socket.get_ref().half_close().unwrap();
    }

    /// The same, of a connection that the server may have ended already.
    pub(crate) fn half_close_in_vain(&self) {
        let _ = self.socket.get_ref().half_close();
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

    /// Everything until the server closes, read steadily: a piece of 16 KiB, then a pause.
    pub(crate) fn rest_read_slowly(&mut self, pause: Duration) -> Vec<u8> {
        let (mut rest, mut due) = (Vec::new(), Instant::now());
        while (&mut self.socket).take(16 * 1024).read_to_end(&mut rest).expect("it is sent") > 0 {
            // Whoever was held up catches up.
            due += pause;
            thread::sleep(due.saturating_duration_since(Instant::now()));
        }
        rest
    }

    /// Reads everything away, until there is an end to it.
    pub(crate) fn receive_in_vain(&mut self) {
        let _ = io::copy(&mut self.socket, &mut io::sink());
    }

    /// Whether the connection is gone, without a word.
    pub(crate) fn is_cut_off(&mut self) -> bool {
        self.rest_or_reset().is_empty()
    }

    /// Everything until the server closes, or is killed.
    pub(crate) fn rest_or_reset(&mut self) -> String {
        let mut rest = String::new();
        match self.socket.read_to_string(&mut rest) {
            // TLS tells a reset from one that came after all was read.
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => rest,
            Err(error) if error.kind() != ErrorKind::ConnectionReset => panic!("{error}"),
            _ => rest,
        }
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
        self.socket.into_inner().reset();
    }
}
