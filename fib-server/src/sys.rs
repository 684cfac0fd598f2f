//! The only unsafe code of the server: promises to libraries that the compiler cannot check, and
//! system calls that no library has.
#![expect(unsafe_code, reason = "the one place for it; each use has its proof beside it")]

#[cfg(target_os = "linux")]
pub(crate) mod ring;
pub(crate) mod shared;

use std::{
    io,
    os::fd::{FromRawFd, OwnedFd},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use socket2::Socket;
use tokio::io::unix::AsyncFd;

/// Puts a socket into the event loop of the current Tokio runtime.
pub(crate) fn register(socket: Arc<Socket>) -> io::Result<AsyncFd<Arc<Socket>>> {
    // SAFETY: the descriptor must stay the same open one until the AsyncFd lets go of it. The Arc
    // within keeps the socket from being closed, and a Socket never changes its descriptor.
    unsafe { AsyncFd::register(socket) }.map_err(Into::into)
}

/// Puts a descriptor into the event loop of the current Tokio runtime.
pub(crate) fn register_owned(fd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: as above. An OwnedFd keeps its descriptor open, and never changes it.
    unsafe { AsyncFd::register(fd) }.map_err(Into::into)
}

/// Takes the descriptors that were opened for this process by whoever started it, and what they
/// are called; none after the first time.
pub(crate) fn passed_descriptors() -> io::Result<Vec<(OwnedFd, String)>> {
    static TAKEN: AtomicBool = AtomicBool::new(false);

    if TAKEN.swap(true, Ordering::Relaxed) {
        return Ok(Vec::new());
    }
    let own = |(fd, name)| {
        // SAFETY: it is open, because sd-notify has set a flag of it. The environment, meant for
        // this process by its number, says that it was opened for it to own; nothing here had it
        // before, and this code runs once.
        (unsafe { OwnedFd::from_raw_fd(fd) }, name)
    };
    Ok(sd_notify::listen_fds_with_names()?.map(own).collect())
}

/// Lets the kernel prefer all other threads to the calling one: nice 10, and where it knows such a
/// thing (Linux 6.12) a scheduling slice so long that it is not preempted by its equals, while a
/// thread that wakes up with a shorter one preempts it at once.
#[cfg(target_os = "linux")]
pub(crate) fn give_way() {
    use rustix::process::setpriority_process;

    const NICE: i32 = 10;
    #[expect(clippy::cast_possible_truncation, reason = "it is 48")]
    const SIZE: u32 = size_of::<libc::sched_attr>() as u32;
    /// In nanoseconds; the kernel takes up to 100 ms.
    const KERNEL_SLICE: u64 = 20_000_000;
    let attributes = libc::sched_attr {
        size: SIZE,
        sched_policy: 0, // SCHED_OTHER
        sched_flags: 0,
        sched_nice: NICE,
        sched_priority: 0,
        sched_runtime: KERNEL_SLICE,
        sched_deadline: 0,
        sched_period: 0,
    };
    // SAFETY: the kernel reads `size` bytes of the structure, which outlives the call, and writes
    // nothing. Thread 0 is the calling one.
    let result = unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const attributes, 0) };
    if result != 0 {
        // An older kernel has no slices to set; to give way is always allowed.
        let _ = setpriority_process(None, NICE);
    }
}

/// Other systems have no priority of a thread.
#[cfg(not(target_os = "linux"))]
pub(crate) fn give_way() {}

/// Lets SIGSEGV and SIGBUS end this process, whoever sends them.
///
/// Rust's handler, which is there to tell of an overflow of the stack, would let the first one pass
/// unless it is of a fault that comes again.
pub(crate) fn die_of_faults() {
    for signal in [libc::SIGSEGV, libc::SIGBUS] {
        // SAFETY: no handler is installed but the default action, and no code relies on another.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
}
