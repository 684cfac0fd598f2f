//! Runs loads on threads of their own, and tells meanwhile how it goes.

use std::{
    io::{self, Write},
    sync::{
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use fib_client::load::{self, Outcome, Plan, Progress};

use crate::cli::{PerfArgs, Preset};

/// How soon Ctrl-C is noticed, and a reply of perf1 is told.
const NAP: Duration = Duration::from_millis(50);

/// Tells how loads go, and ends them when a signal comes.
pub(super) struct Watch<'a> {
    preset: Option<Preset>,
    quiet: bool,
    signal: &'a AtomicUsize,
    people: &'a mut dyn Write,
}

impl<'a> Watch<'a> {
    pub(super) fn new(args: &PerfArgs, signal: &'a AtomicUsize, people: &'a mut dyn Write) -> Self {
        Self { preset: args.preset, quiet: args.output.quiet, signal, people }
    }

    /// The number of the signal that ended the load, or zero.
    pub(super) fn ended_by(&self) -> usize {
        self.signal.load(Ordering::Relaxed)
    }

    pub(super) fn announce(&mut self, what: &str) -> io::Result<()> {
        if self.quiet { Ok(()) } else { writeln!(self.people, "{what}") }
    }

    /// Makes a load.
    pub(super) fn load(&mut self, plan: &Plan) -> io::Result<Outcome> {
        let progress = Progress::new(plan);
        let (sender, each_reply) = mpsc::channel();
        let sender = (self.preset == Some(Preset::Perf1)).then_some(sender);
        let watcher = thread::current();
        thread::scope(|scope| {
            let load = scope.spawn(|| {
                let outcome = load::run(plan, &progress, sender.as_ref());
                watcher.unpark();
                outcome
            });
            let mut ticker = Ticker::new();
            let told = loop {
                if load.is_finished() {
                    break tell_each(&each_reply, self.people);
                }
                let told = match self.preset {
                    _ if self.quiet => Ok(()),
                    Some(Preset::Perf1) => tell_each(&each_reply, self.people),
                    Some(Preset::Perf2) | None => ticker.tell(&progress, self.people),
                };
                if told.is_err() || self.ended_by() > 0 {
                    progress.stop();
                }
                if told.is_err() {
                    break told;
                }
                thread::park_timeout(ticker.nap());
            };
            let outcome = load.join().expect("the load panicked")?;
            told?;
            Ok(outcome)
        })
    }
}

/// Tells a rate each second, as the original demo's second client did.
struct Ticker {
    last: Instant,
    told: u64,
}

impl Ticker {
    const PERIOD: Duration = Duration::from_secs(1);

    fn new() -> Self {
        Self { last: Instant::now(), told: 0 }
    }

    fn nap(&self) -> Duration {
        Self::PERIOD.saturating_sub(self.last.elapsed()).min(NAP)
    }

    /// The rate since it was told last: over the time that it really was, not over one second.
    #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
    fn tell(&mut self, progress: &Progress, people: &mut dyn Write) -> io::Result<()> {
        let (now, replies) = (Instant::now(), progress.replies());
        let elapsed = now - self.last;
        if elapsed < Self::PERIOD {
            return Ok(());
        }
        let rate = (replies - self.told) as f64 / elapsed.as_secs_f64();
        (self.last, self.told) = (now, replies);
        writeln!(people, "{rate:.0} reqs/s")
    }
}

fn tell_each(each_reply: &mpsc::Receiver<Duration>, people: &mut dyn Write) -> io::Result<()> {
    each_reply.try_iter().try_for_each(|it| writeln!(people, "{:.6}", it.as_secs_f64()))
}
