//! What happens to the children of `--strategy prefork`, and whom it costs anything.

use std::{mem, os::unix::process::ExitStatusExt, thread, time::Duration};

use rustix::process::Signal;

use crate::support::{Client, Process, Server, Way, strike, wait_until};

const WAY: Way = Way::new("prefork", "inline");

fn start(processes: usize, flags: &[&str]) -> Server {
    let count = processes.to_string();
    let mut all = vec!["--io-threads", &count];
    all.extend(flags);
    let server = Server::start(WAY, &all);
    wait_until("all children run", || server.children().len() == processes);
    server
}

/// Clients that are served, one each by as many different children, which are told.
fn one_client_each(server: &Server, processes: usize) -> Vec<(Client, i32)> {
    let mut found: Vec<(Client, i32)> = Vec::new();
    wait_until("every child serves a client", || {
        let mut client = server.connect();
        client.ask("1");
        let served_by = server.child_that_serves(&client).expect("some child has the socket");
        if found.iter().all(|&(_, pid)| pid != served_by) {
            found.push((client, served_by));
        }
        found.len() == processes
    });
    found
}

#[test]
fn a_killed_child_costs_only_its_own_clients() {
    let server = start(2, &[]);
    let mut clients = one_client_each(&server, 2);
    let (mut spared, _) = clients.pop().unwrap();
    let (mut lost, victim) = clients.pop().unwrap();
    strike(victim, Signal::KILL);
    assert!(lost.is_cut_off());
    assert_eq!(spared.ask("30"), "832040");
    wait_until("it is replaced", || {
        let children = server.child_pids();
        children.len() == 2 && !children.contains(&victim)
    });
    one_client_each(&server, 2);
    drop((spared, lost));
    server.stop().check_counts();
}

#[test]
fn a_stopped_child_is_replaced() {
    let server = start(2, &[]);
    let victim = *server.child_pids().first().unwrap();
    strike(victim, Signal::STOP);
    wait_until("it is replaced", || {
        let children = server.child_pids();
        children.len() == 2 && !children.contains(&victim)
    });
    one_client_each(&server, 2);
}

#[test]
fn a_hundred_children_are_replaced_and_leave_nothing_behind() {
    let server = start(2, &[]);
    server.connect().ask("30");
    let descriptors = server.descriptors();
    for signal in [Signal::KILL, Signal::STOP, Signal::SEGV].into_iter().cycle().take(100) {
        let victim = *server.child_pids().first().unwrap();
        strike(victim, signal);
        wait_until("it is replaced", || {
            let after = server.child_pids();
            after.len() == 2 && !after.contains(&victim)
        });
    }
    assert_eq!(server.connect().ask("30"), "832040");
    wait_until("the descriptors are as many as before", || server.descriptors() == descriptors);
    assert!(server.children().iter().all(|child| child.state != 'Z'), "zombies remain");
    server.stop();
}

/// They sleep, and are woken for what happens: no tick, in any thread of any of the processes.
#[test]
fn nobody_is_woken_while_nothing_happens() {
    let server = start(2, &[]);
    let mut client = server.connect();
    client.ask("1");
    let mut wakes = server.wakes();
    wait_until("a while passes without a wake-up", || {
        thread::sleep(Duration::from_millis(300));
        let before = mem::replace(&mut wakes, server.wakes());
        before == wakes
    });
}

/// All processes count together, and what a killed one held is given back.
#[test]
fn the_limit_of_connections_is_one_for_all() {
    let server = start(2, &["--max-connections", "3"]);
    let mut clients: Vec<_> = (0..3).map(|_| server.connect()).collect();
    for client in &mut clients {
        assert_eq!(client.ask("1"), "1");
    }
    let told = "ERR busy 3 clients are connected; --max-connections raises the limit\n";
    assert_eq!(server.connect().rest(), told);
    let killed = server.child_pids();
    for &child in &killed {
        strike(child, Signal::KILL);
    }
    wait_until("others run", || {
        let children = server.child_pids();
        children.len() == 2 && children.is_disjoint(&killed)
    });
    let mut clients: Vec<_> = (0..3).map(|_| server.connect_until_served()).collect();
    for client in &mut clients {
        assert_eq!(client.ask("1"), "1");
    }
    assert_eq!(server.connect().rest(), told);
    drop(clients);
    let ended = server.stop();
    assert_eq!((ended.count("accepted"), ended.count("closed")), (6, 6));
    assert!(ended.count("refused") >= 2);
}

#[test]
fn children_end_with_a_server_that_is_killed() {
    for compute in ["inline", "pool", "processes"] {
        let way = Way { compute, ..WAY };
        let flags = ["--io-threads", "2", "--algorithm", "recursive", "--max-n", "60"];
        let server = Server::start(way, &flags);
        let mut client = server.connect();
        client.send("1\n60\n");
        assert_eq!(client.line(), "1");
        let generations = if compute == "processes" { 2 + 2 } else { 2 };
        wait_until("all run", || server.descendants().len() == generations);
        let family = server.descendants();
        server.signal(Signal::KILL);
        assert_eq!(server.wait().status.signal(), Some(Signal::KILL.as_raw()));
        wait_until("all are gone", || family.iter().all(|&pid| Process::is_gone(pid)));
    }
}

/// What is typed at a terminal, or sent to every process of a service, begins one drain.
#[test]
fn a_signal_for_all_is_a_drain_of_all() {
    for signal in [Signal::TERM, Signal::INT] {
        let server = start(2, &["--algorithm", "recursive"]);
        let mut clients = one_client_each(&server, 2);
        for (client, _) in &mut clients {
            client.send("32\n");
        }
        thread::sleep(Duration::from_millis(20));
        for child in server.children() {
            assert_eq!(child.group, child.pid, "a group of its own");
            strike(child.pid, signal);
        }
        server.signal(signal);
        for (client, _) in &mut clients {
            assert_eq!(client.rest(), "2178309\n");
        }
        assert_eq!(server.wait().status.code(), Some(0));
    }
}

#[test]
fn a_drain_without_children_answers_who_waits() {
    let server = start(1, &[]);
    let children = server.child_pids();
    let mut client = server.connect();
    for child in children {
        strike(child, Signal::KILL);
    }
    client.send_in_vain(b"30\n");
    server.signal(Signal::TERM);
    // It was the killed child's client, or the next one's.
    assert!(["", "832040\n"].contains(&client.rest_or_reset().as_str()));
    assert_eq!(server.wait().status.code(), Some(0));
}

#[test]
fn the_threads_that_compute_are_shared_out() {
    let way = Way { compute: "processes", ..WAY };
    let server = Server::start(way, &["--io-threads", "2", "--compute-threads", "3"]);
    wait_until("each has its own", || server.descendants().len() == 2 + 2 * 3);
    drop(server);
    let server = Server::start(way, &["--io-threads", "8"]);
    wait_until("each has one", || server.descendants().len() == 8 + 8);
}
