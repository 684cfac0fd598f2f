//! What people see while a load runs: a screen on a terminal, lines otherwise.

use std::{
    env,
    io::{self, IsTerminal, Write},
    time::{Duration, Instant},
};

use fib_client::load::{Plan, Progress};

use crate::{
    cli::{PerfArgs, Preset},
    cmd::perf::{
        screen::{self, Screen},
        seen::{Seen, to_f64},
    },
};

/// How often lines are told.
const LINE_PERIOD: Duration = Duration::from_secs(1);

/// How often a screen is drawn.
const SCREEN_PERIOD: Duration = Duration::from_millis(250);

/// How a load is told of while it runs.
pub(super) enum View {
    /// Not at all.
    Quiet,
    /// Each reply's seconds, as the original demo's first client told them.
    Replies,
    /// A rate each second, as its second client did.
    Rates(Ticker),
    /// A line each second.
    Lines(Ticker, Seen),
    /// A picture.
    Screen(Ticker, Seen, Box<Screen>),
}

impl View {
    /// What suits the flags and the terminal.
    pub(super) fn new(args: &PerfArgs, plan: &Plan) -> Self {
        match args.preset {
            _ if args.output.quiet => Self::Quiet,
            Some(Preset::Perf1) => Self::Replies,
            Some(Preset::Perf2) => Self::Rates(Ticker::new(LINE_PERIOD)),
            None => Self::of_terminal(args, plan),
        }
    }

    fn of_terminal(args: &PerfArgs, plan: &Plan) -> Self {
        let is_dumb = env::var("TERM").is_ok_and(|term| term == "dumb");
        let seen = Seen::new(plan);
        if !args.output.plain && !is_dumb && io::stdout().is_terminal() && io::stdin().is_terminal()
        {
            // A terminal that cannot be drawn on can be written to.
            if let Ok(screen) = Screen::open() {
                return Self::Screen(Ticker::new(SCREEN_PERIOD), seen, Box::new(screen));
            }
        }
        Self::Lines(Ticker::new(LINE_PERIOD), seen)
    }

    /// Whether it needs more than the number of replies.
    pub(super) fn watches(&self) -> bool {
        matches!(self, Self::Lines(..) | Self::Screen(..))
    }

    pub(super) fn tells_replies(&self) -> bool {
        matches!(self, Self::Replies)
    }

    /// Tells how it goes, if it is time to.
    pub(super) fn tell(&mut self, progress: &Progress, people: &mut dyn Write) -> io::Result<()> {
        match self {
            Self::Quiet | Self::Replies => Ok(()),
            Self::Rates(ticker) => match ticker.rate(progress) {
                Some(rate) => writeln!(people, "{rate:.0} reqs/s"),
                None => Ok(()),
            },
            Self::Lines(ticker, seen) => match ticker.rate(progress) {
                Some(_) => {
                    seen.look(progress);
                    writeln!(people, "{}", seen.line())
                }
                None => Ok(()),
            },
            Self::Screen(ticker, seen, screen) => {
                if ticker.rate(progress).is_some() {
                    seen.look(progress);
                    screen.draw(seen)?;
                }
                Ok(())
            }
        }
    }

    /// Whether somebody has asked to end it here.
    pub(super) fn wants_stop(&self) -> bool {
        matches!(self, Self::Screen(..)) && screen::wants_stop()
    }
}

/// Says when it is time, and what rate there was since it was time before.
pub(super) struct Ticker {
    period: Duration,
    last: Instant,
    told: u64,
}

impl Ticker {
    fn new(period: Duration) -> Self {
        Self { period, last: Instant::now(), told: 0 }
    }

    /// Over the time that it really was, not over the period.
    fn rate(&mut self, progress: &Progress) -> Option<f64> {
        let (now, replies) = (Instant::now(), progress.replies());
        let elapsed = now - self.last;
        if elapsed < self.period {
            return None;
        }
        let rate = to_f64(replies - self.told) / elapsed.as_secs_f64();
        (self.last, self.told) = (now, replies);
        Some(rate)
    }
}
