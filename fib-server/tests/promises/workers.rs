//! What happens under load when processes of the server are killed, crash or are stopped: nobody
//! loses an answer who is connected to one that lives, and there are soon as many as before.

use std::{
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

use fastrand::Rng;
use rustix::process::Signal;

use super::Subject;
use crate::{
    effort::{attempts, choices},
    support::{Measured, Server, Way, concurrent_strategies, strike},
};

/// How many processes there are of a kind.
const COUNT: usize = 3;

/// What is promised is a tenth of a second, and a second for one that is stopped.
const CEILING: Duration = Duration::from_secs(10);

/// What comes over them.
const BLOWS: [Signal; 3] = [Signal::KILL, Signal::SEGV, Signal::STOP];

/// A request whose process is lost is computed by another.
#[test]
fn a_lost_worker_costs_nobody_an_answer() {
    let mut choices = choices();
    for strategy in concurrent_strategies().chain(["sequential"]) {
        let way = Way::new(strategy, "processes");
        let one = ["--io-threads", "1"];
        let threads = if strategy == "prefork" { &one[..] } else { &[] };
        let count = COUNT.to_string();
        let workers = ["--compute-threads", &count, "--algorithm", "recursive"];
        let subject = Subject::start_with(way, &[threads, &workers].concat(), COUNT);
        under_load(&subject, &mut choices, |server, choices| {
            let mut family = server.descendants();
            if strategy == "prefork" {
                family = &family - &server.child_pids();
            }
            choices.choice(family).unwrap()
        });
        let ended = subject.finish();
        assert_eq!(ended.count("cancelled"), 0, "{}", ended.log);
    }
}

/// Ends one of these after the other, while others ask.
fn under_load(subject: &Subject, choices: &mut Rng, victim: impl Fn(&Server, &mut Rng) -> i32) {
    let is_over = AtomicBool::new(false);
    let mut times = Measured::new("until there are as many as before", CEILING);
    thread::scope(|scope| {
        for mut script in [choices.fork(), choices.fork(), choices.fork()] {
            let (server, is_over) = (subject.server(), &is_over);
            scope.spawn(move || {
                while !is_over.load(Relaxed) {
                    ask_some(server, &mut script);
                }
            });
        }
        for lost in 1..=attempts(6, 125) {
            thread::sleep(Duration::from_millis(choices.u64(..50)));
            let victim = victim(subject.server(), choices);
            let begin = Instant::now();
            strike(victim, BLOWS[choices.usize(..BLOWS.len())]);
            subject.watched.wait_until_it_is("fib_worker_restarts_total", lost);
            subject.watched.wait_until_it_is("fib_workers", COUNT);
            times.take(begin.elapsed());
        }
        is_over.store(true, Relaxed);
    });
}

/// As one client, and checks the answers.
fn ask_some(server: &Server, script: &mut Rng) {
    let numbers: Vec<u64> = (0..10).map(|_| script.u64(10..26)).collect();
    let mut client = server.connect();
    for n in &numbers {
        client.send(format!("{n}\n"));
    }
    for n in numbers {
        assert_eq!(client.line(), fib_core::exact(n).as_str());
    }
}

/// Who is connected to another process notices nothing, and whoever comes is served.
#[test]
fn a_lost_child_costs_its_own_clients_alone() {
    let mut choices = choices();
    for compute in ["inline", "pool"] {
        let count = COUNT.to_string();
        let way = Way::new("prefork", compute);
        let flags = ["--io-threads", &count, "--algorithm", "recursive"];
        let subject = Subject::start_with(way, &flags, COUNT);
        let mut times = Measured::new("until there are as many as before", CEILING);
        let server = subject.server();
        for lost in 1..=attempts(10, 500) {
            let mut spared = server.connect();
            assert_eq!(spared.ask("30"), "832040");
            let its_child = server.child_that_serves(&spared).expect("some child has the socket");
            let mut others = server.child_pids();
            others.remove(&its_child);
            let victim = choices.choice(others).unwrap();
            spared.send("25\n25\n");
            let begin = Instant::now();
            strike(victim, BLOWS[choices.usize(..BLOWS.len())]);
            assert_eq!((spared.line(), spared.line()), ("75025".to_owned(), "75025".to_owned()));
            subject.watched.wait_until_it_is("fib_worker_restarts_total", lost);
            subject.watched.wait_until_it_is("fib_workers", COUNT);
            times.take(begin.elapsed());
            assert_eq!(spared.ask("25"), "75025");
        }
        let ended = subject.finish();
        assert_eq!(ended.count("cancelled"), 0, "{}", ended.log);
    }
}
