//! A stream that arrives in pieces, decoded as a server does it. The fuzz target uses it too.

use fib_proto::{Decoder, Limits, Request, RequestError};

pub(crate) fn decode_all<'a>(
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> Vec<Result<Request, RequestError>> {
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
