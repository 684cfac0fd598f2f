//! Any processor, and the meaning of each operation.

use core::array;

use super::{ROW, Simd};

#[derive(Clone, Copy, Debug)]
pub(crate) struct Portable;

#[inline(always)]
fn lanewise(a: [u32; ROW], b: [u32; ROW], f: impl Fn(u32, u32) -> u32) -> [u32; ROW] {
    array::from_fn(|lane| f(a[lane], b[lane]))
}

#[inline(always)]
fn product(a: u32, b: u32) -> u64 {
    u64::from(a) * u64::from(b)
}

#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "it is what is asked for")]
fn low(wide: u64) -> u32 {
    wide as u32
}

impl Simd for Portable {
    type Lanes = [u32; ROW];
    type Wide = [u64; ROW / 2];

    #[inline(always)]
    fn splat(self, number: u32) -> Self::Lanes {
        [number; ROW]
    }

    #[inline(always)]
    fn load(self, numbers: &[u32; ROW]) -> Self::Lanes {
        *numbers
    }

    #[inline(always)]
    fn store(self, lanes: Self::Lanes, numbers: &mut [u32; ROW]) {
        *numbers = lanes;
    }

    #[inline(always)]
    fn add(self, a: Self::Lanes, b: Self::Lanes) -> Self::Lanes {
        lanewise(a, b, u32::wrapping_add)
    }

    #[inline(always)]
    fn sub(self, a: Self::Lanes, b: Self::Lanes) -> Self::Lanes {
        lanewise(a, b, u32::wrapping_sub)
    }

    #[inline(always)]
    fn min(self, a: Self::Lanes, b: Self::Lanes) -> Self::Lanes {
        lanewise(a, b, u32::min)
    }

    #[inline(always)]
    fn mul_low(self, a: Self::Lanes, b: Self::Lanes) -> Self::Lanes {
        lanewise(a, b, u32::wrapping_mul)
    }

    #[inline(always)]
    fn mul_even(self, a: Self::Lanes, b: Self::Lanes) -> Self::Wide {
        array::from_fn(|pair| product(a[2 * pair], b[2 * pair]))
    }

    #[inline(always)]
    fn mul_odd(self, a: Self::Lanes, b: Self::Lanes) -> Self::Wide {
        array::from_fn(|pair| product(a[2 * pair + 1], b[2 * pair + 1]))
    }

    #[inline(always)]
    fn mul_wide(self, a: Self::Wide, b: Self::Lanes) -> Self::Wide {
        array::from_fn(|pair| product(low(a[pair]), b[2 * pair]))
    }

    #[inline(always)]
    fn add_wide(self, a: Self::Wide, b: Self::Wide) -> Self::Wide {
        array::from_fn(|pair| a[pair].wrapping_add(b[pair]))
    }

    #[inline(always)]
    fn store_wide(self, wide: Self::Wide, numbers: &mut [u64; ROW / 2]) {
        *numbers = wide;
    }

    #[inline(always)]
    fn high_halves(self, even: Self::Wide, odd: Self::Wide) -> Self::Lanes {
        array::from_fn(|lane| low(if lane % 2 == 0 { even } else { odd }[lane / 2] >> 32))
    }

    #[inline(always)]
    fn mul_high(self, a: Self::Lanes, b: Self::Lanes) -> Self::Lanes {
        // Compilers make better instructions of it than of its parts.
        lanewise(a, b, |a, b| low(product(a, b) >> 32))
    }
}
