//! The result of one load in words.

use std::fmt;

use crate::report::{ClassReport, Latency, Report};

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { server, depth, elapsed_s, replies, rate_per_s, connections, .. } = self;
        writeln!(f, "server       {server}, {} dialect", self.dialect)?;
        let (open, mix) = (connections.open, self.mix());
        writeln!(f, "load         {mix}, connections {open}, depth {depth}, {elapsed_s:.2} s")?;
        writeln!(
            f,
            "replies      {replies}, {rate_per_s:.0} reqs/s, {} wrong",
            self.wrong_answers
        )?;
        writeln!(f, "latency      {}", self.latency)?;
        if self.classes.len() > 1 {
            self.classes.iter().try_for_each(|class| writeln!(f, "{class}"))?;
        }
        self.write_failures(f)?;
        if let Some(cpu) = self.client_cpu_us_per_reply {
            writeln!(f, "client CPU   {cpu:.2} µs a reply")?;
        }
        Ok(())
    }
}

impl Report {
    fn mix(&self) -> String {
        self.classes.iter().map(ClassReport::name).collect::<Vec<_>>().join(" + ")
    }

    fn write_failures(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let starved = self.connections.open - self.connections.served;
        if starved > 0 {
            writeln!(f, "starved      {starved} connections got no right reply")?;
        }
        if self.in_flight_at_end > 0 {
            writeln!(f, "unanswered   {} in flight when the load ended", self.in_flight_at_end)?;
        }
        if self.connections.reconnects > 0 {
            writeln!(f, "reconnects   {}", self.connections.reconnects)?;
        }
        for failure in &self.failures {
            let (kind, count, first) = (&failure.kind, failure.count, &failure.first);
            writeln!(f, "failed       {count} x {kind}, the first: {first}")?;
        }
        Ok(())
    }
}

impl ClassReport {
    fn name(&self) -> String {
        format!("fib({})", self.n)
    }
}

impl fmt::Display for ClassReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { replies, latency, .. } = self;
        write!(f, "  {:<10} {latency}  ({replies} replies)", self.name())
    }
}

impl fmt::Display for Latency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percentiles = [
            ("p50", self.p50_ns),
            ("p90", self.p90_ns),
            ("p99", self.p99_ns),
            ("p99.9", self.p99_9_ns),
        ];
        for (name, value) in percentiles {
            write!(f, "{name} {}  ", Nanos(value))?;
        }
        write!(f, "max {}", Nanos(self.max_ns))
    }
}

/// A duration in the unit that suits it.
struct Nanos(Option<u64>);

impl fmt::Display for Nanos {
    #[expect(clippy::cast_precision_loss, reason = "latencies stay far below 2^53 ns")]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            None => f.write_str("n/a"),
            Some(nanos @ 0..1_000) => write!(f, "{nanos} ns"),
            Some(nanos @ 1_000..1_000_000) => write!(f, "{:.1} µs", nanos as f64 / 1e3),
            Some(nanos @ 1_000_000..1_000_000_000) => write!(f, "{:.2} ms", nanos as f64 / 1e6),
            Some(nanos) => write!(f, "{:.2} s", nanos as f64 / 1e9),
        }
    }
}
