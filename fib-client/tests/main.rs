//! What the client promises, against real servers and against servers that misbehave.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod allocations;
#[path = "../../fib-server/tests/certificates.rs"]
#[expect(dead_code, reason = "the tests of the server need more of them")]
mod certificates;
mod cli;
mod connection;
mod documents;
mod faults;
mod kubernetes;
mod load;
mod support;
mod tls;
mod together;
mod truth;
