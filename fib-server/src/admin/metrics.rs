//! The metrics, as Prometheus reads them. Their number does not depend on what clients do.

use std::fmt;

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric, prometheus_text},
    metrics::{counter::ConstCounter, gauge::ConstGauge, info::Info},
    registry::Registry,
};
use tracing::error;

use super::Subject;
use crate::{Config, compute::ComputeOptions, counters::Tally};

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
    connections_max: usize,
    is_draining: bool,
}

/// The page for one scrape.
pub(super) fn page(subject: &Subject) -> String {
    let connections = subject.context.connections();
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Snapshot {
        identity: subject.identity.clone(),
        tally: connections.counters().tally(),
        connections_max: connections.max(),
        is_draining: subject.context.is_stopping(),
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
        let Tally { accepted, closed, refused, requests } = self.tally;
        page.counter("fib_connections_accepted", "Connections that were taken on.", accepted)?;
        page.counter("fib_connections_closed", "Those of them that have ended.", closed)?;
        let help = "Connections that were refused: there were --max-connections already.";
        page.counter("fib_connections_refused", help, refused)?;
        page.gauge("fib_connections_open", "Connections now.", accepted.saturating_sub(closed))?;
        page.gauge("fib_connections_max", "--max-connections.", self.connections_max as u64)?;
        let help = "Requests, by what became of them: ok and err were answered, cancelled were \
                    not, because the client was gone.";
        let outcomes =
            [("ok", requests.ok), ("err", requests.err), ("cancelled", requests.cancelled)];
        page.counters("fib_requests", help, "outcome", &outcomes)?;
        let help = "1 since the server was told to stop, 0 before.";
        page.gauge("fib_draining", help, u64::from(self.is_draining))
    }
}

/// Where metrics are written, one family after the other.
struct Page<'a>(DescriptorEncoder<'a>);

impl Page<'_> {
    fn identity(&mut self, identity: &Identity) -> fmt::Result {
        let Identity { strategy, compute, algorithm } = identity;
        let info = Info::new(vec![
            ("version", env!("CARGO_PKG_VERSION")),
            ("strategy", strategy),
            ("compute", compute),
            ("algorithm", algorithm),
        ]);
        self.metric("fib_build", "What this server is.", &info)
    }

    fn counter(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        self.metric(name, help, &ConstCounter::new(value))
    }

    fn gauge(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        self.metric(name, help, &ConstGauge::new(value))
    }

    /// One counter for each value of a label.
    fn counters(
        &mut self,
        name: &str,
        help: &str,
        label: &str,
        values: &[(&str, u64)],
    ) -> fmt::Result {
        let kind = ConstCounter::new(0_u64).metric_type();
        let mut family = self.0.encode_descriptor(name, help, None, kind)?;
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
