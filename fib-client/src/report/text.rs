//! The result of one load in words.

use std::fmt;

use crate::report::{ClassReport, Interference, Latency, LoopKind, Report, Rows, Search, Verdict};

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "server       {}, {} dialect", self.server, self.setup.dialect)?;
        writeln!(f, "load         {}", self.load_in_words())?;
        writeln!(f, "replies      {}", self.replies_in_words())?;
        write_rows(f, "", &self.latency)?;
        if self.classes.len() > 1 {
            self.classes.iter().try_for_each(|class| write!(f, "{class}"))?;
        }
        self.write_local_costs(f)?;
        self.write_failures(f)?;
        self.write_client(f)?;
        if let Some(interference) = &self.interference {
            write!(f, "{interference}")?;
        }
        if let Some(search) = &self.search {
            write!(f, "{search}")?;
        }
        for threshold in &self.thresholds {
            let (decision, expression) = (threshold.decision.name(), &threshold.expression);
            let (observed, reason) = (&threshold.observed, &threshold.reason);
            writeln!(f, "threshold    {decision}: {expression}, measured {observed} ({reason})")?;
        }
        self.write_grade(f)
    }
}

impl Report {
    /// What was asked for, in one line.
    #[must_use]
    pub fn load_in_words(&self) -> String {
        let setup = &self.setup;
        let mix: Vec<_> = self.classes.iter().map(ClassReport::name).collect();
        let pace = match (&setup.schedule, setup.loop_kind) {
            (Some(schedule), _) => {
                let stages = schedule.stages.iter().map(|&(from, to, seconds)| {
                    if seconds == 0.0 {
                        return format!("{to}/s");
                    }
                    format!("{from} to {to}/s in {seconds} s")
                });
                let stages: Vec<_> = stages.collect();
                let late = &schedule.late;
                format!("open loop, {} ({}, {late})", stages.join(", "), schedule.arrivals)
            }
            (None, LoopKind::Closed | LoopKind::Open) if setup.think_s > 0.0 => {
                format!("closed loop, {} s to think", setup.think_s)
            }
            (None, LoopKind::Closed | LoopKind::Open) => "closed loop".to_owned(),
        };
        let clients =
            if self.clients > 1 { format!(", {} clients", self.clients) } else { String::new() };
        let warm_up = if setup.warm_up_s > 0.0 {
            format!(" after {} s of warm-up", setup.warm_up_s)
        } else {
            ", no warm-up".to_owned()
        };
        format!(
            "{}, {pace}, connections {}, depth {}{clients}, {:.2} s{warm_up}",
            listed(&mix),
            self.connections.open,
            setup.depth,
            self.elapsed_s
        )
    }

    /// How many there were and how fast they came, in one line.
    #[must_use]
    pub fn replies_in_words(&self) -> String {
        let Self { replies, rate_per_s, wrong_answers, .. } = self;
        let offered = match (self.offered_per_s, self.delivered()) {
            (Some(offered), Some(delivered)) => {
                format!(" of {offered:.0} due ({:.2} %)", 100.0 * delivered)
            }
            _ => String::new(),
        };
        format!("{replies}, {rate_per_s:.0} reqs/s{offered}, {wrong_answers} wrong")
    }

    fn write_local_costs(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for class in &self.classes {
            if let (Some(local), Some(mean)) = (class.local_ns, class.latency.service.mean_ns) {
                let name = class.name();
                let (local_told, rest) = (Nanos::of(local), Nanos::of((mean - local).max(0.0)));
                let factor = mean / local;
                writeln!(
                    f,
                    "local call   {name} takes {local_told} here; the service takes {rest} more: \
                     x{factor:.2}"
                )?;
            }
        }
        Ok(())
    }

    fn write_failures(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let starved = self.connections.open.saturating_sub(self.connections.served);
        if starved > 0 {
            writeln!(f, "starved      {starved} connections got no right reply")?;
        }
        if self.in_flight_at_end > 0 {
            let when = if self.interrupted {
                "when it was interrupted".to_owned()
            } else {
                format!("when the load ended, and {} s later", self.setup.drain_s)
            };
            writeln!(f, "unanswered   {} in flight {when}", self.in_flight_at_end)?;
        }
        if self.unsent_at_end > 0 {
            writeln!(f, "unsent       {} were due when the load ended", self.unsent_at_end)?;
        }
        if self.connections.reconnects + self.connections.renewals > 0 {
            let (lost, renewed) = (self.connections.reconnects, self.connections.renewals);
            writeln!(f, "reconnects   {lost} after failures, {renewed} as planned")?;
        }
        for failure in &self.failures {
            let (kind, count, first) = (&failure.kind, failure.count, &failure.first);
            writeln!(f, "failed       {count} x {kind}, the first: {first}")?;
        }
        Ok(())
    }

    fn write_client(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(cpu) = self.client.cpu_us_per_reply {
            let busiest = 100.0 * self.client.busiest(&self.setup).min(1.0);
            writeln!(f, "client CPU   {cpu:.2} µs a reply; its busiest thread {busiest:.0} %")?;
        }
        if let Some(ceiling) = &self.ceiling {
            let (rate, response) = (ceiling.rate_per_s, ceiling.response);
            writeln!(f, "ceiling      {rate:.0} reqs/s of a server that does nothing: {response}")?;
        }
        if let Some(audit) = &self.audit {
            let (seen, expected) = (audit.in_flight, audit.rate_times_service);
            let verdict = match &audit.likely_cause {
                None => "they fit".to_owned(),
                Some(cause) => format!("THEY DO NOT FIT: {cause}"),
            };
            writeln!(
                f,
                "Little       {seen:.1} requests under way, rate × service time {expected:.1}: \
                 {verdict}"
            )?;
        }
        Ok(())
    }

    fn write_grade(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let meaning = match self.grade.verdict {
            Verdict::Valid => "the numbers are the server's",
            Verdict::ClientLimited => "the server can do at least so much",
            Verdict::ServerLimited => "more than the server can do: latencies grow while it lasts",
            Verdict::Unsteady => "it was not the same from beginning to end",
            Verdict::Inconclusive => "too little is known",
        };
        writeln!(f, "grade        {}: {meaning}", self.grade.verdict)?;
        for evidence in self.grade.evidence.iter().filter(|it| it.verdict != Verdict::Valid) {
            writeln!(f, "  {:<10} {}", evidence.about, evidence.found)?;
        }
        Ok(())
    }
}

/// The first few names, and how many more there are.
fn listed(names: &[String]) -> String {
    const MOST: usize = 6;
    match names.len() {
        0..=MOST => names.join(" + "),
        more => format!("{} + {} more", names[..MOST].join(" + "), more - MOST),
    }
}

impl ClassReport {
    /// The request, as people say it.
    #[must_use]
    pub fn name(&self) -> String {
        format!("fib({})", self.n)
    }
}

impl fmt::Display for ClassReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {} replies", self.name(), self.replies)?;
        write_rows(f, "  ", &self.latency)
    }
}

fn write_rows(f: &mut fmt::Formatter<'_>, indent: &str, rows: &Rows) -> fmt::Result {
    let width = 13 - indent.len();
    let mut row = |name: &str, latency: &Latency| writeln!(f, "{indent}{name:<width$}{latency}");
    row("lag", &rows.lag)?;
    row("service", &rows.service)?;
    row("response", &rows.response)?;
    match &rows.with_unanswered {
        Some(latency) => row("  with lost", latency),
        None => Ok(()),
    }
}

impl fmt::Display for Latency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, value) in self.percentiles() {
            write!(f, "{name} {:<9} ", Nanos(value).to_string())?;
        }
        write!(f, "max {}", Nanos(self.max_ns))
    }
}

impl fmt::Display for Interference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (short, long) = (self.short_n, self.long_n);
        writeln!(f, "interference of fib({long}) with fib({short}), in one run:")?;
        writeln!(
            f,
            "  {:>4}  {:>9}  {:>10}  {:>10}  {:>10}  {:>8}  {:>9}  {:>9}",
            "long", "reqs/s", "p50", "p99", "max", "long/s", "isolation", "recovery"
        )?;
        for level in &self.levels {
            let response = &level.response;
            let [p50, p99, max] =
                [response.p50_ns, response.p99_ns, response.max_ns].map(|it| Nanos(it).to_string());
            let recovery = match (level.long_connections, level.recovery_s) {
                (0, _) => String::new(),
                (_, Some(seconds)) => Nanos::of(seconds * 1e9).to_string(),
                (_, None) => "never".to_owned(),
            };
            writeln!(
                f,
                "  {:>4}  {:>9.0}  {p50:>10}  {p99:>10}  {max:>10}  {:>8.1}  {:>9.3}  {recovery:>9}",
                level.long_connections, level.rate_per_s, level.long_rate_per_s, level.isolation
            )?;
        }
        writeln!(f, "isolation    {:.3} (1: undisturbed, 0: starved)", self.isolation)
    }
}

impl fmt::Display for Search {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "search for the largest rate with {}:", self.demand)?;
        writeln!(
            f,
            "  {:>10}  {:>10}  {:>10}  {:>10}  {:>10}",
            "offered/s", "reqs/s", "p50", "p99", "p99.9"
        )?;
        for probe in &self.curve {
            let response = &probe.response;
            let [p50, p99, p99_9] = [response.p50_ns, response.p99_ns, response.p99_9_ns]
                .map(|it| Nanos(it).to_string());
            writeln!(
                f,
                "  {:>10.0}  {:>10.0}  {p50:>10}  {p99:>10}  {p99_9:>10}  {}",
                probe.offered_per_s,
                probe.rate_per_s,
                probe.decision.name()
            )?;
        }
        if let Some(knee) = self.knee_per_s {
            writeln!(
                f,
                "knee         {knee:.0} reqs/s: beyond it, latency grows faster than rate"
            )?;
        }
        match self.maximum_per_s {
            Some(maximum) => {
                let times = self.confirmations;
                writeln!(f, "maximum      {maximum:.0} reqs/s, confirmed {times} times")?;
            }
            None => writeln!(f, "maximum      none was found")?,
        }
        writeln!(f, "ended        {}", self.ended)
    }
}

/// A number of nanoseconds as a duration in the unit that suits it; without one, `n/a`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Nanos(pub Option<u64>);

impl Nanos {
    #[expect(clippy::cast_possible_truncation, reason = "fractions of a nanosecond")]
    #[expect(clippy::cast_sign_loss, reason = "no duration is negative")]
    fn of(nanos: f64) -> Self {
        Self(Some(nanos as u64))
    }
}

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
