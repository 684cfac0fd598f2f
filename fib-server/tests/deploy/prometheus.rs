//! Prometheus with the configuration and the rules of `deploy/prometheus`: `promtool` runs the
//! cases of `rules.test.yml`, and a real one scrapes a real server.

use std::{
    num::NonZero,
    process::Command,
    sync::Arc,
    thread::{self, JoinHandle},
    time::Duration,
};

use fib_client::load::{self, Mix, Pace, Plan, Progress, Reconnect, Until};
use serde_json::Value;

use super::support::{Place, Port, path, read, read_with, run, tool};
use crate::{
    support::{Server, wait_until},
    watched::Prometheus,
};

const INSTALL: &str = "apt-get install prometheus";

#[test]
fn the_rules_alert_when_they_should() {
    let Some(promtool) = tool("promtool", INSTALL) else { return };
    run(Command::new(&promtool).args(["check", "config"]).arg(path("prometheus/prometheus.yml")));
    run(Command::new(&promtool).args(["test", "rules"]).arg(path("prometheus/rules.test.yml")));
}

#[test]
fn every_alert_has_a_case() {
    let cases = read("prometheus/rules.test.yml");
    let rules = read("prometheus/rules.yml");
    let alerts = rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: "));
    assert!(alerts.clone().count() > 0);
    for alert in alerts {
        let fires = format!("alertname: {alert}\n        exp_alerts:");
        let is_silent = format!("alertname: {alert}}}");
        assert!(cases.contains(&fires), "{alert} never fires");
        assert!(cases.contains(&is_silent), "{alert} always fires");
    }
}

/// A rule about a metric that no server has would be silent for ever.
#[test]
fn a_server_has_what_the_rules_look_at() {
    let Some(scraped) = Scraped::start() else { return };
    let rules = scraped.ask("/api/v1/rules");
    let groups = rules["groups"].as_array().unwrap().iter();
    let rules: Vec<_> = groups.flat_map(|group| group["rules"].as_array().unwrap()).collect();
    assert!(!rules.is_empty());
    for rule in rules {
        let is_of_a_name = |it: char| it.is_ascii_alphanumeric() || "_:".contains(it);
        let words = rule["query"].as_str().unwrap().split(|it| !is_of_a_name(it));
        let is_a_metric = |it: &&str| it.starts_with("fib_") || it.starts_with("process_");
        for metric in words.filter(|it| is_a_metric(it) || it.contains(':')) {
            scraped.wait_for_data(rule["name"].as_str().unwrap(), metric);
        }
    }
}

/// A server with a small load, and a Prometheus that scrapes it.
pub(super) struct Scraped {
    place: Place,
    server: Option<Server>,
    load: Arc<Progress>,
    loading: Option<JoinHandle<()>>,
    prometheus: Prometheus,
}

impl Scraped {
    /// `None` without a Prometheus, said aloud.
    pub(super) fn start() -> Option<Self> {
        let place = Place::new();
        let configuration = read_with(
            "prometheus/prometheus.yml",
            &[
                ("10.0.0.11:9100", &place.address(11, Port::Admin)),
                ("          - 10.0.0.12:9100\n          - 10.0.0.13:9100\n", ""),
                ("_interval: 15s", "_interval: 200ms"),
            ],
        );
        let rules = read("prometheus/rules.yml");
        let files = [("prometheus.yml", &*configuration), ("rules.yml", &rules)];
        let prometheus = Prometheus::start(&files)?;
        let server = Some(serve(&place));
        let (load, loading) = load(&place);
        let scraped = Self { place, server, load, loading: Some(loading), prometheus };
        scraped.wait_for_data("its target", "up == 1");
        Some(scraped)
    }

    /// The server, to be told something.
    pub(super) fn server(&self) -> &Server {
        self.server.as_ref().unwrap()
    }

    /// Kills the server, and starts another one in its place.
    pub(super) fn restart_server(&mut self) {
        self.server = None;
        self.server = Some(serve(&self.place));
    }

    /// What the HTTP API answers, once it does; an error is a failure.
    pub(super) fn ask(&self, path: &str) -> Value {
        let mut answer = None;
        wait_until("prometheus answers", || {
            answer = self.prometheus.ask(path);
            answer.is_some()
        });
        let answer = answer.unwrap();
        assert_eq!(answer["status"], "success", "{path}: {answer}");
        answer["data"].clone()
    }

    /// Waits until an expression has a value: at once, but for what needs two scrapes.
    pub(super) fn wait_for_data(&self, who: &str, expression: &str) {
        let path = format!("/api/v1/query?query={}", percent_encode(expression));
        wait_until(&format!("data for {who}: {expression}"), || {
            let data = self.ask(&path);
            let samples = data["result"].as_array().unwrap();
            let is_a_number = |sample: &Value| sample["value"][1] != "NaN";
            !samples.is_empty() && samples.iter().all(is_a_number)
        });
    }
}

impl Drop for Scraped {
    fn drop(&mut self) {
        self.load.stop();
        // If the load has failed, the test has said so.
        let _ = self.loading.take().map(JoinHandle::join);
    }
}

fn serve(place: &Place) -> Server {
    place.server(11, &["--algorithm", "recursive", "--drain-delay", "1m"])
}

/// Some of the requests are computed.
fn load(place: &Place) -> (Arc<Progress>, JoinHandle<()>) {
    let plan = Plan {
        connections: NonZero::new(2).unwrap(),
        pace: Pace::Closed { think: Duration::from_millis(10) },
        mix: "1=1,30=1".parse::<Mix>().unwrap(),
        until: Until::Elapsed(Duration::from_mins(2)),
        reconnect: Reconnect::Every(NonZero::new(20).unwrap()),
        ..Plan::new(place.address(11, Port::Clients).parse().unwrap())
    };
    let progress = Arc::new(Progress::new(&plan));
    let copy = Arc::clone(&progress);
    (progress, thread::spawn(move || drop(load::run(&plan, &copy, None).unwrap())))
}

pub(super) fn percent_encode(text: &str) -> String {
    text.bytes().fold(String::new(), |encoded, byte| format!("{encoded}%{byte:02x}"))
}
