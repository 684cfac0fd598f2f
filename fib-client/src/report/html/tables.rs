//! The tables of a report: its numbers, what went wrong, and why it can be believed.

use maud::{Markup, html};

use crate::{
    page,
    report::{Latency, Nanos, Report, Rows, Verdict},
};

/// The rows, and what they mean.
pub(super) fn latencies(report: &Report) -> Markup {
    html! {
        section #latencies {
            h2 { "Percentiles" }
            div.scroll { table {
                thead { tr {
                    th { "" } th { "samples" } th { "min" } th { "mean" } th { "p50" } th { "p90" }
                    th { "p99" } th { "p99.9" } th { "p99.99" } th { "max" }
                } }
                tbody {
                    (rows("", &report.latency))
                    @if report.classes.len() > 1 {
                        @for class in &report.classes { (rows(&class.name(), &class.latency)) }
                    }
                }
            } }
            dl {
                dt { "lag" } dd { "from when a request was due until it was sent" }
                dt { "service" } dd { "from when it was sent until its reply was read" }
                dt { "response" } dd { "both: what a user feels" }
                @if report.latency.with_unanswered.is_some() {
                    dt { "with lost" }
                    dd { "the response, with the requests that were never answered" }
                }
            }
            p.faint { "n/a: fewer than ten samples beyond that percentile." }
        }
    }
}

fn rows(class: &str, rows: &Rows) -> Markup {
    let shown = [("lag", &rows.lag), ("service", &rows.service), ("response", &rows.response)];
    html! {
        @if !class.is_empty() { tr.group { th colspan="10" { (class) } } }
        @for (name, latency) in shown { (row(name, latency)) }
        @if let Some(latency) = &rows.with_unanswered { (row("with lost", latency)) }
    }
}

fn row(name: &str, latency: &Latency) -> Markup {
    #[expect(clippy::cast_possible_truncation, reason = "nanoseconds of a latency")]
    #[expect(clippy::cast_sign_loss, reason = "no latency is negative")]
    let mean = latency.mean_ns.map(|it| it as u64);
    html! {
        tr {
            th { (name) }
            td { (latency.count) }
            td { (Nanos(latency.min_ns)) }
            td { (Nanos(mean)) }
            @for (_, value) in latency.percentiles() { td { (Nanos(value)) } }
            td { (Nanos(latency.max_ns)) }
        }
    }
}

/// What long requests did to short ones.
pub(super) fn interference(report: &Report) -> Markup {
    let Some(interference) = &report.interference else { return html! {} };
    let (short, long) = (interference.short_n, interference.long_n);
    html! {
        section #interference {
            h2 { "fib(" (short) ") beside fib(" (long) "): isolation " (format!("{:.3}", interference.isolation)) }
            div.scroll { table {
                thead { tr {
                    th { "long requests" } th { "reqs/s" } th { "p50" } th { "p99" } th { "max" }
                    th { "long/s" } th { "isolation" } th { "recovery" }
                } }
                tbody { @for level in &interference.levels { tr {
                    th { (level.long_connections) }
                    td { (format!("{:.0}", level.rate_per_s)) }
                    td { (Nanos(level.response.p50_ns)) }
                    td { (Nanos(level.response.p99_ns)) }
                    td { (Nanos(level.response.max_ns)) }
                    td { (format!("{:.1}", level.long_rate_per_s)) }
                    td.meter style=(format!("--share:{:.0}%", 100.0 * level.isolation)) {
                        (format!("{:.3}", level.isolation))
                    }
                    td { (recovery(level.long_connections, level.recovery_s)) }
                } } }
            } }
            p.faint { "1: undisturbed, 0: starved. Recovery: until the rate was there again." }
        }
    }
}

fn recovery(long_connections: usize, seconds: Option<f64>) -> String {
    match seconds {
        Some(seconds) => format!("{:.0} ms", seconds * 1e3),
        None if long_connections == 0 => String::new(),
        None => "never".to_owned(),
    }
}

pub(super) fn failures(report: &Report) -> Markup {
    let starved = report.connections.open.saturating_sub(report.connections.served);
    let told = [
        (starved as u64, "connections got no right reply"),
        (report.in_flight_at_end, "requests had no reply when the load had ended"),
        (report.unsent_at_end, "requests were due when the load ended, and not sent"),
        (report.connections.reconnects, "connections were opened again after a failure"),
    ];
    html! {
        section.box #failures {
            h2 { "What went wrong" }
            @if report.failures.is_empty() { p { "Every reply was right." } }
            @else { div.scroll { table {
                thead { tr { th { "kind" } th { "count" } th.words { "the first" } } }
                tbody { @for failure in &report.failures { tr {
                    th { (failure.kind) } td { (failure.count) } td.words { (failure.first) }
                } } }
            } } }
            @for (count, what) in told { @if count > 0 { p { (count) " " (what) "." } } }
        }
    }
}

/// Why the numbers can be believed, or not.
pub(super) fn evidence(report: &Report) -> Markup {
    html! {
        section.box #evidence {
            h2 { "Why to believe it" }
            table { tbody {
                @for evidence in &report.grade.evidence { tr {
                    th { (evidence.about) }
                    td.words { (evidence.found) }
                    td { @if evidence.verdict != Verdict::Valid {
                        span class={"badge " (evidence.verdict.name())} { (evidence.verdict) }
                    } }
                } }
                @if let Some(audit) = &report.audit { tr {
                    th { "Little's law" }
                    td.words {
                        (format!("{:.1}", audit.in_flight)) " requests under way, rate × service time "
                        (format!("{:.1}", audit.rate_times_service)) ": "
                        (audit.likely_cause.as_deref().unwrap_or("they fit"))
                    }
                    td {}
                } }
                @for threshold in &report.thresholds { tr {
                    th { (threshold.expression) }
                    td.words { (threshold.observed) " (" (threshold.reason) ")" }
                    td { span class={"badge " (threshold.decision.class())} { (threshold.decision.name()) } }
                } }
            } }
        }
    }
}

pub(super) fn environment(report: &Report) -> Markup {
    let environment = &report.environment;
    let percent = |share: Option<f64>| {
        share.map_or_else(|| "unknown".to_owned(), |it| format!("{:.1} %", 100.0 * it))
    };
    let facts = [
        ("host", environment.host.clone()),
        ("CPU", format!("{}, {} cores", environment.cpu, environment.cores)),
        ("governor", environment.governor.clone().unwrap_or_else(|| "unknown".to_owned())),
        ("kernel", environment.kernel.clone()),
        ("load average", environment.load_average.map_or_else(String::new, |it| it.to_string())),
        ("taken by the host", percent(environment.stolen)),
        ("seed", report.seed.to_string()),
        ("fib-client", report.version.clone()),
    ];
    let command: Vec<_> = environment.command.iter().map(|word| quoted(word)).collect();
    html! {
        section.box #environment {
            h2 { "Where, and how to make it again" }
            table { tbody {
                @for (name, fact) in facts { tr { th { (name) } td.words { (fact) } } }
            } }
            (page::command(&command.join(" ")))
        }
    }
}

/// As a shell reads it as one word.
fn quoted(word: &str) -> String {
    let is_plain = |it: char| it.is_ascii_alphanumeric() || "-_./:=,%+@".contains(it);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}
