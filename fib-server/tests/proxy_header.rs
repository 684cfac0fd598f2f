//! What holds for every header of the PROXY protocol, and for whatever else a proxy could send: the
//! fuzz target asks it of any bytes, the test of those that fuzzing has found interesting.

use fib_server::access::{HEADER_LEN_MAX, Header};

/// A header is found in its own bytes and no others: not before all of them are there, and in the
/// same way whatever follows. What is no header never becomes one.
pub(crate) fn check(bytes: &[u8]) {
    let mut found = None;
    for len in 0..=bytes.len().min(2 * HEADER_LEN_MAX) {
        let now = Header::parse(&bytes[..len]).map_err(drop);
        match (found, now) {
            (None | Some(Ok(None)), Ok(Some(header))) => {
                assert!(header.len == len && len <= HEADER_LEN_MAX, "{header:?} of {len} bytes");
            }
            (None | Some(Ok(None)), _) => {}
            (Some(before), now) => assert_eq!(before, now, "after {len} bytes"),
        }
        assert!(now != Ok(None) || len < HEADER_LEN_MAX, "it is waited for without end");
        found = Some(now);
    }
}
