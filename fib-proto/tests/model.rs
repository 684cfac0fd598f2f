//! The decoder against the grammar, on lines that come close to a request.

use fastrand::Rng;
use fib_proto::{Decoder, Dialect, Limits};

use crate::{
    effort::{attempts, choices},
    language::{grammar, lines},
    stream::{decode_all, told},
};

/// As servers have them, and others.
fn limits(rng: &mut Rng, dialect: Dialect) -> Limits {
    let max_line = [64, 64, rng.usize(1..100), 200_000][rng.usize(..4)];
    let max_n = [93, 10_000_000, rng.u64(..200), rng.u64(..), u64::MAX][rng.usize(..5)];
    Limits { dialect, max_line, max_n }
}

#[test]
fn line_follows_the_grammar() {
    let mut rng = choices();
    for _ in 0..attempts(100_000, 1_000_000) {
        let limits = limits(&mut rng, Dialect::Line);
        let mut stream = lines::line(&mut rng);
        // The end of a stream is not the end of a line.
        stream.extend((rng.u8(..4) > 0).then_some(b'\n'));
        let replies: Vec<_> = decode_all(limits, [&*stream]).into_iter().map(told).collect();
        let wanted = grammar::replies(&stream, limits);
        assert_eq!(replies, wanted, "{} under {limits:?}", stream.escape_ascii());
    }
}

#[test]
fn classic_follows_the_grammar() {
    let mut rng = choices();
    for _ in 0..attempts(100_000, 1_000_000) {
        let limits = limits(&mut rng, Dialect::Classic);
        let mut chunk = lines::line(&mut rng);
        if rng.bool() {
            chunk.push(b'\n');
        }
        let decoded = Decoder::new(limits).decode(&chunk);
        let reply = decoded.map(|it| told(it.request));
        let wanted = (!chunk.is_empty()).then(|| grammar::reply_to_chunk(&chunk, limits));
        assert_eq!(reply, wanted, "{} under {limits:?}", chunk.escape_ascii());
        assert!(decoded.is_none_or(|it| it.len == chunk.len()), "a chunk is taken whole");
    }
}
