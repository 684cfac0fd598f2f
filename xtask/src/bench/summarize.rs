//! From a bench's raw record to what it shows.

use std::collections::BTreeMap;

use fib_client::report::Latency;
use hdrhistogram::Histogram;

use crate::{
    bench::{
        columns::{self, Measure, micros},
        found::Found,
        noise,
        plan::{Budget, Effort},
        record::{Cell, Participant, Record},
        scaling::{self, Level},
        scenario::{BESIDE_FOUR, BESIDE_ONE, BESIDE_TWO, CLIENTS, Scenario},
        statistics::Values,
        steal,
        summary::{
            Column, CurvePoint, Entry, InterferencePoint, Number, Row, SCHEMA_VERSION, Scaling,
            Summary, Tail, Twin,
        },
    },
    peers::{DEFAULT, TWIN},
    tools::to_f64,
};

/// Percentiles of a tail, and how many there are until half of what is left.
const STEPS_PER_HALF: u32 = 2;

/// A percentile with fewer samples beyond it says nothing.
const SAMPLES_BEYOND: f64 = 10.0;

pub(super) fn summarize(record: &Record) -> Summary {
    let head = &record.head;
    let noises: Vec<_> = columns::ALL.iter().map(|measure| noise_of(record, measure)).collect();
    let columns = columns::ALL.iter().zip(&noises);
    let servers = head.servers.iter().filter(|it| it.name != TWIN);
    Summary {
        schema_version: SCHEMA_VERSION,
        date: head.date.clone(),
        budget: head.budget.clone(),
        repetitions: head.repetitions,
        seed: head.seed,
        machine: head.machine.clone(),
        disturbance: steal::told(record),
        columns: columns.map(|(it, noise)| column(it, *noise, head.effort())).collect(),
        rows: servers.map(|server| row(record, server, &noises)).collect(),
        twin: twin(record),
    }
}

fn column(measure: &Measure, noise: Option<f64>, effort: Effort) -> Column {
    Column {
        id: measure.id.to_owned(),
        title: measure.title.to_owned(),
        scenario: measure.scenario.name.to_owned(),
        unit: measure.unit.to_owned(),
        decimals: measure.decimals,
        better: measure.better,
        about: measure.about.to_owned(),
        commands: measure.commands(effort, Budget::of_matrix(effort)),
        noise,
    }
}

/// Of the default server and its twin; there is none where one of them is missing.
fn noise_of(record: &Record, measure: &Measure) -> Option<f64> {
    let values = |server| Values::of(&record.cells(server, measure.scenario.name), measure.of);
    noise::floor(values(DEFAULT).as_slice(), values(TWIN).as_slice())
}

fn row(record: &Record, server: &Participant, noises: &[Option<f64>]) -> Row {
    let cells = |scenario: &Scenario| record.cells(&server.name, scenario.name);
    let curve = by_load(&cells(&CLIENTS));
    Row {
        name: server.name.clone(),
        family: server.family,
        command: server.command.clone(),
        is_default: server.name == DEFAULT,
        absence: server.absence.clone(),
        entries: entries(record, server, noises),
        curve: curve.values().map(|found| curve_point(found)).collect(),
        interference: interference(record, &server.name),
        tails: tails(record, &server.name),
        scaling: scaling(&curve),
    }
}

fn entries(record: &Record, server: &Participant, noises: &[Option<f64>]) -> Vec<Entry> {
    let measures = columns::ALL.iter().zip(noises);
    measures.map(|(measure, noise)| entry(record, server, measure, *noise)).collect()
}

fn entry(record: &Record, server: &Participant, measure: &Measure, noise: Option<f64>) -> Entry {
    let scenario = measure.scenario.name;
    if let Some(excuse) = record.excuse(&server.name, scenario) {
        return Entry::Nothing(excuse.to_owned());
    }
    let cells = record.cells(&server.name, scenario);
    if let Some(trouble) = cells.iter().find_map(|cell| cell.trouble.as_deref()) {
        return Entry::Nothing(trouble.to_owned());
    }
    let values = Values::of(&cells, measure.of);
    let (Some(median), Some((low, high))) = (values.median(), values.range()) else {
        return Entry::Nothing(nothing(&cells, measure).to_owned());
    };
    let default = Values::of(&record.cells(DEFAULT, scenario), measure.of).median();
    let note = note(&cells, measure);
    let is_starved = |note: &&String| measure.flatters_starvation() && note.contains("served");
    if let Some(note) = note.as_ref().filter(is_starved) {
        return Entry::Nothing(note.clone());
    }
    let is_within_noise = server.name != DEFAULT
        && noise.zip(default).is_some_and(|(noise, other)| {
            median > 0.0 && other > 0.0 && noise::ratio(median, other) <= noise
        });
    Entry::Number(Number { median, low, high, is_within_noise, note })
}

/// Why a column cannot be told.
fn nothing(cells: &[&Cell], measure: &Measure) -> &'static str {
    let load = measure.loads.last().copied().unwrap_or_default();
    let found: Vec<_> = cells.iter().filter_map(|cell| cell.found(load)).collect();
    if cells.is_empty() {
        "not measured"
    } else if found.iter().any(|it| it.replies == 0) {
        "no answer"
    } else {
        "too few answers to tell"
    }
}

/// What must be known with a number: who was left out, and what went wrong.
fn note(cells: &[&Cell], measure: &Measure) -> Option<String> {
    let load = measure.loads.last()?;
    let found: Vec<_> = cells.iter().filter_map(|cell| cell.found(load)).collect();
    let least = found.iter().min_by_key(|it| it.served)?;
    let mut notes = Vec::new();
    if least.served < least.connections {
        notes.push(format!("{} of {} served", least.served, least.connections));
    }
    let mut failures: BTreeMap<&str, u64> = BTreeMap::new();
    for failure in found.iter().flat_map(|it| &it.failures) {
        *failures.entry(&failure.kind).or_default() += failure.count;
    }
    notes.extend(failures.iter().map(|(kind, count)| format!("{count} × {kind}")));
    (!notes.is_empty()).then(|| notes.join(", "))
}

/// What all repetitions found, by the number of clients.
fn by_load<'a>(cells: &[&'a Cell]) -> BTreeMap<usize, Vec<&'a Found>> {
    let mut by_load: BTreeMap<usize, Vec<&Found>> = BTreeMap::new();
    for found in cells.iter().flat_map(|cell| cell.loads.values()) {
        by_load.entry(found.connections).or_default().push(found);
    }
    by_load
}

/// The median over some of them, if all have one.
fn median(found: &[&Found], value: impl Fn(&Found) -> Option<f64>) -> Option<f64> {
    let values: Option<Vec<_>> = found.iter().map(|it| value(it)).collect();
    Values::from(values?).median()
}

fn response(found: &[&Found], percentile: fn(&Latency) -> Option<u64>) -> Option<f64> {
    median(found, |it| micros(percentile(&it.response)))
}

fn curve_point(found: &Vec<&Found>) -> CurvePoint {
    CurvePoint {
        clients: found.first().map_or(0, |it| it.connections),
        rate_per_s: median(found, |it| Some(it.rate_per_s)).unwrap_or_default(),
        p50_us: response(found, |it| it.p50_ns),
        p99_us: response(found, |it| it.p99_ns),
    }
}

/// Undisturbed first, where that was measured.
fn interference(record: &Record, server: &str) -> Vec<InterferencePoint> {
    let levels = [
        (0, &CLIENTS, "1 client"),
        (1, &BESIDE_ONE, "canary"),
        (2, &BESIDE_TWO, "canary"),
        (4, &BESIDE_FOUR, "canary"),
    ];
    let point = |(long_connections, scenario, load): (usize, &Scenario, &str)| {
        let cells = record.cells(server, scenario.name);
        let found: Vec<_> = cells.iter().filter_map(|cell| cell.found(load)).collect();
        let long: Vec<_> = cells.iter().filter_map(|cell| cell.found("long")).collect();
        Some(InterferencePoint {
            long_connections,
            rate_per_s: median(&found, |it| Some(it.rate_per_s))?,
            p50_us: response(&found, |it| it.p50_ns),
            p99_us: response(&found, |it| it.p99_ns),
            long_per_s: median(&long, |it| Some(it.rate_per_s)).unwrap_or_default(),
        })
    };
    levels.into_iter().filter_map(point).collect()
}

fn tails(record: &Record, server: &str) -> Vec<Tail> {
    let wanted = [(&CLIENTS, "64 clients"), (&BESIDE_FOUR, "canary")];
    let tail = |(scenario, load): (&Scenario, &str)| {
        let title = if load == "canary" { scenario.name } else { load };
        let cells = record.cells(server, scenario.name);
        let points = tail(cells.iter().filter_map(|cell| cell.found(load)))?;
        Some(Tail { scenario: title.to_owned(), points })
    };
    wanted.into_iter().filter_map(tail).collect()
}

/// All samples together, as far as they are known.
fn tail<'a>(found: impl Iterator<Item = &'a Found>) -> Option<Vec<(f64, f64)>> {
    let mut all = Histogram::<u64>::new(3).expect("three digits are a precision");
    for samples in found.filter_map(|it| it.samples.as_ref()) {
        all.add(samples.decode().ok()?).ok()?;
    }
    let beyond = |share: f64| to_f64(all.len()) * (1.0 - share);
    let steps = all.iter_quantiles(STEPS_PER_HALF);
    let known = steps
        .take_while(|step| beyond(step.quantile_iterated_to()) >= SAMPLES_BEYOND)
        .map(|step| (step.quantile_iterated_to(), to_f64(step.value_iterated_to()) / 1e3));
    let points: Vec<_> = known.collect();
    (!points.is_empty()).then_some(points)
}

fn scaling(curve: &BTreeMap<usize, Vec<&Found>>) -> Scaling {
    let all = || curve.values().flatten();
    if all().any(|found| found.served < found.connections) {
        return Scaling::Refused("not every client was served".to_owned());
    }
    let rates = |found: &Vec<&Found>| found.iter().map(|it| it.rate_per_s).collect();
    let level = |(&clients, found)| Level { clients, rates: rates(found) };
    scaling::fit(&curve.iter().map(level).collect::<Vec<_>>())
}

/// Whether the default server is told from itself.
fn twin(record: &Record) -> Option<Twin> {
    let mut twin = Twin { of: DEFAULT.to_owned(), told_apart: 0, columns: 0 };
    for measure in &columns::ALL {
        let values = |server| Values::of(&record.cells(server, measure.scenario.name), measure.of);
        let (one, other) = (values(DEFAULT), values(TWIN));
        if let Some((one, other)) = one.range().zip(other.range()) {
            twin.columns += 1;
            twin.told_apart += usize::from(one.1 < other.0 || other.1 < one.0);
        }
    }
    (twin.columns > 0).then_some(twin)
}
