//! The buffers that the kernel receives into: it takes one when there is something to put into it,
//! and gets it back from whoever has read that.

use std::{
    alloc::{self, Layout},
    cell::Cell,
    fmt,
    ops::Deref,
    ptr::NonNull,
    rc::Rc,
    slice,
    sync::atomic::{AtomicU16, Ordering},
};

use io_uring::types::BufRingEntry;

/// How many buffers the kernel may fill: a power of two.
pub(super) const BUFFERS: u16 = 256;

/// The length of each, which is how much is received at a time.
pub(crate) const BUFFER_LEN: usize = 4096;

/// A page of any machine that Linux runs on is a divisor of it.
const PAGE_LEN: usize = 64 * 1024;

/// The buffers that the kernel fills: a queue of those that it may, and the bytes themselves.
pub(super) struct Pool {
    /// The bytes follow the last one.
    entries: NonNull<BufRingEntry>,
    /// How often a buffer was given to the kernel, modulo 2^16.
    given: Cell<u16>,
}

impl Pool {
    const ENTRIES_LEN: usize = BUFFERS as usize * size_of::<BufRingEntry>();

    pub(super) fn new() -> Self {
        let layout = Self::layout();
        // SAFETY: its size is not zero.
        let memory = unsafe { alloc::alloc(layout) };
        let Some(memory) = NonNull::new(memory) else { alloc::handle_alloc_error(layout) };
        let entries = memory.cast::<BufRingEntry>();
        // SAFETY: the memory holds so many entries, and zeros are valid for them.
        unsafe { entries.write_bytes(0, BUFFERS.into()) };
        let pool = Self { entries, given: Cell::new(0) };
        (0..BUFFERS).for_each(|id| pool.give(id));
        pool
    }

    /// Where the kernel finds the entries.
    pub(super) fn address(&self) -> u64 {
        self.entries.as_ptr() as u64
    }

    /// The memory of all entries and all bytes.
    fn layout() -> Layout {
        let len = Self::ENTRIES_LEN + usize::from(BUFFERS) * BUFFER_LEN;
        Layout::from_size_align(len, PAGE_LEN).expect("it is small, and aligned to a power of two")
    }

    fn bytes_of(&self, id: u16) -> NonNull<u8> {
        assert!(id < BUFFERS, "it is one of ours");
        // SAFETY: the offset is within the memory, because the id is under BUFFERS.
        unsafe { self.entries.cast().add(Self::ENTRIES_LEN + usize::from(id) * BUFFER_LEN) }
    }

    /// Lets the kernel fill this buffer.
    fn give(&self, id: u16) {
        let address = self.bytes_of(id).as_ptr() as u64;
        let given = self.given.get();
        let slot = self.slot(given);
        self.given.set(given.wrapping_add(1));
        // SAFETY: the slot is within the entries. There are as many slots as buffers, so the one
        // of a buffer that is given was read by the kernel before, and is not read again until the
        // tail tells of it, which is where the entries' documentation says. Other than the kernel,
        // which only reads, and this thread nobody knows the memory: a pool is never sent.
        unsafe {
            let entry = &mut *slot.as_ptr();
            entry.set_addr(address);
            entry.set_len(u32::try_from(BUFFER_LEN).expect("it is small"));
            entry.set_bid(id);
            let tail = BufRingEntry::tail(self.entries.as_ptr()).cast_mut();
            AtomicU16::from_ptr(tail).store(given.wrapping_add(1), Ordering::Release);
        }
    }

    fn slot(&self, given: u16) -> NonNull<BufRingEntry> {
        // SAFETY: the remainder is under BUFFERS.
        unsafe { self.entries.add(usize::from(given % BUFFERS)) }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        // SAFETY: it was allocated so. Each buffer that is lent keeps the pool, and so does a ring
        // until the kernel uses it no more.
        unsafe { alloc::dealloc(self.entries.as_ptr().cast(), Self::layout()) };
    }
}

/// What was received at a time. Dropping it lets the kernel have the memory again.
pub(crate) struct Buffer {
    pub(super) pool: Rc<Pool>,
    id: u16,
    len: usize,
}

impl Buffer {
    /// A buffer that the kernel has filled, up to `len`.
    pub(super) fn lend(pool: &Rc<Pool>, id: u16, len: usize) -> Self {
        assert!(id < BUFFERS && len <= BUFFER_LEN, "the kernel fills what it was given");
        Self { pool: Rc::clone(pool), id, len }
    }

    /// Whether there may have been more than it holds.
    pub(crate) const fn is_full(&self) -> bool {
        self.len == BUFFER_LEN
    }
}

impl Deref for Buffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: the kernel has written so many bytes there, and does not write again until the
        // buffer is given back, which is when this is dropped.
        unsafe { slice::from_raw_parts(self.pool.bytes_of(self.id).as_ptr(), self.len) }
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.pool.give(self.id);
    }
}

impl fmt::Debug for Buffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Buffer").field(&self.len).finish()
    }
}
