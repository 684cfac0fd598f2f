//! What clients send to it that is no request: other protocols, noise, lines without an end.

use std::{
    process::Command,
    thread,
    time::{Duration, Instant},
};

use fastrand::Rng;
use fib_proto::{Dialect, Limits};

use super::{Subject, ask_if_any, at_once, attempts, choices};
use crate::{
    language::{
        grammar,
        lines::{line, some},
    },
    support::{PATIENCE, Server, Way, for_each_way, wait_until},
};

/// What a server of these tests is told to read.
const LIMITS: Limits = Limits { dialect: Dialect::Line, max_line: 64, max_n: 93 };

const TOO_LONG: &str =
    "ERR too-long the line is longer than 64 bytes; --max-line raises the limit\n";

/// How soon nine of ten clients are answered, whatever they have sent.
const SOON: Duration = Duration::from_secs(1);

/// How much more memory the server may have at any time because of lines that are too long.
const SLACK: u64 = 1 << 20;

/// What other programs say first: a browser, one that hopes for HTTP/2, a database's client, and
/// proxies that nobody told the server to trust.
const GREETINGS: [&[u8]; 6] = [
    b"GET /30 HTTP/1.1\r\nHost: 127.0.0.1:25000\r\nUser-Agent: curl/8.5.0\r\nAccept: */*\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\x12\x04\0\0\0\0\0\0\x03\0\0\0\x64\0\x04\0\x10\0\0",
    b"*2\r\n$3\r\nGET\r\n$2\r\n30\r\n",
    b"PROXY TCP4 10.0.0.1 10.0.0.2 56324 25000\r\n30\r\n",
    b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\x0a\0\0\x01\x0a\0\0\x02\xdc\x04\x61\xa830\n",
    b"\xef\xbb\xbf30\r\n30\r\n",
];

/// What begins a TLS handshake, up to where 32 random bytes follow.
const CLIENT_HELLO: &[u8] = b"\x16\x03\x01\0\xc8\x01\0\0\xc4\x03\x03";

for_each_way! {{
    whatever_comes_has_its_reply,
    whatever_chunk_comes_has_its_reply,
    who_sends_a_line_without_an_end_is_told_so,
}}

fn whatever_comes_has_its_reply(way: Way) {
    let mut choices = choices();
    let subject = Subject::start(way, &["--max-n", "93"]);
    let mut canary = (way.strategy != "sequential").then(|| subject.server().connect());
    let (total, mut times) = (attempts(48, 10_000), Vec::new());
    while times.len() < total {
        let mut clients: Vec<_> = (0..at_once(way, 12))
            .map(|_| (subject.server().connect(), input(&mut choices), Instant::now()))
            .collect();
        for (client, input, _) in &mut clients {
            let (head, tail) = input.split_at(choices.usize(..=input.len()));
            client.send_in_vain(head);
            client.send_in_vain(tail);
            client.half_close_in_vain();
        }
        ask_if_any(&mut canary);
        for (mut client, input, began) in clients {
            if choices.u8(..8) > 0 {
                assert_eq!(client.rest(), replies(&input), "to {}", input.escape_ascii());
            }
            times.push(began.elapsed());
        }
    }
    times.sort_unstable();
    let most = times[times.len() * 9 / 10];
    // The fast form runs beside all other tests.
    let soon = if total < 10_000 { PATIENCE } else { SOON };
    assert!(most <= soon, "{most:?}");
    drop(canary);
    subject.finish();
}

/// What somebody may send who is no client of this server.
fn input(rng: &mut Rng) -> Vec<u8> {
    match rng.u8(..8) {
        0 => Vec::new(),
        1 => vec![0; rng.usize(1..300)],
        2 => [CLIENT_HELLO.into(), some(rng, 194, |rng| rng.u8(..))].concat(),
        3 => some(rng, 300, |rng| rng.u8(..)),
        4 | 5 => GREETINGS[rng.usize(..GREETINGS.len())].into(),
        _ => (0..rng.u8(1..20)).flat_map(|_| [line(rng), b"\n".into()].concat()).collect(),
    }
}

/// All that the server has to say to it.
fn replies(input: &[u8]) -> String {
    grammar::replies(input, LIMITS).into_iter().map(reply_line).collect()
}

fn reply_line(reply: grammar::Reply) -> String {
    let number = |n| fib_core::fib(n).expect("n is within the table").to_string();
    reply.map_or_else(|line| line, number) + "\n"
}

/// To the demo's clients, which wait for each reply.
fn whatever_chunk_comes_has_its_reply(way: Way) {
    let mut choices = choices();
    let subject = Subject::start(way, &["--max-n", "93", "--dialect", "classic"]);
    for _ in 0..attempts(4, 100) {
        let mut client = subject.server().connect();
        for _ in 0..100 {
            let mut chunk = line(&mut choices);
            chunk.truncate(100);
            if chunk.is_empty() {
                continue;
            }
            client.send(&chunk);
            let reply = reply_line(grammar::reply_to_chunk(&chunk, LIMITS));
            if reply == TOO_LONG {
                assert_eq!(client.rest(), reply, "to {}", chunk.escape_ascii());
                break;
            }
            assert_eq!(client.line() + "\n", reply, "to {}", chunk.escape_ascii());
        }
    }
    subject.finish();
}

/// It is told so whether it stops there or goes on for a hundred megabytes, of which the server
/// keeps nothing.
fn who_sends_a_line_without_an_end_is_told_so(way: Way) {
    let mut choices = choices();
    let subject = Subject::start(way, &[]);
    let digits = vec![b'9'; attempts(8 << 20, 100 << 20)];
    let offend = |len: usize| {
        let mut client = subject.server().connect();
        client.send_in_vain(&digits[..LIMITS.max_line + len]);
        assert_eq!(client.rest_or_reset(), TOO_LONG, "{len} bytes too long");
    };
    let mut offend_often = |times| {
        for _ in 0..times {
            let longest = (digits.len() - LIMITS.max_line) >> choices.u32(..digits.len().ilog2());
            offend(choices.usize(1..=longest));
        }
    };
    // As much as an honest client may need is allocated once, and all code that runs is loaded.
    [1, digits.len() / 2].into_iter().cycle().take(8).for_each(offend);
    offend_often(16);
    let before = subject.server().peak_memory();
    offend_often(attempts(16, 10_000));
    let most = subject.server().peak_memory();
    assert!(most <= before + SLACK, "{most} bytes, {before} before");
    subject.finish();
}

/// Not by one byte that a terminal or a parser of logs would take for more than text, even if it
/// tells all it can.
#[test]
fn nobody_writes_into_the_log() {
    let mut choices = choices();
    let mut command = Command::new(env!("CARGO_BIN_EXE_fib-server"));
    command.args(["--listen", "127.0.0.1:0", "--max-n", "93"]).env("RUST_LOG", "trace");
    let server = Server::spawn(command);
    let marker = "x".repeat(33);
    for _ in 0..attempts(100, 10_000) {
        let mut client = server.connect();
        let mut input = input(&mut choices);
        input.extend(format!("\x1b]0;{marker}\x07\n").bytes());
        client.send_in_vain(&input);
        client.half_close_in_vain();
        client.rest_or_reset();
    }
    let log = server.stop().log;
    assert!(log.contains("drained"), "{log}");
    assert!(!log.contains(&marker), "{log}");
    let control = log.chars().find(|it| it.is_control() && *it != '\n');
    assert_eq!(control, None, "{log}");
    let is_ours = |line: &str| line.starts_with("20");
    assert_eq!(log.lines().find(|line| !is_ours(line)), None, "{log}");
}

/// What each of many clients causes is told once a second, and how often it was not told.
#[test]
fn nobody_floods_the_log() {
    const HINT: &str = "digits without a newline";
    let server = Server::start("tokio-tasks", &[]);
    let begin = Instant::now();
    let hesitate = |clients| {
        let mut clients: Vec<_> = (0..clients).map(|_| server.connect()).collect();
        for client in &mut clients {
            client.send("30");
        }
        clients
    };
    let many = hesitate(attempts(200, 9_000));
    let mut others = Vec::new();
    wait_until("the log has said what it has not", || {
        others.extend(hesitate(1));
        thread::sleep(Duration::from_millis(100));
        let log = server.log();
        let hints = log.lines().filter(|line| line.contains(HINT)).count();
        let seconds = usize::try_from(begin.elapsed().as_secs()).unwrap();
        assert!(hints <= 1 + seconds, "{log}");
        unlogged(&log) >= many.len() - hints
    });
}

/// How often it was not told what was told at another time.
fn unlogged(log: &str) -> usize {
    let counts = log.lines().filter_map(|line| line.split_once(r#""unlogged":"#));
    let counts = counts.map(|(_, rest)| rest.split(|it: char| !it.is_ascii_digit()).next());
    counts.map(|digits| digits.unwrap().parse::<usize>().unwrap()).sum()
}
