//! A stream that arrives in pieces, decoded as a server does it. The fuzz target uses it too.

use fib_proto::{Decoder, Limits, Request, RequestError, encode_error};

/// What a line asks for, or why it is no request.
pub(crate) type Asked = Result<Request, RequestError>;

pub(crate) fn decode_all<'a>(
    limits: Limits,
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> Vec<Asked> {
    let decoder = Decoder::new(limits);
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

/// What it comes to: the n that is asked for, or the line that says why there is none.
pub(crate) fn told(asked: Asked) -> Result<u64, String> {
    asked.map(|request| request.n).map_err(|error| {
        let mut wire = Vec::new();
        encode_error(error.code(), &error, &mut wire);
        let line = String::from_utf8(wire).expect("an ERR line is text");
        line.strip_suffix('\n').expect("it ends").to_owned()
    })
}
