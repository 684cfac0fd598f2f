//! What the client promises, against real servers and against servers that misbehave.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod allocations;
mod cli;
mod connection;
mod documents;
mod faults;
mod kubernetes;
mod load;
mod support;
mod together;
mod truth;
