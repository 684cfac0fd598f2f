//! The CPU-bound workload: the two-branch recursion, every call of it made.
//!
//! What a benchmark calls "a request that takes the CPU 200 ms" must be work that nobody can skip,
//! of a size that is known beforehand. The recursion is both: it makes exactly 2·F(n)−1 calls.

use crate::fib;

/// The largest n that [`recursive`] and [`cost`] accept: the last whose cost fits a `u64`.
///
/// A bound of the type only. At half a nanosecond a call, n = 92 takes two centuries.
pub const MAX_N_RECURSIVE: u64 = 92;

/// How many calls [`recursive`] makes for n: 2·F(n)−1, or `None` over [`MAX_N_RECURSIVE`].
///
/// For n = 0, where the formula gives −1, it is the one call that answers 0.
///
/// # Examples
///
/// ```
/// assert_eq!(fib_core::cost(0), Some(1));
/// assert_eq!(fib_core::cost(40), Some(204_668_309));
/// assert_eq!(fib_core::cost(93), None);
/// ```
#[must_use]
pub const fn cost(n: u64) -> Option<u64> {
    match fib(n) {
        Some(0) => Some(1),
        Some(value) if n <= MAX_N_RECURSIVE => Some(2 * value - 1),
        _ => None,
    }
}

/// F(n) by the plain recursion `fib(n) = fib(n-1) + fib(n-2)`, `fib(1) = fib(2) = 1`.
///
/// It makes all [`cost`]`(n)` calls: nothing is remembered, no subtree is folded into a constant.
/// `None` for n over [`MAX_N_RECURSIVE`].
///
/// # Examples
///
/// ```
/// assert_eq!(fib_core::recursive(30), Some(832_040));
/// assert_eq!(fib_core::recursive(93), None);
/// ```
#[must_use]
pub fn recursive(n: u64) -> Option<u64> {
    match n {
        0 => Some(0),
        1..=MAX_N_RECURSIVE => Some(tree(n, Sum(0)).0),
        _ => None,
    }
}

/// What is carried through the tree from call to call.
///
/// Handing one running value along, instead of adding two results in each call, leaves a single
/// register live across a call. It also makes every call depend on the one before, so that the
/// compiler cannot merge equal subtrees. The tests carry a count of the calls through the same
/// code.
trait Tally: Copy {
    /// A call was made.
    fn called(self) -> Self;
    /// A call returned 1, the base case.
    fn returned_one(self) -> Self;
}

/// The sum of all base cases: what the recursion returns.
#[derive(Clone, Copy)]
struct Sum(u64);

impl Tally for Sum {
    #[inline]
    fn called(self) -> Self {
        self
    }

    #[inline]
    fn returned_one(self) -> Self {
        Self(self.0 + 1)
    }
}

/// One call: `n > 2` makes two more, the first through `first_branch`.
///
/// The second is in tail position and reuses the frame, as C compilers do it.
#[inline(always)]
#[expect(clippy::inline_always, reason = "the levels are one function by design")]
fn call<T: Tally>(mut n: u64, tally: T, first_branch: impl Fn(u64, T) -> T) -> T {
    let mut tally = tally.called();
    while n > 2 {
        tally = first_branch(n - 1, tally);
        n -= 2;
        tally = tally.called();
    }
    tally.returned_one()
}

/// The whole tree below n, with [`LEVELS`](levels) of first branches written out in place.
///
/// Each level adds a loop, not a copy of the tree, and still compares its own n with 2: about five
/// instructions a call, where gcc -O3 needs seven. More levels do not fit the registers.
#[inline(never)]
fn tree<T: Tally>(n: u64, tally: T) -> T {
    levels!(n, tally, tree, [. . . . . . . . . . . .])
}

/// `call` nested in `call`, once for each dot; the innermost calls `$bottom`.
macro_rules! levels {
    ($n:expr, $tally:expr, $bottom:expr, []) => { $bottom($n, $tally) };
    ($n:expr, $tally:expr, $bottom:expr, [. $($rest:tt)*]) => {
        call($n, $tally, #[inline(always)] |n, tally| levels!(n, tally, $bottom, [$($rest)*]))
    };
}
use levels;

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Copy)]
    struct Counted {
        calls: u64,
        sum: u64,
    }

    impl Tally for Counted {
        fn called(self) -> Self {
            Self { calls: self.calls + 1, ..self }
        }

        fn returned_one(self) -> Self {
            Self { sum: self.sum + 1, ..self }
        }
    }

    /// The function as everybody writes it.
    fn textbook(n: u64, calls: &mut u64) -> u64 {
        *calls += 1;
        if n <= 2 { 1 } else { textbook(n - 1, calls) + textbook(n - 2, calls) }
    }

    #[test]
    fn makes_every_call_of_the_textbook_recursion() {
        for n in 1..=27 {
            let mut calls = 0;
            let sum = textbook(n, &mut calls);
            let counted = tree(n, Counted { calls: 0, sum: 0 });
            assert_eq!((counted.calls, counted.sum), (calls, sum), "n = {n}");
            assert_eq!(cost(n), Some(calls), "n = {n}");
        }
    }

    #[test]
    fn limit_is_where_the_cost_leaves_the_word() {
        assert_eq!(cost(MAX_N_RECURSIVE), Some(15_080_227_609_492_692_857));
        assert_eq!(cost(MAX_N_RECURSIVE + 1), None);
        assert_eq!(recursive(MAX_N_RECURSIVE + 1), None);
        assert_eq!((recursive(0), cost(0)), (Some(0), Some(1)));
    }
}
