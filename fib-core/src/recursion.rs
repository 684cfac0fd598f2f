//! The plain recursion as work that can be cut anywhere.

use crate::{MAX_N_RECURSIVE, cost, recursive};

/// The plain recursion, resumable.
#[derive(Clone, Debug)]
pub struct Recursion {
    stack: Vec<u8>,
    remaining: u64,
    sum: u64,
}

impl Recursion {
    /// The work of F(n); `None` over [`MAX_N_RECURSIVE`].
    #[must_use]
    pub fn new(n: u64) -> Option<Self> {
        let remaining = cost(n)?;
        Some(Self { stack: vec![u8::try_from(n).ok()?], remaining, sum: 0 })
    }

    /// Makes at most so many calls; returns how many it made.
    pub fn run(&mut self, budget: u64) -> u64 {
        let mut left = budget.min(self.remaining);
        let made = left; // it never runs out before the budget does
        self.remaining -= made;
        while left > 0 {
            let Some(n) = self.stack.pop() else { break };
            let calls = cost(n.into()).unwrap_or(u64::MAX);
            if calls <= left && (n < 21 || calls == left) {
                self.sum += recursive(n.into()).unwrap_or(0);
                left -= calls;
            } else {
                self.stack.extend([n - 2, n - 1]);
                left -= 1;
            }
        }
        made
    }

    /// How many calls remain.
    #[must_use]
    pub const fn remaining(&self) -> u64 {
        self.remaining
    }

    /// About half of it, for somebody else.
    pub fn split(&mut self) -> Option<Self> {
        if self.remaining < 60_000 {
            return None;
        }
        if self.stack.len() == 1 {
            self.run(1);
        }
        let part = self.stack.remove(0);
        let remaining = cost(part.into())?;
        self.remaining -= remaining;
        Some(Self { stack: vec![part], remaining, sum: 0 })
    }

    /// Takes a part back, run or not.
    pub fn join(&mut self, part: Self) {
        self.stack.extend(part.stack);
        self.stack.sort_unstable_by(|a, b| b.cmp(a));
        self.remaining += part.remaining;
        self.sum += part.sum;
    }

    /// F(n), once nothing remains.
    #[must_use]
    pub fn value(&self) -> Option<u64> {
        (self.remaining == 0).then_some(self.sum)
    }
}

const _: () = assert!(MAX_N_RECURSIVE < 256);
