//! How many small requests one core can decode and answer: `cargo bench -p fib-proto`.
//!
//! The batch is what a pipelining client sends; the answers come from the table of `fib-core`.

use divan::{Bencher, black_box, counter::ItemsCount};
use fib_core::fib;
use fib_proto::{Decoder, Limits, encode_value};

const REQUESTS: usize = 8_192;

fn main() {
    divan::main();
}

#[divan::bench(args = ["1", "30", "90"])]
fn decode_and_answer(bencher: Bencher<'_, '_>, n: &str) {
    let batch = format!("{n}\n").repeat(REQUESTS);
    let decoder = Decoder::new(black_box(Limits::default()));
    let mut output = Vec::with_capacity(21 * REQUESTS);
    bencher.counter(ItemsCount::new(REQUESTS)).bench_local(|| {
        output.clear();
        answer_all(decoder, black_box(batch.as_bytes()), &mut output);
        output.len()
    });
}

#[divan::bench(args = ["1", "30", "90"])]
fn decode(bencher: Bencher<'_, '_>, n: &str) {
    let batch = format!("{n}\n").repeat(REQUESTS);
    let decoder = Decoder::new(black_box(Limits::default()));
    bencher.counter(ItemsCount::new(REQUESTS)).bench_local(|| {
        let mut input = black_box(batch.as_bytes());
        let mut sum = 0;
        while let Some(decoded) = decoder.decode(input) {
            sum += decoded.request.map_or(0, |request| request.n);
            input = &input[decoded.len..];
        }
        sum
    });
}

fn answer_all(decoder: Decoder, mut input: &[u8], output: &mut Vec<u8>) {
    while let Some(decoded) = decoder.decode(input) {
        let value = decoded.request.ok().and_then(|request| fib(request.n));
        encode_value(value.expect("every request of the batch is good"), output);
        input = &input[decoded.len..];
    }
}
