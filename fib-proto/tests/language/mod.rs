//! The language of the service, for tests: what must be said to a line, and lines to say it to.
//! The tests of the server use it too.

pub(crate) mod grammar;
pub(crate) mod lines;
