//! The work of one request, as pieces that can be run for a while, put aside, and shared out.

use fib_core::{Decimal, Recursion, exact};

use crate::compute::{Algorithm, Answer, costs::Costs};
#[cfg(debug_assertions)]
use crate::panics;

/// What remains to be computed for a request.
#[derive(Debug)]
pub(crate) enum Work {
    /// Can be cut after any call.
    Recursion(Recursion),
    /// Cannot be cut: a product of large numbers has no middle.
    Doubling { n: u64, calls: u64, answer: Option<Decimal> },
    /// Panics when it is run, for tests.
    #[cfg(debug_assertions)]
    Bug,
}

impl Work {
    /// The work of F(n). `None` for an n beyond the algorithm.
    pub(crate) fn new(costs: &Costs, algorithm: Algorithm, n: u64) -> Option<Self> {
        #[cfg(debug_assertions)]
        if panics::injected::in_computation(n) {
            return Some(Self::Bug);
        }
        match algorithm {
            Algorithm::Recursive => Recursion::new(n).map(Self::Recursion),
            Algorithm::Doubling => {
                Some(Self::Doubling { n, calls: costs.calls(n).max(1), answer: None })
            }
        }
    }

    /// Computes for about so many calls; returns how many there were. What cannot be cut is
    /// computed to its end.
    pub(crate) fn run(&mut self, budget: u64) -> u64 {
        match self {
            Self::Recursion(recursion) => recursion.run(budget),
            Self::Doubling { n, calls, answer } => {
                *answer = Some(exact(*n));
                std::mem::take(calls)
            }
            #[cfg(debug_assertions)]
            Self::Bug => panic!("--panic-in-computation"),
        }
    }

    /// How many calls remain.
    pub(crate) fn remaining(&self) -> u64 {
        match self {
            Self::Recursion(recursion) => recursion.remaining(),
            Self::Doubling { calls, .. } => *calls,
            #[cfg(debug_assertions)]
            Self::Bug => 1,
        }
    }

    /// A part for somebody else, if it is worth it.
    pub(crate) fn split(&mut self) -> Option<Self> {
        match self {
            Self::Recursion(recursion) => recursion.split().map(Self::Recursion),
            Self::Doubling { .. } => None,
            #[cfg(debug_assertions)]
            Self::Bug => None,
        }
    }

    /// Takes a part back, run or not.
    pub(crate) fn join(&mut self, part: Self) {
        match (self, part) {
            (Self::Recursion(recursion), Self::Recursion(part)) => recursion.join(part),
            _ => unreachable!("only a recursion has parts"),
        }
    }

    /// The answer, once nothing remains.
    pub(crate) fn into_answer(self) -> Option<Answer> {
        match self {
            Self::Recursion(recursion) => recursion.value().map(Answer::Word),
            Self::Doubling { answer, .. } => answer.map(Answer::Decimal),
            #[cfg(debug_assertions)]
            Self::Bug => None,
        }
    }
}
