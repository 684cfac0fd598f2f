//! Clients that we did not write, and the one that the protocol began with.

use std::{
    io::Write,
    path::Path,
    process::{Command, Output, Stdio},
};

use crate::support::{Server, Way, for_each_way, skip};

for_each_way! {{
    netcat_is_answered_after_its_half_close,
    the_demo_client_in_python_is_answered,
}}

fn netcat_is_answered_after_its_half_close(way: Way) {
    let server = Server::start(way, &["--algorithm", "recursive"]);
    let (host, port) = server.address().split_once(':').unwrap();
    let Some(output) = run("nc", "netcat-openbsd", &["-N", host, port], b"30\n") else { return };
    assert_eq!(output.stdout, b"832040\n");
}

fn the_demo_client_in_python_is_answered(way: Way) {
    let server = Server::start(way, &["--dialect", "classic"]);
    let (host, port) = server.address().split_once(':').unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../xtask/peers/python/demo_client.py");
    let arguments = [script.to_str().unwrap(), host, port, "0.2"];
    let Some(output) = run("python3", "python3", &arguments, b"") else { return };
    let told = String::from_utf8(output.stdout).unwrap();
    let rate: u64 = told.trim().strip_suffix(" reqs/s").unwrap().parse().unwrap();
    assert!(rate > 0);
}

/// Runs a program to its end. Where it is missing, the test is skipped.
fn run(program: &str, package: &str, arguments: &[&str], input: &[u8]) -> Option<Output> {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
    let Ok(mut child) = command.spawn() else {
        skip(&format!("{program} is missing: apt-get install {package}"));
        return None;
    };
    child.stdin.take().unwrap().write_all(input).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{program}: {}", output.status);
    Some(output)
}
