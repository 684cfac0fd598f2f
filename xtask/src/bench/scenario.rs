//! What a server goes through: loads, alone, one after the other, or beside each other.

use std::time::Duration;

use crate::{bench::plan::Effort, peers::Algorithm};

/// What one fresh server goes through.
#[derive(Debug, PartialEq)]
pub(super) struct Scenario {
    pub(super) name: &'static str,
    pub(super) algorithm: Algorithm,
    pub(super) steps: &'static [Step],
    /// How many times longer its timed loads last than the budget says.
    pub(super) weight: u32,
}

/// A part of a scenario; the next one begins when it has ended.
#[derive(Debug, PartialEq)]
pub(super) enum Step {
    /// One load.
    Load(Load),
    /// Loads one after the other, in an order that is drawn for each repetition: a machine that
    /// becomes slower meanwhile does not make a curve of it.
    InTurn(&'static [Load]),
    /// Loads beside each other, each with a client of its own.
    Beside(&'static [Load]),
    /// So many clients, one after the other, that reset in the middle of a long request.
    Resets(u64),
    /// So many that half-close behind their request, and wait for the answer.
    HalfCloses(u64),
    /// So many connections are opened, ask once, and stay open in silence until the end.
    Idle(usize),
}

/// What one client asks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Load {
    pub(super) name: &'static str,
    /// The number asked for, or several with their weights.
    pub(super) mix: &'static str,
    pub(super) connections: usize,
    /// Requests under way on each connection; in an open loop at most.
    pub(super) depth: usize,
    pub(super) pace: Pace,
    /// After how many requests a connection is opened again.
    pub(super) renewed_after: Option<u64>,
    /// Of the client.
    pub(super) threads: usize,
    /// How long the client polls before it sleeps.
    pub(super) busy_poll: Duration,
    /// How many requests; without it the load lasts until its step ends.
    pub(super) requests: Option<u64>,
    /// When it begins, after its step has begun.
    pub(super) after: Duration,
    /// How long the client waits at the end for requests that are under way.
    pub(super) drain: Duration,
    /// Whether the record keeps all response times, for a picture of their tail.
    pub(super) keeps_samples: bool,
}

/// When requests are due.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Pace {
    /// When the reply to the one before is there: a closed loop.
    Closed,
    /// At random, so many times as often as another load of this run was answered: an open loop.
    TimesTheRateOf(u32, &'static str),
}

/// One connection that asks fib(1), as `fib-client perf` does; others say how they differ.
pub(super) const LOAD: Load = Load {
    name: "load",
    mix: "1",
    connections: 1,
    depth: 1,
    pace: Pace::Closed,
    renewed_after: None,
    threads: 1,
    busy_poll: Duration::from_micros(50),
    requests: None,
    after: Duration::ZERO,
    drain: Duration::ZERO,
    keeps_samples: false,
};

/// Others say how they differ.
pub(super) const SCENARIO: Scenario =
    Scenario { name: "", algorithm: Algorithm::Recursive, steps: &[], weight: 1 };

/// One connection asks fib(30) over and over: the talk's `perf1`.
pub(super) const PERF1: Scenario = Scenario {
    name: "fib(30)",
    // Where one takes as long as the load lasts, it counts all the same.
    steps: &[Step::Load(Load { mix: "30", drain: Duration::from_secs(1), ..LOAD })],
    weight: 3,
    ..SCENARIO
};

/// More and more connections ask fib(1): the talk's `perf2`.
pub(super) const CLIENTS: Scenario = Scenario {
    name: "fib(1)",
    steps: &[Step::InTurn(&[
        clients("1 client", 1),
        clients("2 clients", 2),
        clients("3 clients", 3),
        clients("4 clients", 4),
        clients("8 clients", 8),
        clients("16 clients", 16),
        clients("32 clients", 32),
        clients("64 clients", 64),
    ])],
    ..SCENARIO
};

/// The same in less time.
const FEW_CLIENTS: Scenario = Scenario {
    steps: &[Step::InTurn(&[
        clients("1 client", 1),
        clients("3 clients", 3),
        clients("64 clients", 64),
    ])],
    ..CLIENTS
};

/// Requests come in packets of many.
pub(super) const PIPELINED: Scenario = Scenario {
    name: "pipelined",
    steps: &[Step::Load(Load { connections: 16, depth: 512, threads: 2, ..LOAD })],
    ..SCENARIO
};

/// One asks fib(1) while others ask for so much that a core is busy with each.
pub(super) const BESIDE_ONE: Scenario = Scenario {
    name: "beside 1 × fib(40)",
    steps: &[Step::Beside(&[Load { connections: 1, ..LONG }, CANARY])],
    weight: 2,
    ..SCENARIO
};
pub(super) const BESIDE_TWO: Scenario = Scenario {
    name: "beside 2 × fib(40)",
    steps: &[Step::Beside(&[Load { connections: 2, ..LONG }, CANARY])],
    weight: 2,
    ..SCENARIO
};
pub(super) const BESIDE_FOUR: Scenario = Scenario {
    name: "beside 4 × fib(40)",
    steps: &[Step::Beside(&[Load { connections: 4, ..LONG }, CANARY])],
    weight: 4,
    ..SCENARIO
};

const LONG: Load = Load { name: "long", mix: "40", ..LOAD };
const CANARY: Load =
    Load { name: "canary", after: Duration::from_millis(150), keeps_samples: true, ..LOAD };

/// Twice as much is asked of a server as it can answer.
pub(super) const OVERLOAD: Scenario = Scenario {
    name: "overload",
    steps: &[
        Step::Load(Load { name: "capacity", mix: "25", connections: 16, ..LOAD }),
        Step::Load(Load {
            name: "overload",
            mix: "25",
            connections: 64,
            depth: 64,
            pace: Pace::TimesTheRateOf(2, "capacity"),
            ..LOAD
        }),
    ],
    weight: 2,
    ..SCENARIO
};

/// Each connection asks once.
pub(super) const CHURN: Scenario = Scenario {
    name: "churn",
    steps: &[Step::Load(Load { connections: 8, renewed_after: Some(1), ..LOAD })],
    ..SCENARIO
};

/// Many are connected, and few of them ask.
pub(super) const IDLE: Scenario = Scenario {
    name: "idle crowd",
    steps: &[
        Step::Load(Load { name: "alone", ..ACTIVE }),
        Step::Idle(10_000),
        Step::Load(Load { name: "beside", ..ACTIVE }),
    ],
    ..SCENARIO
};

/// The same with a tenth of them.
const FEWER_IDLE: Scenario = Scenario {
    steps: &[
        Step::Load(Load { name: "alone", ..ACTIVE }),
        Step::Idle(1_000),
        Step::Load(Load { name: "beside", ..ACTIVE }),
    ],
    ..IDLE
};

const ACTIVE: Load = Load { connections: 64, threads: 2, ..LOAD };

/// Answers of 20,899 digits, computed by fast doubling: it is the way of the answer that counts.
pub(super) const LARGE: Scenario = Scenario {
    name: "fib(100000)",
    algorithm: Algorithm::Doubling,
    steps: &[Step::Load(Load { mix: "100000", connections: 4, ..LOAD })],
    weight: 2,
};

/// A guess, for those who wait, of how long a step without timed loads takes.
const UNTIMED: Duration = Duration::from_secs(1);

/// And how long opening a connection that stays silent takes.
const CONNECTING: Duration = Duration::from_micros(100);

const fn clients(name: &'static str, connections: usize) -> Load {
    let keeps_samples = connections == 64;
    Load { name, connections, keeps_samples, ..LOAD }
}

/// What the matrix is made of.
pub(super) const fn matrix(effort: Effort) -> &'static [&'static Scenario] {
    match effort {
        Effort::Smoke | Effort::Quick => &[
            &PERF1,
            &FEW_CLIENTS,
            &PIPELINED,
            &BESIDE_FOUR,
            &OVERLOAD,
            &CHURN,
            &FEWER_IDLE,
            &LARGE,
        ],
        Effort::Full => &[
            &PERF1,
            &CLIENTS,
            &PIPELINED,
            &BESIDE_ONE,
            &BESIDE_TWO,
            &BESIDE_FOUR,
            &OVERLOAD,
            &CHURN,
            &IDLE,
            &LARGE,
        ],
    }
}

impl Scenario {
    /// How long a timed load lasts that begins with its step.
    pub(super) fn timed(&self, seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds) * self.weight
    }

    /// About how long it takes.
    pub(super) fn estimate(&self, seconds: f64) -> Duration {
        self.steps.iter().map(|step| step.estimate(self.timed(seconds))).sum()
    }

    /// A load of this name.
    pub(super) fn load(&self, name: &str) -> Option<&Load> {
        self.steps.iter().flat_map(Step::loads).find(|load| load.name == name)
    }
}

impl Step {
    pub(super) fn loads(&self) -> &[Load] {
        match self {
            Self::Load(load) => std::slice::from_ref(load),
            Self::InTurn(loads) | Self::Beside(loads) => loads,
            Self::Resets(_) | Self::HalfCloses(_) | Self::Idle(_) => &[],
        }
    }

    fn estimate(&self, timed: Duration) -> Duration {
        let loads = self.loads();
        if let Self::Idle(connections) = self {
            return CONNECTING * u32::try_from(*connections).unwrap_or(u32::MAX);
        }
        if loads.is_empty() || loads.iter().any(|load| load.requests.is_some()) {
            return UNTIMED;
        }
        match self {
            Self::Beside(_) => timed + head_start(loads),
            _ => loads.iter().map(|_| timed + warm_up(timed)).sum(),
        }
    }
}

/// How much later the last of these loads begins than the first.
pub(super) fn head_start(loads: &[Load]) -> Duration {
    loads.iter().map(|load| load.after).max().unwrap_or_default()
}

/// How long a load that has its step to itself lasts before it is measured.
pub(super) fn warm_up(timed: Duration) -> Duration {
    timed / 5
}
