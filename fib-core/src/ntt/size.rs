//! How large a transform has to be.
//!
//! A tree has a power of two of leaves, and a product seldom has as many rows. So a transform is
//! that of a tree and, where it is too small, of one further node of the next larger tree: it
//! then has the leaves of both. (The full form of it is J. van der Hoeven's "truncated Fourier
//! transform", 2004.)

/// How far below the first level a further node is at most. More levels save little, and cost
/// something.
pub(super) const LEVELS_MAX: u32 = 3;

/// The leaves of a transform.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Size {
    /// Those of a whole tree: a power of two.
    pub(super) main: usize,
    /// Those of the node 2^`levels`, as many levels below the first: 2^−`levels` times as many, or
    /// none.
    pub(super) extra: usize,
    pub(super) levels: u32,
}

impl Size {
    /// The smallest with this many leaves at least.
    pub(super) fn of(rows: usize) -> Self {
        let main = (rows / 2 + 1).next_power_of_two();
        let with_extra = |levels| Self { main, extra: main >> levels, levels };
        let mut sizes = [Self { main, extra: 0, levels: 0 }]
            .into_iter()
            .chain((1..=LEVELS_MAX).rev().map(with_extra))
            .chain([Self { main: 2 * main, extra: 0, levels: 0 }]);
        sizes.find(|size| size.len() >= rows).unwrap_or(Self { main, extra: 0, levels: 0 })
    }

    pub(super) const fn len(self) -> usize {
        self.main + self.extra
    }

    /// The number of leaves of the smallest tree that has all of these.
    pub(super) const fn leaves(self) -> usize {
        if self.extra == 0 { self.main } else { 2 * self.main }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn none_is_much_too_large() {
        for rows in 1..5_000 {
            let size = Size::of(rows);
            let Size { main, extra, levels } = size;
            assert!(main.is_power_of_two() && (extra == 0 || extra == main >> levels));
            assert!(size.len() >= rows && 3 * size.len() <= 4 * (rows + 3), "{rows}: {size:?}");
            assert!(rows.div_ceil(2) <= main, "a factor fits the tree");
        }
    }
}
