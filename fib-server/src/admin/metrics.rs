//! The metrics, as Prometheus reads them. Their number does not depend on what clients do.

use std::fmt;

use prometheus_client::{
    collector::Collector,
    encoding::{
        DescriptorEncoder, EncodeCounterValue, EncodeGaugeValue, EncodeMetric, prometheus_text,
    },
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge, info::Info},
    registry::Registry,
};
use tracing::error;

use super::{Subject, process_tree::Processes};
use crate::{
    Config,
    compute::ComputeOptions,
    connection::ConnectionLimits,
    counters::{Handshake, Tally, Times},
    progress::Verdict,
    rejection::Rejection,
    reload::ReloadCounts,
    session::RequestCounts,
};

/// What this server is.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    pub(crate) strategy: String,
    pub(crate) compute: String,
    pub(crate) algorithm: String,
}

impl Identity {
    /// As it is configured.
    pub(crate) fn new(config: &Config) -> Self {
        let ComputeOptions { kind, algorithm, .. } = config.compute;
        Self {
            strategy: config.kind.to_string(),
            compute: kind.to_string(),
            algorithm: algorithm.to_string(),
        }
    }
}

/// Everything that is known at a moment.
#[derive(Debug)]
struct Snapshot {
    identity: Identity,
    tally: Tally,
    limits: ConnectionLimits,
    jobs_max: usize,
    reloads: ReloadCounts,
    restarts: (u64, u64),
    is_draining: bool,
    processes: Option<Processes>,
}

/// The page for one scrape.
pub(super) fn page(subject: &Subject) -> String {
    let context = &subject.context;
    let settings = context.settings();
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Snapshot {
        identity: subject.identity.clone(),
        tally: context.counters().tally(),
        limits: settings.limits,
        jobs_max: settings.jobs.max_in_flight * context.counters().processes(),
        reloads: context.reloads().counts(),
        restarts: context.restarts().counts(),
        is_draining: context.is_stopping(),
        processes: subject.process_tree.look(),
    }));
    let mut text = String::new();
    if let Err(error) = prometheus_text::encode(&mut text, &registry) {
        error!("the metrics cannot be written: {error}");
    }
    text
}

impl Collector for Snapshot {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut page = Page(encoder);
        page.identity(&self.identity)?;
        self.connections(&mut page)?;
        self.requests(&mut page)?;
        self.jobs(&mut page)?;
        self.workers(&mut page)?;
        self.reloads(&mut page)?;
        self.restarts(&mut page)?;
        self.processes.iter().try_for_each(|processes| processes.encode(&mut page))
    }
}

impl Snapshot {
    fn connections(&self, page: &mut Page<'_>) -> fmt::Result {
        let Tally { accepted, closed, refused, .. } = self.tally;
        page.counter("fib_connections_accepted", "Connections that were taken on.", accepted)?;
        page.counter("fib_connections_closed", "Those of them that have ended.", closed)?;
        let help = "Connections that were not served: busy, because there were --max-connections, \
                    and address, --max-per-address of theirs; descriptors, because no more files \
                    may be open; not-allowed, by --allow or --allow-user; proxy-header, because a \
                    proxy of --trust-proxy did not say for whom it spoke.";
        let reasons = Rejection::ALL.map(|it| (it.reason(), refused[it as usize]));
        page.counters("fib_connections_refused", help, "reason", &reasons)?;
        page.gauge("fib_connections_open", "Connections now.", accepted.saturating_sub(closed))?;
        let max = self.limits.max_connections as u64;
        page.gauge("fib_connections_max", "--max-connections.", max)?;
        let help = "Connections that the server has ended: idle, line and write, because the \
                    client took longer than the timeout of that name; output, because others \
                    needed the room of the answers that it did not read.";
        let reasons = Verdict::ALL.map(|it| (it.name(), self.tally.timed_out[it as usize]));
        page.counters("fib_connections_timed_out", help, "reason", &reasons)?;
        let help = "Handshakes of TLS: ok, failed, or timeout, because the client took too long.";
        let outcomes = Handshake::ALL.map(|it| (it.name(), self.tally.handshakes[it as usize]));
        page.counters("fib_tls_handshakes", help, "outcome", &outcomes)?;
        let help =
            "Bytes of large answers that are computed, or wait for their clients to read them.";
        page.gauge("fib_output_bytes", help, self.tally.output)?;
        page.gauge("fib_output_max_bytes", "--max-output.", self.limits.max_output)
    }

    fn requests(&self, page: &mut Page<'_>) -> fmt::Result {
        let RequestCounts { ok, err, cancelled, .. } = self.tally.requests;
        let help = "Requests, by what became of them: ok and err were answered, cancelled were \
                    not, because the client was gone.";
        let outcomes = [("ok", ok), ("err", err), ("cancelled", cancelled)];
        page.counters("fib_requests", help, "outcome", &outcomes)?;
        let help = "1 since the server was told to stop, 0 before.";
        page.gauge("fib_draining", help, u64::from(self.is_draining))
    }

    fn jobs(&self, page: &mut Page<'_>) -> fmt::Result {
        let jobs = &self.tally.jobs;
        let help = "Requests that are being computed, or wait for it: those that cost too much to \
                    be answered at once.";
        page.gauge("fib_jobs_in_flight", help, jobs.in_flight())?;
        let help = "--max-in-flight, for all processes that serve together.";
        page.gauge("fib_jobs_max", help, self.jobs_max as u64)?;
        let help = "Requests that were computed, by what became of them: cancelled are those \
                    whose client was gone.";
        let outcomes = [
            ("ok", jobs.ok),
            ("deadline", jobs.deadline),
            ("failed", jobs.failed),
            ("cancelled", jobs.cancelled),
        ];
        page.counters("fib_jobs", help, "outcome", &outcomes)?;
        let help = "Requests that were refused at once: busy, because --max-in-flight were under \
                    way; deadline, because they could not be done within --deadline; output, \
                    because --max-output bytes of answers wait to be read.";
        let reasons = [
            ("busy", jobs.refused_busy),
            ("deadline", jobs.refused_deadline),
            ("output", jobs.refused_output),
        ];
        page.counters("fib_jobs_refused", help, "reason", &reasons)?;
        let help = "From the arrival of such a request until somebody began to compute it.";
        page.histogram("fib_job_wait_seconds", help, &jobs.waits)?;
        let help = "From the arrival of such a request until its outcome was known.";
        page.histogram("fib_job_seconds", help, &jobs.times)?;
        let help = "How often somebody computed for a request until it was done or put aside. A \
                    child process computes until it is done.";
        page.counter("fib_slices", help, jobs.slices)?;
        let help = "Those of them that were parts, taken by a thread to help another.";
        page.counter("fib_steals", help, jobs.steals)
    }

    fn workers(&self, page: &mut Page<'_>) -> fmt::Result {
        let help = "Threads or processes alive that compute; 0 where --compute inline leaves it \
                    to the threads that serve.";
        page.gauge("fib_workers", help, self.tally.workers)?;
        let help = "Child processes that were started in the place of lost ones.";
        page.counter("fib_worker_restarts", help, self.tally.restarts)?;
        let help = "Bugs of the server, each of which has cost somebody an answer or a connection.";
        page.counter("fib_panics", help, self.tally.panics)
    }

    fn reloads(&self, page: &mut Page<'_>) -> fmt::Result {
        let ReloadCounts { ok, refused, is_last_refused } = self.reloads;
        let help = "How often SIGHUP had the configuration read again: refused, because it could \
                    not be obeyed.";
        let results = [("ok", ok), ("refused", refused)];
        page.counters("fib_config_reloads", help, "result", &results)?;
        let help = "0 since the last reload was refused, else 1.";
        page.gauge("fib_config_last_reload_successful", help, u64::from(!is_last_refused))
    }

    fn restarts(&self, page: &mut Page<'_>) -> fmt::Result {
        let (ok, failed) = self.restarts;
        let help = "How often SIGUSR2 had another process take the server's place, also before \
                    this one began: failed, because that did not come to serve.";
        page.counters("fib_restarts", help, "outcome", &[("ok", ok), ("failed", failed)])
    }
}

/// Where metrics are written, one family after the other.
pub(super) struct Page<'a>(DescriptorEncoder<'a>);

impl Page<'_> {
    fn identity(&mut self, identity: &Identity) -> fmt::Result {
        let Identity { strategy, compute, algorithm, .. } = identity;
        let info = Info::new(vec![
            ("version", env!("CARGO_PKG_VERSION")),
            ("strategy", strategy),
            ("compute", compute),
            ("algorithm", algorithm),
        ]);
        self.metric("fib_build", "What this server is.", &info)
    }

    pub(super) fn counter(
        &mut self,
        name: &str,
        help: &str,
        value: impl EncodeCounterValue,
    ) -> fmt::Result {
        self.metric(name, help, &ConstCounter::new(value))
    }

    pub(super) fn gauge(
        &mut self,
        name: &str,
        help: &str,
        value: impl EncodeGaugeValue,
    ) -> fmt::Result {
        self.metric(name, help, &ConstGauge::new(value))
    }

    fn histogram(&mut self, name: &str, help: &str, times: &Times) -> fmt::Result {
        let classes: Vec<_> =
            times.classes().map(|(bound, count)| (bound.as_secs_f64(), count)).collect();
        let mut family = self.0.encode_descriptor(name, help, None, MetricType::Histogram)?;
        let sum = times.sum().as_secs_f64();
        family.encode_histogram::<[(&str, &str); 0]>(sum, times.count(), &classes, None)
    }

    /// One counter for each value of a label.
    fn counters(
        &mut self,
        name: &str,
        help: &str,
        label: &str,
        values: &[(&str, u64)],
    ) -> fmt::Result {
        let mut family = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (of_label, value) in values {
            let labels = [(label, *of_label)];
            ConstCounter::new(*value).encode(family.encode_family(&labels)?)?;
        }
        Ok(())
    }

    fn metric(&mut self, name: &str, help: &str, metric: &impl EncodeMetric) -> fmt::Result {
        metric.encode(self.0.encode_descriptor(name, help, None, metric.metric_type())?)
    }
}
