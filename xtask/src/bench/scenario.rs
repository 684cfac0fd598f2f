//! What a server goes through: loads, alone or beside each other.

use std::time::Duration;

/// What one fresh server goes through.
#[derive(Debug, PartialEq)]
pub(super) struct Scenario {
    pub(super) name: &'static str,
    pub(super) steps: &'static [Step],
    /// How many times longer its timed loads last than the budget says.
    pub(super) weight: u32,
}

/// A part of a scenario; the next one begins when it has ended.
#[derive(Debug, PartialEq)]
pub(super) enum Step {
    /// Loads beside each other, each with a client of its own.
    Loads(&'static [Load]),
    /// So many clients, one after the other, that reset in the middle of a long request.
    Resets(u64),
    /// So many that half-close behind their request, and wait for the answer.
    HalfCloses(u64),
    /// So many connections are opened, ask once, and stay open in silence until the end.
    Idle(usize),
}

/// What one client asks, in a closed loop.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Load {
    pub(super) name: &'static str,
    /// The number asked for, or several with their weights.
    pub(super) mix: &'static str,
    pub(super) connections: usize,
    /// Requests under way on each connection.
    pub(super) depth: usize,
    /// Of the client.
    pub(super) threads: usize,
    /// How long the client polls before it sleeps.
    pub(super) busy_poll: Duration,
    /// How many requests; without it the load lasts until its step ends.
    pub(super) requests: Option<u64>,
    /// When it begins, after its step has begun.
    pub(super) after: Duration,
}

/// One connection that asks fib(1); others say how they differ.
pub(super) const LOAD: Load = Load {
    name: "load",
    mix: "1",
    connections: 1,
    depth: 1,
    threads: 1,
    busy_poll: Duration::ZERO,
    requests: None,
    after: Duration::ZERO,
};

/// One connection asks fib(30) over and over.
pub(super) const LONG: Scenario =
    Scenario { name: "fib(30)", steps: &[Step::Loads(&[Load { mix: "30", ..LOAD }])], weight: 2 };

/// One connection asks fib(1) over and over.
pub(super) const ONE_CLIENT: Scenario =
    Scenario { name: "1 client", steps: &[Step::Loads(&[LOAD])], weight: 1 };

/// Three do.
pub(super) const THREE_CLIENTS: Scenario = Scenario {
    name: "3 clients",
    steps: &[Step::Loads(&[Load { connections: 3, ..LOAD }])],
    weight: 1,
};

/// One asks fib(1) while four others ask for so much that every core is busy.
pub(super) const CANARY: Scenario = Scenario {
    name: "canary beside 4 × fib(40)",
    steps: &[Step::Loads(&[
        Load { name: "long", mix: "40", connections: 4, ..LOAD },
        Load { name: "canary", after: Duration::from_millis(300), ..LOAD },
    ])],
    weight: 4,
};

/// What the table is made of.
pub(super) const TABLE: [&Scenario; 4] = [&LONG, &ONE_CLIENT, &THREE_CLIENTS, &CANARY];

/// A guess, for those who wait, of how long a step without timed loads takes.
const UNTIMED: Duration = Duration::from_secs(1);

impl Scenario {
    /// How long a timed load lasts that begins with its step.
    pub(super) fn timed(&self, seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds) * self.weight
    }

    /// About how long it takes.
    pub(super) fn estimate(&self, seconds: f64) -> Duration {
        self.steps.iter().map(|step| step.estimate(self.timed(seconds))).sum()
    }
}

impl Step {
    fn estimate(&self, timed: Duration) -> Duration {
        match self {
            Self::Loads(loads) if loads.iter().all(|load| load.requests.is_none()) => {
                timed + head_start(loads)
            }
            _ => UNTIMED,
        }
    }
}

/// How much later the last of these loads begins than the first.
pub(super) fn head_start(loads: &[Load]) -> Duration {
    loads.iter().map(|load| load.after).max().unwrap_or_default()
}
