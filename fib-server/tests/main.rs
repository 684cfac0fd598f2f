//! What the server promises, on the real program.
//!
//! Each promise of `conformance` is a test for every strategy: a failure reads
//! `conformance::tokio_tasks::half_close_is_answered`.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod cli;
mod conformance;
mod real_clients;
mod session;
mod shutdown;
mod support;
