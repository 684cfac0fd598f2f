//! Any bytes, in any pieces: the decoder neither panics nor changes its mind.
//!
//! `cargo +nightly fuzz run decode`. The first byte says where to cut the rest in two.
#![no_main]

#[path = "../../fib-proto/tests/stream.rs"]
mod stream;

use fib_proto::{Decoder, Dialect, Limits};
use libfuzzer_sys::fuzz_target;

use crate::stream::decode_all;

fuzz_target!(|data: &[u8]| {
    let Some((&cut, stream)) = data.split_first() else { return };
    let (head, tail) = stream.split_at(usize::from(cut).min(stream.len()));
    assert_eq!(decode_all([stream]), decode_all([head, tail]));

    let classic = Decoder::new(Limits { dialect: Dialect::Classic, ..Limits::default() });
    assert!(classic.decode(stream).is_none_or(|decoded| decoded.len == stream.len()));
});
