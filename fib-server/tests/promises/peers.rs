//! What clients do to it that never read, never finish, say nothing, or are gone.

use std::{
    thread,
    time::{Duration, Instant},
};

use super::{Subject, ask_if_any, at_once, attempts, choices, tell};
use crate::support::{Way, for_each_way, wait_until};

/// What is kept for a client that is silent, in a release build: its conversation, where it has one
/// a thread, and over TLS the state of that.
fn kept_for_silent(way: Way) -> u64 {
    let has_thread = ["sequential", "thread-per-connection"].contains(&way.strategy);
    let kept = if has_thread { 24 * 1024 } else { 4 * 1024 };
    let kept = if way.over_tls { kept + 24 * 1024 } else { kept };
    if cfg!(debug_assertions) { 4 * kept } else { kept }
}

/// What is kept for one that does not read besides: unsent output, over TLS encrypted, too, and
/// input that is not looked at yet. (What the kernel keeps is not counted.)
const fn kept_for_unread(way: Way) -> u64 {
    if way.over_tls { 24 * 1024 } else { 8 * 1024 }
}

/// What an allocator and the threads of a runtime may take once.
const SLACK: u64 = 4 << 20;

for_each_way! { also_over_tls {
    resets_leave_nothing_behind,
    who_half_closes_is_answered,
    who_asks_nothing_is_let_go,
    who_is_owed_an_answer_is_not_idle,
    a_line_has_to_end_in_time,
    unfinished_lines_cost_little,
    lines_too_long_of_who_never_reads_are_cut_off,
    who_never_reads_is_reset,
    who_reads_slowly_has_all_of_it,
    unread_answers_have_a_limit,
    large_answers_wait_within_a_limit,
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

/// The end of a client's input says nothing about its wish to read.
fn who_half_closes_is_answered(way: Way) {
    let mut choices = choices();
    let subject = Subject::start(way, &["--algorithm", "recursive"]);
    for _ in 0..attempts(12, 1_000) {
        let ask = |_| {
            let numbers: Vec<_> = (0..choices.u8(1..6)).map(|_| choices.u64(..25)).collect();
            let mut client = subject.server().connect();
            for n in &numbers {
                client.send(format!("{n}\n"));
            }
            client.half_close();
            (client, numbers)
        };
        let clients: Vec<_> = (0..4).map(ask).collect();
        for (mut client, numbers) in clients {
            for n in numbers {
                assert_eq!(client.line(), fib_core::exact(n).as_str());
            }
            assert_eq!(client.rest(), "");
        }
    }
    assert_eq!(subject.finish().count("cancelled"), 0);
}

/// Nothing is said to them: it would be taken for the answer to their next request.
fn who_asks_nothing_is_let_go(way: Way) {
    let subject = Subject::start(way, &["--idle-timeout", "300ms"]);
    let connect = |_| {
        let mut client = subject.server().connect();
        // At once: there may be so many of them that the first one is let go before the last comes.
        assert_eq!(client.ask("30"), "832040");
        client
    };
    let mut clients: Vec<_> = (0..at_once(way, attempts(10, 1_000))).map(connect).collect();
    for client in &mut clients {
        assert_eq!(client.rest(), "");
    }
    assert_eq!(ended(&subject, "idle"), clients.len() as u64);
    drop(clients);
    subject.finish();
}

/// However long it takes to compute, and though it says nothing meanwhile.
fn who_is_owed_an_answer_is_not_idle(way: Way) {
    let flags = ["--idle-timeout", "150ms", "--line-timeout", "150ms"];
    let subject = Subject::start(way, &flags);
    let mut client = subject.server().connect();
    client.send("3000000\n1");
    assert_eq!(client.line().len(), 626_963);
    assert!(client.rest().starts_with("ERR deadline "), "then the rest of a line is waited for");
    drop(client);
    assert_eq!(ended(&subject, "line"), 1);
    subject.finish();
}

/// Neither does a conversation that waits keep much, nor a buffer that a batch has filled.
fn unfinished_lines_cost_little(way: Way) {
    let subject = Subject::start(way, &["--line-timeout", "0s"]);
    let count = at_once(way, attempts(300, 9_990));
    let memory = || subject.watched.metrics().count("process_resident_memory_bytes");
    let before = memory();
    let batch = "30\n".repeat(1_000);
    let mut clients: Vec<_> = (0..count).map(|_| subject.server().connect()).collect();
    for client in &mut clients {
        client.send(format!("{batch}3"));
        (0..1_000).for_each(|_| assert_eq!(client.line(), "832040"));
    }
    let (kept, budget) = (|| memory().saturating_sub(before), count as u64 * kept_for_silent(way));
    wait_until("they cost little", || kept() <= budget + SLACK);
    for mut client in clients {
        assert_eq!(client.ask("0"), "832040");
    }
    subject.finish();
}

/// They are told, and left alone: nobody reads what they send, or waits for them to read.
fn lines_too_long_of_who_never_reads_are_cut_off(way: Way) {
    let subject = Subject::start(way, &[]);
    let mut canary = (way.strategy != "sequential").then(|| subject.server().connect());
    let flood = "7".repeat(1 << 20);
    let count = at_once(way, attempts(3, 1_000));
    let mut clients: Vec<_> =
        (0..count).map(|_| subject.server().connect_with_room(4096)).collect();
    thread::scope(|scope| {
        for client in &mut clients {
            let send = || client.send_in_vain(flood.as_bytes());
            thread::Builder::new().stack_size(64 * 1024).spawn_scoped(scope, send).unwrap();
        }
        let others = canary.iter().count() as u64;
        wait_until("they are cut off", || {
            ask_if_any(&mut canary);
            let metrics = subject.watched.metrics();
            let told = metrics.count(r#"fib_requests_total{outcome="err"}"#);
            told == count as u64 && metrics.count("fib_connections_open") == others
        });
    });
    drop((clients, canary));
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
    loop {
        // One byte after the other, as a client that wants to hold a place as long as it can.
        for client in &mut clients {
            client.send_in_vain(b" ");
        }
        ask_if_any(&mut canary);
        thread::sleep(Duration::from_millis(20));
        if began.elapsed() >= Duration::from_millis(200) {
            break; // but each has begun a line, however long that took
        }
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
    tell(way, &format!("{} KiB more", most.saturating_sub(before) / 1024));
    let budget = count as u64 * (kept_for_silent(way) + kept_for_unread(way)) + SLACK;
    assert!(most <= before + budget, "{most} bytes, {before} before; {budget} are allowed");
    drop((clients, canary));
    subject.finish();
}

/// It takes longer than the limit, but goes on.
fn who_reads_slowly_has_all_of_it(way: Way) {
    let subject = Subject::start(way, &["--write-timeout", "1s"]);
    let mut client = subject.server().connect_with_room(64 * 1024);
    let n = attempts(2_000_000, 10_000_000) as u64;
    client.send(format!("{n}\n"));
    client.half_close();
    let answer = client.rest_read_slowly(Duration::from_millis(22));
    let expected = format!("{}\n", fib_core::exact(n).as_str());
    assert!(answer == expected.as_bytes(), "{} bytes", answer.len());
    drop(client);
    assert_eq!(ended(&subject, "write"), 0);
    subject.finish();
}

/// Each of them is large, and nobody reads. What has no room is refused; what has is given up.
fn large_answers_wait_within_a_limit(way: Way) {
    let flags = ["--max-output", "1000000", "--write-timeout", "400ms"];
    let subject = Subject::start(way, &flags);
    let count = at_once(way, attempts(6, 1_000));
    let memory = || subject.watched.metrics().count("process_resident_memory_bytes");
    let before = memory();
    let mut clients: Vec<_> =
        (0..count).map(|_| subject.server().connect_with_room(4096)).collect();
    for client in &mut clients {
        client.send("2000000\n");
    }
    let mut most = 0;
    wait_until("all are refused or reset", || {
        let metrics = subject.watched.metrics();
        most = most.max(metrics.count("process_resident_memory_bytes"));
        let refused = metrics.count(r#"fib_jobs_refused_total{reason="output"}"#);
        refused + ended(&subject, "write") == count as u64
    });
    let computing = 16 << 20; // however many ask
    let budget = count as u64 * (kept_for_silent(way) + kept_for_unread(way)) + computing;
    assert!(most <= before + budget, "{most} bytes, {before} before; {budget} are allowed");
    subject.watched.wait_until_it_is("fib_output_bytes", 0);
    drop(clients);
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
