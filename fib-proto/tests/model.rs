//! The decoder against a second reading of the grammar, written to be obvious instead of fast.

use fib_proto::{Decoder, Dialect, ErrorCode, Limits};
use proptest::prelude::*;

/// What the grammar says of one line, without its LF.
fn model(line: &[u8], limits: Limits) -> Result<u64, ErrorCode> {
    if line.len() > limits.max_line {
        return Err(ErrorCode::TooLong);
    }
    let text = std::str::from_utf8(line).map_err(|_| ErrorCode::Parse)?;
    let text = text.strip_suffix('\r').unwrap_or(text).trim_matches([' ', '\t']);
    let (sign, digits) = match text.split_at_checked(1) {
        Some((sign @ ("+" | "-"), digits)) => (sign, digits),
        _ => ("", text),
    };
    if digits.is_empty() || digits.contains(|letter: char| !letter.is_ascii_digit()) {
        return Err(ErrorCode::Parse);
    }
    let n = digits.parse::<u64>().ok().filter(|&n| sign != "-" && n <= limits.max_n);
    n.ok_or(ErrorCode::Range)
}

/// Lines that come close to a request: the alphabet of requests, and what is near it.
fn line() -> impl Strategy<Value = Vec<u8>> {
    let near = prop::sample::select(b"0123456789 \t\r+-x\0\xff".as_slice());
    prop_oneof![
        3 => prop::collection::vec(near, 0..70),
        1 => any::<u64>().prop_map(|n| n.to_string().into_bytes()),
        1 => (0u64..200).prop_map(|n| n.to_string().into_bytes()),
        1 => prop::collection::vec(any::<u8>().prop_filter("LF", |&byte| byte != b'\n'), 0..70),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    #[test]
    fn decoder_follows_the_grammar(line in line(), max_n in prop_oneof![Just(93), any::<u64>()]) {
        let limits = Limits { dialect: Dialect::Line, max_line: 64, max_n };
        let mut input = line.clone();
        input.push(b'\n');
        let decoded = Decoder::new(limits).decode(&input).expect("it has an LF");
        let request = decoded.request.map(|request| request.n).map_err(|error| error.code());
        prop_assert_eq!(request, model(&line, limits));
    }
}
