//! An `io_uring` that owns what the kernel uses, for as long as the kernel may use it.
//!
//! A [`Ring`] takes operations, hands all of them to the kernel in one call, and reports what came
//! of them. What is received comes in a [`Buffer`] of the ring's pool, and goes back by being
//! dropped; what is sent is the ring's until that is over. So no way of using it can touch memory
//! that is not its own.

mod pool;

use std::{
    collections::VecDeque,
    fmt, io, mem,
    ops::Range,
    os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd},
    ptr,
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use io_uring::{
    IoUring, Probe, cqueue, opcode,
    squeue::{self, Flags},
    types::{CancelBuilder, Fd, SubmitArgs, Timespec},
};
use rustix::{
    event::PollFlags,
    io::Errno,
    net::{SendFlags, SocketFlags},
};
use slab::Slab;

pub(crate) use self::pool::{BUFFER_LEN, Buffer};
use self::pool::{BUFFERS, Pool};

/// How many operations one call hands to the kernel.
const SUBMISSIONS: u32 = 256;

/// How many results may wait; the kernel keeps more of them, at a cost.
const COMPLETIONS: u32 = 4096;

/// What the kernel calls our only group of buffers.
const GROUP: u16 = 0;

/// `IORING_RECVSEND_POLL_FIRST`: when the server asks for more, a client has hardly ever answered
/// yet, and the kernel need not try in vain before it waits.
const POLL_FIRST: u16 = 1;

/// The name of operations whose result nobody asks for.
const NOBODY: u64 = u64::MAX;

/// How long a ring that is dropped waits for the kernel to let go of its memory.
const LETTING_GO: Duration = Duration::from_millis(100);

/// A ring. `T` is what its owner calls the things that operations are about.
pub(crate) struct Ring<T: Copy> {
    uring: IoUring,
    pool: Rc<Pool>,
    /// Those that are not handed over yet.
    queue: VecDeque<squeue::Entry>,
    /// Those that the kernel has not reported the end of.
    operations: Slab<Operation<T>>,
}

struct Operation<T> {
    about: T,
    kind: Kind,
    /// Nobody else can close it meanwhile, and have its number mean another file.
    _file: Arc<dyn AsFd>,
}

enum Kind {
    Accept,
    Receive,
    Send(Vec<u8>),
    Poll,
}

/// How an operation is known, until its last completion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OperationId(usize);

/// A report of the kernel.
#[derive(Debug)]
pub(crate) struct Completion<T> {
    pub(crate) about: T,
    pub(crate) event: Event,
    /// Whether this is the operation's end.
    pub(crate) is_last: bool,
}

/// What happened.
#[derive(Debug)]
pub(crate) enum Event {
    Accepted(io::Result<OwnedFd>),
    /// `None` is the end of input.
    Received(io::Result<Option<Buffer>>),
    /// What was to be sent, and how much of it was.
    Sent(Vec<u8>, io::Result<usize>),
    Readable,
}

impl<T: Copy> Ring<T> {
    /// A ring for the thread that calls it.
    ///
    /// # Errors
    ///
    /// Where the kernel has no `io_uring`, an older one, or forbids it.
    pub(crate) fn new() -> io::Result<Self> {
        let uring = set_up()?;
        let mut probe = Probe::new();
        uring.submitter().register_probe(&mut probe)?;
        let wanted =
            [opcode::Accept::CODE, opcode::Recv::CODE, opcode::Send::CODE, opcode::PollAdd::CODE];
        if !wanted.into_iter().all(|code| probe.is_supported(code)) {
            return Err(Errno::NOSYS.into());
        }
        let pool = Rc::new(Pool::new());
        // SAFETY: the memory holds that many entries, and is freed with the pool. That is after
        // the ring is closed, or never: see `drop`.
        unsafe {
            uring.submitter().register_buf_ring_with_flags(pool.address(), BUFFERS, GROUP, 0)?;
        }
        Ok(Self { uring, pool, queue: VecDeque::new(), operations: Slab::new() })
    }

    /// Accepts whoever connects, until that fails or is cancelled. The listener must block.
    pub(crate) fn accept(&mut self, listener: Arc<dyn AsFd>, about: T) -> OperationId {
        let flags = SocketFlags::CLOEXEC.bits().cast_signed();
        let entry = opcode::AcceptMulti::new(fd(&listener)).flags(flags).build();
        self.push(entry, Operation { about, kind: Kind::Accept, _file: listener })
    }

    /// Receives what comes next, as much as a buffer holds. It fails when none is left by then.
    /// The socket must block.
    pub(crate) fn receive(&mut self, socket: Arc<dyn AsFd>, about: T) -> OperationId {
        let recv = opcode::Recv::new(fd(&socket), ptr::null_mut(), 0).buf_group(GROUP);
        let entry = recv.ioprio(POLL_FIRST).build().flags(Flags::BUFFER_SELECT);
        self.push(entry, Operation { about, kind: Kind::Receive, _file: socket })
    }

    /// Sends this part of the bytes, or the first of it, and gives them back. The socket must
    /// block.
    pub(crate) fn send(
        &mut self,
        socket: Arc<dyn AsFd>,
        bytes: Vec<u8>,
        part: Range<usize>,
        about: T,
    ) -> OperationId {
        let part = &bytes[part];
        let len = u32::try_from(part.len()).unwrap_or(u32::MAX);
        let flags = SendFlags::NOSIGNAL.bits().cast_signed();
        let entry = opcode::Send::new(fd(&socket), part.as_ptr(), len).flags(flags).build();
        self.push(entry, Operation { about, kind: Kind::Send(bytes), _file: socket })
    }

    /// Reports each time that a file becomes readable.
    pub(crate) fn poll(&mut self, file: Arc<dyn AsFd>, about: T) -> OperationId {
        let events = PollFlags::IN.bits().into();
        let entry = opcode::PollAdd::new(fd(&file), events).multi(true).build();
        self.push(entry, Operation { about, kind: Kind::Poll, _file: file })
    }

    /// Ends an operation soon. Its last completion comes all the same.
    pub(crate) fn cancel(&mut self, operation: OperationId) {
        self.cancel_all(CancelBuilder::user_data(operation.0 as u64));
    }

    fn cancel_all(&mut self, which: CancelBuilder) {
        let entry = opcode::AsyncCancel2::new(which).build().user_data(NOBODY);
        self.queue.push_back(entry.flags(Flags::SKIP_SUCCESS));
    }

    fn push(&mut self, entry: squeue::Entry, operation: Operation<T>) -> OperationId {
        let id = self.operations.insert(operation);
        self.queue.push_back(entry.user_data(id as u64));
        OperationId(id)
    }

    /// Hands over all operations, and waits for a completion, but no longer than so long (`None`:
    /// for ever). That is one system call, or none where there is nothing to do and no wait.
    pub(crate) fn submit_and_wait(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        while !self.fill_submissions() {
            self.enter(0, None)?;
        }
        let waits = timeout != Some(Duration::ZERO) && self.uring.completion().is_empty();
        let submissions = self.uring.submission();
        if waits || !submissions.is_empty() || submissions.taskrun() || submissions.cq_overflow() {
            drop(submissions);
            self.enter(usize::from(waits), timeout.filter(|_| waits))?;
        }
        Ok(())
    }

    /// Whether all operations are among the submissions.
    fn fill_submissions(&mut self) -> bool {
        let mut submissions = self.uring.submission();
        while let Some(entry) = self.queue.front() {
            // SAFETY: what the operation uses must be valid until its end. Its file and what it
            // sends are in `operations` until the kernel has reported the end, what it receives
            // goes to the pool's buffers, and `drop` frees neither while the kernel may use them.
            if unsafe { submissions.push(entry) }.is_err() {
                return false;
            }
            self.queue.pop_front();
        }
        true
    }

    fn enter(&self, completions: usize, timeout: Option<Duration>) -> io::Result<()> {
        let submitter = self.uring.submitter();
        let result = match timeout.map(Timespec::from) {
            None => submitter.submit_and_wait(completions),
            Some(timeout) => {
                submitter.submit_with_args(completions, &SubmitArgs::new().timespec(&timeout))
            }
        };
        match result.as_ref().err().and_then(Errno::from_io_error) {
            // The time is over, a signal came, or completions are to be taken first.
            None | Some(Errno::TIME | Errno::INTR | Errno::BUSY | Errno::AGAIN) => Ok(()),
            Some(error) => Err(error.into()),
        }
    }

    /// Takes what the kernel has reported.
    pub(crate) fn take_completions(&mut self, completions: &mut Vec<Completion<T>>) {
        let Self { uring, pool, operations, .. } = self;
        for entry in uring.completion().filter(|entry| entry.user_data() != NOBODY) {
            let id = usize::try_from(entry.user_data()).expect("it is a key of `operations`");
            let is_last = !cqueue::more(entry.flags());
            let Operation { about, kind, .. } = &mut operations[id];
            let about = *about;
            let event = match kind {
                Kind::Accept => Event::Accepted(result(&entry).map(own)),
                Kind::Receive => Event::Received(received(pool, &entry)),
                Kind::Send(bytes) => {
                    Event::Sent(mem::take(bytes), result(&entry).map(|len| len as usize))
                }
                Kind::Poll => Event::Readable,
            };
            if is_last {
                operations.remove(id);
            }
            completions.push(Completion { about, event, is_last });
        }
    }
}

impl<T: Copy> Drop for Ring<T> {
    fn drop(&mut self) {
        self.cancel_all(CancelBuilder::any());
        let mut last = Vec::new();
        for _ in 0..10 {
            if self.operations.is_empty() || self.submit_and_wait(Some(LETTING_GO)).is_err() {
                break;
            }
            self.take_completions(&mut last);
        }
        if !self.operations.is_empty() {
            // The kernel holds on to something: it may keep it.
            mem::forget(mem::take(&mut self.operations));
            mem::forget(Rc::clone(&self.pool));
        }
    }
}

impl<T: Copy> fmt::Debug for Ring<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let operations = self.operations.len();
        f.debug_struct("Ring").field("operations", &operations).finish_non_exhaustive()
    }
}

/// A ring whose work is done on our thread when it asks for results, not whenever it is there.
fn set_up() -> io::Result<IoUring> {
    let mut builder = IoUring::builder();
    builder.setup_cqsize(COMPLETIONS).setup_submit_all();
    builder.setup_single_issuer().setup_coop_taskrun().setup_taskrun_flag();
    match builder.clone().setup_defer_taskrun().build(SUBMISSIONS) {
        // Linux 6.0 does it whenever the thread enters the kernel.
        Err(error) if Errno::from_io_error(&error) == Some(Errno::INVAL) => {
            builder.build(SUBMISSIONS)
        }
        result => result,
    }
}

fn fd(file: &Arc<dyn AsFd>) -> Fd {
    Fd(file.as_fd().as_raw_fd())
}

/// What an operation returned, as system calls do.
fn result(entry: &cqueue::Entry) -> io::Result<u32> {
    u32::try_from(entry.result())
        .map_err(|_| io::Error::from_raw_os_error(entry.result().wrapping_neg()))
}

fn own(fd: u32) -> OwnedFd {
    // SAFETY: the kernel has just opened it for us, and told nobody else.
    unsafe { OwnedFd::from_raw_fd(fd.cast_signed()) }
}

fn received(pool: &Rc<Pool>, entry: &cqueue::Entry) -> io::Result<Option<Buffer>> {
    let len = usize::try_from(entry.result()).unwrap_or(0);
    let buffer = cqueue::buffer_select(entry.flags()).map(|id| Buffer::lend(pool, id, len));
    result(entry).map(|_| buffer.filter(|buffer| !buffer.is_empty()))
}

#[cfg(test)]
mod tests {
    use std::{env, io::Write, os::unix::net::UnixStream, thread};

    use super::*;

    /// `None` on a machine without, which is told.
    fn ring() -> Option<Ring<char>> {
        let refused = |error: &io::Error| {
            let told = format!("SKIPPED, no io_uring: {error}\n");
            assert!(env::var("FIB_REQUIRE_TOOLS").is_err(), "{told}");
            io::stderr().write_all(told.as_bytes()).expect("stderr is open");
        };
        Ring::new().inspect_err(refused).ok()
    }

    fn pair() -> (Arc<UnixStream>, Arc<UnixStream>) {
        let (one, other) = UnixStream::pair().expect("there are descriptors");
        (Arc::new(one), Arc::new(other))
    }

    /// Waits until there is something to tell.
    fn completions(ring: &mut Ring<char>) -> Vec<Completion<char>> {
        let mut completions = Vec::new();
        while completions.is_empty() {
            ring.submit_and_wait(None).expect("the ring works");
            ring.take_completions(&mut completions);
        }
        completions
    }

    #[test]
    fn what_is_sent_is_given_back_and_received() {
        let Some(mut ring) = ring() else { return };
        let (one, other) = pair();
        for sent in [&b"30\n"[..], &[7; BUFFER_LEN]] {
            ring.receive(Arc::clone(&one) as Arc<dyn AsFd>, 'r');
            ring.send(Arc::clone(&other) as Arc<dyn AsFd>, sent.to_vec(), 1..sent.len(), 's');
            let mut seen = Vec::new();
            while seen.len() < 2 {
                for Completion { about, event, is_last } in completions(&mut ring) {
                    assert!(is_last);
                    seen.push(about);
                    match event {
                        Event::Received(Ok(Some(buffer))) => assert_eq!(&*buffer, &sent[1..]),
                        Event::Sent(bytes, Ok(len)) => {
                            assert_eq!((&*bytes, len), (sent, sent.len() - 1));
                        }
                        event => panic!("{event:?}"),
                    }
                }
            }
        }
    }

    #[test]
    fn nothing_is_received_unasked() {
        let Some(mut ring) = ring() else { return };
        let (one, other) = pair();
        (&*other).write_all(&[7; BUFFER_LEN + 1]).expect("there is room");
        for expected in [BUFFER_LEN, 1] {
            ring.submit_and_wait(Some(Duration::ZERO)).expect("the ring works");
            assert!(ring.operations.is_empty() && ring.uring.completion().is_empty());
            ring.receive(Arc::clone(&one) as Arc<dyn AsFd>, 'r');
            let Completion { event, .. } = completions(&mut ring).swap_remove(0);
            let Event::Received(Ok(Some(buffer))) = event else { panic!("{event:?}") };
            assert_eq!((buffer.len(), buffer.is_full()), (expected, expected == BUFFER_LEN));
        }
        let receiving = ring.receive(one, 'r');
        ring.cancel(receiving);
        let last = completions(&mut ring).pop().expect("there is one");
        let Event::Received(Err(error)) = last.event else { panic!("{last:?}") };
        assert_eq!(Errno::from_io_error(&error), Some(Errno::CANCELED));
        assert!(last.is_last && ring.operations.is_empty());
    }

    #[test]
    fn buffers_run_out_and_come_back() {
        let Some(mut ring) = ring() else { return };
        let room = usize::from(BUFFERS) * BUFFER_LEN;
        let sent: Vec<u8> = (0..=250).cycle().take(2 * room + 1).collect();
        let (one, other) = pair();
        let (expected, mut received) = (sent.clone(), Vec::new());
        let sending = thread::spawn(move || (&*other).write_all(&sent));
        let (mut kept, mut shortages, mut has_ended) = (Vec::new(), 0, false);
        while !has_ended {
            ring.receive(Arc::clone(&one) as Arc<dyn AsFd>, 'r');
            match completions(&mut ring).swap_remove(0).event {
                Event::Received(Ok(Some(buffer))) => kept.push(buffer),
                Event::Received(Ok(None)) => has_ended = true,
                Event::Received(Err(error)) => {
                    assert_eq!(Errno::from_io_error(&error), Some(Errno::NOBUFS));
                    assert_eq!(kept.len(), usize::from(BUFFERS));
                    shortages += 1;
                    kept.drain(..).for_each(|buffer| received.extend_from_slice(&buffer));
                }
                event => panic!("{event:?}"),
            }
        }
        kept.drain(..).for_each(|buffer| received.extend_from_slice(&buffer));
        assert!(received == expected, "{} bytes of {}", received.len(), expected.len());
        assert!(shortages >= 2, "twice as much came as there are buffers");
        assert_eq!(Rc::strong_count(&ring.pool), 1, "none is lent");
        sending.join().expect("it ends").expect("all is received");
    }

    #[test]
    fn a_buffer_outlives_its_ring() {
        let Some(mut ring) = ring() else { return };
        let (one, other) = pair();
        ring.receive(one, 'r');
        (&*other).write_all(b"30\n").expect("there is room");
        let first = completions(&mut ring).swap_remove(0);
        drop(ring);
        let Event::Received(Ok(Some(buffer))) = first.event else { panic!("{first:?}") };
        assert_eq!(&*buffer, b"30\n");
        assert_eq!(Rc::strong_count(&buffer.pool), 1, "the ring has let go");
    }

    #[test]
    fn more_operations_than_fit_are_handed_over_all_the_same() {
        let Some(mut ring) = ring() else { return };
        let (_one, other) = pair();
        for _ in 0..2 * SUBMISSIONS {
            ring.send(Arc::clone(&other) as Arc<dyn AsFd>, Vec::new(), 0..0, 's');
        }
        let mut sent = 0;
        while sent < 2 * SUBMISSIONS {
            sent += u32::try_from(completions(&mut ring).len()).expect("it is small");
        }
        assert!(ring.operations.is_empty());
    }
}
