//! Computes where the request was read: no hand-over, and nothing else happens on that thread.

use crate::{compute::Algorithm, session::Session};

/// Computes on the calling thread.
#[derive(Clone, Copy, Debug)]
pub struct Inline {
    algorithm: Algorithm,
}

impl Inline {
    /// Computes with this algorithm.
    #[must_use]
    pub const fn new(algorithm: Algorithm) -> Self {
        Self { algorithm }
    }

    /// Answers what the session has received, until it needs more input or room for output.
    pub fn answer_all(&self, session: &mut Session) {
        while let Some(request) = session.next_request() {
            session.answer(self.algorithm.compute(request.n));
        }
    }
}
