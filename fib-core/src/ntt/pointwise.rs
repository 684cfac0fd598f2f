//! Products of transforms.
//!
//! A leaf has a row: what is left modulo x¹⁶ − r, a polynomial in x. Such are multiplied as by
//! hand. To go on with the transform, down to single numbers, would take as many operations, and
//! others that move numbers within a row.

use super::{
    field::{Factors, Field},
    transform::Tree,
};
use crate::simd::{ROW, Row, Simd, Task};

/// How many rows are prepared before they are used: what has just been stored is then read at
/// another alignment, for which processors wait until it has reached the cache.
const BATCH_LEN: usize = 8;

/// What a step of doubling makes of a = F(k) and b = F(k−1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Products {
    /// 3a² − 2b² and a² + b², which are F(2k) and F(2k−1) but for ±2.
    Even,
    /// 4a² − b² and 3a² − 2b², which are F(2k+1) and F(2k) but for ±2.
    Odd,
    /// a·(a + 2b), which is F(2k), in place of a.
    LastEven,
    /// (2a + b)·(2a − b), which is F(2k+1) but for ±2, in place of a.
    LastOdd,
}

impl Products {
    pub(super) fn are_last(self) -> bool {
        matches!(self, Self::LastEven | Self::LastOdd)
    }
}

/// Makes the products of transforms, times 2⁻³². From below 4p to below 2p.
pub(super) struct Multiply<'a> {
    pub(super) tree: &'a Tree,
    pub(super) products: Products,
    pub(super) a: &'a mut [Row],
    pub(super) b: &'a mut [Row],
    /// The number of the first leaf.
    pub(super) leaf: usize,
}

impl Task for Multiply<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self, simd: impl Simd) {
        let Self { tree, products, a, b, mut leaf } = self;
        let field = Field::new(simd, tree.prime);
        let mut prepared = [[Multiples::ZERO; 2]; BATCH_LEN];
        for (a, b) in a.chunks_mut(BATCH_LEN).zip(b.chunks_mut(BATCH_LEN)) {
            for ((factors, a), b) in prepared.iter_mut().zip(&*a).zip(&*b) {
                let root = field.splat(tree.leaf(leaf));
                let [x, y] = products.factors(field, [a, b].map(|it| simd.load(&it.0)));
                factors[0].set(field, x, root);
                factors[1].set(field, y, root);
                leaf += 1;
            }
            for ((factors, a), b) in prepared.iter().zip(a).zip(b) {
                let [x, y] = factors;
                if products.are_last() {
                    simd.store(field.halve(x.times(field, y)), &mut a.0);
                } else {
                    let squares = [x, y].map(|it| field.halve(it.times(field, it)));
                    let [x, y] = products.combine(field, squares);
                    simd.store(x, &mut a.0);
                    simd.store(y, &mut b.0);
                }
            }
        }
    }
}

impl Products {
    /// What is multiplied: each with itself, or, at the last, one with the other. Below p.
    #[inline(always)]
    fn factors<S: Simd>(self, f: Field<S>, pair: [S::Lanes; 2]) -> [S::Lanes; 2] {
        let [a, b] = pair.map(|it| f.reduce(it));
        match self {
            Self::Even | Self::Odd => [a, b],
            Self::LastEven => [a, f.reduce(f.add(a, f.add(b, b)))],
            Self::LastOdd => {
                let twice = f.add(a, a);
                [f.add(twice, b), f.sub(twice, b)].map(|it| f.reduce(it))
            }
        }
    }

    /// What is made of squares, from below 2p to below 2p.
    #[inline(always)]
    fn combine<S: Simd>(self, f: Field<S>, [a, b]: [S::Lanes; 2]) -> [S::Lanes; 2] {
        let add = |x, y| f.halve(f.add(x, y));
        let twice = add(a, a);
        let middle = f.halve(f.sub(add(twice, a), add(b, b)));
        match self {
            Self::Even => [middle, add(a, b)],
            _ => [f.halve(f.sub(add(twice, twice), b)), middle],
        }
    }
}

/// A row as a polynomial in x modulo x¹⁶ − r, so that its products with the powers of x can be
/// read: that with xʲ begins at place 16 − j.
#[derive(Clone, Copy)]
#[repr(align(64))]
struct Multiples([u32; 3 * ROW]);

impl Multiples {
    const ZERO: Self = Self([0; 3 * ROW]);

    /// Of numbers below p.
    #[inline(always)]
    fn set<S: Simd>(&mut self, field: Field<S>, numbers: S::Lanes, root: Factors<S>) {
        let wrapped = field.finish(field.scale(numbers, root));
        let [low, high, _] = self.0.as_chunks_mut().0 else { return };
        field.simd.store(wrapped, low);
        field.simd.store(numbers, high);
    }

    #[inline(always)]
    fn from<S: Simd>(&self, simd: S, place: usize) -> S::Lanes {
        let (_, numbers) = self.0.split_at(place);
        numbers.first_chunk().map_or_else(|| simd.splat(0), |numbers| simd.load(numbers))
    }

    /// The product with another row, times 2⁻³², below 3p.
    #[inline(always)]
    fn times<S: Simd>(&self, field: Field<S>, other: &Self) -> S::Lanes {
        let simd = field.simd;
        let zero = simd.mul_even(simd.splat(0), simd.splat(0));
        let (mut even, mut odd) = (zero, zero);
        // The odd lanes of one are the even ones of that before.
        let mut shifted = self.from(simd, ROW + 1);
        for power in 0..ROW {
            let number = simd.splat(other.0[ROW + power]);
            odd = simd.add_wide(odd, simd.mul_even(shifted, number));
            shifted = self.from(simd, ROW - power);
            even = simd.add_wide(even, simd.mul_even(shifted, number));
        }
        field.montgomery(even, odd)
    }
}
