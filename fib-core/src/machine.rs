//! What a large number is computed with: a kind of processor, and one thread or several.

use crate::simd::{Processor, Task};

/// How many rows are worth another thread.
#[cfg(feature = "rayon")]
const SHARE_LEN: usize = 512;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Machine {
    processor: Processor,
    #[cfg(feature = "rayon")]
    has_threads: bool,
}

impl Machine {
    /// The best processor that this one is, and the thread that calls.
    pub(crate) fn with_one_thread() -> Self {
        Self::of(Processor::detect())
    }

    /// The best processor that this one is, and the threads of the current pool.
    #[cfg(feature = "rayon")]
    pub(crate) fn with_threads() -> Self {
        Self { has_threads: true, ..Self::with_one_thread() }
    }

    fn of(processor: Processor) -> Self {
        Self {
            processor,
            #[cfg(feature = "rayon")]
            has_threads: false,
        }
    }

    /// All that there are, for tests.
    #[cfg(test)]
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        let machines = Processor::all().map(Self::of);
        #[cfg(feature = "rayon")]
        let machines = machines.chain([Self::with_threads()]);
        machines
    }

    pub(crate) fn run<T: Task>(self, task: T) -> T::Output {
        self.processor.run(task)
    }

    /// Does both, which are about so many rows together: at once, if that is worth it.
    #[cfg(feature = "rayon")]
    pub(crate) fn join<A: Send, B: Send>(
        self,
        rows: usize,
        a: impl FnOnce() -> A + Send,
        b: impl FnOnce() -> B + Send,
    ) -> (A, B) {
        if self.has_threads && rows > SHARE_LEN { rayon::join(a, b) } else { (a(), b()) }
    }

    /// Does both, one after the other.
    #[cfg(not(feature = "rayon"))]
    #[expect(clippy::unused_self, reason = "with threads it matters")]
    pub(crate) fn join<A, B>(
        self,
        _: usize,
        a: impl FnOnce() -> A,
        b: impl FnOnce() -> B,
    ) -> (A, B) {
        (a(), b())
    }
}
