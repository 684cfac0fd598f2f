//! What every strategy promises to its clients, whoever computes.

use std::{iter, thread, time::Duration};

use crate::support::{Client, Server, Way, for_each_way};

for_each_way! { also_over_tls {
    a_number_is_answered,
    answers_come_in_order,
    a_request_in_pieces_is_one_request,
    half_close_is_answered,
    bad_lines_are_told_and_survived,
    an_unfinished_line_is_told,
    a_long_line_is_told_and_closed,
    an_endless_line_is_cut_off,
    a_large_answer_arrives_whole,
    a_batch_larger_than_all_buffers_is_answered,
    the_recursion_is_the_other_algorithm,
    clients_of_the_original_demo_are_answered,
    a_missing_newline_is_hinted_at,
    a_reset_is_survived,
    a_reset_cancels_what_is_computed,
    a_passed_deadline_is_told,
    input_waits_for_a_long_request,
    a_long_request_leaves_turns_to_others,
    a_client_that_never_pauses_leaves_turns_to_others,
    clients_beyond_the_first_are_served_in_the_end,
    long_requests_do_not_hold_up_a_short_one,
}}

fn a_number_is_answered(way: Way) {
    let server = Server::start(way, &[]);
    assert_eq!(server.connect().ask("30"), "832040");
    let ended = server.stop();
    assert_eq!((ended.count("accepted"), ended.count("ok"), ended.count("err")), (1, 1, 0));
}

fn answers_come_in_order(way: Way) {
    let server = Server::start(way, &[]);
    let mut client = server.connect();
    client.send("10\n0\n200\nx\n93\n94\n");
    assert_eq!(client.line(), "55");
    assert_eq!(client.line(), "0");
    assert_eq!(client.line(), "280571172992510140037611932413038677189525");
    assert!(client.line().starts_with("ERR parse "));
    assert_eq!(client.line(), "12200160415121876738");
    assert_eq!(client.line(), "19740274219868223167");
}

fn a_request_in_pieces_is_one_request(way: Way) {
    let server = Server::start(way, &[]);
    let mut client = server.connect();
    for piece in ["\t", "3", "0", "\r"] {
        client.send(piece);
        // So that it is received alone. An answer to it would be the next line.
        thread::sleep(Duration::from_millis(20));
    }
    client.send("\n7");
    assert_eq!(client.line(), "832040");
    client.send("\n");
    assert_eq!(client.line(), "13");
}

fn half_close_is_answered(way: Way) {
    let server = Server::start(way, &["--algorithm", "recursive"]);
    let mut client = server.connect();
    client.send("30\n31\n");
    client.half_close();
    assert_eq!(client.rest(), "832040\n1346269\n");
}

fn bad_lines_are_told_and_survived(way: Way) {
    let server = Server::start(way, &[]);
    let mut client = server.connect();
    for (line, reply) in [
        ("", r#"ERR parse expected a decimal number and a newline, not """#),
        ("+", r#"ERR parse expected a decimal number and a newline, not "+""#),
        ("abc", r#"ERR parse expected a decimal number and a newline, not "abc""#),
        ("\0", r#"ERR parse expected a decimal number and a newline, not "\x00""#),
        ("-1", r#"ERR range n must be from 0 to 10000000, not "-1"; --max-n raises the limit"#),
        (
            "10000001",
            r#"ERR range n must be from 0 to 10000000, not "10000001"; --max-n raises the limit"#,
        ),
        (
            "99999999999999999999999",
            r#"ERR range n must be from 0 to 10000000, not "99999999999999999999999"; --max-n raises the limit"#,
        ),
    ] {
        assert_eq!(client.ask(line), reply);
    }
    assert_eq!(client.ask("30"), "832040", "the connection goes on");
    drop(client);
    assert_eq!(server.connect().ask("30"), "832040", "and so does the server");
    let ended = server.stop();
    assert_eq!((ended.count("accepted"), ended.count("ok"), ended.count("err")), (2, 2, 7));
}

fn an_unfinished_line_is_told(way: Way) {
    let server = Server::start(way, &[]);
    let mut client = server.connect();
    client.send("5\n30");
    client.half_close();
    assert_eq!(client.rest(), "5\nERR parse the input ended before a newline, after \"30\"\n");
}

fn a_long_line_is_told_and_closed(way: Way) {
    let server = Server::start(way, &[]);
    let told = "ERR too-long the line is longer than 64 bytes; --max-line raises the limit\n";
    for len in [65, 1_000, 1_000_000] {
        let mut client = server.connect();
        client.send("7\n");
        client.send_in_vain(&vec![b'9'; len]);
        client.send_in_vain(b"\n8\n");
        assert_eq!(client.rest(), format!("13\n{told}"), "after {len} bytes");
    }
    assert_eq!(server.connect().ask("30"), "832040");
}

/// Waiting for the client to read its last reply must not become serving it for ever.
fn an_endless_line_is_cut_off(way: Way) {
    let server = Server::start(way, &[]);
    let mut client = server.connect();
    assert!(client.send_until_cut_off(&[b'9'; 4096]), "it is still being read");
    assert_eq!(server.connect().ask("30"), "832040");
}

fn a_large_answer_arrives_whole(way: Way) {
    let server = Server::start(way, &[]);
    let mut client = server.connect();
    let answer = client.ask("1000000");
    assert_eq!(answer, fib_core::exact(1_000_000).as_str());
    assert_eq!(client.ask("1"), "1");
}

fn a_batch_larger_than_all_buffers_is_answered(way: Way) {
    const REQUESTS: usize = 200_000;
    let server = Server::start(way, &[]);
    let mut sender = server.connect();
    let mut receiver = sender.another_end();
    let receiving = thread::spawn(move || receiver.rest());
    sender.send("90\n".repeat(REQUESTS));
    sender.half_close();
    let answers = receiving.join().unwrap();
    assert_eq!(answers, "2880067194370816120\n".repeat(REQUESTS));
    drop(sender);
    assert_eq!(server.stop().count("ok"), REQUESTS as u64);
}

fn the_recursion_is_the_other_algorithm(way: Way) {
    let server = Server::start(way, &["--algorithm", "recursive"]);
    let mut client = server.connect();
    for n in [0, 1, 2, 3, 25] {
        assert_eq!(client.ask(&n.to_string()), fib_core::fib(n).unwrap().to_string());
    }
    let limit = r#"ERR range n must be from 0 to 45, not "46"; --max-n raises the limit"#;
    assert_eq!(client.ask("46"), limit);
}

fn clients_of_the_original_demo_are_answered(way: Way) {
    let server = Server::start(way, &["--dialect", "classic"]);
    let mut client = server.connect();
    for (chunk, reply) in
        [("30", "832040"), ("1", "1"), ("0", "1"), ("-7", "1"), ("30\n", "832040")]
    {
        client.send(chunk);
        assert_eq!(client.line(), reply, "{chunk:?}");
    }
    client.send("thirty");
    assert!(client.line().starts_with("ERR parse "));
    client.send("30");
    assert_eq!(client.line(), "832040");
}

fn a_missing_newline_is_hinted_at(way: Way) {
    let server = Server::start(way, &[]);
    let mut client = server.connect();
    client.send("30");
    server.wait_until_logged("--dialect classic");
    client.send("\n");
    assert_eq!(client.line(), "832040");
    drop(client);
    let log = server.stop().log;
    assert_eq!(log.matches("--dialect classic").count(), 1, "{log}");
    assert!(log.contains(way.strategy), "the connection's span is in the line: {log}");
}

fn a_reset_is_survived(way: Way) {
    let server = Server::start(way, &["--algorithm", "recursive"]);
    for _ in 0..20 {
        let mut client = server.connect();
        client.send("25\n".repeat(100));
        client.reset();
    }
    assert_eq!(server.connect().ask("30"), "832040");
    assert_eq!(server.stop().count("accepted"), 21);
}

fn a_reset_cancels_what_is_computed(way: Way) {
    let server = Server::start(way, &["--algorithm", "recursive", "--max-n", "60"]);
    let mut client = server.connect();
    assert_eq!(client.ask("30"), "832040");
    client.send("60\n1\n"); // hours
    thread::sleep(Duration::from_millis(50));
    client.reset();
    let mut next = server.connect();
    assert_eq!(next.ask("30"), "832040");
    drop(next);
    let ended = server.stop();
    assert_eq!((ended.count("accepted"), ended.count("closed")), (2, 2));
    assert_eq!((ended.count("ok"), ended.count("err"), ended.count("cancelled")), (2, 0, 1));
    assert_eq!(ended.count("requests"), 3);
}

fn a_passed_deadline_is_told(way: Way) {
    let flags = ["--algorithm", "recursive", "--max-n", "60", "--deadline", "150ms"];
    let server = Server::start(way, &flags);
    let mut client = server.connect();
    let told = client.ask("60");
    // At once, where it is known that it will pass.
    assert!(told.starts_with("ERR deadline ") || told.starts_with("ERR busy "), "{told}");
    assert!(told.contains("--deadline 150ms"), "{told}");
    assert_eq!(client.ask("10"), "55", "the connection goes on");
    drop(client);
    let ended = server.stop();
    assert_eq!((ended.count("ok"), ended.count("err"), ended.count("cancelled")), (1, 1, 0));
}

/// Clients that go on sending while their requests are computed fill the kernel's buffers at most.
fn input_waits_for_a_long_request(way: Way) {
    const MORE_THAN_ALL_BUFFERS: usize = 100_000_000;
    let server = Server::start(way, &["--algorithm", "recursive"]);
    let clients = if way.strategy == "sequential" { 1 } else { 3 };
    let mut clients: Vec<_> = (0..clients).map(|_| server.connect()).collect();
    for client in &mut clients {
        client.send("1\n45\n");
        assert_eq!(client.line(), "1");
        let requests = "2\n".repeat(32 * 1024);
        let sent = client.send_until_stalled(requests.as_bytes(), MORE_THAN_ALL_BUFFERS);
        assert!(sent < MORE_THAN_ALL_BUFFERS, "everything is taken in");
    }
    if way.strategy != "sequential" {
        assert_eq!(server.connect().ask("10"), "55", "there is room for others");
    }
    let cancelled = clients.len() as u64;
    clients.into_iter().for_each(Client::reset);
    assert_eq!(server.stop().count("cancelled"), cancelled);
}

fn a_long_request_leaves_turns_to_others(way: Way) {
    if way.strategy == "sequential" {
        return; // its lesson
    }
    let server = Server::start(way, &["--algorithm", "recursive"]);
    let mut long: Vec<_> = (0..8).map(|_| server.connect()).collect();
    for client in &mut long {
        client.send("1\n45\n");
        assert_eq!(client.line(), "1");
    }
    let mut short = server.connect();
    for _ in 0..100 {
        assert_eq!(short.ask("10"), "55");
    }
    long.into_iter().for_each(Client::reset);
    drop(short);
    assert_eq!(server.stop().count("cancelled"), 8, "none of them was done before");
}

fn a_client_that_never_pauses_leaves_turns_to_others(way: Way) {
    if way.strategy == "sequential" {
        return; // its lesson
    }
    let server = Server::start(way, &[]);
    let (mut sender, mut other) = (server.connect(), server.connect());
    let (mut receiver, end) = (sender.another_end(), sender.another_end());
    let sending = thread::spawn(move || sender.send_until_cut_off("1\n".repeat(8192).as_bytes()));
    assert_eq!(receiver.line(), "1", "it has begun");
    let receiving = thread::spawn(move || receiver.receive_in_vain());
    for _ in 0..100 {
        assert_eq!(other.ask("10"), "55");
    }
    assert!(!receiving.is_finished() && !sending.is_finished(), "it never paused");
    end.shutdown();
    assert!(sending.join().unwrap());
    receiving.join().unwrap();
}

/// At once by those that serve many, one after the other by the one that does not.
fn clients_beyond_the_first_are_served_in_the_end(way: Way) {
    let server = Server::start(way, &[]);
    let mut first = server.connect();
    assert_eq!(first.ask("1"), "1");
    let mut second = server.connect();
    second.send("30\n");
    if way.strategy == "sequential" {
        assert!(second.hears_nothing(), "one at a time");
        drop(first);
        assert_eq!(second.line(), "832040");
    } else {
        assert_eq!(second.line(), "832040");
        assert_eq!(first.ask("2"), "1");
    }
}

/// More of them than any strategy has threads for, each of many years.
fn long_requests_do_not_hold_up_a_short_one(way: Way) {
    let server = Server::start(way, &["--algorithm", "recursive", "--max-n", "90"]);
    let hogs = 1 + 2 * thread::available_parallelism().unwrap().get();
    let mut hogs: Vec<_> = iter::repeat_with(|| server.connect()).take(hogs).collect();
    for hog in &mut hogs {
        hog.send("90\n");
    }
    let mut client = server.connect();
    if way.strategy == "sequential" {
        client.send("1\n");
        assert!(client.hears_nothing(), "one at a time");
    } else {
        for _ in 0..20 {
            assert_eq!(client.ask("1"), "1");
        }
    }
}
