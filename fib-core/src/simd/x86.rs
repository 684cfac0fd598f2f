//! x86-64 with AVX2 (a row is two registers) or AVX-512 (a row is one).

#![expect(clippy::cast_ptr_alignment, reason = "loads and stores that take any alignment")]

use core::arch::x86_64::{
    __m256i, __m512i, _mm256_add_epi32, _mm256_add_epi64, _mm256_blend_epi32, _mm256_loadu_si256,
    _mm256_min_epu32, _mm256_mul_epu32, _mm256_mullo_epi32, _mm256_set1_epi32, _mm256_srli_epi64,
    _mm256_storeu_si256, _mm256_sub_epi32, _mm512_add_epi32, _mm512_add_epi64, _mm512_loadu_si512,
    _mm512_mask_blend_epi32, _mm512_min_epu32, _mm512_mul_epu32, _mm512_mullo_epi32,
    _mm512_set1_epi32, _mm512_srli_epi64, _mm512_storeu_si512, _mm512_sub_epi32,
};

use super::{ROW, Simd, Task};

/// Whether the processor has a feature: asked for when the program runs, or, where there is no
/// standard library to ask it, known when it is compiled.
macro_rules! has {
    ($feature:tt) => {{
        #[cfg(feature = "std")]
        let has = std::arch::is_x86_feature_detected!($feature);
        #[cfg(not(feature = "std"))]
        let has = cfg!(target_feature = $feature);
        has
    }};
}

/// A processor that has AVX-512.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Avx512(());

/// A processor that has AVX2.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Avx2(());

impl Avx512 {
    pub(crate) fn detect() -> Option<Self> {
        has!("avx512f").then_some(Self(()))
    }

    pub(crate) fn run<T: Task>(self, task: T) -> T::Output {
        #[target_feature(enable = "avx512f")]
        fn run<T: Task>(simd: Avx512, task: T) -> T::Output {
            task.run(simd)
        }
        // SAFETY: the processor has the feature, or `detect` would not have made `self`.
        unsafe { run(self, task) }
    }
}

impl Avx2 {
    pub(crate) fn detect() -> Option<Self> {
        has!("avx2").then_some(Self(()))
    }

    pub(crate) fn run<T: Task>(self, task: T) -> T::Output {
        #[target_feature(enable = "avx2")]
        fn run<T: Task>(simd: Avx2, task: T) -> T::Output {
            task.run(simd)
        }
        // SAFETY: the processor has the feature, or `detect` would not have made `self`.
        unsafe { run(self, task) }
    }
}

/// Operations of two registers that are one instruction each.
macro_rules! instructions {
    ($($(#[$of:meta])* $name:ident($a:ident, $b:ident) -> $result:ident = $value:expr;)*) => {$(
        #[inline(always)]
        fn $name(self, $a: Self::Lanes, $b: Self::Lanes) -> Self::$result {
            // SAFETY: the processor has these instructions, or there would be no `self`; they
            // touch no memory.
            unsafe { $value }
        }
    )*};
}

impl Simd for Avx512 {
    type Lanes = __m512i;
    type Wide = __m512i;

    instructions! {
        add(a, b) -> Lanes = _mm512_add_epi32(a, b);
        sub(a, b) -> Lanes = _mm512_sub_epi32(a, b);
        min(a, b) -> Lanes = _mm512_min_epu32(a, b);
        mul_low(a, b) -> Lanes = _mm512_mullo_epi32(a, b);
        mul_even(a, b) -> Wide = _mm512_mul_epu32(a, b);
        mul_odd(a, b) -> Wide =
            _mm512_mul_epu32(_mm512_srli_epi64::<32>(a), _mm512_srli_epi64::<32>(b));
        mul_wide(a, b) -> Wide = _mm512_mul_epu32(a, b);
        add_wide(a, b) -> Wide = _mm512_add_epi64(a, b);
        high_halves(even, odd) -> Lanes =
            _mm512_mask_blend_epi32(0xaaaa, _mm512_srli_epi64::<32>(even), odd);
    }

    #[inline(always)]
    fn splat(self, number: u32) -> __m512i {
        // SAFETY: the processor has this instruction, or there would be no `self`.
        unsafe { _mm512_set1_epi32(number.cast_signed()) }
    }

    #[inline(always)]
    fn load(self, numbers: &[u32; ROW]) -> __m512i {
        // SAFETY: as above; it reads 64 bytes, which is the array, at any alignment.
        unsafe { _mm512_loadu_si512(numbers.as_ptr().cast()) }
    }

    #[inline(always)]
    fn store(self, lanes: __m512i, numbers: &mut [u32; ROW]) {
        // SAFETY: as above; it writes 64 bytes, which is the array, at any alignment.
        unsafe { _mm512_storeu_si512(numbers.as_mut_ptr().cast(), lanes) }
    }

    #[inline(always)]
    fn store_wide(self, wide: __m512i, numbers: &mut [u64; ROW / 2]) {
        // SAFETY: as above.
        unsafe { _mm512_storeu_si512(numbers.as_mut_ptr().cast(), wide) }
    }
}

/// Both halves of a row.
type Halves = [__m256i; 2];

impl Simd for Avx2 {
    type Lanes = Halves;
    type Wide = Halves;

    instructions! {
        add(a, b) -> Lanes = [_mm256_add_epi32(a[0], b[0]), _mm256_add_epi32(a[1], b[1])];
        sub(a, b) -> Lanes = [_mm256_sub_epi32(a[0], b[0]), _mm256_sub_epi32(a[1], b[1])];
        min(a, b) -> Lanes = [_mm256_min_epu32(a[0], b[0]), _mm256_min_epu32(a[1], b[1])];
        mul_low(a, b) -> Lanes = [_mm256_mullo_epi32(a[0], b[0]), _mm256_mullo_epi32(a[1], b[1])];
        mul_even(a, b) -> Wide = [_mm256_mul_epu32(a[0], b[0]), _mm256_mul_epu32(a[1], b[1])];
        mul_odd(a, b) -> Wide = [
            _mm256_mul_epu32(_mm256_srli_epi64::<32>(a[0]), _mm256_srli_epi64::<32>(b[0])),
            _mm256_mul_epu32(_mm256_srli_epi64::<32>(a[1]), _mm256_srli_epi64::<32>(b[1])),
        ];
        mul_wide(a, b) -> Wide = [_mm256_mul_epu32(a[0], b[0]), _mm256_mul_epu32(a[1], b[1])];
        add_wide(a, b) -> Wide = [_mm256_add_epi64(a[0], b[0]), _mm256_add_epi64(a[1], b[1])];
        high_halves(even, odd) -> Lanes = [
            _mm256_blend_epi32::<0xaa>(_mm256_srli_epi64::<32>(even[0]), odd[0]),
            _mm256_blend_epi32::<0xaa>(_mm256_srli_epi64::<32>(even[1]), odd[1]),
        ];
    }

    #[inline(always)]
    fn splat(self, number: u32) -> Halves {
        // SAFETY: the processor has this instruction, or there would be no `self`.
        unsafe { [_mm256_set1_epi32(number.cast_signed()); 2] }
    }

    #[inline(always)]
    fn load(self, numbers: &[u32; ROW]) -> Halves {
        let half = numbers.as_ptr().cast::<__m256i>();
        // SAFETY: as above; it reads 32 bytes twice, which is the array, at any alignment.
        unsafe { [_mm256_loadu_si256(half), _mm256_loadu_si256(half.add(1))] }
    }

    #[inline(always)]
    fn store(self, [low, high]: Halves, numbers: &mut [u32; ROW]) {
        let half = numbers.as_mut_ptr().cast::<__m256i>();
        // SAFETY: as above; it writes 32 bytes twice, which is the array, at any alignment.
        unsafe {
            _mm256_storeu_si256(half, low);
            _mm256_storeu_si256(half.add(1), high);
        }
    }

    #[inline(always)]
    fn store_wide(self, [low, high]: Halves, numbers: &mut [u64; ROW / 2]) {
        let half = numbers.as_mut_ptr().cast::<__m256i>();
        // SAFETY: as in `store`.
        unsafe {
            _mm256_storeu_si256(half, low);
            _mm256_storeu_si256(half.add(1), high);
        }
    }
}
