//! What people and scripts type, and what they are told.

use std::{
    process::{Command, Output, Stdio},
    thread,
    time::Duration,
};

use fib_proto::Address;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::support::{answer, honest};

pub(crate) fn command(server: &Address, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fib-client"));
    command.args(arguments).env("FIB_SERVER", server.to_string());
    command
}

pub(crate) fn run(server: &Address, arguments: &[&str]) -> Output {
    command(server, arguments).output().expect("it runs")
}

pub(crate) fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[test]
fn get_prints_a_number_a_line() {
    let output = run(&honest(), &["get", "30", "0", "100"]);
    assert_eq!(text(&output.stdout), "832040\n0\n354224848179261915075\n");
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn get_tells_what_the_server_says_and_goes_on() {
    let server = answer(|line| match line {
        "7" => "ERR range too large\n".to_owned(),
        _ => "1\n".to_owned(),
    });
    let output = run(&server, &["get", "1", "7", "2"]);
    assert_eq!(text(&output.stdout), "1\n1\n");
    assert_eq!(text(&output.stderr), "fib-client: F(7): the server says range: too large\n");
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn a_server_that_is_not_there_is_a_failure() {
    let nobody: Address = "127.0.0.1:1".parse().unwrap();
    for arguments in [&["get", "1"][..], &["perf"]] {
        let output = run(&nobody, arguments);
        assert_eq!(output.status.code(), Some(1));
        assert!(text(&output.stderr).contains("127.0.0.1:1"), "{}", text(&output.stderr));
        assert!(text(&output.stderr).contains("refused"), "{}", text(&output.stderr));
    }
}

#[test]
fn too_many_connections_are_told_with_the_limit() {
    let perf = format!("ulimit -n 20; exec {} perf -c 100", env!("CARGO_BIN_EXE_fib-client"));
    let mut shell = Command::new("sh");
    shell.args(["-c", &perf]).env("FIB_SERVER", honest().to_string());
    let output = shell.output().expect("it runs");
    assert_eq!(output.status.code(), Some(1));
    let told = text(&output.stderr);
    assert!(told.contains("ulimit -n bounds --connections"), "{told}");
}

#[test]
fn usage_errors_are_told_as_such() {
    for arguments in [
        &["perf", "--mix", "1="][..],
        &["perf", "-n", "1", "--mix", "1=1"],
        &["perf", "-c", "0"],
        &["perf", "--requests", "1", "-d", "1s"],
        &["perf", "--dialect", "talk"],
        &["perf", "--dialect", "classic", "--depth", "2"],
        &["perf", "--tls", "--calibrate"],
        &["get", "--tls-key", "client.key", "1"],
        &["get"],
        &[],
    ] {
        assert_eq!(run(&honest(), arguments).status.code(), Some(2), "{arguments:?}");
    }
}

#[test]
fn perf1_prints_the_time_of_each_request() {
    let output = run(&honest(), &["perf", "--preset", "perf1", "--requests", "5"]);
    let lines: Vec<_> = text(&output.stdout).lines().collect();
    let seconds = lines.iter().map_while(|line| line.parse::<f64>().ok());
    assert_eq!(seconds.clone().count(), 5, "{lines:?}");
    assert!(seconds.clone().all(|it| it > 0.0 && it < 10.0), "{lines:?}");
    assert!(lines[6].starts_with("load ") && lines[7].starts_with("replies      5,"), "{lines:?}");
}

#[test]
fn perf2_prints_a_rate_each_second() {
    let output = run(&honest(), &["perf", "--preset", "perf2", "-d", "2400ms", "--warm-up", "0s"]);
    let rates: Vec<_> = text(&output.stdout).lines().filter(|it| it.ends_with(" reqs/s")).collect();
    assert_eq!(rates.len(), 2, "{rates:?}");
    assert!(rates.iter().all(|it| it.trim_end_matches(" reqs/s").parse::<u64>().unwrap() > 0));
}

#[test]
fn json_is_all_that_stdout_gets() {
    let output = run(&honest(), &["perf", "--requests", "2000", "--json", "-"]);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["schema_version"], 2);
    assert_eq!(report["replies"], 2000);
    assert!(
        report["latency"]["response"]["p99_ns"].as_u64().unwrap()
            >= report["latency"]["response"]["p50_ns"].as_u64().unwrap()
    );
    assert!(text(&output.stderr).contains("replies      2000"));
}

#[test]
fn wrong_answers_have_an_exit_code() {
    let output = run(&answer(|_| "2\n".to_owned()), &["perf", "--requests", "3"]);
    assert_eq!(output.status.code(), Some(4));
    let told = text(&output.stdout);
    assert!(told.contains(r#"failed       3 x wrong-value, the first: "2""#), "{told}");
}

#[test]
fn a_load_without_an_answer_has_failed() {
    let output = run(&answer(|_| "ERR busy later\n".to_owned()), &["perf", "--requests", "3"]);
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn an_interrupt_still_reports() {
    let mut perf = command(&honest(), &["perf", "-d", "60s"]);
    let child = perf.stdout(Stdio::piped()).spawn().expect("it runs");
    thread::sleep(Duration::from_millis(700));
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
    assert!(text(&output.stdout).contains("response     p50 "), "{}", text(&output.stdout));
}
