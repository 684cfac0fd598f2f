//! What happened when: a row of windows of equal length, as many as fit a fixed memory.
//!
//! When there is no window left, each two become one and the windows twice as long. So an hour's
//! load has as many windows as a minute's, and nothing is lost but where in a window it happened.

use std::{borrow::Cow, time::Duration};

use hdrhistogram::Histogram;

use crate::load::samples::{histogram, nanos};

/// How many windows there are at most; even, so that they can be paired.
const WINDOWS: usize = 512;

/// Two digits: a window's percentiles are no more than 1 % off.
const SIGNIFICANT_DIGITS: u8 = 2;

/// The windows of a load, since its measured time began.
#[derive(Clone, Debug)]
pub struct Timeline {
    length: Duration,
    windows: Vec<Window>,
    /// How many of them have begun.
    begun: usize,
    /// The window that was asked for last, and when it ends: mostly it is asked for again.
    current: usize,
    current_end: Duration,
}

/// What came in a window of time.
#[derive(Clone, Debug)]
pub struct Window {
    /// Requests that were sent.
    pub sent: u64,
    /// What went wrong.
    pub failures: u64,
    /// Requests under way, integrated over time, in nanoseconds.
    pub in_flight_ns: u64,
    /// Latencies of the right replies that came, from when their requests were due, in
    /// nanoseconds.
    pub response: Histogram<u64>,
}

impl Window {
    /// Without anything in it.
    #[must_use]
    pub fn new() -> Self {
        let response = histogram(SIGNIFICANT_DIGITS);
        Self { sent: 0, failures: 0, in_flight_ns: 0, response }
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.sent += other.sent;
        self.failures += other.failures;
        self.in_flight_ns += other.in_flight_ns;
        self.response.add(&other.response).expect("the bounds are the same");
    }

    pub(crate) fn clear(&mut self) {
        (self.sent, self.failures, self.in_flight_ns) = (0, 0, 0);
        self.response.reset();
    }
}

impl Default for Window {
    fn default() -> Self {
        Self::new()
    }
}

impl Timeline {
    /// All memory that it will ever need.
    pub(super) fn new(length: Duration) -> Self {
        let windows = vec![Window::new(); WINDOWS];
        Self { length, windows, begun: 0, current: 0, current_end: Duration::ZERO }
    }

    /// The windows again from their parts.
    pub(crate) fn of(length: Duration, windows: Vec<Window>) -> Self {
        let begun = windows.len();
        Self { length, windows, begun, current: 0, current_end: Duration::ZERO }
    }

    /// How long a window is.
    #[must_use]
    pub fn length(&self) -> Duration {
        self.length
    }

    /// The windows that have begun, in order.
    #[must_use]
    pub fn windows(&self) -> &[Window] {
        &self.windows[..self.begun]
    }

    /// The window of a moment of the measured time; moments never go back.
    pub(super) fn at(&mut self, moment: Duration) -> &mut Window {
        if moment >= self.current_end {
            self.advance(moment);
        }
        &mut self.windows[self.current]
    }

    fn advance(&mut self, moment: Duration) {
        let index = |length| usize::try_from(nanos(moment) / nanos(length)).unwrap_or(usize::MAX);
        while index(self.length) >= WINDOWS {
            self.double();
        }
        self.current = index(self.length);
        self.begun = self.begun.max(self.current + 1);
        self.current_end = self.length * u32::try_from(self.begun).expect("there are not so many");
    }

    /// Makes windows of twice the length.
    fn double(&mut self) {
        let pairs = self.begun.div_ceil(2);
        for pair in 0..pairs {
            self.windows.swap(pair, 2 * pair);
            if 2 * pair + 1 < self.begun {
                let (left, right) = self.windows.split_at_mut(2 * pair + 1);
                left[pair].add(&right[0]);
            }
        }
        self.windows[pairs..].iter_mut().for_each(Window::clear);
        self.begun = pairs;
        self.length *= 2;
    }

    /// The windows of another load that began at the same moment.
    pub(crate) fn add(&mut self, other: &Self) {
        while self.length < other.length {
            self.double();
        }
        let mut other = Cow::Borrowed(other);
        while other.length < self.length {
            other.to_mut().double();
        }
        if self.windows.len() < other.begun {
            self.windows.resize_with(other.begun, Window::new);
        }
        self.begun = self.begun.max(other.begun);
        for (mine, theirs) in self.windows.iter_mut().zip(other.windows()) {
            mine.add(theirs);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(length: u64, count: u64) -> Timeline {
        let mut timeline = Timeline::new(Duration::from_millis(100));
        for moment in 0..count {
            let moment = Duration::from_millis(moment * length);
            let window = timeline.at(moment);
            window.sent += 1;
            window.response.record(1 + nanos(moment)).unwrap();
        }
        timeline
    }

    #[test]
    fn nothing_is_lost_when_windows_become_longer() {
        for count in [1, 10, 256, 257, 1_000, 10_000] {
            let timeline = filled(100, count);
            assert_eq!(timeline.windows().iter().map(|it| it.sent).sum::<u64>(), count);
            let windows = timeline.windows().iter().enumerate();
            for (at, window) in windows {
                let begin = nanos(timeline.length()) * at as u64;
                let values = window.response.iter_recorded();
                let mut values = values.map(|it| it.value_iterated_to());
                assert!(values.all(
                    |it| it >= begin && it < (begin + nanos(timeline.length())) * 102 / 100 + 2
                ));
            }
            assert!(timeline.windows().len() <= WINDOWS);
        }
    }

    #[test]
    fn timelines_of_other_lengths_add_up() {
        let (mut short, long) = (filled(50, 100), filled(100, 2_000));
        short.add(&long);
        assert_eq!(short.length(), long.length());
        assert_eq!(short.windows().iter().map(|it| it.response.len()).sum::<u64>(), 2_100);
    }
}
