//! What clients do to it that never read, never finish, say nothing, or are gone.

use std::{
    thread,
    time::{Duration, Instant},
};

use super::{Subject, ask_if_any, at_once, attempts, choices};
use crate::support::{Way, for_each_way, wait_until};

/// What is kept for one client in the worst case, its kernel's buffers left out: unsent output,
/// input that is not looked at yet (of which the kernel hands out more to io-uring), a thread's
/// stack, and the bookkeeping.
const KEPT_FOR_ONE: u64 = 192 * 1024;

/// What an allocator and the threads of a runtime may take besides.
const SLACK: u64 = 16 << 20;

for_each_way! {{
    resets_leave_nothing_behind,
    who_asks_nothing_is_let_go,
    a_line_has_to_end_in_time,
    who_never_reads_is_reset,
    unread_answers_have_a_limit,
    an_answer_that_the_kernel_has_is_not_kept_for_ever,
}}

fn ended(subject: &Subject, reason: &str) -> u64 {
    let name = format!(r#"fib_connections_timed_out_total{{reason="{reason}"}}"#);
    subject.watched.metrics().count(&name)
}

fn resets_leave_nothing_behind(way: Way) {
    let mut choices = choices();
    let subject = Subject::start(way, &["--algorithm", "recursive"]);
    for _ in 0..attempts(10, 1_000) {
        let mut client = subject.server().connect();
        client.send(format!("10\n{}\n", choices.u8(30..40)));
        assert_eq!(client.line(), "55");
        client.reset();
    }
    subject.finish();
}

/// Nothing is said to them: it would be taken for the answer to their next request.
fn who_asks_nothing_is_let_go(way: Way) {
    let subject = Subject::start(way, &["--idle-timeout", "300ms"]);
    let mut clients: Vec<_> =
        (0..at_once(way, attempts(10, 1_000))).map(|_| subject.server().connect()).collect();
    for client in &mut clients {
        assert_eq!(client.ask("30"), "832040");
    }
    for client in &mut clients {
        assert_eq!(client.rest(), "");
    }
    assert_eq!(ended(&subject, "idle"), clients.len() as u64);
    drop(clients);
    // Who has asked for something that takes longer is no idler.
    let mut patient = subject.server().connect();
    patient.send("1000000\n");
    patient.half_close();
    assert_eq!(patient.rest().len(), 208_988 + 1);
    subject.finish();
}

/// The time counts from the first byte, however many follow it. Others notice nothing.
fn a_line_has_to_end_in_time(way: Way) {
    let subject = Subject::start(way, &["--line-timeout", "300ms"]);
    let count = at_once(way, attempts(10, 5_000));
    let mut clients: Vec<_> = (0..count).map(|_| subject.server().connect()).collect();
    let mut canary = (way.strategy != "sequential").then(|| subject.server().connect());
    let told = "ERR deadline the line was not finished within --line-timeout 300ms\n";
    let began = Instant::now();
    for client in &mut clients {
        client.send("7\n");
    }
    while began.elapsed() < Duration::from_millis(200) {
        // One byte after the other, as a client that wants to hold a place as long as it can.
        for client in &mut clients {
            client.send_in_vain(b" ");
        }
        ask_if_any(&mut canary);
        thread::sleep(Duration::from_millis(20));
    }
    for client in &mut clients {
        assert_eq!(client.rest_or_reset(), format!("13\n{told}"));
    }
    assert!(began.elapsed() >= Duration::from_millis(300));
    assert_eq!(ended(&subject, "line"), clients.len() as u64);
    drop((clients, canary));
    subject.finish();
}

/// They ask for more than all buffers on the way can hold, and take nothing of it. What the server
/// keeps for each of them is bounded, and given back.
fn who_never_reads_is_reset(way: Way) {
    let subject = Subject::start(way, &["--write-timeout", "400ms"]);
    let count = at_once(way, attempts(3, 1_000));
    let mut clients: Vec<_> = (0..count).map(|_| subject.server().connect()).collect();
    let mut canary = (way.strategy != "sequential").then(|| subject.server().connect());
    let memory = || subject.watched.metrics().count("process_resident_memory_bytes");
    let (before, mut most) = (memory(), 0);
    // A megabyte of requests, for answers of thirteen.
    let pipelined = "1500\n".repeat(200 * 1024);
    thread::scope(|scope| {
        for client in &mut clients {
            let send = || client.send_in_vain(pipelined.as_bytes());
            thread::Builder::new().stack_size(64 * 1024).spawn_scoped(scope, send).unwrap();
        }
        wait_until("they are reset", || {
            ask_if_any(&mut canary);
            most = most.max(memory());
            ended(&subject, "write") == count as u64
        });
    });
    let budget = count as u64 * KEPT_FOR_ONE + SLACK;
    assert!(most <= before + budget, "{most} bytes, {before} before; {budget} are allowed");
    drop((clients, canary));
    subject.finish();
}

/// Of large answers together. Who asks for one that does not fit is told so at once.
fn unread_answers_have_a_limit(way: Way) {
    let subject = Subject::start(way, &["--max-output", "1000000"]);
    let mut client = subject.server().connect();
    assert!(client.ask("5000000").starts_with("ERR busy large answers wait to be read"));
    assert_eq!(client.ask("100000").len(), 20_899);
    subject.watched.wait_until_it_is("fib_output_bytes", 0);
    drop(client);
    subject.finish();
}

/// The server has sent all of it, so it waits for a request; but the client takes nothing.
fn an_answer_that_the_kernel_has_is_not_kept_for_ever(way: Way) {
    let subject = Subject::start(way, &["--write-timeout", "400ms"]);
    let mut client = subject.server().connect();
    client.send("2000000\n");
    subject.watched.wait_until_it_is("fib_connections_open", 1);
    subject.watched.wait_until_it_is("fib_connections_open", 0);
    assert_eq!(ended(&subject, "write"), 1, "by the kernel");
    drop(client);
    subject.finish();
}
