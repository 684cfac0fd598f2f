//! Times, counted by how long they were: nothing that grows, and nothing that locks.

use std::{
    array,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

/// Up to where each of the classes goes; what is longer is in one more.
const BOUNDS: [Duration; 17] = [
    Duration::from_micros(100),
    Duration::from_micros(250),
    Duration::from_micros(500),
    Duration::from_millis(1),
    Duration::from_micros(2_500),
    Duration::from_millis(5),
    Duration::from_millis(10),
    Duration::from_millis(25),
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_millis(250),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_millis(2_500),
    Duration::from_secs(5),
    Duration::from_secs(10),
    Duration::from_secs(30),
];

const CLASSES: usize = BOUNDS.len() + 1;

/// How many times there were of each class. All bytes zero are a new one.
#[derive(Debug, Default)]
#[repr(C)]
pub(super) struct Histogram {
    counts: [AtomicU64; CLASSES],
    nanoseconds: AtomicU64,
}

/// Times, by how long they were: those of a moment, of one process or of several.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Times {
    counts: [u64; CLASSES],
    sum: Duration,
}

impl Histogram {
    pub(super) fn record(&self, time: Duration) {
        self.counts[BOUNDS.partition_point(|&bound| bound < time)].fetch_add(1, Relaxed);
        let nanoseconds = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.nanoseconds.fetch_add(nanoseconds, Relaxed);
    }

    pub(super) fn read(&self) -> Times {
        Times {
            counts: self.counts.each_ref().map(|count| count.load(Relaxed)),
            sum: Duration::from_nanos(self.nanoseconds.load(Relaxed)),
        }
    }
}

impl Times {
    /// Both together.
    #[must_use]
    pub(super) fn and(self, other: Self) -> Self {
        Self {
            counts: array::from_fn(|class| self.counts[class] + other.counts[class]),
            sum: self.sum + other.sum,
        }
    }

    /// How many there were.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// How long they were together.
    #[must_use]
    pub const fn sum(&self) -> Duration {
        self.sum
    }

    /// How many there were up to each of the bounds, and over the one before.
    pub fn classes(&self) -> impl Iterator<Item = (Duration, u64)> {
        BOUNDS.into_iter().zip(self.counts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_counted_up_to_its_bound() {
        let histogram = Histogram::default();
        let nanosecond = Duration::from_nanos(1);
        for time in [Duration::ZERO, BOUNDS[0], BOUNDS[0] + nanosecond, BOUNDS[16] + nanosecond] {
            histogram.record(time);
        }
        let times = histogram.read();
        let found: Vec<_> = times.classes().map(|(_, count)| count).collect();
        assert_eq!((found[0], found[1], found.iter().sum::<u64>()), (2, 1, 3));
        assert_eq!(times.count(), 4, "the longest is beyond all bounds");
        assert_eq!(times.sum(), BOUNDS[0] * 2 + BOUNDS[16] + nanosecond * 2);
    }

    #[test]
    fn bounds_grow() {
        assert!(BOUNDS.is_sorted());
    }
}
