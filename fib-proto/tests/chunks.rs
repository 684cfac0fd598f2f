//! However a stream is cut into pieces, the requests are the same.

use std::{fs, path::Path};

use proptest::prelude::*;

use crate::stream::decode_all;

/// Every way of cutting `stream` where it is short, else every single cut and one byte at a time.
fn check_splits(stream: &[u8]) {
    let whole = decode_all([stream]);
    if stream.len() <= 12 {
        for cuts in 0u32..1 << stream.len().saturating_sub(1) {
            assert_eq!(decode_all(cut(stream, cuts)), whole, "{stream:?} cut at {cuts:b}");
        }
    } else {
        for at in 0..stream.len() {
            let (head, tail) = stream.split_at(at);
            assert_eq!(decode_all([head, tail]), whole, "{stream:?} cut at {at}");
        }
    }
    assert_eq!(decode_all(stream.chunks(1)), whole, "{stream:?} byte by byte");
}

/// The pieces of `stream`, cut after byte i where bit i of `cuts` is set.
fn cut(stream: &[u8], cuts: u32) -> Vec<&[u8]> {
    let mut pieces = Vec::new();
    let mut start = 0;
    for end in 1..stream.len() {
        if cuts >> (end - 1) & 1 == 1 {
            pieces.push(&stream[start..end]);
            start = end;
        }
    }
    pieces.push(&stream[start..]);
    pieces
}

#[test]
fn every_split_of_short_streams() {
    for stream in ["30\n20\n1\n", "1\r\n-2\n\n3", "\n\n+\n", "93\n94\n9", " 7\t\r\n8"] {
        check_splits(stream.as_bytes());
    }
}

#[test]
fn every_split_of_a_line_that_is_too_long() {
    for len in [63, 64, 65, 66, 130] {
        check_splits(format!("1\n{}\n2\n", "9".repeat(len)).as_bytes());
    }
}

/// What the fuzzer found worth keeping is replayed here, where no fuzzer is needed.
#[test]
fn every_split_of_the_fuzzing_corpus() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/decode");
    let mut files = 0;
    for entry in fs::read_dir(corpus).unwrap() {
        check_splits(&fs::read(entry.unwrap().path()).unwrap());
        files += 1;
    }
    assert!(files > 0, "the corpus is committed");
}

proptest! {
    #[test]
    fn every_split_of_any_stream(
        stream in prop::collection::vec(prop_oneof![
            4 => prop::sample::select(b"0123456789\n\n\r +-x".as_slice()),
            1 => any::<u8>(),
        ], 0..200),
    ) {
        check_splits(&stream);
    }
}
