//! What the server promises, on the real program.
//!
//! Each promise of `conformance` is a test for every strategy and every way to compute: a failure
//! reads `conformance::tokio_tasks::processes::half_close_is_answered`.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod admin;
mod certificates;
mod cli;
mod config_file;
mod conformance;
#[cfg(target_os = "linux")]
mod deploy;
#[cfg(target_os = "linux")]
#[path = "../../fib-proto/tests/effort.rs"]
mod effort;
#[cfg(target_os = "linux")]
#[path = "../../fib-proto/tests/language/mod.rs"]
mod language;
#[cfg(target_os = "linux")]
mod prefork;
#[cfg(target_os = "linux")]
mod processes;
#[cfg(target_os = "linux")]
mod promises;
mod proxy_header;
mod real_clients;
mod reload;
mod session;
mod shutdown;
mod support;
#[cfg(target_os = "linux")]
mod systemd;
mod watched;
mod wire;
