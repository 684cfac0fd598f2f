//! Rows of 16 numbers, as each kind of processor computes with them: the one module with `unsafe`.
//!
//! An algorithm is written once, over [`Simd`], and compiled for each kind; which one runs is
//! decided when it runs. All kinds compute the same bits, so whatever is tested of one holds for
//! all of them, and [`portable`] is what the others are compared with.

#![expect(unsafe_code, reason = "instructions that only some processors have")]
#![expect(
    clippy::inline_always,
    reason = "what is compiled for one kind of processor is one function"
)]

#[cfg(target_arch = "aarch64")]
mod aarch64;
mod portable;
#[cfg(target_arch = "x86_64")]
mod x86;

/// How many numbers a row has.
pub(crate) const ROW: usize = 16;

/// Sixteen numbers, in memory that no cache line divides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C, align(64))]
pub(crate) struct Row(pub(crate) [u32; ROW]);

/// What a processor can do with a row. Sums, differences and low halves wrap around.
pub(crate) trait Simd: Copy {
    /// A row in registers.
    type Lanes: Copy;

    /// The even or the odd lanes of a row, as numbers of 64 bits.
    type Wide: Copy;

    fn splat(self, number: u32) -> Self::Lanes;
    fn load(self, numbers: &[u32; ROW]) -> Self::Lanes;
    fn store(self, lanes: Self::Lanes, numbers: &mut [u32; ROW]);

    fn add(self, a: Self::Lanes, b: Self::Lanes) -> Self::Lanes;
    fn sub(self, a: Self::Lanes, b: Self::Lanes) -> Self::Lanes;
    fn min(self, a: Self::Lanes, b: Self::Lanes) -> Self::Lanes;
    /// The low halves of the products.
    fn mul_low(self, a: Self::Lanes, b: Self::Lanes) -> Self::Lanes;

    /// The products of the even lanes.
    fn mul_even(self, a: Self::Lanes, b: Self::Lanes) -> Self::Wide;
    /// The products of the odd lanes.
    fn mul_odd(self, a: Self::Lanes, b: Self::Lanes) -> Self::Wide;
    /// The products of the low halves with the even lanes.
    fn mul_wide(self, a: Self::Wide, b: Self::Lanes) -> Self::Wide;
    fn add_wide(self, a: Self::Wide, b: Self::Wide) -> Self::Wide;
    fn store_wide(self, wide: Self::Wide, numbers: &mut [u64; ROW / 2]);
    /// A row of high halves: of even lanes and of odd ones.
    fn high_halves(self, even: Self::Wide, odd: Self::Wide) -> Self::Lanes;

    /// The high halves of the products.
    #[inline(always)]
    fn mul_high(self, a: Self::Lanes, b: Self::Lanes) -> Self::Lanes {
        self.high_halves(self.mul_even(a, b), self.mul_odd(a, b))
    }
}

/// Something to be compiled for each kind of processor: all that it calls has to be inlined.
pub(crate) trait Task {
    type Output;

    fn run(self, simd: impl Simd) -> Self::Output;
}

/// A kind of processor, which is there.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Processor {
    Portable,
    #[cfg(target_arch = "aarch64")]
    Neon,
    #[cfg(target_arch = "x86_64")]
    Avx2(x86::Avx2),
    #[cfg(target_arch = "x86_64")]
    Avx512(x86::Avx512),
}

impl Processor {
    /// The best that this one is.
    pub(crate) fn detect() -> Self {
        Self::all().last().unwrap_or(Self::Portable)
    }

    /// All that this one is, the better the later.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        let all = [
            Some(Self::Portable),
            #[cfg(target_arch = "aarch64")]
            Some(Self::Neon),
            #[cfg(target_arch = "x86_64")]
            x86::Avx2::detect().map(Self::Avx2),
            #[cfg(target_arch = "x86_64")]
            x86::Avx512::detect().map(Self::Avx512),
        ];
        all.into_iter().flatten()
    }

    pub(crate) fn run<T: Task>(self, task: T) -> T::Output {
        match self {
            Self::Portable => task.run(portable::Portable),
            #[cfg(target_arch = "aarch64")]
            Self::Neon => task.run(aarch64::Neon),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(simd) => simd.run(task),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(simd) => simd.run(task),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    /// All that a processor makes of three rows.
    struct Everything([[u32; ROW]; 3]);

    impl Task for Everything {
        type Output = (Vec<[u32; ROW]>, Vec<[u64; ROW / 2]>);

        fn run(self, s: impl Simd) -> Self::Output {
            let [a, b, c] = self.0.map(|it| s.load(&it));
            let (even, odd) = (s.mul_even(a, b), s.mul_odd(a, b));
            let narrow = [
                s.add(a, b),
                s.sub(a, b),
                s.min(a, b),
                s.mul_low(a, b),
                s.mul_high(a, b),
                s.high_halves(even, odd),
                s.splat(self.0[0][0]),
            ];
            let wide = [even, odd, s.mul_wide(even, c), s.add_wide(even, odd)];
            let stored = |lanes| {
                let mut row = [0; ROW];
                s.store(lanes, &mut row);
                row
            };
            let stored_wide = |wide| {
                let mut row = [0; ROW / 2];
                s.store_wide(wide, &mut row);
                row
            };
            (narrow.map(stored).to_vec(), wide.map(stored_wide).to_vec())
        }
    }

    proptest! {
        #[test]
        fn all_kinds_compute_the_same(rows: [[u32; ROW]; 3]) {
            let expected = Processor::Portable.run(Everything(rows));
            for processor in Processor::all() {
                prop_assert_eq!(&processor.run(Everything(rows)), &expected, "{:?}", processor);
            }
        }
    }
}
