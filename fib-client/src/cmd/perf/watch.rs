//! Runs loads on threads of their own, and tells meanwhile how it goes.

use std::{
    io::{self, Write},
    sync::{
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

use fib_client::load::{self, Outcome, Plan, Progress};
use signal_hook::consts::SIGINT;

use crate::{cli::PerfArgs, cmd::perf::view::View};

/// How soon Ctrl-C is noticed, and a reply of perf1 is told.
const NAP: Duration = Duration::from_millis(50);

/// Tells how loads go, and ends them when a signal comes.
pub(super) struct Watch<'a> {
    args: &'a PerfArgs,
    signal: &'a AtomicUsize,
    people: &'a mut dyn Write,
}

impl<'a> Watch<'a> {
    pub(super) fn new(
        args: &'a PerfArgs,
        signal: &'a AtomicUsize,
        people: &'a mut dyn Write,
    ) -> Self {
        Self { args, signal, people }
    }

    /// The number of the signal that ended the load, or zero.
    pub(super) fn ended_by(&self) -> usize {
        self.signal.load(Ordering::Relaxed)
    }

    pub(super) fn announce(&mut self, what: &str) -> io::Result<()> {
        if self.args.output.quiet { Ok(()) } else { writeln!(self.people, "{what}") }
    }

    /// Makes a load.
    pub(super) fn load(&mut self, plan: &Plan) -> io::Result<Outcome> {
        let mut view = View::new(self.args, plan);
        let progress = if view.watches() { Progress::watched(plan) } else { Progress::new(plan) };
        let (sender, each_reply) = mpsc::channel();
        let sender = view.tells_replies().then_some(sender);
        let watcher = thread::current();
        thread::scope(|scope| {
            let load = scope.spawn(|| {
                let outcome = load::run(plan, &progress, sender.as_ref());
                watcher.unpark();
                outcome
            });
            let told = loop {
                if load.is_finished() {
                    break tell_each(&each_reply, self.people);
                }
                let told = tell_each(&each_reply, self.people)
                    .and_then(|()| view.tell(&progress, self.people));
                if view.wants_stop() {
                    self.signal.store(usize::try_from(SIGINT).unwrap_or(2), Ordering::Relaxed);
                }
                if told.is_err() || self.ended_by() > 0 {
                    progress.stop();
                }
                if told.is_err() {
                    break told;
                }
                thread::park_timeout(NAP);
            };
            let outcome = load.join().expect("the load panicked")?;
            told?;
            Ok(outcome)
        })
    }
}

fn tell_each(each_reply: &mpsc::Receiver<Duration>, people: &mut dyn Write) -> io::Result<()> {
    each_reply.try_iter().try_for_each(|it| writeln!(people, "{:.6}", it.as_secs_f64()))
}
