//! The wire, byte by byte: what each line of input is answered with.

use fib_proto::{Decoder, Dialect, ErrorCode, Limits, encode_error, encode_value, parse_reply};

/// Input, and the reply of a server that echoes n.
const LINE: &[(&str, &str)] = &[
    ("0\n", "0"),
    ("30\n", "30"),
    ("30\r\n", "30"),
    (" \t30\t \r\n", "30"),
    ("+30\n", "30"),
    ("0000000000000000000000000000000000000000000000000000000000030\n", "30"),
    ("93\n", "93"),
    ("94\n", r#"ERR range n must be from 0 to 93, not "94"; --max-n raises the limit"#),
    ("-1\n", r#"ERR range n must be from 0 to 93, not "-1"; --max-n raises the limit"#),
    ("-0\n", r#"ERR range n must be from 0 to 93, not "-0"; --max-n raises the limit"#),
    (
        "18446744073709551646\n", // 2^64 + 30
        r#"ERR range n must be from 0 to 93, not "18446744073709551646"; --max-n raises the limit"#,
    ),
    ("\n", r#"ERR parse expected a decimal number and a newline, not """#),
    ("\r\n", r#"ERR parse expected a decimal number and a newline, not "\r""#),
    (" \n", r#"ERR parse expected a decimal number and a newline, not " ""#),
    ("+\n", r#"ERR parse expected a decimal number and a newline, not "+""#),
    ("-\n", r#"ERR parse expected a decimal number and a newline, not "-""#),
    ("+-3\n", r#"ERR parse expected a decimal number and a newline, not "+-3""#),
    ("+ 3\n", r#"ERR parse expected a decimal number and a newline, not "+ 3""#),
    ("3 0\n", r#"ERR parse expected a decimal number and a newline, not "3 0""#),
    ("30\r\r\n", r#"ERR parse expected a decimal number and a newline, not "30\r\r""#),
    ("0x1e\n", r#"ERR parse expected a decimal number and a newline, not "0x1e""#),
    ("3\0\n", r#"ERR parse expected a decimal number and a newline, not "3\x00""#),
    ("\u{663}\n", r#"ERR parse expected a decimal number and a newline, not "\xd9\xa3""#),
    ("\u{feff}3\n", r#"ERR parse expected a decimal number and a newline, not "\xef\xbb\xbf3""#),
    (
        "GET /a/path/that/is/longer/than/32 HTTP/1.1\r\n",
        r#"ERR parse expected a decimal number and a newline, not "GET /a/path/that/is/longer/than/"..."#,
    ),
    (
        "99999999999999999999999999999999999999999999999999999999999999999",
        "ERR too-long the line is longer than 64 bytes; --max-line raises the limit",
    ),
];

const CLASSIC: &[(&str, &str)] = &[
    ("30", "30"),
    ("30\n", "30"),
    ("30\r\n", "30"),
    ("2", "1"),
    ("0", "1"),
    ("-5", "1"),
    ("94", r#"ERR range n must be from 0 to 93, not "94"; --max-n raises the limit"#),
    ("\n", r#"ERR parse expected a decimal number and a newline, not """#),
    ("1\n2\n", r#"ERR parse expected a decimal number and a newline, not "1\n2""#),
    (
        "99999999999999999999999999999999999999999999999999999999999999999",
        "ERR too-long the line is longer than 64 bytes; --max-line raises the limit",
    ),
];

#[test]
fn every_line_has_its_reply() {
    check(Dialect::Line, LINE);
}

#[test]
fn every_chunk_has_its_reply_in_classic() {
    check(Dialect::Classic, CLASSIC);
}

fn check(dialect: Dialect, table: &[(&str, &str)]) {
    let decoder = Decoder::new(Limits { dialect, ..Limits::default() });
    for (input, reply) in table {
        let taken = decoder.decode(input.as_bytes()).expect("the input is complete");
        assert_eq!(taken.len, input.len(), "{input:?} is taken whole");
        let mut wire = Vec::new();
        match taken.request {
            Ok(request) => encode_value(request.n, &mut wire),
            Err(error) => encode_error(error.code(), &error, &mut wire),
        }
        assert_eq!(wire.escape_ascii().to_string(), format!("{}\\n", reply_escaped(reply)));
        parse_reply(&wire[..wire.len() - 1]).expect("a client can read it");
    }
}

fn reply_escaped(reply: &str) -> String {
    reply.as_bytes().escape_ascii().to_string()
}

#[test]
fn a_line_is_too_long_from_the_byte_after_the_limit() {
    let decoder = Decoder::new(Limits::default());
    let line = "0".repeat(64);
    assert!(decoder.decode(line.as_bytes()).is_none(), "its LF may be the next byte");
    assert!(decoder.decode(format!("{line}\n").as_bytes()).unwrap().request.is_ok());
    let error = decoder.decode(format!("{line}0").as_bytes()).unwrap().request.unwrap_err();
    assert_eq!(error.code(), ErrorCode::TooLong);
}

#[test]
fn an_unfinished_line_is_not_answered() {
    let decoder = Decoder::new(Limits::default());
    assert_eq!(decoder.decode_rest(b""), None);
    let error = decoder.decode_rest(b"30").unwrap();
    assert_eq!(error.code(), ErrorCode::Parse);
    assert_eq!(error.to_string(), r#"the input ended before a newline, after "30""#);
}

#[test]
fn malformed_replies_are_told_apart() {
    let lines: [&[u8]; 8] =
        [b"", b"-1", b"12 ", b"ERR", b"ERR busy", b"ERR x y", b"err busy x", b"\xff"];
    for line in lines {
        let error = parse_reply(line).expect_err("it is no reply");
        assert!(error.to_string().starts_with("not a reply of this protocol: \""), "{error}");
    }
}

#[test]
fn control_characters_cannot_break_a_reply() {
    let mut wire = Vec::new();
    encode_error(ErrorCode::Internal, &"a\nb\rc\0d", &mut wire);
    assert_eq!(wire, b"ERR internal a b c d\n");
}
