//! What can happen to bytes on their way, in one direction.

use std::{fmt, time::Duration};

use fastrand::Rng;

/// A fault of one direction of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Toxic {
    /// Whatever was read at a time arrives so much later.
    Latency(Duration),
    /// The same, by a time that is drawn anew up to this one.
    Jitter(Duration),
    /// No more bytes a second than that.
    Bandwidth(u32),
    /// A byte at a time.
    Slices,
    /// After so many bytes nothing arrives any more, and nobody is told.
    BlackHole { after: u64 },
    /// After so many bytes both ends find the connection reset.
    Reset { after: u64 },
    /// The end of the bytes arrives so much later.
    SlowClose(Duration),
    /// After so many bytes the receiver finds the end.
    Cut { after: u64 },
    /// One byte of so many is another one.
    Corruption { one_in: u32 },
}

impl Toxic {
    /// One of each, for a conversation of about so many bytes.
    pub(crate) fn one_of_each(rng: &mut Rng, len: u64) -> [Self; 9] {
        let mut millis = |most| Duration::from_millis(rng.u64(1..=most));
        let (latency, jitter, slow_close) = (millis(20), millis(20), millis(100));
        let mut after = || rng.u64(0..=len);
        let (black_hole, reset, cut) = (after(), after(), after());
        [
            Self::Latency(latency),
            Self::Jitter(jitter),
            Self::Bandwidth(rng.u32(64..=1024) * 1024),
            Self::Slices,
            Self::BlackHole { after: black_hole },
            Self::Reset { after: reset },
            Self::SlowClose(slow_close),
            Self::Cut { after: cut },
            Self::Corruption { one_in: rng.u32(1..=200) },
        ]
    }

    /// After how many bytes it ends what passes, if it does.
    pub(super) const fn limit(self) -> Option<u64> {
        match self {
            Self::BlackHole { after } | Self::Reset { after } | Self::Cut { after } => Some(after),
            _ => None,
        }
    }

    /// Whether not all bytes arrive, as they were.
    pub(super) const fn loses(self) -> bool {
        self.limit().is_some() || matches!(self, Self::Corruption { .. })
    }

    /// How many bytes pass at a time.
    pub(super) fn piece_len(self) -> usize {
        match self {
            // A hundred pieces a second.
            Self::Bandwidth(per_second) => {
                usize::try_from(per_second / 100).map_or(1, |it| it.max(1))
            }
            Self::Slices => 1,
            _ => usize::MAX,
        }
    }

    /// How long a piece of so many bytes has to wait.
    pub(super) fn pause(self, len: usize, rng: &mut Rng) -> Duration {
        match self {
            Self::Latency(time) => time,
            Self::Jitter(most) => most.mul_f64(rng.f64()),
            Self::Bandwidth(per_second) => Duration::from_secs(len as u64) / per_second.max(1),
            _ => Duration::ZERO,
        }
    }

    /// How long the end has to wait.
    pub(super) const fn pause_before_end(self) -> Duration {
        match self {
            Self::Latency(time) | Self::SlowClose(time) => time,
            _ => Duration::ZERO,
        }
    }

    /// What becomes of the bytes.
    pub(super) fn change(self, bytes: &mut [u8], rng: &mut Rng) {
        let Self::Corruption { one_in } = self else { return };
        for byte in bytes {
            if rng.u32(0..one_in.max(1)) == 0 {
                *byte ^= rng.u8(1..);
            }
        }
    }
}

impl fmt::Display for Toxic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Latency(time) => write!(f, "latency of {time:?}"),
            Self::Jitter(most) => write!(f, "jitter of up to {most:?}"),
            Self::Bandwidth(per_second) => write!(f, "{per_second} bytes a second"),
            Self::Slices => write!(f, "slices of 1 byte"),
            Self::BlackHole { after } => write!(f, "a black hole after {after} bytes"),
            Self::Reset { after } => write!(f, "a reset after {after} bytes"),
            Self::SlowClose(time) => write!(f, "a close that takes {time:?}"),
            Self::Cut { after } => write!(f, "a cut after {after} bytes"),
            Self::Corruption { one_in } => write!(f, "one byte of {one_in} corrupted"),
        }
    }
}
