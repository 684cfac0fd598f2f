//! The part of a transform that is one node of the next larger tree.

use super::{
    field::{Factors, Field},
    size::LEVELS_MAX,
    transform::{Tree, load_or_zero},
};
use crate::{
    machine::Machine,
    simd::{Row, Simd, Task},
};

impl Tree {
    /// What is left of a polynomial, of no more rows than the tree has, modulo the polynomial of
    /// the node 2^`levels`, so many levels below the first of the next larger tree. From below 4p
    /// to below 4p.
    pub(super) fn fold(&self, machine: Machine, rows: &[Row], rest: &mut [Row], levels: u32) {
        machine.run(Fold { tree: self, rows, rest, levels });
    }

    /// Of a product with more rows than the tree has: those modulo y^N − 1 and, behind them, what
    /// is left modulo the other node become the rows of the product. From below 2p to below 2p.
    ///
    /// With the product c₀ + c₁·y^N the first is c₀ + c₁, and the other one c₀ folded, less c₁,
    /// because y^N is −1 there: so the first one folded, less the other, is twice c₁.
    pub(super) fn unfold(&self, machine: Machine, rows: &mut [Row], rest: &mut [Row], levels: u32) {
        machine.run(Unfold { tree: self, rows, rest, levels });
    }
}

struct Fold<'a> {
    tree: &'a Tree,
    rows: &'a [Row],
    rest: &'a mut [Row],
    levels: u32,
}

impl Task for Fold<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self, simd: impl Simd) {
        let Self { tree, rows, rest, levels } = self;
        let powers = Powers::new(tree, Field::new(simd, tree.prime), levels);
        let len = rest.len();
        for (at, rest) in rest.iter_mut().enumerate() {
            simd.store(powers.fold(rows, at, len), &mut rest.0);
        }
    }
}

struct Unfold<'a> {
    tree: &'a Tree,
    rows: &'a mut [Row],
    rest: &'a mut [Row],
    levels: u32,
}

impl Task for Unfold<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self, simd: impl Simd) {
        let Self { tree, rows, rest, levels } = self;
        let field = Field::new(simd, tree.prime);
        let powers = Powers::new(tree, field, levels);
        let factor = |value| field.splat(tree.prime.factor(value));
        // The rest is times its own number of rows, which is 2^−levels of the other.
        let (half, share) = (factor(tree.prime.invert(2)), factor(1 << (levels - 1)));
        let len = rest.len();
        for (at, rest) in rest.iter_mut().enumerate() {
            let folded = field.scale(powers.fold(rows, at, len), half);
            let high = field.halve(field.sub(folded, field.scale(simd.load(&rest.0), share)));
            let low = field.halve(field.sub(simd.load(&rows[at].0), high));
            simd.store(low, &mut rows[at].0);
            simd.store(high, &mut rest.0);
        }
    }
}

/// The powers of the r of which a node's polynomial is yᴸ − r.
struct Powers<S: Simd> {
    field: Field<S>,
    factors: [Factors<S>; 1 << LEVELS_MAX],
    len: usize,
}

impl<S: Simd> Powers<S> {
    #[inline(always)]
    fn new(tree: &Tree, field: Field<S>, levels: u32) -> Self {
        let prime = tree.prime;
        let root = tree.leaf(1 << levels).value();
        let mut power = 1;
        let mut all = [field.splat(prime.factor(power)); 1 << LEVELS_MAX];
        for factors in &mut all {
            *factors = field.splat(prime.factor(power));
            power = prime.mul(power, root);
        }
        Self { field, factors: all, len: 1 << levels }
    }

    /// A row of what is left, of the rows that are `len` apart.
    #[inline(always)]
    fn fold(&self, rows: &[Row], at: usize, len: usize) -> S::Lanes {
        let simd = self.field.simd;
        let mut sum = load_or_zero(simd, rows, at);
        for part in 1..self.len {
            let Some(row) = rows.get(at + part * len) else { break };
            let scaled = self.field.scale(simd.load(&row.0), self.factors[part]);
            sum = self.field.add(self.field.halve(sum), scaled);
        }
        sum
    }
}
