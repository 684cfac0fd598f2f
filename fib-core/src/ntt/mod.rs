//! Doubling of large numbers in base 10⁹, by products of polynomials modulo three primes.
//!
//! A number's limbs are a polynomial's coefficients. A transform of it modulo a prime is multiplied
//! by another's number by number, and what both were multiplied to is transformed back. Of each
//! coefficient of the product that gives the residues modulo three primes, and of those the
//! coefficient itself, because it is smaller than their product. All of it is exact.

#![expect(
    clippy::inline_always,
    reason = "what is compiled for one kind of processor is one function"
)]

mod carry;
mod field;
mod fold;
mod pointwise;
mod size;
mod transform;

use alloc::vec::Vec;

pub(crate) use self::carry::BASE;
use self::{
    carry::Residues,
    field::PRIMES,
    pointwise::{Multiply, Products},
    size::Size,
    transform::Tree,
};
use crate::{
    machine::Machine,
    simd::{ROW, Row},
    words::twice_sign,
};

/// How many rows are multiplied at a time.
const PART_LEN: usize = 1024;

/// F(k) and F(k−1) in limbs, the least significant first; both have as many rows.
#[derive(Debug)]
pub(crate) struct Pair {
    pub(crate) fib: Vec<Row>,
    pub(crate) previous: Vec<Row>,
}

/// What doubling needs besides the numbers: roots, and memory that one step leaves to the next.
#[derive(Debug)]
pub(crate) struct Doubler {
    machine: Machine,
    moduli: [Modulo; 3],
}

/// One of the primes, and two transforms of a pair modulo it.
#[derive(Debug)]
struct Modulo {
    tree: Tree,
    transforms: [Vec<Row>; 2],
}

impl Doubler {
    /// For results of up to so many limbs.
    pub(crate) fn new(machine: Machine, limbs: usize) -> Self {
        let size = Size::of(limbs.div_ceil(ROW));
        let new = |prime| Modulo {
            tree: Tree::new(prime, size.leaves()),
            transforms: [(); 2].map(|()| Vec::with_capacity(size.len())),
        };
        let [p1, p2, p3] = PRIMES;
        let rows = size.len();
        let (m1, (m2, m3)) =
            machine.join(rows, || new(p1), || machine.join(rows, || new(p2), || new(p3)));
        let moduli = [m1, m2, m3];
        Self { machine, moduli }
    }

    /// Makes the pair at 2k, or at 2k + 1 for `odd`, of that at k.
    pub(crate) fn double(&mut self, pair: &mut Pair, k_is_odd: bool, odd: bool) {
        let size = self.multiply(pair, if odd { Products::Odd } else { Products::Even });
        let more = twice_sign(k_is_odd);
        let Pair { fib, previous } = pair;
        self.machine.join(
            size.len(),
            || self.write(0, size, fib, more),
            || self.write(1, size, previous, if odd { more } else { 0 }),
        );
        pair.trim();
    }

    /// Makes F(2k) of the pair at k, or F(2k+1) for `odd`.
    pub(crate) fn double_last(&mut self, mut pair: Pair, k_is_odd: bool, odd: bool) -> Vec<Row> {
        let size = self.multiply(&pair, if odd { Products::LastOdd } else { Products::LastEven });
        self.write(0, size, &mut pair.fib, if odd { twice_sign(k_is_odd) } else { 0 });
        pair.fib
    }

    fn multiply(&mut self, pair: &Pair, products: Products) -> Size {
        // Sums of products may have a limb more.
        let size = Size::of((2 * pair.limbs() + 1).div_ceil(ROW));
        let machine = self.machine;
        let [m1, m2, m3] = &mut self.moduli;
        let multiply = |modulo: &mut Modulo| modulo.multiply(machine, size, pair, products);
        let rows = size.len();
        machine.join(
            rows,
            || multiply(m1),
            || machine.join(rows, || multiply(m2), || multiply(m3)),
        );
        size
    }

    /// Writes the limbs of one of the products.
    fn write(&self, which: usize, size: Size, limbs: &mut Vec<Row>, more: i64) {
        limbs.resize(size.len(), Row::default());
        let residues = Residues {
            rows: self.moduli.each_ref().map(|it| it.transforms[which].as_slice()),
            factors: PRIMES.map(|prime| {
                // A product is 2⁻³² of what it should be, and times the number of rows.
                prime.factor(prime.residue((1 << 32) / size.main as u64, 1))
            }),
            offset: largest_offset(size.len()),
        };
        residues.write(self.machine, limbs, more);
    }
}

/// How many times the largest digit a coefficient can be below 0, and more, of products of so many
/// rows: each is a sum of half as many products, of numbers below the base, one of which is
/// subtracted at most three times.
const fn largest_offset(rows: usize) -> u64 {
    4 * (rows * ROW / 2) as u64 * (BASE + 2)
}

impl Pair {
    /// How many limbs they have.
    fn limbs(&self) -> usize {
        let zeros = |row: &Row| row.0.iter().rev().take_while(|&&limb| limb == 0).count();
        ROW * self.fib.len() - self.fib.last().map_or(0, zeros)
    }

    /// Drops the rows at the end that are zero.
    fn trim(&mut self) {
        while self.fib.last().is_some_and(|row| *row == Row::default()) {
            self.fib.pop();
        }
        self.previous.truncate(self.fib.len());
    }
}

impl Modulo {
    /// Sets the transforms to the products of the pair.
    fn multiply(&mut self, machine: Machine, size: Size, pair: &Pair, products: Products) {
        let Self { tree, transforms: [a, b] } = self;
        machine.join(
            size.len(),
            || forward(machine, tree, size, &pair.fib, a),
            || forward(machine, tree, size, &pair.previous, b),
        );
        multiply(machine, tree, products, [a, b], 0);
        if products.are_last() {
            inverse(machine, tree, size, a);
        } else {
            let inverse = |rows: &mut [Row]| inverse(machine, tree, size, rows);
            machine.join(size.len(), || inverse(a), || inverse(b));
        }
    }
}

/// The transform of a number.
fn forward(machine: Machine, tree: &Tree, size: Size, limbs: &[Row], rows: &mut Vec<Row>) {
    let Size { main, levels, extra } = size;
    // All of them are written.
    rows.resize(size.len(), Row::default());
    let (low, high) = rows.split_at_mut(main);
    if extra == 0 {
        return tree.forward_limbs(machine, limbs, low);
    }
    machine.join(
        size.len(),
        || tree.forward_limbs(machine, limbs, low),
        || {
            tree.fold(machine, limbs, high, levels);
            tree.forward(machine, high, 1 << levels);
        },
    );
}

fn multiply(
    machine: Machine,
    tree: &Tree,
    products: Products,
    [a, b]: [&mut [Row]; 2],
    leaf: usize,
) {
    if a.len() <= PART_LEN {
        return machine.run(Multiply { tree, products, a, b, leaf });
    }
    let half = a.len() / 2;
    let ((a, c), (b, d)) = (a.split_at_mut(half), b.split_at_mut(half));
    machine.join(
        2 * half,
        || multiply(machine, tree, products, [a, b], leaf),
        || multiply(machine, tree, products, [c, d], leaf + half),
    );
}

/// The polynomial of a transform, times the main number of rows.
fn inverse(machine: Machine, tree: &Tree, size: Size, rows: &mut [Row]) {
    let Size { main, levels, extra } = size;
    let (low, high) = rows.split_at_mut(main);
    if extra == 0 {
        return tree.inverse(machine, low, 0);
    }
    machine.join(
        size.len(),
        || tree.inverse(machine, low, 0),
        || tree.inverse(machine, high, 1 << levels),
    );
    tree.unfold(machine, low, high, levels);
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use dashu_int::IBig;
    use proptest::{collection, prelude::*};

    use super::*;
    use crate::digits;

    fn pair(fib: &[u32], previous: &[u32]) -> Pair {
        let rows = |limbs: &[u32]| {
            let row = |limbs: &[u32]| {
                let mut row = Row::default();
                row.0[..limbs.len()].copy_from_slice(limbs);
                row
            };
            limbs.chunks(ROW).map(row).collect()
        };
        Pair { fib: rows(fib), previous: rows(previous) }
    }

    fn number(rows: &[Row]) -> IBig {
        digits::of_rows(Machine::with_one_thread(), rows).parse().expect("they are digits")
    }

    /// All products of a pair, which does not need to be one of Fibonacci numbers, on each kind of
    /// processor; the first is so much larger that no result is negative.
    fn check(fib: &[u32], previous: &[u32]) {
        let (a, b) = (number(&pair(fib, &[]).fib), number(&pair(previous, &[]).fib));
        let even = [3 * &a * &a - 2 * &b * &b + 2, &a * &a + &b * &b];
        let odd = [4 * &a * &a - &b * &b - 2, 3 * &a * &a - 2 * &b * &b - 2];
        let last = [&a * (&a + 2 * &b), (2 * &a + &b) * (2 * &a - &b) + 2];
        for machine in Machine::all() {
            let mut doubler = Doubler::new(machine, 2 * fib.len() + ROW);
            let mut double = |k_is_odd, odd| {
                let mut pair = pair(fib, previous);
                doubler.double(&mut pair, k_is_odd, odd);
                [number(&pair.fib), number(&pair.previous)]
            };
            assert!(double(false, false) == even, "{machine:?}");
            assert!(double(true, true) == odd, "{machine:?}");
            let mut double_last =
                |odd| number(&doubler.double_last(pair(fib, previous), false, odd));
            assert!([false, true].map(&mut double_last) == last, "{machine:?}");
        }
    }

    fn limbs(len: usize) -> impl Strategy<Value = (Vec<u32>, Vec<u32>)> {
        let limb = || prop_oneof![4 => 0..1_000_000_000_u32, 1 => Just(999_999_999), 1 => Just(0)];
        (collection::vec(limb(), len), collection::vec(limb(), len)).prop_map(|(mut a, mut b)| {
            if let (Some(a), Some(b)) = (a.last_mut(), b.last_mut()) {
                (*a, *b) = ((*a).max(900_000_000), *b % 700_000_000);
            }
            (a, b)
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn products_are_right((a, b) in (1..700_usize).prop_flat_map(limbs)) {
            check(&a, &b);
        }
    }

    /// Each size of a transform there is, up to some, and the largest digits.
    #[test]
    fn products_are_right_in_every_size() {
        for rows in (1..100).chain([127, 128, 129, 256, 500, 1030]) {
            let len = rows * ROW - rows % 5;
            check(
                &vec![999_999_999; len],
                &[&vec![999_999_999; len - 1][..], &[600_000_000]].concat(),
            );
        }
    }

    #[test]
    fn several_threads_carry_to_each_other() {
        let mut limbs = vec![999_999_999; 100_000];
        limbs[40_000..60_000].fill(0);
        let previous = limbs.iter().map(|limb| limb / 2).collect::<Vec<_>>();
        check(&limbs, &previous);
    }
}
