//! Ends the connections that keep the server waiting: for a request, for the rest of a line, or
//! for their own answers to be read.
//!
//! Conversations know nothing of it, and set no timers. Each leaves a number that changes whenever
//! it gets on; a thread looks at all of them now and then, and shuts down the sockets of those that
//! have stood still for too long. A shutdown wakes whoever waits for a socket, however it waits, so
//! no strategy has code for this, and a request costs no look at the clock.

use std::{
    io,
    net::Shutdown,
    sync::{Arc, Weak},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use socket2::Socket;

use crate::{
    connection::Connections,
    context::Context,
    progress::{Progress, Verdict, Waits},
};

/// How often connections are looked at, as a part of the shortest limit: so much late may be who
/// is told that it is over, twice.
const LOOKS_PER_LIMIT: u32 = 20;
const SHORTEST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// How long a client may leave its answers unread when others need the room.
const PATIENCE_WITHOUT_ROOM: Duration = Duration::from_secs(1);

/// How long a client may take; `None` is for ever.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timeouts {
    /// To ask something, once everything is answered.
    pub idle: Option<Duration>,
    /// From the first byte of a line to its newline.
    pub line: Option<Duration>,
    /// To read the next part of its answers.
    pub write: Option<Duration>,
}

/// What was seen of a conversation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sight {
    state: u64,
    since: Instant,
}

impl Sight {
    /// Of one that begins now.
    pub(crate) const fn new(now: Instant) -> Self {
        Self { state: 0, since: now }
    }

    /// Takes another look, and tells what it waits for, and for how long as far as was seen.
    fn look(&mut self, progress: &Progress, now: Instant) -> (Waits, Duration) {
        let (waits, state) = progress.look();
        if state != self.state {
            *self = Self { state, since: now };
        }
        (waits, now.saturating_duration_since(self.since))
    }
}

impl Timeouts {
    /// Whether it is over for a client that has been waited for so long.
    fn verdict(&self, waits: Waits, time: Duration) -> Option<Verdict> {
        let (limit, verdict) = match waits {
            Waits::NotAtAll => return None,
            Waits::ForRequest => (self.idle, Verdict::Idle),
            Waits::ForRestOfLine => (self.line, Verdict::Line),
            Waits::ForRoom => (self.write, Verdict::Write),
        };
        (limit? <= time).then_some(verdict)
    }

    /// How long nobody need look.
    pub(crate) fn pause(&self) -> Duration {
        let shortest = [self.idle, self.line, self.write].into_iter().flatten().min();
        let pause = shortest.map_or(LONGEST_PAUSE, |it| it / LOOKS_PER_LIMIT);
        pause.clamp(SHORTEST_PAUSE, LONGEST_PAUSE)
    }
}

/// The thread that looks after all connections. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct Reaper {
    context: Arc<Context>,
    thread: Option<JoinHandle<()>>,
}

impl Reaper {
    pub(crate) fn start(context: &Arc<Context>) -> io::Result<Self> {
        let watched = Arc::clone(context);
        let watch = move || watch(watched.connections());
        let thread = thread::Builder::new().name("reaper".into()).spawn(watch)?;
        Ok(Self { context: Arc::clone(context), thread: Some(thread) })
    }
}

impl Drop for Reaper {
    fn drop(&mut self) {
        self.context.connections().end_reaping();
        if let Some(thread) = self.thread.take() {
            // A panic of it is on stderr already.
            let _ = thread.join();
        }
    }
}

fn watch(connections: &Connections) {
    while connections.pause_reaping(connections.limits().timeouts.pause()) {
        connections.reap(Instant::now());
    }
}

/// One connection among all, while they are looked at.
pub(crate) struct Watched<'a> {
    pub(crate) socket: &'a Weak<Socket>,
    pub(crate) progress: &'a Progress,
    pub(crate) sight: &'a mut Sight,
}

impl Watched<'_> {
    /// Whether it was ended, as far as it has to be.
    fn is_ended(&self) -> bool {
        match self.progress.verdict() {
            None => false,
            // Only its input was. It may not read what it is owed.
            Some(Verdict::Idle | Verdict::Line) => self.progress.look().0 != Waits::ForRoom,
            Some(Verdict::Write | Verdict::Output) => true,
        }
    }

    /// Ends it, unless it has just ended itself, or it is the server that is late. Whether it did.
    fn end(&self, verdict: Verdict, count: &mut impl FnMut(Verdict)) -> bool {
        let Some(socket) = self.socket.upgrade() else { return false };
        let ends_input = matches!(verdict, Verdict::Idle | Verdict::Line);
        if ends_input && has_input(&socket) {
            return false;
        }
        count(verdict);
        self.progress.condemn(verdict);
        // It fails for a client that is gone already.
        let _ = if ends_input {
            // What has just come is still answered, and what is owed is sent.
            socket.shutdown(Shutdown::Read)
        } else {
            // A reset frees what the kernel keeps for the client, too.
            let _ = socket.set_linger(Some(Duration::ZERO));
            socket.shutdown(Shutdown::Both)
        };
        true
    }
}

/// Whether the client has sent something that nobody has read yet.
fn has_input(socket: &Socket) -> bool {
    let mut events = [PollFd::new(socket, PollFlags::IN)];
    poll(&mut events, Some(&Timespec::default())).is_ok_and(|ready| ready > 0)
}

/// Ends those that have stood still for too long; and where there is too much output, by so many
/// bytes, those that have let theirs wait longest. Each is counted first: who is told that it is
/// over finds it counted.
pub(crate) fn reap<'a>(
    all: impl Iterator<Item = Watched<'a>>,
    timeouts: &Timeouts,
    mut too_much: u64,
    now: Instant,
    mut count: impl FnMut(Verdict),
) {
    let mut slow = Vec::new();
    for it in all.filter(|it| !it.is_ended()) {
        let (waits, time) = it.sight.look(it.progress, now);
        if let Some(verdict) = timeouts.verdict(waits, time) {
            it.end(verdict, &mut count);
        } else if waits == Waits::ForRoom && time >= PATIENCE_WITHOUT_ROOM {
            slow.push((time, it));
        }
    }
    slow.sort_unstable_by_key(|(time, _)| *time);
    while too_much > 0
        && let Some((_, longest)) = slow.pop()
    {
        if longest.end(Verdict::Output, &mut count) {
            too_much = too_much.saturating_sub(longest.progress.held());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read, Write},
        os::unix::net::UnixStream,
    };

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const TIMEOUTS: Timeouts = Timeouts { idle: None, line: Some(SECOND), write: None };

    /// Connections, as they are looked at; and their clients.
    struct Clients {
        sockets: Vec<Arc<Socket>>,
        watched: Vec<(Weak<Socket>, Progress, Sight)>,
        peers: Vec<UnixStream>,
        begin: Instant,
    }

    impl Clients {
        fn new(count: usize) -> Self {
            let begin = Instant::now();
            let pairs = (0..count).map(|_| UnixStream::pair().unwrap());
            let (peers, sockets): (Vec<_>, Vec<_>) = pairs.unzip();
            let sockets: Vec<_> =
                sockets.into_iter().map(|it: UnixStream| Arc::new(it.into())).collect();
            let watch = |it| (Arc::downgrade(it), Progress::default(), Sight::new(begin));
            let watched = sockets.iter().map(watch).collect();
            Self { sockets, watched, peers, begin }
        }

        fn note(&self, at: usize, waits: Waits, turn: u64) {
            self.watched[at].1.note(waits, turn);
        }

        fn reap(&mut self, after: Duration, too_much: u64) -> Vec<Verdict> {
            let all = self.watched.iter_mut().map(|(socket, progress, sight)| Watched {
                socket,
                progress,
                sight,
            });
            let mut verdicts = Vec::new();
            let count = |verdict| verdicts.push(verdict);
            reap(all, &TIMEOUTS, too_much, self.begin + after, count);
            verdicts
        }

        fn is_cut_off(&mut self, at: usize) -> bool {
            let client = &mut self.peers[at];
            client.set_nonblocking(true).unwrap();
            client.read(&mut [0]).is_ok_and(|len| len == 0)
        }
    }

    #[test]
    fn time_counts_from_when_it_was_seen_to_stand_still() {
        let mut one = Clients::new(1);
        one.note(0, Waits::ForRestOfLine, 1);
        assert_eq!(one.reap(3 * SECOND, 0), []);
        one.note(0, Waits::ForRestOfLine, 2);
        assert_eq!(one.reap(4 * SECOND, 0), [], "it has got on");
        assert_eq!(one.reap(4 * SECOND + SECOND / 2, 0), []);
        assert_eq!(one.reap(5 * SECOND, 0), [Verdict::Line]);
        assert_eq!(one.reap(9 * SECOND, 0), [], "once");
    }

    #[test]
    fn what_has_no_limit_is_waited_for() {
        let mut some = Clients::new(3);
        for (at, waits) in
            [Waits::NotAtAll, Waits::ForRequest, Waits::ForRoom].into_iter().enumerate()
        {
            some.note(at, waits, 1);
        }
        assert_eq!(some.reap(SECOND, 0), []);
        assert_eq!(some.reap(1_000_000 * SECOND, 0), []);
    }

    #[test]
    fn who_has_sent_something_is_not_waited_for() {
        let mut one = Clients::new(1);
        one.note(0, Waits::ForRestOfLine, 1);
        assert_eq!(one.reap(SECOND / 2, 0), []);
        one.peers[0].write_all(b"0\n").unwrap();
        assert_eq!(one.reap(2 * SECOND, 0), [], "it is the server that is late");
        (&*one.sockets[0]).read_exact(&mut [0; 2]).unwrap();
        assert_eq!(one.reap(2 * SECOND, 0), [Verdict::Line]);
    }

    #[test]
    fn who_has_no_input_any_more_still_has_to_read() {
        let mut one = Clients::new(1);
        one.note(0, Waits::ForRestOfLine, 1);
        assert_eq!(one.reap(SECOND / 2, 0), []);
        assert_eq!(one.reap(2 * SECOND, 0), [Verdict::Line]);
        one.note(0, Waits::ForRoom, 2);
        assert_eq!(one.reap(3 * SECOND, 1), []);
        assert_eq!(one.reap(4 * SECOND, 1), [Verdict::Output]);
    }

    #[test]
    fn for_room_the_longest_wait_ends_first() {
        let mut three = Clients::new(3);
        for at in [1, 0, 2] {
            three.note(at, Waits::ForRoom, 1);
            three.watched[at].1.set_held(100);
            let seen = u32::from(at != 1);
            assert_eq!(three.reap(seen * SECOND / 2, 0), []);
        }
        assert_eq!(three.reap(SECOND, 150), [Verdict::Output], "the others have just begun");
        assert!(three.is_cut_off(1) && !three.is_cut_off(0) && !three.is_cut_off(2));
        assert_eq!(three.reap(2 * SECOND, 150), [Verdict::Output, Verdict::Output]);
    }
}
