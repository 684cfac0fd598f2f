//! Any bytes, in any pieces: the decoder says what the grammar says, and never changes its mind.
//!
//! `cargo +nightly fuzz run decode`. The first byte says where to cut the rest in two.
#![no_main]

#[path = "../../fib-proto/tests/language/grammar.rs"]
mod grammar;
#[path = "../../fib-proto/tests/stream.rs"]
mod stream;

use fib_proto::{Decoder, Dialect, Limits};
use libfuzzer_sys::fuzz_target;

use crate::stream::{decode_all, told};

fuzz_target!(|data: &[u8]| {
    let Some((&cut, stream)) = data.split_first() else { return };
    let (head, tail) = stream.split_at(usize::from(cut).min(stream.len()));
    for max_n in [93, u64::MAX] {
        let limits = Limits { max_n, ..Limits::default() };
        let requests = decode_all(limits, [stream]);
        assert_eq!(requests, decode_all(limits, [head, tail]));
        let told: Vec<_> = requests.into_iter().map(told).collect();
        assert_eq!(told, grammar::replies(stream, limits));

        let limits = Limits { dialect: Dialect::Classic, ..limits };
        if let Some(decoded) = Decoder::new(limits).decode(stream) {
            assert_eq!(decoded.len, stream.len());
            assert_eq!(stream::told(decoded.request), grammar::reply_to_chunk(stream, limits));
        }
    }
});
