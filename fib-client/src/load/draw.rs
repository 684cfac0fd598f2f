//! What the next request asks for.

use fastrand::Rng;

use crate::load::Mix;

/// Draws the classes of requests: at random by weight, in the order of a replay, and for a single
/// class not at all.
#[derive(Debug)]
pub(super) enum Draw {
    One,
    Weighted {
        rng: Rng,
        /// The sum of the weights up to and with each class.
        bounds: Vec<u64>,
    },
    Replay {
        sequence: Vec<u32>,
        next: usize,
        /// Threads take turns.
        step: usize,
    },
}

impl Draw {
    pub(super) fn new(mix: &Mix, threads: usize, index: usize, rng: Rng) -> Self {
        let sequence = mix.sequence();
        if !sequence.is_empty() {
            return Self::Replay { sequence: sequence.to_vec(), next: index, step: threads };
        }
        if mix.classes().len() == 1 {
            return Self::One;
        }
        let sum = |sum: &mut u64, weight: u32| {
            *sum += u64::from(weight);
            Some(*sum)
        };
        let weights = mix.classes().iter().map(|class| class.weight);
        Self::Weighted { rng, bounds: weights.scan(0, sum).collect() }
    }

    /// The class of the next requests, and how many of so many they are.
    pub(super) fn next(&mut self, wanted: usize) -> (usize, usize) {
        match self {
            Self::One => (0, wanted),
            Self::Weighted { rng, bounds } => {
                let drawn = rng.u64(..bounds.last().copied().unwrap_or(1));
                (bounds.partition_point(|&bound| bound <= drawn), 1)
            }
            Self::Replay { sequence, next, step } => {
                let class = sequence[*next % sequence.len()];
                *next = (*next + *step) % sequence.len();
                (class as usize, 1)
            }
        }
    }
}
