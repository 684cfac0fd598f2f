//! A report as one page for a browser, with all that it needs: it opens without a network.

mod charts;
mod tables;

use maud::{Markup, html};

use crate::{
    page::{Page, short},
    report::{Nanos, Report},
};

impl Report {
    /// As a page for a browser.
    #[must_use]
    pub fn to_html(&self) -> String {
        let body = html! {
            (self.heading())
            (self.numbers())
            (tables::interference(self))
            (charts::search(self))
            (charts::percentiles(self))
            (charts::timeline(self))
            (tables::latencies(self))
            (tables::failures(self))
            (tables::evidence(self))
            (tables::environment(self))
        };
        Page { title: &format!("fib: {}", self.server), body, style: "", script: "" }.to_html()
    }

    fn heading(&self) -> Markup {
        let verdict = self.grade.verdict.name();
        html! {
            header {
                h1 { (self.server) " " span class={"badge " (verdict)} { (verdict) } }
                p.load { (self.load_in_words()) }
                p.faint { (self.began) ", " (self.environment.cpu) ", " (self.environment.cores) " cores" }
            }
        }
    }

    fn numbers(&self) -> Markup {
        let response = &self.latency.response;
        let of = |nanos| Nanos(nanos).to_string();
        let numbers = [
            ("reqs/s", short(self.rate_per_s), false),
            ("p50", of(response.p50_ns), false),
            ("p99", of(response.p99_ns), false),
            ("p99.9", of(response.p99_9_ns), false),
            ("max", of(response.max_ns), false),
            ("errors", self.errors.to_string(), self.errors > 0),
            ("wrong answers", self.wrong_answers.to_string(), self.wrong_answers > 0),
        ];
        html! {
            section.numbers aria-label="Result" {
                @for (name, value, is_bad) in numbers {
                    div.number { b.bad[is_bad] { (value) } span { (name) } }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        load::Latencies,
        report::{ClassReport, FailureReport, Histograms, Rows},
    };

    fn report() -> Report {
        let mut latencies = Latencies::new();
        for nanos in 1..20_000_u64 {
            latencies.response.record(nanos * 100).unwrap();
            latencies.service.record(nanos * 90).unwrap();
            latencies.lag.record(nanos * 10).unwrap();
        }
        let class = ClassReport {
            n: 30,
            replies: latencies.response.len(),
            latency: Rows::of(&latencies),
            local_ns: None,
            histograms: Some(Histograms::of(&latencies)),
        };
        let failure = FailureReport {
            kind: "malformed".to_owned(),
            count: 3,
            first: "<script>alert(1)</script>".to_owned(),
        };
        Report { classes: vec![class], failures: vec![failure], ..Report::default() }
    }

    #[test]
    fn a_page_needs_nothing_from_elsewhere() {
        let page = report().to_html();
        for foreign in ["http://", "https://", "src=", "@import", "url("] {
            assert!(!page.contains(foreign), "{foreign}");
        }
    }

    #[test]
    fn what_a_server_says_is_not_executed() {
        let page = report().to_html();
        assert!(page.contains("&lt;script&gt;alert(1)"));
        assert_eq!(page.matches("<script>").count(), 1, "ours");
    }
}
