//! How a conversation gets on, as it tells whoever watches it: a number in memory that both share.

use crate::sync::atomic::{AtomicU8, AtomicU64, Ordering::Relaxed};

/// What a conversation waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Waits {
    /// Not for its client.
    NotAtAll,
    ForRequest,
    ForRestOfLine,
    ForRoom,
}

/// Why a connection was ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Verdict {
    Idle,
    Line,
    Write,
    /// Others needed the room that its unread answers took.
    Output,
}

impl Verdict {
    pub(crate) const ALL: [Self; 4] = [Self::Idle, Self::Line, Self::Write, Self::Output];

    /// What it is called for who watches.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Line => "line",
            Self::Write => "write",
            Self::Output => "output",
        }
    }
}

/// How a conversation gets on, as the conversation and its watcher share it.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    /// What it waits for, and a number that is another one whenever it has got on.
    state: AtomicU64,
    /// How much of its output counts for `--max-output`.
    held: AtomicU64,
    /// One more than the verdict's number; 0 is none.
    verdict: AtomicU8,
}

impl Progress {
    /// Takes note of what it waits for from now on.
    pub(crate) fn note(&self, waits: Waits, turn: u64) {
        self.state.store(turn << 2 | waits as u64, Relaxed);
    }

    pub(crate) fn held(&self) -> u64 {
        self.held.load(Relaxed)
    }

    pub(crate) fn set_held(&self, bytes: u64) {
        self.held.store(bytes, Relaxed);
    }

    /// Why it was ended from outside, if it was.
    pub(crate) fn verdict(&self) -> Option<Verdict> {
        let number = self.verdict.load(Relaxed).checked_sub(1)?;
        Verdict::ALL.get(usize::from(number)).copied()
    }

    pub(crate) fn condemn(&self, verdict: Verdict) {
        self.verdict.store(verdict as u8 + 1, Relaxed);
    }

    /// What it waits for, and the number itself.
    pub(crate) fn look(&self) -> (Waits, u64) {
        let state = self.state.load(Relaxed);
        let all = [Waits::NotAtAll, Waits::ForRequest, Waits::ForRestOfLine, Waits::ForRoom];
        let waits = all.into_iter().find(|&it| it as u64 == state & 3);
        (waits.unwrap_or(Waits::NotAtAll), state)
    }
}

#[cfg(all(test, feature = "model"))]
mod models {
    use std::sync::Arc;

    use super::*;
    use crate::sync::{Builder, explore};

    const NOTED: [(Waits, u64); 3] =
        [(Waits::ForRequest, 1), (Waits::NotAtAll, 2), (Waits::ForRoom, 2)];

    /// Whoever looks sees what was noted, whole, and never goes back to what was before.
    #[test]
    fn what_is_seen_was_noted() {
        explore(None, || {
            let progress = Arc::new(Progress::default());
            let noting = Arc::clone(&progress);
            let converse = move || {
                for (waits, turn) in NOTED {
                    noting.note(waits, turn);
                }
                noting.verdict()
            };
            let conversation = Builder::new().spawn(converse).unwrap();
            let mut to_come = [(Waits::NotAtAll, 0)].into_iter().chain(NOTED).peekable();
            for _ in 0..3 {
                let (waits, state) = progress.look();
                let seen = (waits, state >> 2);
                while to_come.next_if(|noted| *noted != seen).is_some() {}
                assert!(to_come.peek().is_some(), "{seen:?} was over, or never was");
            }
            progress.condemn(Verdict::Output);
            let told = conversation.join().unwrap();
            assert!(told.is_none_or(|it| it == Verdict::Output), "{told:?}");
            assert_eq!(progress.verdict(), Some(Verdict::Output));
        });
    }
}
