//! What a bug of the server costs: a request, or a connection. Only debug builds have flags that
//! make it panic.

use super::{Subject, attempts};
use crate::support::{Client, Way, for_each_way};

for_each_way! {{
    a_panic_in_a_computation_costs_a_request,
    a_panic_in_a_conversation_costs_a_connection,
}}

/// What is not cheap, and panics.
const N: &str = "100000";

/// How much memory may be held after all panics that was not held after the first of them.
const SLACK: u64 = 1 << 20;

/// How often a request is handed to a child process before it is given up.
const ATTEMPTS_OF_PROCESSES: usize = 3;

/// A child process that panics is one that died.
fn a_panic_in_a_computation_costs_a_request(way: Way) {
    let times = if way.compute == "processes" { attempts(5, 500) } else { attempts(40, 10_000) };
    let subject = Subject::start(way, &["--panic-in-computation", N]);
    let mut client = subject.server().connect();
    let mut canary = Canary::new(way, &subject);
    check_memory(way, &subject, times, || {
        assert_eq!(client.ask(N), "ERR internal no answer could be computed");
        assert_eq!(client.ask("20000").len(), 4_180, "the next request of the same client");
        canary.ask();
    });
    drop((client, canary));
    let each = if way.compute == "processes" { ATTEMPTS_OF_PROCESSES } else { 1 };
    finish(subject, times * each, "src/compute/work.rs");
}

fn a_panic_in_a_conversation_costs_a_connection(way: Way) {
    let times = attempts(40, 10_000);
    let subject = Subject::start(way, &["--panic-in-conversation", N]);
    let mut canary = Canary::new(way, &subject);
    check_memory(way, &subject, times, || {
        let mut client = subject.server().connect();
        client.send(format!("30\n{N}\n30\n"));
        // What was answered may be lost with it.
        assert!(["", "832040\n"].contains(&client.rest_or_reset().as_str()));
        canary.ask();
    });
    drop(canary);
    finish(subject, times, "src/panics.rs");
}

/// Another client, where there can be one.
struct Canary(Option<Client>);

impl Canary {
    fn new(way: Way, subject: &Subject) -> Self {
        Self((way.strategy != "sequential").then(|| subject.server().connect()))
    }

    fn ask(&mut self) {
        if let Some(client) = &mut self.0 {
            assert_eq!(client.ask("30"), "832040");
        }
    }
}

/// Does so as often, and looks at the memory after the first few times.
fn check_memory(way: Way, subject: &Subject, times: usize, mut panic: impl FnMut()) {
    let memory = || subject.watched.metrics().count("process_resident_memory_bytes");
    // So that each of several processes has had its first one.
    let warm_up = times / 2;
    (0..warm_up).for_each(|_| panic());
    let before = memory();
    (warm_up..times).for_each(|_| panic());
    let after = memory();
    // Where it is another process each time, each has what it needs.
    let is_the_same = way.compute != "processes";
    assert!(!is_the_same || after <= before + SLACK, "{after} bytes, {before} before");
}

/// Each is counted and logged once, with its place.
fn finish(subject: Subject, panics: usize, place: &str) {
    assert_eq!(subject.watched.metrics().count("fib_panics_total"), panics as u64);
    let log = subject.finish().log;
    let told: Vec<_> = log.lines().filter(|line| line.contains(r#""panicked: "#)).collect();
    assert_eq!(told.len(), panics, "{log}");
    assert!(told.iter().all(|line| line.contains(place)), "{log}");
}
