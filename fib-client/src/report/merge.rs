//! Reports of several clients that loaded a server together, as one: without loss.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    time::{Duration, SystemTime},
};

use hdrhistogram::Histogram;
use thiserror::Error;

use crate::{
    load::{Latencies, Timeline, Window},
    report::{
        ClassReport, ClientReport, Connections, FailureReport, Histograms, Latency, NotEncoded,
        Report, Rows, SCHEMA_VERSION, TimelineReport, document::sum, to_f64,
    },
};

/// Loads that overlap by a smaller share of the shorter one were not made together.
const OVERLAP_MIN: f64 = 0.5;

/// Why reports cannot be added up. Reports are told by their place, from 1 on.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum MergeError {
    /// There are none.
    #[error("there is no report to add up")]
    Nothing,
    /// Written by another version of this program.
    #[error("report {report} has the format {found}, and not {SCHEMA_VERSION}")]
    Version {
        /// Which one.
        report: usize,
        /// The version of its format.
        found: u32,
    },
    /// Another load.
    #[error("report {report} is of another load than the first: {}", fields.join(", "))]
    Unlike {
        /// Which one.
        report: usize,
        /// What it was asked otherwise.
        fields: Vec<&'static str>,
    },
    /// Another time.
    #[error(
        "report {report} is of another time than the first: clients begin together with --start-at"
    )]
    Apart {
        /// Which one.
        report: usize,
    },
    /// Nothing that could be added.
    #[error("report {report} has no histograms, or broken ones")]
    Samples {
        /// Which one.
        report: usize,
    },
}

/// Adds reports up. Histograms, counts and timelines are those that one client would have had; a
/// clock that is wrong shifts a client's part of the timeline and nothing else. Rates are added.
/// What cannot be added is that of the client that fared worst: how late it woke up. Thresholds,
/// studies and the grade are not added: the grade is given anew.
///
/// # Errors
///
/// [`MergeError`].
pub fn merge(reports: &[Report]) -> Result<Report, MergeError> {
    let first = reports.first().ok_or(MergeError::Nothing)?;
    for (at, report) in reports.iter().enumerate() {
        check(first, report, at + 1)?;
    }
    let begin = reports.iter().map(began).min().ok_or(MergeError::Nothing)?;
    let end = reports.iter().map(|it| began(it) + elapsed(it)).max().unwrap_or(begin);
    let mut timeline: Option<Timeline> = None;
    let mut classes = vec![Latencies::new(); first.classes.len()];
    for (at, report) in reports.iter().enumerate() {
        let broken = |_: NotEncoded| MergeError::Samples { report: at + 1 };
        for (sum, class) in classes.iter_mut().zip(&report.classes) {
            sum.add(&samples(class).map_err(broken)?);
        }
        let shift = began(report).duration_since(begin).unwrap_or_default();
        let part = timeline_of(&report.timeline, shift).map_err(broken)?;
        match &mut timeline {
            Some(timeline) => timeline.add(&part),
            None => timeline = Some(part),
        }
    }
    let mut merged = added(reports, &classes);
    merged.began = humantime::format_rfc3339_millis(begin).to_string();
    merged.elapsed_s = end.duration_since(begin).unwrap_or_default().as_secs_f64();
    merged.timeline = timeline.as_ref().map(TimelineReport::of).unwrap_or_default();
    merged.conclude();
    Ok(merged)
}

fn check(first: &Report, report: &Report, at: usize) -> Result<(), MergeError> {
    if report.schema_version != SCHEMA_VERSION {
        return Err(MergeError::Version { report: at, found: report.schema_version });
    }
    let mut fields = first.setup.unlike(&report.setup);
    fields.retain(|field| !["connections", "threads"].contains(field)); // machines differ
    if !fields.is_empty() {
        return Err(MergeError::Unlike { report: at, fields });
    }
    let begin = began(first).max(began(report));
    let end = (began(first) + elapsed(first)).min(began(report) + elapsed(report));
    let overlap = end.duration_since(begin).unwrap_or_default().as_secs_f64();
    if overlap < OVERLAP_MIN * first.elapsed_s.min(report.elapsed_s) {
        return Err(MergeError::Apart { report: at });
    }
    Ok(())
}

/// Everything but the times.
fn added(reports: &[Report], classes: &[Latencies]) -> Report {
    let first = &reports[0];
    let total = |count: fn(&Report) -> u64| reports.iter().map(count).sum::<u64>();
    let size = |count: fn(&Report) -> usize| reports.iter().map(count).sum::<usize>();
    let offered: Option<Vec<f64>> = reports.iter().map(|it| it.offered_per_s).collect();
    let mut environment = first.environment.clone();
    let stolen = reports.iter().filter_map(|it| it.environment.stolen);
    environment.stolen = stolen.reduce(f64::max);
    Report {
        environment,
        clients: size(|it| it.clients),
        interrupted: reports.iter().any(|it| it.interrupted),
        connections: connections(reports),
        warm_up_requests: total(|it| it.warm_up_requests),
        sent: total(|it| it.sent),
        replies: total(|it| it.replies),
        rate_per_s: reports.iter().map(|it| it.rate_per_s).sum(),
        offered_per_s: offered.map(|rates| rates.iter().sum()),
        wrong_answers: total(|it| it.wrong_answers),
        errors: total(|it| it.errors),
        in_flight_at_end: total(|it| it.in_flight_at_end),
        unsent_at_end: total(|it| it.unsent_at_end),
        latency: Rows::of(&sum(classes.iter().map(Cow::Borrowed))),
        classes: first.classes.iter().zip(classes).map(|(class, it)| of_class(class, it)).collect(),
        failures: failures(reports),
        client: client(reports),
        audit: None,
        ceiling: None,
        thresholds: Vec::new(),
        interference: None,
        search: None,
        ..first.clone()
    }
}

fn of_class(class: &ClassReport, latencies: &Latencies) -> ClassReport {
    ClassReport {
        replies: latencies.response.len(),
        latency: Rows::of(latencies),
        histograms: Some(Histograms::of(latencies)),
        ..class.clone()
    }
}

fn connections(reports: &[Report]) -> Connections {
    let worst = |a: Latency, b: Latency| if a.p50_ns < b.p50_ns { b } else { a };
    reports.iter().map(|it| it.connections).fold(Connections::default(), |sum, it| Connections {
        open: sum.open + it.open,
        served: sum.served + it.served,
        reconnects: sum.reconnects + it.reconnects,
        renewals: sum.renewals + it.renewals,
        connecting: worst(sum.connecting, it.connecting),
    })
}

/// By kind, with the first one of the client that began first.
fn failures(reports: &[Report]) -> Vec<FailureReport> {
    let mut by_time: Vec<_> = reports.iter().collect();
    by_time.sort_by_key(|report| began(report));
    let mut kinds: BTreeMap<&str, FailureReport> = BTreeMap::new();
    for failure in by_time.into_iter().flat_map(|report| &report.failures) {
        let sum = kinds.entry(&failure.kind);
        sum.and_modify(|it| it.count += failure.count).or_insert_with(|| failure.clone());
    }
    kinds.into_values().collect()
}

fn client(reports: &[Report]) -> ClientReport {
    let answered = |it: &Report| to_f64(it.replies + it.wrong_answers);
    let cpu = |it: &Report| Some(it.client.cpu_us_per_reply? * answered(it));
    let (cpu, replies): (f64, f64) =
        (reports.iter().filter_map(cpu).sum(), reports.iter().map(answered).sum());
    let overslept = reports.iter().map(|it| it.client.overslept).max_by_key(|it| it.p50_ns);
    ClientReport {
        cpu_us_per_reply: (replies > 0.0).then(|| cpu / replies),
        workers: reports.iter().flat_map(|it| it.client.workers.clone()).collect(),
        overslept: overslept.unwrap_or_default(),
    }
}

fn samples(class: &ClassReport) -> Result<Latencies, NotEncoded> {
    class.histograms.as_ref().ok_or(NotEncoded)?.decode()
}

/// The windows again, so many whole windows later.
fn timeline_of(report: &TimelineReport, shift: Duration) -> Result<Timeline, NotEncoded> {
    let length = Duration::try_from_secs_f64(report.window_s).map_err(|_| NotEncoded)?;
    #[expect(clippy::cast_possible_truncation, reason = "less than the windows of both loads")]
    #[expect(clippy::cast_sign_loss, reason = "a shift is not negative")]
    let shift = (shift.as_secs_f64() / report.window_s.max(1e-3)).round() as usize;
    let mut windows: Vec<_> = (0..shift).map(|_| Window::new()).collect();
    for window in &report.windows {
        let samples: Histogram<u64> = window.histogram.as_ref().ok_or(NotEncoded)?.decode()?;
        let mut part = Window::new();
        part.response.add(samples).map_err(|_| NotEncoded)?;
        part.sent = window.sent;
        part.failures = window.failures;
        part.in_flight_ns = window.in_flight_ns;
        windows.push(part);
    }
    Ok(Timeline::of(length, windows))
}

fn began(report: &Report) -> SystemTime {
    humantime::parse_rfc3339(&report.began).unwrap_or(SystemTime::UNIX_EPOCH)
}

fn elapsed(report: &Report) -> Duration {
    Duration::try_from_secs_f64(report.elapsed_s).unwrap_or_default()
}
