//! Any bytes that a trusted proxy could send: a header is found where it ends, or never.
//!
//! `cargo +nightly fuzz run proxy_header`.
#![no_main]

#[path = "../../fib-server/tests/proxy_header.rs"]
mod proxy_header;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| proxy_header::check(bytes));
