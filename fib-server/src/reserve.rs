//! A descriptor that is kept for the time when there is no other.
//!
//! Where a process may open no more files, whoever connects would wait in silence until somebody
//! else leaves. With the one that is given up for a moment, it can be accepted and told so.

use std::{
    io,
    sync::{Mutex, MutexGuard, PoisonError},
};

use socket2::{Domain, Socket, Type};

/// A descriptor, for all who accept in this process.
#[derive(Debug)]
pub(crate) struct Reserve(Mutex<Option<Socket>>);

impl Reserve {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(open().ok()))
    }

    /// Does something that needs a descriptor, and lets go of it. `None` where there is none to
    /// lend.
    pub(crate) fn lend<T>(&self, act: impl FnOnce() -> T) -> Option<T> {
        let mut kept = self.kept();
        drop(kept.take().or_else(|| open().ok())?);
        let result = act();
        *kept = open().ok();
        Some(result)
    }

    /// Whether it is there. While it was lent, somebody else may have taken its place in the table:
    /// then that one has to go.
    pub(crate) fn is_kept(&self) -> bool {
        let mut kept = self.kept();
        if kept.is_none() {
            *kept = open().ok();
        }
        kept.is_some()
    }

    /// A panic elsewhere cannot leave it half-changed, so a poisoned lock is a good one.
    fn kept(&self) -> MutexGuard<'_, Option<Socket>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// It is a file of its own: the system may lack those, too.
fn open() -> io::Result<Socket> {
    Socket::new(Domain::UNIX, Type::STREAM, None)
}
