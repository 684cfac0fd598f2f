//! Every figure: what is asked of whom, and the relation that is wanted.

use std::time::Duration;

use super::{
    Figure,
    Relation::{AtLeast, AtMost},
    Side::{self, C, Go, Ours, Redis},
    metric,
};
use crate::bench::scenario::{BESIDE_FOUR, LOAD as POLLING, Load, PERF1, SCENARIO, Scenario, Step};

/// A client that sleeps until a reply is there.
const LOAD: Load = Load { busy_poll: Duration::ZERO, ..POLLING };

/// One connection asks fib(1) over and over.
const ONE_CLIENT: Scenario = Scenario { name: "1 client", steps: &[Step::Load(LOAD)], ..SCENARIO };

/// Three do.
const THREE_CLIENTS: Scenario = Scenario {
    name: "3 clients",
    steps: &[Step::Load(Load { connections: 3, ..LOAD })],
    ..SCENARIO
};

/// As it comes.
const DEFAULT: Side = Ours("");

/// Without a nap between requests.
const BUSY: Side = Ours("--busy-poll 200us");

const SRPT: Side = Ours("--compute pool --schedule srpt");
const FIFO: Side = Ours("--compute pool --schedule fifo");
const ROUND_ROBIN: Side = Ours("--compute pool --schedule round-robin");

/// More connections than one thread of the client can drive as fast as a server answers.
const MANY: Load = Load { threads: 2, ..LOAD };

/// A client that does not sleep either, so that the server's wake-up is the only one to be seen.
const POLLING_CLIENT: Scenario = Scenario {
    name: "1 client that polls",
    steps: &[Step::Load(Load { busy_poll: Duration::from_micros(200), ..LOAD })],
    ..SCENARIO
};

const ALONE: Scenario = Scenario {
    name: "fib(40)",
    steps: &[Step::Load(Load { mix: "40", requests: Some(5), ..LOAD })],
    ..SCENARIO
};

const SHORT: Load = Load { name: "alone", mix: "25", requests: Some(1_000), ..LOAD };

/// How much earlier the long requests come.
pub(super) const HEAD_START: Duration = Duration::from_millis(100);

/// Short requests come when the queue is full of long ones.
const QUEUE: Scenario = Scenario {
    name: "fib(25) behind 32 × fib(38)",
    steps: &[
        Step::Load(SHORT),
        Step::Beside(&[
            Load { name: "long", mix: "38", connections: 32, requests: Some(32), ..LOAD },
            Load { name: "beside", after: HEAD_START, ..SHORT },
        ]),
    ],
    ..SCENARIO
};

/// 448 connections ask once and all together, in the same order for everybody.
const BATCH: Scenario = Scenario {
    name: "448 at once: fib(27), fib(32), fib(36) as 50 : 5 : 1",
    steps: &[
        Step::Load(Load { name: "alone", mix: "27,32,36", requests: Some(60), ..LOAD }),
        Step::Load(Load {
            name: "batch",
            mix: "27=50,32=5,36=1",
            connections: 448,
            requests: Some(448),
            ..LOAD
        }),
    ],
    ..SCENARIO
};

const SIXTY_FOUR_CLIENTS: Scenario = Scenario {
    name: "64 clients",
    steps: &[Step::Load(Load { connections: 64, ..MANY })],
    ..SCENARIO
};

const PIPELINE: Scenario = Scenario {
    name: "16 clients, each 512 deep",
    steps: &[Step::Load(Load { connections: 16, depth: 512, ..MANY })],
    ..SCENARIO
};

const IDLE: Scenario = Scenario {
    name: "64 clients beside 10,000 idle ones",
    steps: &[
        Step::Load(Load { name: "alone", connections: 64, ..MANY }),
        Step::Idle(10_000),
        Step::Load(Load { name: "beside", connections: 64, ..MANY }),
    ],
    ..SCENARIO
};

const RESETS: Scenario =
    Scenario { name: "resets in mid fib(45)", steps: &[Step::Resets(1_000)], ..SCENARIO };

const HALF_CLOSES: Scenario =
    Scenario { name: "half-closes", steps: &[Step::HalfCloses(10_000)], ..SCENARIO };

/// Who shall answer a client that has sent all it wanted.
const EVERYBODY: [Side; 8] = [
    Ours("--strategy sequential"),
    Ours("--strategy thread-per-connection"),
    Ours("--strategy thread-pool"),
    Ours("--strategy prefork"),
    Ours("--strategy coroutines"),
    Ours("--strategy tokio-tasks"),
    Ours("--strategy thread-per-core"),
    Ours("--strategy io-uring"),
];

/// Who shall keep many clients at little cost.
const FRUGAL: [Side; 5] = [
    Ours("--strategy prefork --max-connections 11000"),
    Ours("--strategy coroutines --max-connections 11000"),
    Ours("--strategy tokio-tasks --max-connections 11000"),
    Ours("--strategy thread-per-core --max-connections 11000"),
    Ours("--strategy io-uring --max-connections 11000"),
];

/// All of them, in the order of the table.
pub(super) fn all() -> Vec<Figure> {
    let mut figures = vec![
        Figure::new(&BESIDE_FOUR, metric::CANARY_P99_9, DEFAULT, AtMost(1.0 / 200.0)).against(Go),
        Figure::new(&BESIDE_FOUR, metric::CANARY_P99_9, DEFAULT, AtMost(200.0)),
        Figure::new(&BESIDE_FOUR, metric::CANARY_RATE, DEFAULT, AtLeast(5.0)).against(Go),
        Figure::new(&BESIDE_FOUR, metric::LONG_RATE, DEFAULT, AtLeast(1.5)).against(Go),
        Figure::new(&ALONE, metric::MEAN, DEFAULT, AtMost(1.0 / 5.0)).against(Go),
        Figure::new(&PERF1, metric::MEAN, DEFAULT, AtMost(1.0 / 2.0)).against(Go),
        Figure::new(&QUEUE, metric::WAIT_P99, SRPT, AtMost(1_000.0)),
        Figure::new(&QUEUE, metric::LONG_DONE, SRPT, AtMost(1.05)).against(FIFO),
        Figure::new(&QUEUE, metric::ALL_DONE, SRPT, AtMost(1.05)).against(FIFO),
        Figure::new(&BATCH, metric::SLOWDOWN, SRPT, AtMost(1.0)).against(FIFO),
        Figure::new(&BATCH, metric::SLOWDOWN, SRPT, AtMost(1.0)).against(ROUND_ROBIN),
        Figure::new(&RESETS, metric::RESET_MS, DEFAULT, AtMost(10.0)),
        Figure::new(&RESETS, metric::CANCELLED, DEFAULT, AtLeast(100.0)),
        Figure::new(&RESETS, metric::MISCOUNTED, DEFAULT, AtMost(0.0)),
        Figure::new(&ONE_CLIENT, metric::RATE, BUSY, AtLeast(3.0)).against(Go),
        Figure::new(&POLLING_CLIENT, metric::RATE, BUSY, AtLeast(3.0)).against(Go),
        Figure::new(&THREE_CLIENTS, metric::RATE, DEFAULT, AtLeast(1.2)).against(Go),
        Figure::new(&SIXTY_FOUR_CLIENTS, metric::RATE, DEFAULT, AtLeast(1.0)).against(Go),
        Figure::new(&SIXTY_FOUR_CLIENTS, metric::P99_9, DEFAULT, AtMost(1.0 / 5.0)).against(Go),
        Figure::new(&PIPELINE, metric::RATE, DEFAULT, AtLeast(10.0)).against(Redis),
        Figure::new(&PIPELINE, metric::RATE, DEFAULT, AtLeast(0.9)).against(C),
    ];
    for side in EVERYBODY {
        figures.push(Figure::new(&HALF_CLOSES, metric::ANSWERED, side, AtLeast(100.0)));
        figures.push(Figure::new(&HALF_CLOSES, metric::MISCOUNTED, side, AtMost(0.0)));
    }
    for side in FRUGAL {
        figures.push(Figure::new(&IDLE, metric::IDLE_KIB, side, AtMost(4.0)));
        figures.push(Figure::new(&IDLE, metric::KEPT_RATE, side, AtLeast(90.0)));
    }
    figures
}
