//! The charts of a report: percentiles, the timeline, and the curve of a search.

use hdrhistogram::Histogram;
use maud::{Markup, html};

use crate::{
    page::{Axis, Chart, Scale, Series, short},
    report::{Decision, Nanos, Probe, Report, WindowReport, latency::is_known, to_f64},
};

/// How many points there are until half of what is left.
const STEPS_PER_HALF: u32 = 6;

#[expect(clippy::cast_possible_truncation, reason = "nanoseconds of a latency")]
#[expect(clippy::cast_sign_loss, reason = "no latency is negative")]
fn nanos(value: f64) -> String {
    // Ticks are round: 10 ms, and not 10.00 ms.
    Nanos(Some(value as u64)).to_string().replace(".00 ", " ").replace(".0 ", " ")
}

fn latency_axis(label: &str, scale: Scale) -> Axis<'_> {
    Axis { label, scale, tell: &nanos, range: None }
}

/// One row of latencies over percentiles: the further right, the rarer.
pub(super) fn percentiles(report: &Report) -> Markup {
    let Ok(samples) = report.samples() else { return html! {} };
    let rows = [
        ("response", 0, &samples.response),
        ("service", 1, &samples.service),
        ("lag", 2, &samples.lag),
    ];
    let series = rows.map(|(name, colour, samples)| Series::new(name, colour, curve(samples)));
    let tell = |inverse: f64| format!("p{}", rounded(100.0 * (1.0 - 1.0 / inverse)));
    let x = Axis { label: "percentile", scale: Scale::Log, tell: &tell, range: None };
    html! {
        section #percentiles {
            h2 { "How long requests took" }
            (Chart::new("Latency by percentile", &x, &latency_axis("time", Scale::Log), &series))
            p.faint { "A line ends where fewer than ten samples lie beyond it." }
        }
    }
}

/// The inverse of what is beyond a percentile, and its value.
fn curve(samples: &Histogram<u64>) -> Vec<(f64, f64)> {
    let steps = samples.iter_quantiles(STEPS_PER_HALF);
    let known = steps.take_while(|step| {
        step.quantile_iterated_to() < 1.0
            && is_known(samples.len(), 100.0 * step.quantile_iterated_to())
    });
    let point = |quantile: f64, value: u64| (1.0 / (1.0 - quantile), to_f64(value));
    known.map(|step| point(step.quantile_iterated_to(), step.value_iterated_to())).collect()
}

fn rounded(percent: f64) -> f64 {
    (percent * 1e6).round() / 1e6
}

/// What happened when.
pub(super) fn timeline(report: &Report) -> Markup {
    let length_s = report.timeline.window_s;
    // The last window may be a part of one: its rate would look like a fall.
    let whole = report.timeline.windows.len().saturating_sub(1);
    let windows = &report.timeline.windows[..whole];
    if windows.len() < 3 {
        return html! {};
    }
    let points = |of: &dyn Fn(&WindowReport) -> Option<f64>| {
        let places = windows.iter().zip(0_u32..);
        places
            .filter_map(|(window, at)| Some((f64::from(at) * length_s, of(window)?)))
            .collect::<Vec<_>>()
    };
    let per_second = |count: u64| to_f64(count) / length_s;
    let seconds = |value: f64| format!("{} s", short(value));
    let x = Axis { label: "time", scale: Scale::Linear, tell: &seconds, range: None };
    let mut rates = vec![Series::new("replies", 0, points(&|it| Some(per_second(it.replies))))];
    if report.failures.iter().any(|failure| failure.count > 0) {
        rates.push(Series::new("failures", 3, points(&|it| Some(per_second(it.failures)))));
    }
    let latencies = [
        ("p50", 0, points(&|it| Some(to_f64(it.response.p50_ns?)))),
        ("p99", 1, points(&|it| Some(to_f64(it.response.p99_ns?)))),
        ("max", 2, points(&|it| Some(to_f64(it.response.max_ns?)))),
    ];
    let latencies = latencies.map(|(name, colour, points)| Series::new(name, colour, points));
    let rate = Axis { label: "per second", scale: Scale::Linear, tell: &short, range: None };
    html! {
        section #timeline {
            h2 { "What happened when" }
            (Chart::new("Rate", &x, &rate, &rates))
            (Chart::new("Response time", &x, &latency_axis("time", Scale::Log), &latencies))
        }
    }
}

/// Latency over throughput.
pub(super) fn search(report: &Report) -> Markup {
    let Some(search) = &report.search else { return html! {} };
    let points = |of: &dyn Fn(&Probe) -> Option<u64>| {
        let point = |probe: &Probe| Some((probe.offered_per_s, to_f64(of(probe)?)));
        search.curve.iter().filter_map(point).collect::<Vec<_>>()
    };
    let failed = search.curve.iter().filter(|it| it.decision == Decision::Fail);
    let failed = failed.filter_map(|it| Some((it.offered_per_s, to_f64(it.response.p99_ns?))));
    let series = [
        Series::new("p50", 0, points(&|it| it.response.p50_ns)),
        Series::new("p99", 1, points(&|it| it.response.p99_ns)),
        Series::new("p99, not met", 3, failed.collect()),
    ];
    let x = Axis { label: "requests per second", scale: Scale::Linear, tell: &short, range: None };
    let told = |rate: Option<f64>| rate.map_or_else(|| "none".to_owned(), short);
    html! {
        section #search {
            h2 { "The largest rate with " (search.demand) ": " (told(search.maximum_per_s)) }
            (Chart::new("Response time by rate", &x, &latency_axis("time", Scale::Log), &series))
            p.faint { "Knee: " (told(search.knee_per_s)) " reqs/s. " (search.ended) "." }
        }
    }
}
