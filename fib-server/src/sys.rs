//! The only unsafe code of the server: promises to libraries that the compiler cannot check.
#![expect(unsafe_code, reason = "the one place for it; each use has its proof beside it")]

use std::{io, sync::Arc};

use socket2::Socket;
use tokio::io::unix::AsyncFd;

/// Puts a socket into the event loop of the current Tokio runtime.
pub(crate) fn register(socket: Arc<Socket>) -> io::Result<AsyncFd<Arc<Socket>>> {
    // SAFETY: the descriptor must stay the same open one until the AsyncFd lets go of it. The Arc
    // within keeps the socket from being closed, and a Socket never changes its descriptor.
    unsafe { AsyncFd::register(socket) }.map_err(Into::into)
}
