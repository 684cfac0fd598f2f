//! However a stream is cut into pieces, the requests are the same.

use std::{fs, path::Path};

use fib_proto::{Dialect, Limits};

use crate::{
    effort::{attempts, choices},
    language::lines,
    stream::decode_all,
};

const LIMITS: Limits = Limits { dialect: Dialect::Line, max_line: 64, max_n: 93 };

/// The longest that is cut in every way there is: in 2^15 of them.
const SHORT: usize = if cfg!(miri) { 8 } else { 16 };

/// Every way of cutting `stream` where it is short, else every single cut and one byte at a time.
fn check_splits(stream: &[u8]) {
    let whole = decode_all(LIMITS, [stream]);
    if stream.len() <= SHORT {
        for cuts in 0u32..1 << stream.len().saturating_sub(1) {
            assert_eq!(decode_all(LIMITS, cut(stream, cuts)), whole, "{stream:?} cut at {cuts:b}");
        }
    } else {
        for at in 0..stream.len() {
            let (head, tail) = stream.split_at(at);
            assert_eq!(decode_all(LIMITS, [head, tail]), whole, "{stream:?} cut at {at}");
        }
    }
    assert_eq!(decode_all(LIMITS, stream.chunks(1)), whole, "{stream:?} byte by byte");
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

/// Lines that come close to a request, as many as 2^15 ways each leave time for.
#[test]
fn every_split_of_lines_like_requests() {
    let mut rng = choices();
    for _ in 0..attempts(8, 1_000) {
        let mut stream = lines::line(&mut rng);
        stream.truncate(SHORT - 1);
        stream.push(b'\n');
        check_splits(&stream);
    }
}

#[test]
#[cfg_attr(miri, ignore = "so many splits take hours")]
fn every_split_of_a_line_that_is_too_long() {
    for len in [63, 64, 65, 66, 130] {
        check_splits(format!("1\n{}\n2\n", "9".repeat(len)).as_bytes());
    }
}

/// What the fuzzer found worth keeping is replayed here, where no fuzzer is needed.
#[test]
#[cfg_attr(miri, ignore = "so many splits take hours")]
fn every_split_of_the_fuzzing_corpus() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/decode");
    let mut files = 0;
    for entry in fs::read_dir(corpus).unwrap() {
        check_splits(&fs::read(entry.unwrap().path()).unwrap());
        files += 1;
    }
    assert!(files > 0, "the corpus is committed");
}

/// Several requests, and what is near them, cut at random as often as there are bytes.
#[test]
fn random_splits_of_long_streams() {
    let mut rng = choices();
    for _ in 0..attempts(200, 20_000) {
        let mut stream = Vec::new();
        while stream.len() < 4096 && rng.u8(..) > 0 {
            stream.extend(lines::line(&mut rng));
            stream.push(b'\n');
        }
        stream.truncate(4096);
        let whole = decode_all(LIMITS, [&*stream]);
        let mut rest = &*stream;
        let longest = rng.usize(1..=stream.len() + 1);
        let pieces = std::iter::from_fn(|| {
            let piece = rest.split_off(..rng.usize(1..=longest).min(rest.len()))?;
            (!piece.is_empty()).then_some(piece)
        });
        assert_eq!(decode_all(LIMITS, pieces), whole, "{}", stream.escape_ascii());
    }
}
