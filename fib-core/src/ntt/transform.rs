//! Number-theoretic transforms, of polynomials in y whose coefficients are rows.
//!
//! The transform of a polynomial is what is left of it modulo y − r, for each of many roots r. It
//! goes there by halves: what is left modulo y²ᴸ − r² says what is left modulo yᴸ − r and modulo
//! yᴸ + r. So the polynomials that it is divided by are a tree of nodes, each of which splits by
//! its r. Node 0 of the first level splits by 1, and the children of node j are nodes 2j and
//! 2j + 1 of the next level, whose r are the square roots of ±r. With these numbers one table has
//! the r of every level of every tree, and what is below a node is a transform as well.

use alloc::vec::Vec;

use super::field::{Factor, Factors, Field, Prime};
use crate::{
    machine::Machine,
    simd::{Row, Simd, Task},
};

/// How many rows fit the fastest cache.
const BLOCK_LEN: usize = 256;

/// A prime, and the roots of its tree.
#[derive(Debug)]
pub(super) struct Tree {
    pub(super) prime: Prime,
    roots: Vec<Factor>,
}

impl Tree {
    /// A tree with this many leaves, at least: a power of two.
    pub(super) fn new(prime: Prime, leaves: usize) -> Self {
        let mut roots = Vec::with_capacity(leaves);
        roots.push(prime.factor(1));
        let mut order = 2;
        while roots.len() < leaves / 2 {
            // The r of the first node of a level, whose other nodes have it times those before.
            let first = prime.factor(prime.root(order));
            roots.extend_from_within(..);
            let len = roots.len();
            for root in &mut roots[len / 2..] {
                *root = prime.mul_factors(*root, first);
            }
            order += 1;
        }
        Self { prime, roots }
    }

    /// By what a node splits.
    pub(super) fn root(&self, node: usize) -> Factor {
        self.roots[node]
    }

    /// The negative inverse of that; `None` for −1, which is that of the first node.
    fn inverse_root(&self, node: usize) -> Option<Factor> {
        // The roots of a level are those of −1 and all have an inverse among them: the level,
        // backwards, has the negative inverses.
        node.checked_ilog2().map(|level| self.roots[(3 << level) - 1 - node])
    }

    /// The root r of which a leaf has the rest modulo y − r.
    pub(super) fn leaf(&self, leaf: usize) -> Factor {
        let root = self.root(leaf / 2);
        if leaf.is_multiple_of(2) { root } else { root.negate(self.prime) }
    }

    /// What is left modulo a node's polynomial becomes what is left modulo those of its leaves.
    /// From below 4p to below 4p.
    pub(super) fn forward(&self, machine: Machine, rows: &mut [Row], node: usize) {
        machine.run(Pass { tree: self, rows: &mut *rows, node, way: Way::Forward });
        if rows.len() > BLOCK_LEN {
            each_part(machine, rows, node, &|part, node| self.forward(machine, part, node));
        }
    }

    /// The transform of limbs, which are no more than three quarters of the rows; those behind
    /// them are zero. To below 4p.
    pub(super) fn forward_limbs(&self, machine: Machine, limbs: &[Row], rows: &mut [Row]) {
        if rows.len() < 4 {
            rows.fill(Row::default());
            rows[..limbs.len()].copy_from_slice(limbs);
            return self.forward(machine, rows, 0);
        }
        machine.run(Begin { tree: self, limbs, rows: &mut *rows });
        each_part(machine, rows, 0, &|part, node| self.forward(machine, part, node));
    }

    /// The same backwards, and times the number of rows. From below 2p to below 2p.
    pub(super) fn inverse(&self, machine: Machine, rows: &mut [Row], node: usize) {
        if rows.len() > BLOCK_LEN {
            each_part(machine, rows, node, &|part, node| self.inverse(machine, part, node));
        }
        machine.run(Pass { tree: self, rows, node, way: Way::Inverse });
    }
}

/// The first levels of a transform of limbs, whose nodes split by 1, 1 and i.
struct Begin<'a> {
    tree: &'a Tree,
    limbs: &'a [Row],
    rows: &'a mut [Row],
}

impl Task for Begin<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self, simd: impl Simd) {
        let Self { tree, limbs, rows } = self;
        let field = Field::new(simd, tree.prime);
        let (parts, len) = (parts(rows.len()), rows.len());
        let (low, high) = rows.split_at_mut(len / 2);
        if parts == 2 {
            for (at, (low, high)) in low.iter_mut().zip(high).enumerate() {
                let [x, y] = [at, at + len / 2].map(|at| load_or_zero(simd, limbs, at));
                simd.store(field.add(x, y), &mut low.0);
                simd.store(field.sub(x, y), &mut high.0);
            }
            return;
        }
        let root = field.splat(tree.root(1));
        for (at, quarters) in quarters(low, high).enumerate() {
            let places = [at, at + len / 4, at + len / 2];
            let [w, x, y] = places.map(|at| load_or_zero(simd, limbs, at));
            // There is no fourth.
            let (sum, difference) = (field.halve(field.add(w, y)), field.halve(field.sub(w, y)));
            let turned = field.scale(x, root);
            let lanes = [
                field.add(sum, x),
                field.sub(sum, x),
                field.add(difference, turned),
                field.sub(difference, turned),
            ];
            for (row, lanes) in quarters.into_iter().zip(lanes) {
                simd.store(lanes, &mut row.0);
            }
        }
    }
}

#[inline(always)]
pub(super) fn load_or_zero<S: Simd>(simd: S, rows: &[Row], at: usize) -> S::Lanes {
    match rows.get(at) {
        Some(row) => simd.load(&row.0),
        None => simd.splat(0),
    }
}

/// Into how many parts rows are split at once: four, and what is left over comes first.
const fn parts(len: usize) -> usize {
    if len.ilog2().is_multiple_of(2) { 4 } else { 2 }
}

/// The rows in the same place of the quarters of both halves.
#[inline(always)]
fn quarters<'a>(low: &'a mut [Row], high: &'a mut [Row]) -> impl Iterator<Item = [&'a mut Row; 4]> {
    let half = low.len() / 2;
    let ((first, second), (third, fourth)) = (low.split_at_mut(half), high.split_at_mut(half));
    let rows = first.iter_mut().zip(second).zip(third).zip(fourth);
    rows.map(|(((first, second), third), fourth)| [first, second, third, fourth])
}

/// Does this for the parts of a node's rows, and their nodes, side by side.
fn each_part(
    machine: Machine,
    rows: &mut [Row],
    node: usize,
    f: &(impl Fn(&mut [Row], usize) + Sync),
) {
    let (len, parts) = (rows.len(), parts(rows.len()));
    let (low, high) = rows.split_at_mut(rows.len() / 2);
    let half = |half: &mut [Row], node| {
        if parts == 2 {
            return f(half, node);
        }
        let (low, high) = half.split_at_mut(half.len() / 2);
        machine.join(len, || f(low, 2 * node), || f(high, 2 * node + 1));
    };
    machine.join(len, || half(low, 2 * node), || half(high, 2 * node + 1));
}

/// As many levels as can be done in a fast cache or, where the rows do not fit it, in registers.
struct Pass<'a> {
    tree: &'a Tree,
    rows: &'a mut [Row],
    node: usize,
    way: Way,
}

#[derive(Clone, Copy)]
enum Way {
    Forward,
    Inverse,
}

impl Task for Pass<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self, simd: impl Simd) {
        let Self { tree, rows, node, way } = self;
        let butterflies = Butterflies { tree, field: Field::new(simd, tree.prime) };
        match way {
            Way::Forward if rows.len() > BLOCK_LEN => butterflies.forward(rows, node),
            Way::Forward => butterflies.forward_all(rows, node),
            Way::Inverse if rows.len() > BLOCK_LEN => butterflies.inverse(rows, node),
            Way::Inverse => butterflies.inverse_all(rows, node),
        }
    }
}

struct Butterflies<'a, S: Simd> {
    tree: &'a Tree,
    field: Field<S>,
}

impl<S: Simd> Butterflies<'_, S> {
    #[inline(always)]
    fn forward_all(&self, rows: &mut [Row], node: usize) {
        let (mut len, mut first) = (rows.len(), node);
        while len > 1 {
            for (at, rows) in rows.chunks_exact_mut(len).enumerate() {
                self.forward(rows, first + at);
            }
            first *= parts(len);
            len /= parts(len);
        }
    }

    #[inline(always)]
    fn inverse_all(&self, rows: &mut [Row], node: usize) {
        let mut len = 1;
        while len < rows.len() {
            len = rows.len().min(4 * len);
            let first = rows.len() / len * node;
            for (at, rows) in rows.chunks_exact_mut(len).enumerate() {
                self.inverse(rows, first + at);
            }
        }
    }

    /// One node's split, or that and those of both halves.
    #[inline(always)]
    fn forward(&self, rows: &mut [Row], node: usize) {
        let simd = self.field.simd;
        let root = |node| self.field.splat(self.tree.root(node));
        let (low, high) = rows.split_at_mut(rows.len() / 2);
        if parts(low.len() * 2) == 2 {
            let root = root(node);
            for (a, b) in low.iter_mut().zip(high) {
                let (x, y) = self.split(simd.load(&a.0), simd.load(&b.0), root);
                simd.store(x, &mut a.0);
                simd.store(y, &mut b.0);
            }
            return;
        }
        let (outer, left, right) = (root(node), root(2 * node), root(2 * node + 1));
        for mut quarters in quarters(low, high) {
            let [w, x, y, z] = quarters.each_ref().map(|row| simd.load(&row.0));
            let (w, y) = self.split(w, y, outer);
            let (x, z) = self.split(x, z, outer);
            let (w, x) = self.split(w, x, left);
            let (y, z) = self.split(y, z, right);
            for (row, lanes) in quarters.iter_mut().zip([w, x, y, z]) {
                simd.store(lanes, &mut row.0);
            }
        }
    }

    #[inline(always)]
    fn inverse(&self, rows: &mut [Row], node: usize) {
        let simd = self.field.simd;
        let root = |node| self.tree.inverse_root(node).map(|root| self.field.splat(root));
        let (low, high) = rows.split_at_mut(rows.len() / 2);
        if parts(low.len() * 2) == 2 {
            let root = root(node);
            for (a, b) in low.iter_mut().zip(high) {
                let (x, y) = self.merge(simd.load(&a.0), simd.load(&b.0), root);
                simd.store(x, &mut a.0);
                simd.store(y, &mut b.0);
            }
            return;
        }
        let (outer, left, right) = (root(node), root(2 * node), root(2 * node + 1));
        for mut quarters in quarters(low, high) {
            let [w, x, y, z] = quarters.each_ref().map(|row| simd.load(&row.0));
            let (w, x) = self.merge(w, x, left);
            let (y, z) = self.merge(y, z, right);
            let (w, y) = self.merge(w, y, outer);
            let (x, z) = self.merge(x, z, outer);
            for (row, lanes) in quarters.iter_mut().zip([w, x, y, z]) {
                simd.store(lanes, &mut row.0);
            }
        }
    }

    /// x + r·y and x − r·y. From below 4p to below 4p.
    #[inline(always)]
    fn split(&self, x: S::Lanes, y: S::Lanes, root: Factors<S>) -> (S::Lanes, S::Lanes) {
        let (x, y) = (self.field.halve(x), self.field.scale(y, root));
        (self.field.add(x, y), self.field.sub(x, y))
    }

    /// x + y and (x − y)/r, of which −1/r is given if it is not −1. From below 2p to below 2p.
    #[inline(always)]
    fn merge(&self, x: S::Lanes, y: S::Lanes, root: Option<Factors<S>>) -> (S::Lanes, S::Lanes) {
        let field = self.field;
        let difference = match root {
            Some(root) => field.scale(field.sub(y, x), root),
            None => field.halve(field.sub(x, y)),
        };
        (field.halve(field.add(x, y)), difference)
    }
}
