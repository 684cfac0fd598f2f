//! Asking: answers, and every way of not getting one.

use std::{io::Write, thread, time::Duration};

use fib_client::{ClientError, Connection, Options};
use fib_proto::{Address, ErrorCode};

use crate::support::{answer, honest, serve};

fn open(address: &Address) -> Connection {
    let options = Options { reply_timeout: Duration::from_millis(300), ..Options::default() };
    Connection::open(address, options).unwrap()
}

#[test]
fn asks_and_pipelines() {
    let mut connection = open(&honest());
    assert_eq!(connection.ask(30).unwrap(), "832040");
    let numbers: Vec<u64> = (0..1_000).collect();
    let answers: Vec<_> = connection.pipeline(&numbers).map(Result::unwrap).collect();
    let expected: Vec<_> = numbers.iter().map(|&n| fib_core::exact(n).to_string()).collect();
    assert_eq!(answers, expected);
    assert_eq!(connection.ask(10).unwrap(), "55");
}

#[test]
fn an_error_reply_leaves_the_connection_in_step() {
    let mut connection = open(&answer(|line| match line {
        "99" => "ERR range too large\n".to_owned(),
        line => format!("{line}\n"),
    }));
    let answers: Vec<_> = connection.pipeline(&[1, 99, 2]).collect();
    assert_eq!(answers[0].as_ref().unwrap(), "1");
    let Err(ClientError::Server { code: ErrorCode::Range, text }) = &answers[1] else {
        panic!("{:?}", answers[1]);
    };
    assert_eq!(text, "too large");
    assert_eq!(answers[2].as_ref().unwrap(), "2");
}

#[test]
fn a_late_reply_cannot_answer_another_request() {
    let mut connection = open(&answer(|line| {
        thread::sleep(Duration::from_millis(600));
        format!("{line}\n")
    }));
    assert!(matches!(connection.ask(1), Err(ClientError::Timeout { .. })));
    thread::sleep(Duration::from_millis(500));
    assert!(matches!(connection.ask(2), Err(ClientError::OutOfStep)));
}

#[test]
fn answers_left_in_a_pipeline_cannot_either() {
    let mut connection = open(&honest());
    assert!(connection.pipeline(&[1, 2, 3]).next().is_some());
    assert!(matches!(connection.ask(30), Err(ClientError::OutOfStep)));
}

#[test]
fn a_close_is_told_from_other_failures() {
    let address = serve(|mut socket| {
        let _ = socket.write_all(b"8320");
    });
    let error = open(&address).ask(30).unwrap_err();
    assert!(matches!(error, ClientError::Closed | ClientError::Io(_)), "{error:?}");
}

#[test]
fn another_protocol_is_told() {
    let error = open(&answer(|_| "HTTP/1.1 400 Bad Request\r\n".to_owned())).ask(1).unwrap_err();
    assert!(matches!(error, ClientError::Malformed(_)), "{error:?}");
    assert!(error.to_string().contains("HTTP/1.1 400"), "{error}");
}

#[test]
fn an_endless_reply_does_not_fill_the_memory() {
    let address = serve(|mut socket| while socket.write_all(&[b'1'; 4096]).is_ok() {});
    let options = Options { max_reply: 100_000, ..Options::default() };
    let error = Connection::open(&address, options).unwrap().ask(1).unwrap_err();
    assert!(matches!(error, ClientError::TooLong { limit: 100_000 }), "{error:?}");
}

#[test]
fn nobody_listening_is_told_with_the_address() {
    let address: Address = "127.0.0.1:1".parse().unwrap();
    let error = Connection::open(&address, Options::default()).unwrap_err();
    assert_eq!(error.to_string(), "connecting to 127.0.0.1:1");
}
