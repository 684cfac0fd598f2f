//! Every figure: what is asked of whom, and the relation that is wanted.

use std::time::Duration;

use super::{
    Figure,
    Relation::{AtLeast, AtMost},
    Side::{self, C, Go, Ours, Redis},
    metric,
};
use crate::bench::scenario::{CANARY, LOAD, LONG, Load, ONE_CLIENT, Scenario, Step, THREE_CLIENTS};

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
    steps: &[Step::Loads(&[Load { busy_poll: Duration::from_micros(200), ..LOAD }])],
    weight: 1,
};

const ALONE: Scenario = Scenario {
    name: "fib(40)",
    steps: &[Step::Loads(&[Load { mix: "40", requests: Some(5), ..LOAD }])],
    weight: 1,
};

const SHORT: Load = Load { name: "alone", mix: "25", requests: Some(1_000), ..LOAD };

/// How much earlier the long requests come.
pub(super) const HEAD_START: Duration = Duration::from_millis(100);

/// Short requests come when the queue is full of long ones.
const QUEUE: Scenario = Scenario {
    name: "fib(25) behind 32 × fib(38)",
    steps: &[
        Step::Loads(&[SHORT]),
        Step::Loads(&[
            Load { name: "long", mix: "38", connections: 32, requests: Some(32), ..LOAD },
            Load { name: "beside", after: HEAD_START, ..SHORT },
        ]),
    ],
    weight: 1,
};

/// 448 connections ask once and all together, in the same order for everybody.
const BATCH: Scenario = Scenario {
    name: "448 at once: fib(27), fib(32), fib(36) as 50 : 5 : 1",
    steps: &[
        Step::Loads(&[Load { name: "alone", mix: "27,32,36", requests: Some(60), ..LOAD }]),
        Step::Loads(&[Load {
            name: "batch",
            mix: "27=50,32=5,36=1",
            connections: 448,
            requests: Some(448),
            ..LOAD
        }]),
    ],
    weight: 1,
};

const SIXTY_FOUR_CLIENTS: Scenario = Scenario {
    name: "64 clients",
    steps: &[Step::Loads(&[Load { connections: 64, ..MANY }])],
    weight: 1,
};

const PIPELINE: Scenario = Scenario {
    name: "16 clients, each 512 deep",
    steps: &[Step::Loads(&[Load { connections: 16, depth: 512, ..MANY }])],
    weight: 1,
};

const IDLE: Scenario = Scenario {
    name: "64 clients beside 10,000 idle ones",
    steps: &[
        Step::Loads(&[Load { name: "alone", connections: 64, ..MANY }]),
        Step::Idle(10_000),
        Step::Loads(&[Load { name: "beside", connections: 64, ..MANY }]),
    ],
    weight: 1,
};

const RESETS: Scenario =
    Scenario { name: "resets in mid fib(45)", steps: &[Step::Resets(1_000)], weight: 1 };

const HALF_CLOSES: Scenario =
    Scenario { name: "half-closes", steps: &[Step::HalfCloses(10_000)], weight: 1 };

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
        Figure::new(&CANARY, metric::CANARY_P99_9, DEFAULT, AtMost(1.0 / 200.0)).against(Go),
        Figure::new(&CANARY, metric::CANARY_P99_9, DEFAULT, AtMost(200.0)),
        Figure::new(&CANARY, metric::CANARY_RATE, DEFAULT, AtLeast(5.0)).against(Go),
        Figure::new(&CANARY, metric::LONG_RATE, DEFAULT, AtLeast(1.5)).against(Go),
        Figure::new(&ALONE, metric::MEAN, DEFAULT, AtMost(1.0 / 5.0)).against(Go),
        Figure::new(&LONG, metric::MEAN, DEFAULT, AtMost(1.0 / 2.0)).against(Go),
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
