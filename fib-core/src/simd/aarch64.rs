//! 64-bit ARM with NEON, which all of them have: a row is four registers.

use core::{
    arch::aarch64::{
        uint32x4_t, uint64x2_t, vaddq_u32, vaddq_u64, vdupq_n_u32, vld1q_u32, vminq_u32, vmovn_u64,
        vmull_u32, vmulq_u32, vreinterpretq_u32_u64, vreinterpretq_u64_u32, vshrn_n_u64, vst1q_u32,
        vst1q_u64, vsubq_u32, vtrn2q_u32,
    },
    array,
};

use super::{ROW, Simd};

#[derive(Clone, Copy, Debug)]
pub(crate) struct Neon;

type Lanes = [uint32x4_t; 4];
type Wide = [uint64x2_t; 4];

/// Operations of two registers that are one instruction each, for each quarter of a row.
macro_rules! instructions {
    ($($name:ident($a:ident: $of:ident, $b:ident) -> $result:ident = $value:expr;)*) => {$(
        #[inline(always)]
        fn $name(self, a: $of, b: Lanes) -> $result {
            array::from_fn(|quarter| {
                let ($a, $b) = (a[quarter], b[quarter]);
                // SAFETY: every processor of this architecture has NEON; no memory is touched.
                unsafe { $value }
            })
        }
    )*};
}

impl Simd for Neon {
    type Lanes = Lanes;
    type Wide = Wide;

    instructions! {
        add(a: Lanes, b) -> Lanes = vaddq_u32(a, b);
        sub(a: Lanes, b) -> Lanes = vsubq_u32(a, b);
        min(a: Lanes, b) -> Lanes = vminq_u32(a, b);
        mul_low(a: Lanes, b) -> Lanes = vmulq_u32(a, b);
        mul_even(a: Lanes, b) -> Wide = vmull_u32(
            vmovn_u64(vreinterpretq_u64_u32(a)),
            vmovn_u64(vreinterpretq_u64_u32(b)),
        );
        mul_odd(a: Lanes, b) -> Wide = vmull_u32(
            vshrn_n_u64::<32>(vreinterpretq_u64_u32(a)),
            vshrn_n_u64::<32>(vreinterpretq_u64_u32(b)),
        );
        mul_wide(a: Wide, b) -> Wide =
            vmull_u32(vmovn_u64(a), vmovn_u64(vreinterpretq_u64_u32(b)));
    }

    #[inline(always)]
    fn add_wide(self, a: Wide, b: Wide) -> Wide {
        // SAFETY: as above.
        array::from_fn(|quarter| unsafe { vaddq_u64(a[quarter], b[quarter]) })
    }

    #[inline(always)]
    fn high_halves(self, even: Wide, odd: Wide) -> Lanes {
        array::from_fn(|quarter| {
            let (even, odd) = (even[quarter], odd[quarter]);
            // SAFETY: as above.
            unsafe { vtrn2q_u32(vreinterpretq_u32_u64(even), vreinterpretq_u32_u64(odd)) }
        })
    }

    #[inline(always)]
    fn splat(self, number: u32) -> Lanes {
        // SAFETY: as above.
        unsafe { [vdupq_n_u32(number); 4] }
    }

    #[inline(always)]
    fn load(self, numbers: &[u32; ROW]) -> Lanes {
        // SAFETY: as above; it reads four numbers, of which there are four at each of these places.
        array::from_fn(|quarter| unsafe { vld1q_u32(numbers.as_ptr().add(4 * quarter)) })
    }

    #[inline(always)]
    fn store(self, lanes: Lanes, numbers: &mut [u32; ROW]) {
        for (lanes, numbers) in lanes.into_iter().zip(numbers.as_chunks_mut::<4>().0) {
            // SAFETY: as above; it writes four numbers.
            unsafe { vst1q_u32(numbers.as_mut_ptr(), lanes) }
        }
    }

    #[inline(always)]
    fn store_wide(self, wide: Wide, numbers: &mut [u64; ROW / 2]) {
        for (wide, numbers) in wide.into_iter().zip(numbers.as_chunks_mut::<2>().0) {
            // SAFETY: as above; it writes two numbers.
            unsafe { vst1q_u64(numbers.as_mut_ptr(), wide) }
        }
    }
}
