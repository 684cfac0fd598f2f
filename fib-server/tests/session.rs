//! One conversation, without sockets or time.

use std::time::{Duration, Instant};

use fib_proto::{Dialect, Limits};
use fib_server::{
    compute::{Algorithm, Refusal},
    session::{InputEnd, Session},
};
use proptest::prelude::*;

const LIMITS: Limits = Limits { dialect: Dialect::Line, max_line: 64, max_n: 10_000 };

fn session() -> Session {
    Session::new(LIMITS, Instant::now())
}

/// Answers what the session has received, until it needs more input or room for output.
fn answer_all(session: &mut Session) {
    while let Some(request) = session.next_request() {
        session.answer(&Algorithm::Doubling.compute(request.n).ok_or(Refusal::Failed));
    }
}

/// What is sent when the input comes in these pieces and the output leaves as it can.
fn converse<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut session = session();
    let mut sent = Vec::new();
    for piece in pieces {
        session.receive(piece, Instant::now());
        settle(&mut session, &mut sent);
    }
    session.end_input(InputEnd::Client);
    settle(&mut session, &mut sent);
    assert!(session.is_over());
    sent
}

fn settle(session: &mut Session, sent: &mut Vec<u8>) {
    loop {
        answer_all(session);
        if session.output().is_empty() {
            return;
        }
        sent.extend_from_slice(session.output());
        session.sent(session.output().len());
    }
}

proptest! {
    #[test]
    fn pieces_do_not_matter(
        stream in prop::collection::vec(
            prop::sample::select(b"0123456789\n\n\n\r +-x".as_slice()),
            0..300,
        ),
        piece in 1usize..20,
    ) {
        prop_assert_eq!(converse(stream.chunks(piece)), converse([stream.as_slice()]));
    }
}

#[test]
fn unsent_output_holds_requests_back() {
    let mut session = session();
    let request = b"10000\n"; // 2,090 digits
    for _ in 0..1_000 {
        session.receive(request, Instant::now());
    }
    answer_all(&mut session);
    assert!(session.output_is_high());
    assert!(session.output().len() < 64 * 1024 + 2_091, "{}", session.output().len());
    let mut sent = Vec::new();
    settle(&mut session, &mut sent);
    assert_eq!(sent.len(), 1_000 * 2_091);
    assert_eq!(session.final_counts().ok, 1_000);
}

#[test]
fn output_may_leave_byte_by_byte() {
    let mut session = session();
    session.receive(b"30\n20\n", Instant::now());
    answer_all(&mut session);
    let mut sent = Vec::new();
    while let Some(&byte) = session.output().first() {
        sent.push(byte);
        session.sent(1);
    }
    assert_eq!(sent, b"832040\n6765\n");
}

#[test]
fn a_missing_newline_is_noticed_once_and_only_behind_digits() {
    let now = Instant::now();
    let later = now + Duration::from_secs(1);
    for (bytes, suspicious) in [("30", true), ("1\n30", true), ("x", false), ("", false)] {
        let mut session = session();
        session.receive(bytes.as_bytes(), now);
        answer_all(&mut session);
        assert_eq!(session.deadline(), suspicious.then_some(later), "{bytes:?}");
        assert!(!session.newline_is_missing(now));
        assert_eq!(session.newline_is_missing(later), suspicious, "{bytes:?}");
        assert!(!session.newline_is_missing(later));
    }
}

#[test]
fn a_small_request_allocates_nothing() {
    let mut session = session();
    let mut exchange = || {
        session.receive(b"93\n", Instant::now());
        answer_all(&mut session);
        session.sent(session.output().len());
    };
    exchange();
    let counted = allocation_counter::measure(|| (0..1_000).for_each(|_| exchange()));
    assert_eq!(counted.count_total, 0);
}

#[test]
fn a_quiet_connection_keeps_no_large_buffers() {
    let mut session = session();
    let counted = allocation_counter::measure(|| {
        session.receive("10000\n".repeat(1_000).as_bytes(), Instant::now());
        settle(&mut session, &mut Vec::new());
        session.receive(b"", Instant::now());
    });
    assert!(counted.bytes_current <= 2_048, "{} bytes are kept", counted.bytes_current);
}

/// In a drain: what comes later is not looked at, and what is cut by it is no request.
#[test]
fn input_can_be_limited() {
    let mut session = session();
    session.receive(b"1\n", Instant::now());
    assert!(!session.limit_input(4));
    session.receive(b"2\n30\n40\n", Instant::now());
    assert!(session.limit_input(4), "what was said first holds");
    session.end_input(InputEnd::Drain);
    let mut sent = Vec::new();
    settle(&mut session, &mut sent);
    let told = "1\n1\nERR shutdown the server is stopping\n";
    assert_eq!(String::from_utf8(sent).unwrap(), told);
    assert!(session.is_over());
}
