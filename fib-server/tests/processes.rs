//! What happens to the children of `--compute processes`, and what nobody notices of it.

use std::{
    mem,
    os::unix::process::ExitStatusExt,
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use rustix::process::Signal;

use crate::support::{Client, ENDLESS, ENDLESS_FLAGS, Process, Server, Way, strike, wait_until};

const WAY: Way = Way::new("thread-per-connection", "processes");

/// What ends a child, or would.
const BLOWS: [Signal; 3] = [Signal::KILL, Signal::SEGV, Signal::STOP];

fn start(children: usize, flags: &[&str]) -> Server {
    let count = children.to_string();
    let mut all = vec!["--compute-threads", &count];
    all.extend(flags);
    let server = Server::start(WAY, &all);
    wait_until("all children run", || server.children().len() == children);
    server
}

/// Waits until a child has burnt more CPU than its start takes, and burns on.
fn busy_child(server: &Server) -> i32 {
    let mut busy = None;
    wait_until("a child computes", || {
        busy = server
            .children()
            .into_iter()
            .find(|it| it.state == 'R' && it.ticks > 10)
            .map(|it| it.pid);
        busy.is_some()
    });
    busy.unwrap()
}

#[test]
fn a_child_that_is_lost_costs_nobody_an_answer() {
    for blow in BLOWS {
        let server = start(2, &["--algorithm", "recursive"]);
        let mut client = server.connect();
        client.send("44\n");
        strike(busy_child(&server), blow);
        assert_eq!(client.line(), "701408733", "after {blow:?}");
        let ended = server.stop();
        assert_eq!((ended.count("ok"), ended.count("err")), (1, 0));
        assert_eq!(ended.log.matches("a child process is lost").count(), 1, "{}", ended.log);
    }
}

/// Two more attempts are what a request is worth that kills whoever computes it.
#[test]
fn a_request_that_loses_every_child_is_given_up() {
    let server = start(1, &["--algorithm", "recursive", "--max-n", "60"]);
    let mut client = server.connect();
    client.send("60\n");
    for _ in 0..3 {
        let busy = busy_child(&server);
        strike(busy, Signal::KILL);
        wait_until("it is reaped", || !server.child_pids().contains(&busy));
    }
    assert_eq!(client.line(), "ERR internal no answer could be computed");
    assert_eq!(client.ask("30"), "832040");
}

#[test]
fn a_hundred_children_are_replaced_and_leave_nothing_behind() {
    let server = start(2, &[]);
    let mut client = server.connect();
    client.ask("100000");
    let descriptors = server.descriptors();
    for blow in BLOWS.into_iter().cycle().take(100) {
        let before = server.child_pids();
        let victim = *before.first().unwrap();
        strike(victim, blow);
        wait_until("it is replaced", || {
            let after = server.child_pids();
            after.len() == 2 && !after.contains(&victim)
        });
    }
    client.ask("100000");
    wait_until("the descriptors are as many as before", || server.descriptors() == descriptors);
    assert!(server.children().iter().all(|child| child.state != 'Z'), "zombies remain");
}

/// Also in the middle of a product of large numbers, which nothing can interrupt.
#[test]
fn children_end_with_a_server_that_is_killed() {
    for (flags, request) in [
        (&["--algorithm", "recursive", "--max-n", "60"][..], "60\n"),
        (&ENDLESS_FLAGS, ENDLESS),
        (&[], ""),
    ] {
        let server = start(2, flags);
        let mut client = server.connect();
        client.send(request);
        if !request.is_empty() {
            busy_child(&server);
        }
        let children = server.child_pids();
        server.signal(Signal::KILL);
        assert_eq!(server.wait().status.signal(), Some(Signal::KILL.as_raw()));
        wait_until("the children are gone", || children.iter().all(|&pid| Process::is_gone(pid)));
    }
}

#[test]
fn children_end_with_the_drain() {
    let server = start(3, &[]);
    assert_eq!(server.connect().ask("10000").len(), 2_090);
    let children = server.child_pids();
    server.stop();
    assert!(children.iter().all(|&pid| Process::find(pid).is_none()), "they were waited for");
}

/// What a terminal or a manager of services sends to every process is for the server to obey.
#[test]
fn children_live_as_long_as_the_drain_needs_them() {
    let server = start(2, &["--algorithm", "recursive"]);
    let children = server.children();
    let nicer = Process::find(server.pid().cast_signed()).unwrap().nice + 10;
    for child in &children {
        assert_eq!(child.group, child.pid, "a group of its own");
        wait_until("it is nice", || Process::find(child.pid).unwrap().nice == nicer.min(19));
    }
    let mut client = server.connect();
    client.send("44\n30\n");
    busy_child(&server);
    for child in children {
        strike(child.pid, Signal::TERM);
        strike(child.pid, Signal::INT);
    }
    server.signal(Signal::TERM);
    assert_eq!(client.rest(), "701408733\n832040\n");
    let ended = server.wait();
    assert_eq!(ended.count("ok"), 2);
    assert!(!ended.log.contains("lost"), "{}", ended.log);
}

#[test]
fn a_client_that_leaves_frees_its_child() {
    let server = start(1, &["--algorithm", "recursive", "--max-n", "60"]);
    let mut client = server.connect();
    client.send("60\n");
    let busy = busy_child(&server);
    let mut second = server.connect();
    second.send("30\n");
    client.reset();
    assert_eq!(second.line(), "832040");
    assert!(!server.child_pids().contains(&busy), "it was killed");
    let ended = server.stop();
    assert_eq!((ended.count("ok"), ended.count("cancelled")), (1, 1));
}

#[test]
fn the_deadline_passes_for_those_that_wait_too() {
    let flags = ["--algorithm", "recursive", "--max-n", "60", "--deadline", "400ms"];
    let server = start(1, &flags);
    let mut clients: Vec<Client> = (0..3).map(|_| server.connect()).collect();
    for client in &mut clients {
        client.send("60\n");
    }
    for client in &mut clients {
        assert_eq!(client.line(), "ERR deadline not done within --deadline 400ms");
    }
    wait_until("the child is replaced", || clients[0].ask("25") == "75025");
}

/// The log says so once, and those who wait get their answers.
#[test]
fn children_that_cannot_be_started_are_waited_for() {
    let server = Server::start_limited_to(40, WAY, &[]);
    let mut client = server.connect();
    client.ask("100000");
    let crowd: Vec<_> = (0..60).map(|_| server.connect()).collect();
    wait_until("the table is full", || server.descriptors() >= 40);
    for child in server.child_pids() {
        strike(child, Signal::KILL);
    }
    wait_until("they are gone", || server.children().is_empty());
    client.send("100000\n");
    assert!(client.hears_nothing());
    drop(crowd);
    assert_eq!(client.line(), fib_core::exact(100_000).as_str());
    let log = server.stop().log;
    let told = log.matches("a child process does not start").count();
    assert_eq!(told, log.matches("child processes start again").count(), "{log}");
    assert!((1..=2).contains(&told), "{log}");
}

/// They sleep, and are woken for what happens: no tick, in any thread of any of the processes.
#[test]
fn nobody_is_woken_while_nothing_happens() {
    let server = start(2, &[]);
    server.connect().ask("100000");
    let mut wakes = server.wakes();
    wait_until("a while passes without a wake-up", || {
        thread::sleep(Duration::from_millis(300));
        let before = mem::replace(&mut wakes, server.wakes());
        before == wakes
    });
}

#[test]
fn a_role_is_not_for_people() {
    let output = Command::new(env!("CARGO_BIN_EXE_fib-server"))
        .args(["--role", "compute"])
        .stdin(Stdio::null())
        .output()
        .expect("it runs");
    assert_eq!(output.status.code(), Some(1));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains("--role is for its children"), "{stderr}");
}
