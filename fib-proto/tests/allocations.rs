//! A batch of small requests is decoded and answered without an allocation per request.

use fib_core::fib;
use fib_proto::{Decoder, Limits, encode_value};

#[test]
fn a_batch_is_answered_without_allocating() {
    let batch = b"1\n30\n93\n".repeat(10_000);
    let decoder = Decoder::new(Limits::default());
    let mut output = Vec::with_capacity(21 * 30_000);
    let counted = allocation_counter::measure(|| {
        let mut input = batch.as_slice();
        while let Some(decoded) = decoder.decode(input) {
            let n = decoded.request.expect("every request is good").n;
            encode_value(fib(n).expect("n is within the table"), &mut output);
            input = &input[decoded.len..];
        }
        assert!(input.is_empty());
    });
    assert_eq!(counted.count_total, 0);
    assert!(output.starts_with(b"1\n832040\n12200160415121876738\n1\n"));
    assert_eq!(output.len(), 10_000 * (2 + 7 + 21));
}

#[test]
fn a_refused_request_allocates_nothing_either() {
    let decoder = Decoder::new(Limits::default());
    let counted = allocation_counter::measure(|| {
        for _ in 0..1_000 {
            assert!(decoder.decode(b"nonsense\n").is_some_and(|decoded| decoded.request.is_err()));
        }
    });
    assert_eq!(counted.count_total, 0);
}
