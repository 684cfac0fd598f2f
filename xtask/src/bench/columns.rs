//! The columns of the matrix: what every server is asked for, and where that is read.

use fib_client::report::Latency;

use crate::{
    bench::{
        client,
        found::Found,
        plan::{Budget, Effort},
        record::Cell,
        run::Span,
        scenario::{
            BESIDE_FOUR, CHURN, CLIENTS, IDLE, LARGE, Load, OVERLOAD, PERF1, PIPELINED, Pace,
            Scenario, matrix, warm_up,
        },
        summary::Better::{self, Higher, Lower},
    },
    tools::to_f64,
};

/// A column, and the number of it that a run has.
#[derive(Clone, Copy, Debug)]
pub(super) struct Measure {
    pub(super) id: &'static str,
    pub(super) title: &'static str,
    pub(super) unit: &'static str,
    pub(super) decimals: usize,
    pub(super) better: Better,
    pub(super) about: &'static str,
    pub(super) scenario: &'static Scenario,
    /// The loads that it is read from; the last one is whose connections count as served.
    pub(super) loads: &'static [&'static str],
    pub(super) of: fn(&Cell) -> Option<f64>,
}

/// In the order of the table.
pub(super) const ALL: [Measure; 20] = [
    Measure {
        id: "fib30",
        title: "fib(30), ms",
        unit: "ms",
        decimals: 2,
        better: Lower,
        about: "Mean time of one long request on one connection, over and over: 1,664,079 calls \
                of the recursion, which every server makes.",
        scenario: &PERF1,
        loads: &["load"],
        of: |cell| Some(cell.found("load")?.response.mean_ns? / 1e6),
    },
    Measure {
        id: "rate-1",
        title: "req/s, 1 client",
        about: "fib(1), which costs nothing, from one connection: mostly what it takes to wake a \
                thread.",
        loads: &["1 client"],
        of: |cell| rate(cell, "1 client"),
        ..RATE
    },
    Measure {
        id: "rate-3",
        title: "req/s, 3 clients",
        about: "fib(1) from three connections.",
        loads: &["3 clients"],
        of: |cell| rate(cell, "3 clients"),
        ..RATE
    },
    Measure {
        id: "rate-64",
        title: "req/s, 64 clients",
        about: "fib(1) from 64 connections: both cores are full.",
        loads: &["64 clients"],
        of: |cell| rate(cell, "64 clients"),
        ..RATE
    },
    Measure {
        id: "p99-3",
        title: "p99, 3 clients, µs",
        about: "The response time that 1 % of three clients' requests exceed.",
        loads: &["3 clients"],
        of: |cell| p99_us(cell, "3 clients"),
        ..TAIL
    },
    Measure {
        id: "p99-64",
        title: "p99, 64 clients, µs",
        about: "The response time that 1 % of 64 clients' requests exceed.",
        loads: &["64 clients"],
        of: |cell| p99_us(cell, "64 clients"),
        ..TAIL
    },
    Measure {
        id: "cpu",
        title: "CPU µs/request",
        unit: "µs",
        decimals: 1,
        better: Lower,
        about: "User and system time of the server's whole process tree for each request of three \
                clients.",
        scenario: &CLIENTS,
        loads: &["3 clients"],
        of: |cell| cell.found("3 clients")?.cpu_us_per_reply(),
    },
    Measure {
        id: "rss",
        title: "RSS, MiB",
        unit: "MiB",
        decimals: 1,
        better: Lower,
        about: "Resident memory of the server's whole process tree with three clients; pages that \
                processes share count once for each.",
        scenario: &CLIENTS,
        loads: &["3 clients"],
        of: |cell| Some(to_f64(cell.found("3 clients")?.server_rss_bytes) / f64::from(1 << 20)),
    },
    Measure {
        id: "pipelined",
        title: "req/s, pipelined",
        unit: "req/s",
        decimals: 0,
        better: Higher,
        about: "fib(1) from 16 connections, 512 requests under way on each. Redis and memcached \
                answer a command that does nothing: inline PING, version.",
        scenario: &PIPELINED,
        loads: &["load"],
        of: |cell| rate(cell, "load"),
    },
    Measure {
        id: "canary-rate",
        title: "canary req/s",
        unit: "req/s",
        decimals: 0,
        better: Higher,
        about: "One connection asks fib(1) beside four that ask fib(40) without pause and keep \
                every core busy.",
        scenario: &BESIDE_FOUR,
        loads: &["long", "canary"],
        of: |cell| rate(cell, "canary"),
    },
    Measure {
        id: "canary-p99",
        title: "canary p99, µs",
        unit: "µs",
        decimals: 0,
        better: Lower,
        about: "The response time that 1 % of that connection's requests exceed.",
        scenario: &BESIDE_FOUR,
        loads: &["long", "canary"],
        of: |cell| p99_us(cell, "canary"),
    },
    Measure {
        id: "canary-p99.9",
        title: "canary p99.9, µs",
        unit: "µs",
        decimals: 0,
        better: Lower,
        about: "The response time that 0.1 % of them exceed.",
        scenario: &BESIDE_FOUR,
        loads: &["long", "canary"],
        of: |cell| micros(cell.found("canary")?.response.p99_9_ns),
    },
    Measure {
        id: "long-rate",
        title: "long req/s",
        unit: "req/s",
        decimals: 1,
        better: Higher,
        about: "How many of the four connections' fib(40) are answered meanwhile; those under way \
                at the end are not counted.",
        scenario: &BESIDE_FOUR,
        loads: &["canary", "long"],
        of: |cell| rate(cell, "long"),
    },
    Measure {
        id: "goodput",
        title: "goodput, %",
        unit: "%",
        decimals: 0,
        better: Higher,
        about: "64 connections ask fib(25) at random twice as often as 16 were answered in a \
                closed loop: how much of that capacity is still answered.",
        scenario: &OVERLOAD,
        loads: &["capacity", "overload"],
        of: |cell| {
            let (capacity, rate) = (rate(cell, "capacity")?, rate(cell, "overload")?);
            (capacity > 0.0).then(|| 100.0 * rate / capacity)
        },
    },
    Measure {
        id: "overload-p50",
        title: "overload p50, ms",
        unit: "ms",
        decimals: 1,
        better: Lower,
        about: "The median response time of those that were answered, from when they were due. \
                Without a limit it grows for as long as the overload lasts.",
        scenario: &OVERLOAD,
        loads: &["capacity", "overload"],
        of: |cell| Some(micros(cell.found("overload")?.response.p50_ns)? / 1e3),
    },
    Measure {
        id: "churn",
        title: "connections/s",
        unit: "connections/s",
        decimals: 0,
        better: Higher,
        about: "Eight clients open a connection for each request.",
        scenario: &CHURN,
        loads: &["load"],
        of: |cell| rate(cell, "load"),
    },
    Measure {
        id: "idle",
        title: "KiB/idle connection",
        unit: "KiB",
        decimals: 1,
        better: Lower,
        about: "By how much the server's resident memory grows with each connection that has \
                asked once and is silent: 10,000 of them with --full, otherwise 1,000.",
        scenario: &IDLE,
        loads: &["beside"],
        of: |cell| {
            let idle = cell.idle?;
            let grown = to_f64(idle.rss_bytes_after) - to_f64(idle.rss_bytes_before);
            (idle.connections > 0).then(|| grown / 1024.0 / to_f64(idle.connections as u64))
        },
    },
    Measure {
        id: "kept",
        title: "% kept beside idle",
        unit: "%",
        decimals: 0,
        better: Higher,
        about: "How much of the rate of 64 clients is left beside those idle connections.",
        scenario: &IDLE,
        loads: &["alone", "beside"],
        of: |cell| Some(100.0 * rate(cell, "beside")? / rate(cell, "alone")?),
    },
    Measure {
        id: "large",
        title: "digits, MB/s",
        unit: "MB/s",
        decimals: 1,
        better: Higher,
        about: "Four connections ask F(100000), 20,899 digits, which everybody computes by fast \
                doubling with their language's own big integers.",
        scenario: &LARGE,
        loads: &["load"],
        of: |cell| Some(rate(cell, "load")? * DIGITS_OF_LARGE / 1e6),
    },
    Measure {
        id: "large-p99",
        title: "p99 of them, ms",
        unit: "ms",
        decimals: 1,
        better: Lower,
        about: "The response time that 1 % of those requests exceed.",
        scenario: &LARGE,
        loads: &["load"],
        of: |cell| Some(p99_us(cell, "load")? / 1e3),
    },
];

const RATE: Measure = Measure {
    id: "",
    title: "",
    unit: "req/s",
    decimals: 0,
    better: Higher,
    about: "",
    scenario: &CLIENTS,
    loads: &[],
    of: |_| None,
};

const TAIL: Measure = Measure { unit: "µs", better: Lower, ..RATE };

/// With the newline.
const DIGITS_OF_LARGE: f64 = 20_900.0;

impl Cell {
    pub(super) fn found(&self, load: &str) -> Option<&Found> {
        self.loads.get(load)
    }
}

fn rate(cell: &Cell, load: &str) -> Option<f64> {
    Some(cell.found(load)?.rate_per_s)
}

fn p99_us(cell: &Cell, load: &str) -> Option<f64> {
    let Latency { p99_ns, .. } = cell.found(load)?.response;
    micros(p99_ns)
}

pub(super) fn micros(nanos: Option<u64>) -> Option<f64> {
    nanos.map(|nanos| to_f64(nanos) / 1e3)
}

impl Measure {
    /// Whether it looks better where somebody is not served: a latency without those who wait for
    /// ever, a share of a capacity that is that of the few.
    pub(super) fn flatters_starvation(&self) -> bool {
        ["µs", "ms", "%"].contains(&self.unit) && self.id != "cpu"
    }

    /// Which scenario it is read from, as this effort measures it.
    fn scenario(&self, effort: Effort) -> &'static Scenario {
        let same = |it: &&&Scenario| it.name == self.scenario.name;
        matrix(effort).iter().find(same).copied().unwrap_or(self.scenario)
    }

    /// What repeats it by hand, against a server on the default port; a line each.
    pub(super) fn commands(&self, effort: Effort, budget: Budget) -> Vec<String> {
        let scenario = self.scenario(effort);
        let timed = scenario.timed(budget.seconds);
        let loads = self.loads.iter().filter_map(|name| scenario.load(name));
        loads.map(|load| command(load, timed)).collect()
    }
}

fn command(load: &Load, timed: std::time::Duration) -> String {
    let measured = timed.saturating_sub(load.after);
    let span = Span { warm_up: warm_up(timed), measured, rate_per_s: None };
    let mut words = client::flags(load, span);
    if let Pace::TimesTheRateOf(times, name) = load.pace {
        words.push(format!("--arrivals=poisson --rate=RATE  # {times} x the rate of {name}"));
    }
    format!("fib-client perf {}", words.join(" "))
}
