//! Any bytes, in any pieces: the decoder neither panics nor changes its mind.
//!
//! `cargo +nightly fuzz run decode`. The first byte says where to cut the rest in two.
#![no_main]

use fib_proto::{Decoder, Dialect, Limits, Request, RequestError};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((&cut, stream)) = data.split_first() else { return };
    let (head, tail) = stream.split_at(usize::from(cut).min(stream.len()));
    assert_eq!(decode_all(&[stream]), decode_all(&[head, tail]));

    let classic = Decoder::new(Limits { dialect: Dialect::Classic, ..Limits::default() });
    assert!(classic.decode(stream).is_none_or(|decoded| decoded.len == stream.len()));
});

fn decode_all(pieces: &[&[u8]]) -> Vec<Result<Request, RequestError>> {
    let decoder = Decoder::new(Limits::default());
    let mut requests = Vec::new();
    let mut held = Vec::new();
    for piece in pieces {
        held.extend_from_slice(piece);
        while let Some(decoded) = decoder.decode(&held) {
            assert!((1..=held.len()).contains(&decoded.len), "it always gets further");
            held.drain(..decoded.len);
            requests.push(decoded.request);
            if matches!(decoded.request, Err(RequestError::TooLong { .. })) {
                return requests;
            }
        }
    }
    requests.extend(decoder.decode_rest(&held).map(Err));
    requests
}
