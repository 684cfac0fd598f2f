//! Who watches the server is answered, whatever its clients do.

use std::{
    thread,
    time::{Duration, Instant},
};

use super::{Subject, attempts, choices};
use crate::support::{Client, Measured, Way, for_each_way};

for_each_way! {{
    metrics_are_told_under_load,
}}

/// In which time 99 of 100 are answered, on a machine that has nothing else to do; and one of
/// them, on any.
const P99_MAX: Duration = Duration::from_millis(50);
const CEILING: Duration = Duration::from_secs(10);

/// How many series there are, whatever clients have said.
const SERIES_MAX: usize = 200;

/// How many clients say what nobody has said before: of those who wait for their turn, a kernel
/// keeps only so many.
const NOISY: usize = 50;

/// All cores compute, and there is more to be computed than they can do.
fn metrics_are_told_under_load(way: Way) {
    let mut choices = choices();
    let subject = Subject::start(way, &["--algorithm", "recursive", "--max-n", "60"]);
    let cores = thread::available_parallelism().unwrap().get();
    let mut clients: Vec<_> = (0..2 * cores).map(|_| subject.server().connect()).collect();
    for client in &mut clients {
        client.send("60\n");
    }
    let under_way = if way.strategy == "sequential" { 1 } else { clients.len() };
    subject.watched.wait_until_it_is("fib_jobs_in_flight", under_way);
    let mut told = Measured::new("a page of metrics", CEILING);
    for attempt in 0..attempts(20, 1_000) {
        if attempt < NOISY {
            let noise: Vec<u8> = (0..100).map(|_| choices.u8(..)).collect();
            subject.server().connect().send_in_vain(&noise);
        }
        let begin = Instant::now();
        let metrics = subject.watched.metrics();
        told.take(begin.elapsed());
        assert!(metrics.len() <= SERIES_MAX, "{} series", metrics.len());
    }
    if let Some(p99) = told.percentile(99) {
        assert!(p99 <= P99_MAX, "{p99:?}; {P99_MAX:?} are promised");
    }
    clients.drain(..).for_each(Client::reset);
    subject.finish();
}
