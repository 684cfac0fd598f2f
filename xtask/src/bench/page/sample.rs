//! What a bench might have found: every kind of row and entry, the same at every call.

use fastrand::Rng;

use crate::{
    bench::summary::{
        Better, Column, CurvePoint, Entry, Fit, InterferencePoint, Interval, Number, Row,
        SCHEMA_VERSION, Scaling, Summary, Tail, Twin,
    },
    peers::{Absence, COMPUTES, Family, STRATEGIES, name_of},
};

/// The columns: id, title, scenario, unit, decimals, which way is up, noise.
type Told = (&'static str, &'static str, &'static str, &'static str, usize, Better, f64);

use Better::{Higher, Lower};

const CANARY: &str = "beside 4 × fib(40)";

const COLUMNS: [Told; 19] = [
    ("fib30", "fib(30)", "fib(30)", "ms", 2, Lower, 1.06),
    ("rate-1", "req/s, 1 client", "1 client", "req/s", 0, Higher, 1.31),
    ("rate-3", "req/s, 3 clients", "3 clients", "req/s", 0, Higher, 1.18),
    ("p99-3", "p99, 3 clients", "3 clients", "µs", 0, Lower, 1.42),
    ("cpu", "CPU per request", "3 clients", "µs", 1, Lower, 1.12),
    ("rss", "RSS", "3 clients", "MiB", 1, Lower, 1.02),
    ("rate-64", "req/s, 64 clients", "64 clients", "req/s", 0, Higher, 1.09),
    ("p99-64", "p99, 64 clients", "64 clients", "µs", 0, Lower, 1.25),
    ("pipelined", "pipelined req/s", "16 clients, 512 deep", "req/s", 0, Higher, 1.08),
    ("canary-rate", "canary req/s", CANARY, "req/s", 0, Higher, 1.11),
    ("canary-p99", "canary p99", CANARY, "µs", 0, Lower, 1.22),
    ("canary-p99.9", "canary p99.9", CANARY, "µs", 0, Lower, 1.6),
    ("long-rate", "long ones", CANARY, "/s", 1, Higher, 1.07),
    ("goodput", "goodput", "twice the capacity", "%", 0, Higher, 1.05),
    ("overload-p99", "p99", "twice the capacity", "ms", 1, Lower, 1.5),
    ("churn", "connections/s", "new connections", "/s", 0, Higher, 1.1),
    ("idle", "per idle connection", "10,000 idle", "KiB", 1, Lower, 1.03),
    ("kept", "rate kept", "10,000 idle", "%", 0, Higher, 1.08),
    ("large", "F(100000)", "large answers", "MB/s", 0, Higher, 1.06),
];

/// What a server of the sample is like.
#[derive(Clone, Copy)]
struct Character {
    fib30_ms: f64,
    /// Of one client that waits for nobody.
    lambda: f64,
    sigma: f64,
    kappa: f64,
    /// How much of the rate is left beside one long request.
    isolation: f64,
    rss_mib: f64,
    serves_many: bool,
}

const OURS: Character = Character {
    fib30_ms: 0.78,
    lambda: 14_000.0,
    sigma: 0.09,
    kappa: 0.000_02,
    isolation: 0.97,
    rss_mib: 4.1,
    serves_many: true,
};
const GO: Character =
    Character { fib30_ms: 4.2, lambda: 21_000.0, sigma: 0.3, isolation: 0.35, ..OURS };
const PYTHON: Character = Character {
    fib30_ms: 112.0,
    lambda: 7_100.0,
    sigma: 0.9,
    isolation: 0.02,
    rss_mib: 13.7,
    ..OURS
};
const ALONE: Character = Character { serves_many: false, isolation: 0.0, ..OURS };

pub(super) fn summary() -> Summary {
    let mut rng = Rng::with_seed(30);
    let mut rows: Vec<_> = ours().chain(others()).map(|it| row(&mut rng, &it)).collect();
    rows[2].absence = Some(Absence::Refused {
        reason: "--compute processes needs more than one process, and --max-processes is 1".into(),
    });
    let pypy = Absence::Missing {
        program: "pypy3".to_owned(),
        install: "apt-get install pypy3".to_owned(),
    };
    for row in rows.iter_mut().filter(|row| row.family == Family::PyPy) {
        row.absence = Some(pypy.clone());
    }
    for row in rows.iter_mut().filter(|row| row.absence.is_some()) {
        (row.entries, row.curve, row.interference, row.tails) = (vec![], vec![], vec![], vec![]);
        row.scaling = Scaling::Refused("it did not take part".to_owned());
    }
    tell_from_noise(&mut rows);
    let fact = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    Summary {
        schema_version: SCHEMA_VERSION,
        date: "2026-11-25".to_owned(),
        budget: "full".to_owned(),
        repetitions: 6,
        seed: 1_764_028_800,
        machine: vec![
            fact("CPU", "AMD EPYC, 2 cores"),
            fact("memory", "7 GiB"),
            fact("kernel", "6.18.44"),
            fact("fib", "v0.1.0-41-gdb0e415"),
            fact("rustc", "rustc 1.95.0 (59807616e 2026-04-14)"),
            fact("go", "go version go1.27.3 linux/amd64"),
            fact("python3", "Python 3.11.7"),
            fact("pypy3", "missing; apt-get install pypy3"),
        ],
        disturbance: "the host took 3.4 % of the CPU time of a run (median; at most 40.7 %), 102 \
                      runs were made again because of it"
            .to_owned(),
        columns: COLUMNS.iter().map(column).collect(),
        rows,
        twin: Some(Twin { of: name_of("tokio-tasks", "pool"), told_apart: 1, columns: 19 }),
    }
}

/// For tests of a row that do not mind which.
pub(super) fn any_row() -> Row {
    summary().rows.remove(0)
}

fn column(&(id, title, scenario, unit, decimals, better, noise): &Told) -> Column {
    let about = format!(
        "{scenario}: what one client of the load tester sees in a closed loop of two seconds, in \
         which a connection sends its next request when it has its reply."
    );
    Column {
        id: id.to_owned(),
        title: title.to_owned(),
        scenario: scenario.to_owned(),
        unit: unit.to_owned(),
        decimals,
        better,
        about,
        commands: vec![
            format!("fib-client perf -n 1 -c 3 -d 2s --json {id}.json"),
            "# the median of six is the number".to_owned(),
        ],
        noise: (id != "large").then_some(noise),
    }
}

/// A row's name, family, command and character.
type Candidate = (String, Family, String, Character);

fn ours() -> impl Iterator<Item = Candidate> {
    let pairs = STRATEGIES.into_iter().flat_map(|it| COMPUTES.map(|compute| (it, compute)));
    let deadline = (
        "fib-server, tokio-tasks + pool, deadline 50 ms".to_owned(),
        Family::Fib,
        "fib-server --algorithm recursive --deadline 50ms".to_owned(),
        OURS,
    );
    let combination = |(strategy, compute): (&str, &str)| {
        let base = if strategy == "sequential" { ALONE } else { OURS };
        let isolation: f64 = if compute == "inline" { 0.12 } else { 0.97 };
        let isolation = if strategy == "thread-per-connection" { 0.6 } else { isolation };
        let rss_mib = if compute == "processes" { 11.4 } else { 4.0 };
        let character = Character { isolation: isolation.min(base.isolation), rss_mib, ..base };
        let command =
            format!("fib-server --algorithm recursive --strategy {strategy} --compute {compute}");
        (name_of(strategy, compute), Family::Fib, command, character)
    };
    pairs.map(combination).chain([deadline])
}

fn others() -> impl Iterator<Item = Candidate> {
    let alone = |base: Character| Character { serves_many: false, isolation: 0.0, ..base };
    let c = Character { fib30_ms: 1.4, rss_mib: 1.5, isolation: 0.5, ..OURS };
    let pypy = Character { fib30_ms: 14.8, rss_mib: 55.8, ..PYTHON };
    let slow = Character { lambda: 1_100.0, rss_mib: 40.9, isolation: 0.5, ..PYTHON };
    let reference = Character { lambda: 16_000.0, ..OURS };
    let candidates = [
        ("C, threads", Family::C, c),
        ("C, epoll", Family::C, Character { isolation: 0.01, ..c }),
        ("Go, synchronous", Family::Go, alone(GO)),
        ("Go, goroutines, GOMAXPROCS=1", Family::Go, Character { isolation: 0.05, ..GO }),
        ("Go, goroutines, GOMAXPROCS=2", Family::Go, GO),
        ("PyPy, synchronous", Family::PyPy, alone(pypy)),
        ("PyPy, threads", Family::PyPy, pypy),
        ("PyPy, coroutines", Family::PyPy, pypy),
        ("Python, synchronous", Family::Python, alone(PYTHON)),
        ("Python, threads", Family::Python, PYTHON),
        ("Python, threads + processes", Family::Python, slow),
        ("Python, coroutines", Family::Python, PYTHON),
        ("Python, coroutines + threads", Family::Python, slow),
        ("Python, coroutines + processes", Family::Python, slow),
        ("Redis, PING", Family::Reference, reference),
        ("memcached, version", Family::Reference, reference),
    ];
    let told = |(name, family, character): (&str, Family, Character)| {
        let command = format!("'{}' 127.0.0.1 25000", name.to_lowercase());
        (name.to_owned(), family, command, character)
    };
    candidates.into_iter().map(told)
}

fn row(rng: &mut Rng, (name, family, command, character): &Candidate) -> Row {
    let is_reference = *family == Family::Reference;
    let entry = |told: &Told| entry(rng, told.0, told.4, character, is_reference);
    let entries = COLUMNS.iter().map(entry).collect();
    let has_load = !is_reference && character.serves_many;
    let mut row = Row {
        name: name.clone(),
        family: *family,
        command: command.clone(),
        is_default: *name == name_of("tokio-tasks", "pool"),
        absence: None,
        entries,
        curve: vec![],
        interference: vec![],
        tails: vec![],
        scaling: scaling(rng, character),
    };
    if has_load {
        row.curve =
            [1, 2, 3, 4, 8, 16, 32, 64, 128, 256].map(|it| point(rng, character, it)).into();
        row.tails = vec![
            tail(rng, "64 clients", 4.5e7 / rate(character, 64.0), 0.1 + character.sigma / 4.0),
            canary_tail(rng, character),
        ];
    }
    if !is_reference {
        row.interference = [0, 1, 2, 4].map(|it| beside(rng, character, it)).into();
    }
    row
}

/// Some percent more or less.
fn about(rng: &mut Rng, value: f64) -> f64 {
    value * (1.0 + 0.2 * (rng.f64() - 0.5))
}

fn rate(character: &Character, clients: f64) -> f64 {
    let Character { lambda, sigma, kappa, .. } = *character;
    lambda * clients / (1.0 + sigma * (clients - 1.0) + kappa * clients * (clients - 1.0))
}

fn entry(rng: &mut Rng, id: &str, decimals: usize, it: &Character, is_reference: bool) -> Entry {
    let is_starved = it.isolation <= 0.02;
    let value = match id {
        "pipelined" => 2_400_000.0 * it.lambda / 14_000.0,
        _ if is_reference => return Entry::Nothing("it has no fib: it answers PING".to_owned()),
        "fib30" => it.fib30_ms,
        "rate-3" if it.serves_many => rate(it, 3.0),
        "rate-1" | "rate-3" => it.lambda,
        "canary-rate" => 40_000.0 * it.isolation.powi(4),
        "canary-p99" | "canary-p99.9" if is_starved => {
            return Entry::Nothing("no request was answered".to_owned());
        }
        "canary-p99" => 70.0 / it.isolation.powi(3),
        "canary-p99.9" => 120.0 / it.isolation.powi(5),
        "long-rate" => 9.4 / it.fib30_ms,
        "rss" => it.rss_mib,
        "cpu" => 160_000.0 / it.lambda,
        _ if !it.serves_many => return Entry::Nothing("serves one client at a time".to_owned()),
        "rate-64" => rate(it, 64.0),
        "p99-3" => 2.4e6 / it.lambda,
        "p99-64" => 1.6e8 / rate(it, 64.0),
        "goodput" => 100.0 * it.isolation,
        "overload-p99" => 12.0 / it.isolation.powi(3),
        "churn" => it.lambda * 0.7,
        "idle" => it.rss_mib / 2.0,
        "kept" => 97.0,
        _ => 410.0 / it.fib30_ms,
    };
    let is_odd = id == "rate-3" && !it.serves_many;
    let note = is_odd.then(|| "1 of 3 served".to_owned());
    number(rng, value, decimals, note)
}

fn number(rng: &mut Rng, value: f64, decimals: usize, note: Option<String>) -> Entry {
    // As many digits as are told: the smallest difference is that of two texts.
    let shift = 10_f64.powi(i32::try_from(decimals).unwrap());
    let median = (about(rng, value) * shift).round() / shift;
    let (low, high) = (median * (1.0 - 0.06 * rng.f64()), median * (1.0 + 0.09 * rng.f64()));
    Entry::Number(Number { median, low, high, is_within_noise: false, note })
}

/// What the summary's maker does: near the default's is nothing.
fn tell_from_noise(rows: &mut [Row]) {
    let default = rows.iter().find(|row| row.is_default).unwrap().entries.clone();
    for row in rows.iter_mut().filter(|row| !row.is_default) {
        for ((entry, default), column) in row.entries.iter_mut().zip(&default).zip(&COLUMNS) {
            if let (Entry::Number(number), Entry::Number(default)) = (entry, default) {
                let ratio = number.median / default.median;
                number.is_within_noise = ratio.max(1.0 / ratio) < column.6;
            }
        }
    }
}

fn point(rng: &mut Rng, character: &Character, clients: u32) -> CurvePoint {
    let rate_per_s = about(rng, rate(character, f64::from(clients)));
    let mean_us = 1e6 * f64::from(clients) / rate_per_s;
    let p99_us = Some(about(rng, 3.1 * mean_us));
    CurvePoint { clients: clients as usize, rate_per_s, p50_us: Some(0.9 * mean_us), p99_us }
}

fn beside(rng: &mut Rng, it: &Character, long: u32) -> InterferencePoint {
    let share = it.isolation.powf(f64::from(long));
    let p99_us = (share > 0.01).then(|| about(rng, 70.0 / share.powi(2)));
    InterferencePoint {
        long_connections: long as usize,
        rate_per_s: if share > 0.001 { about(rng, 12_000.0 * share) } else { 0.0 },
        p50_us: p99_us.map(|it| it / 3.0),
        p99_us,
        long_per_s: 9.0 * f64::from(long.min(2)) / it.fib30_ms,
    }
}

fn canary_tail(rng: &mut Rng, character: &Character) -> Tail {
    let slope = 0.12 + 0.45 * (1.0 - character.isolation);
    tail(rng, "beside 4 × fib(40)", 24.0, slope)
}

fn tail(rng: &mut Rng, scenario: &str, base_us: f64, slope: f64) -> Tail {
    let base_us = about(rng, base_us);
    let slope = about(rng, slope);
    let point = |share: f64| (share, base_us * (1.0 - share).powf(-slope));
    let points = [0.5, 0.75, 0.9, 0.95, 0.99, 0.995, 0.999, 0.9999].map(point).into();
    Tail { scenario: scenario.to_owned(), points }
}

fn scaling(rng: &mut Rng, it: &Character) -> Scaling {
    if !it.serves_many {
        return Scaling::Refused("serves one client at a time".to_owned());
    }
    if rng.u8(0..8) == 0 {
        return Scaling::Refused("R² is 0.62: the rate has a step that the law lacks".to_owned());
    }
    let interval = |value: f64| Interval { value, low: 0.8 * value, high: 1.3 * value };
    Scaling::Fit(Fit {
        lambda: interval(about(rng, it.lambda)),
        sigma: interval(about(rng, it.sigma)),
        kappa: interval(about(rng, it.kappa)),
        r_squared: 0.9 + 0.09 * rng.f64(),
        peak_clients: Some(((1.0 - it.sigma) / it.kappa).sqrt()),
    })
}
