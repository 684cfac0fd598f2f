//! The plain recursion as work that can be cut anywhere: for a while here, a part of it there.
//!
//! A tree of calls that has been begun is a stack of the subtrees that remain, each named by its n.
//! So the state of a computation of minutes is a few dozen bytes, and its cost is known to the
//! call. It is the depth-first walk of a tree with an explicit stack (Knuth, *The Art of Computer
//! Programming*, vol. 1, 2.3.1), whose lower levels run as fast as the recursion itself.

use alloc::{vec, vec::Vec};
use core::cmp::Reverse;

use crate::{cost, recursive};

/// What is not worth a second thread: 60 µs of work at three calls a nanosecond.
const SPLIT_MIN: u64 = 200_000;

/// F(n) by the plain recursion, as work in progress.
///
/// [`run`](Self::run) makes so many of its calls, no more; [`split`](Self::split) gives away a
/// part, to be run elsewhere and [`join`](Self::join)ed. However it is cut, all [`cost`]`(n)` calls
/// are made. Cuts cost next to nothing: in slices of 60,000 calls it is as fast as [`recursive`].
///
/// # Examples
///
/// ```
/// let mut work = fib_core::Recursion::new(30).ok_or("over 92")?;
/// assert_eq!(work.run(1_000_000), 1_000_000);
/// assert_eq!(work.remaining(), 664_079);
/// if let Some(mut part) = work.split() {
///     part.run(u64::MAX); // by another thread, say
///     work.join(part);
/// }
/// work.run(u64::MAX);
/// assert_eq!(work.value(), Some(832_040));
/// # Ok::<(), &str>(())
/// ```
#[derive(Clone, Debug)]
pub struct Recursion {
    /// The subtrees that remain, the largest first. One that was never joined has each n at most
    /// once, so it is no longer than n.
    subtrees: Vec<u8>,
    /// The cost of all of them.
    remaining: u64,
    /// The value of all that were run.
    sum: u64,
}

impl Recursion {
    /// The work of F(n). `None` for n over [`MAX_N_RECURSIVE`](crate::MAX_N_RECURSIVE).
    #[must_use]
    pub fn new(n: u64) -> Option<Self> {
        let (remaining, n) = (cost(n)?, u8::try_from(n).ok()?);
        Some(Self { subtrees: vec![n], remaining, sum: 0 })
    }

    /// Makes `budget` calls, or all that remain if these are fewer; returns how many it made.
    ///
    /// The smallest subtree goes first. One that fits the budget runs as the plain recursion; of
    /// one that does not, a single call is made, which leaves two smaller ones.
    pub fn run(&mut self, budget: u64) -> u64 {
        let made = budget.min(self.remaining);
        self.remaining -= made;
        let mut left = made;
        while left > 0
            && let Some(n) = self.subtrees.pop()
        {
            match subtree_cost(n) {
                cost if cost <= left => {
                    self.sum += recursive(n.into()).unwrap_or(0);
                    left -= cost;
                }
                _ => {
                    self.subtrees.extend([n - 1, n - 2]);
                    left -= 1;
                }
            }
        }
        made
    }

    /// How many calls remain.
    #[must_use]
    pub const fn remaining(&self) -> u64 {
        self.remaining
    }

    /// Gives about half of what remains away. `None` if that is too little to be worth it.
    ///
    /// To cut a subtree larger than the half makes one of its calls.
    #[must_use]
    pub fn split(&mut self) -> Option<Self> {
        if self.remaining < SPLIT_MIN {
            return None;
        }
        let half = self.remaining / 2;
        while let Some(&largest) = self.subtrees.first()
            && subtree_cost(largest) > half
        {
            self.subtrees.splice(..1, [largest - 1, largest - 2]);
            self.remaining -= 1;
            self.sort();
        }
        let mut part = Self { subtrees: Vec::new(), remaining: 0, sum: 0 };
        self.subtrees.retain(|&n| {
            let fits = part.remaining + subtree_cost(n) <= half;
            if fits {
                part.subtrees.push(n);
                part.remaining += subtree_cost(n);
            }
            !fits
        });
        self.remaining -= part.remaining;
        Some(part)
    }

    /// Takes a part back, run or not.
    pub fn join(&mut self, part: Self) {
        self.subtrees.extend(part.subtrees);
        self.sort();
        self.remaining += part.remaining;
        self.sum += part.sum;
    }

    /// F(n), once nothing remains of it and of its parts, which are all joined.
    #[must_use]
    pub fn value(&self) -> Option<u64> {
        (self.remaining == 0).then_some(self.sum)
    }

    fn sort(&mut self) {
        self.subtrees.sort_unstable_by_key(|&n| Reverse(n));
    }
}

fn subtree_cost(n: u8) -> u64 {
    cost(n.into()).expect("a subtree is smaller than a tree whose cost is known")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{MAX_N_RECURSIVE, fib};

    #[test]
    fn budget_is_kept_to_the_call() {
        for n in 0..=16 {
            for budget in 1..60 {
                let mut work = Recursion::new(n).expect("n is small");
                let mut remaining = cost(n).expect("n is small");
                while remaining > 0 {
                    assert_eq!(work.run(budget), budget.min(remaining), "n = {n}");
                    remaining -= budget.min(remaining);
                    assert_eq!(work.remaining(), remaining, "n = {n}");
                    let known: u64 = work.subtrees.iter().map(|&n| subtree_cost(n)).sum();
                    assert_eq!(known, remaining, "n = {n}");
                }
                assert_eq!(work.value(), fib(n));
            }
        }
    }

    #[test]
    fn limits_are_those_of_the_cost() {
        assert!(Recursion::new(MAX_N_RECURSIVE + 1).is_none());
        let mut longest = Recursion::new(MAX_N_RECURSIVE).expect("it is the last");
        assert_eq!(longest.run(1_000_003), 1_000_003);
        assert_eq!(longest.remaining() + 1_000_003, 15_080_227_609_492_692_857);
        assert_eq!(longest.value(), None);
        assert_eq!(longest.run(0), 0);
    }

    #[test]
    fn halves_are_halves() {
        let mut work = Recursion::new(40).expect("n is in range");
        for _ in 0..8 {
            let whole = work.remaining();
            let part = work.split().expect("it is large");
            assert!(part.remaining() * 10 >= whole * 3 && work.remaining() * 10 >= whole * 3);
            work = part;
        }
        assert!(Recursion::new(20).expect("n is in range").split().is_none(), "too little");
    }

    proptest! {
        #[test]
        fn cuts_do_not_matter(
            n in 26u64..30,
            cuts in prop::collection::vec((0usize..4, any::<bool>(), 1u64..300_000), 0..40),
        ) {
            let mut parts = vec![Recursion::new(n).expect("n is in range")];
            for (at, split, budget) in cuts {
                let at = at % parts.len();
                parts[at].run(budget);
                if split {
                    let part = parts[at].split();
                    parts.extend(part);
                } else if parts.len() > 1 {
                    let part = parts.swap_remove(at);
                    parts[0].join(part);
                }
                for part in &parts {
                    let known: u64 = part.subtrees.iter().map(|&n| subtree_cost(n)).sum();
                    prop_assert_eq!(known, part.remaining());
                    prop_assert!(part.subtrees.is_sorted_by(|a, b| a >= b));
                    prop_assert!(part.subtrees.len() <= 100, "{} subtrees", part.subtrees.len());
                }
            }
            let mut work = parts.swap_remove(0);
            for mut part in parts {
                part.run(u64::MAX);
                work.join(part);
            }
            work.run(u64::MAX);
            prop_assert_eq!(work.value(), fib(n));
        }
    }
}
