//! How F(n) is computed: instantly, or by the CPU-bound recursion that this server is about.

use std::fmt;

use clap::ValueEnum;
use fib_core::{Decimal, exact, fib, recursive};

/// How F(n) is computed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Algorithm {
    /// Exact and fast: a table, then fast doubling
    #[default]
    Doubling,
    /// The CPU-bound workload: makes all 2*F(n)-1 calls of the plain recursion
    Recursive,
}

impl Algorithm {
    /// The largest n that is answered unless --max-n says otherwise: a few seconds of CPU.
    #[must_use]
    pub const fn default_max_n(self) -> u64 {
        match self {
            Self::Doubling => 10_000_000,
            Self::Recursive => 45,
        }
    }

    /// F(n); the caller has checked n against the limit. `None` is for an n beyond the algorithm.
    #[must_use]
    pub fn compute(self, n: u64) -> Option<Answer> {
        match self {
            Self::Doubling => Some(fib(n).map_or_else(|| Answer::Decimal(exact(n)), Answer::Word)),
            Self::Recursive => recursive(n).map(Answer::Word),
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.to_possible_value();
        f.pad(value.as_ref().map_or("", |value| value.get_name()))
    }
}

/// A Fibonacci number, ready to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// One that fits a machine word.
    Word(u64),
    /// A larger one.
    Decimal(Decimal),
}
