//! Memory that several processes share, for what they count.

#[cfg(not(target_os = "linux"))]
pub(crate) use self::nowhere::Shared;
#[cfg(target_os = "linux")]
pub(crate) use self::sealed::Shared;

use std::sync::atomic::AtomicU64;

use crate::counters::Cell;

/// What processes can count in together.
///
/// # Safety
///
/// It consists of atomic integers, and is aligned to no more than a page.
pub(crate) unsafe trait Countable {}

// SAFETY: it is one.
unsafe impl Countable for AtomicU64 {}
// SAFETY: all its fields are, or structures of them, and it is aligned to a line of the cache.
unsafe impl Countable for Cell {}

#[cfg(target_os = "linux")]
mod sealed {
    use std::{
        io,
        ops::Deref,
        os::fd::{AsFd, BorrowedFd, OwnedFd},
        ptr::{self, NonNull},
        slice,
    };

    use rustix::{
        fs::{
            MemfdFlags, SealFlags, fcntl_add_seals, fcntl_get_seals, fstat, ftruncate, memfd_create,
        },
        mm::{MapFlags, ProtFlags, mmap, munmap},
    };

    use crate::sys::shared::Countable;

    /// Counters in memory that several processes share.
    #[derive(Debug)]
    pub(crate) struct Shared<T> {
        memory: OwnedFd,
        start: NonNull<T>,
        len: usize,
    }

    impl<T: Countable> Shared<T> {
        /// So many new ones.
        pub(crate) fn new(len: usize) -> io::Result<Self> {
            let memory = memfd_create("counters", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
            ftruncate(&memory, (len * size_of::<T>()) as u64)?;
            fcntl_add_seals(&memory, SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL)?;
            Self::map(memory)
        }

        /// Those that another process has made.
        pub(crate) fn map(memory: OwnedFd) -> io::Result<Self> {
            let bytes = usize::try_from(fstat(&memory)?.st_size).unwrap_or_default();
            let is_sealed = fcntl_get_seals(&memory)?.contains(SealFlags::SHRINK);
            if !is_sealed || bytes == 0 || bytes % size_of::<T>() != 0 {
                return Err(io::ErrorKind::InvalidInput.into());
            }
            let rights = ProtFlags::READ | ProtFlags::WRITE;
            // SAFETY: the kernel chooses where, so nothing that is in use is replaced.
            let start =
                unsafe { mmap(ptr::null_mut(), bytes, rights, MapFlags::SHARED, &memory, 0) }?;
            let start = NonNull::new(start.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
            Ok(Self { memory, start, len: bytes / size_of::<T>() })
        }

        /// The memory, for other processes.
        pub(crate) fn memory(&self) -> BorrowedFd<'_> {
            self.memory.as_fd()
        }

        /// How many there are.
        pub(crate) const fn len(&self) -> usize {
            self.len
        }
    }

    impl<T: Countable> Deref for Shared<T> {
        type Target = [T];

        fn deref(&self) -> &[T] {
            // SAFETY: `map` has mapped so many there, on a page and so aligned, until the drop. The
            // memory is sealed, so nobody can take it away. Any bytes are a `Countable`: it
            // consists of atomic integers, and other processes write to it through those alone.
            unsafe { slice::from_raw_parts(self.start.as_ptr(), self.len) }
        }
    }

    impl<T> Drop for Shared<T> {
        fn drop(&mut self) {
            // SAFETY: it is what `map` has mapped, and all references to it have ended with `self`.
            // It cannot fail.
            let _ = unsafe { munmap(self.start.as_ptr().cast(), self.len * size_of::<T>()) };
        }
    }

    // SAFETY: it is the only owner of the mapping, and gives out nothing but shared references to
    // what is made of atomic integers.
    unsafe impl<T: Countable> Send for Shared<T> {}
    // SAFETY: as above.
    unsafe impl<T: Countable> Sync for Shared<T> {}
}

/// Other systems have no memory without a name that nobody could take away.
#[cfg(not(target_os = "linux"))]
mod nowhere {
    use std::{
        convert::Infallible,
        io,
        marker::PhantomData,
        ops::Deref,
        os::fd::{BorrowedFd, OwnedFd},
    };

    /// There are none.
    #[derive(Debug)]
    pub(crate) struct Shared<T>(Infallible, PhantomData<T>);

    impl<T> Shared<T> {
        pub(crate) fn new(_len: usize) -> io::Result<Self> {
            Err(io::ErrorKind::Unsupported.into())
        }

        pub(crate) fn map(_memory: OwnedFd) -> io::Result<Self> {
            Err(io::ErrorKind::Unsupported.into())
        }

        pub(crate) fn memory(&self) -> BorrowedFd<'_> {
            match self.0 {}
        }

        pub(crate) const fn len(&self) -> usize {
            match self.0 {}
        }
    }

    impl<T> Deref for Shared<T> {
        type Target = [T];

        fn deref(&self) -> &[T] {
            match self.0 {}
        }
    }
}
