//! Servers that do exactly what a test needs, each on a thread or in a process of its own.

use std::{
    env,
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread,
};

use fib_proto::Address;

/// Serves every client with this function, on a thread each, for as long as the test runs.
pub(crate) fn serve(client: impl Fn(TcpStream) + Clone + Send + 'static) -> Address {
    serve_on(TcpListener::bind("127.0.0.1:0").unwrap(), client)
}

/// The same on a listener of the test's own.
pub(crate) fn serve_on(
    listener: TcpListener,
    client: impl Fn(TcpStream) + Clone + Send + 'static,
) -> Address {
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for socket in listener.incoming() {
            let client = client.clone();
            thread::spawn(move || client(socket.unwrap()));
        }
    });
    Address::Tcp(address.to_string())
}

/// Answers every line with what this function makes of it, until the client leaves.
pub(crate) fn answer(reply: impl Fn(&str) -> String + Clone + Send + 'static) -> Address {
    serve(move |socket| answer_on(socket, &reply))
}

fn answer_on(socket: TcpStream, reply: &impl Fn(&str) -> String) {
    socket.set_nodelay(true).unwrap();
    let mut writer = socket.try_clone().unwrap();
    for line in BufReader::new(socket).lines() {
        let Ok(line) = line else { return };
        if writer.write_all(reply(&line).as_bytes()).is_err() {
            return;
        }
    }
}

pub(crate) fn fib(line: &str) -> String {
    format!("{}\n", fib_core::exact(line.parse().unwrap()))
}

/// An honest server.
pub(crate) fn honest() -> Address {
    answer(fib)
}

/// The same on all addresses of this machine; says on which port.
pub(crate) fn honest_everywhere() -> u16 {
    let listener = TcpListener::bind("0.0.0.0:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    serve_on(listener, |socket| answer_on(socket, &fib));
    port
}

/// An honest server that can be stopped without stopping the test.
pub(crate) struct Process {
    pub(crate) child: Child,
    pub(crate) address: Address,
}

impl Process {
    pub(crate) fn start() -> Self {
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["--exact", "support::serve_in_this_process", "--ignored", "--nocapture"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        let told = |line: String| line.strip_prefix("listening on ").map(str::to_owned);
        let address = lines.into_iter().find_map(told).expect("it tells its address");
        Self { child, address: address.parse().unwrap() }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
#[ignore = "what a Process runs"]
fn serve_in_this_process() {
    println!("\nlistening on {}", honest());
    thread::park();
}

/// Where a program is, or `None`, said aloud.
pub(crate) fn tool(program: &str, package: &str) -> Option<PathBuf> {
    let found = find(program);
    if found.is_none() {
        skip(&format!("{program} is missing; apt-get install {package}"));
    }
    found
}

/// Says that a test cannot run here. With `FIB_REQUIRE_TOOLS=1` that is a failure.
#[expect(clippy::print_stderr, reason = "whoever runs the tests shall know")]
pub(crate) fn skip(told: &str) {
    assert!(env::var("FIB_REQUIRE_TOOLS").is_err(), "{told}");
    eprintln!("SKIPPED: {told}");
}

/// Where a program is, if it is there.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).map(|it| it.join(program)).find(|it| it.is_file())
}
