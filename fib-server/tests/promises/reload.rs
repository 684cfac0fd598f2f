//! What SIGHUP does to clients: nothing.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use rustix::process::Signal;

use super::{Subject, attempts};
use crate::{
    config_file::ConfigFile,
    support::{Client, Way, for_each_way, wait_until},
};

for_each_way! {{
    a_reload_costs_nobody_anything,
}}

/// How many clients ask all the while.
const CLIENTS: usize = 4;

/// As often a good file as a bad one. Of a bad one nothing is obeyed, also not what is right in it.
fn a_reload_costs_nobody_anything(way: Way) {
    const BAD: [&str; 6] = [
        "max-m = 1",
        "strategy = \"sequential\"\ncompute = \"inline\"\ncores = 1",
        "max-line = 1",
        "max-n = 7",
        "idle-timeout = 5",
        "max-n",
    ];
    let alone = way.strategy == "sequential";
    let file = ConfigFile::new("max-n = 30000");
    let subject = Subject::start(way, &["--config", file.path()]);
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..if alone { 1 } else { CLIENTS } {
            let mut client = subject.server().connect();
            let is_over = &is_over;
            scope.spawn(move || ask_until(&mut client, is_over));
        }
        for turn in 1..=attempts(4, 100) {
            let limits = [20_000, 30_000];
            let (limit, other) = (limits[turn % 2], limits[1 - turn % 2]);
            file.write(&format!("max-n = {limit}\nmax-connections = {}\n", 100 + turn));
            reload(&subject, "ok", turn);
            subject.watched.wait_until_it_is("fib_connections_max", 100 + turn);
            if !alone {
                wait_until("the new limit is in force", || keeps_to(&subject, limit));
            }
            let bad = BAD[turn % BAD.len()];
            file.write(&format!("max-connections = 1\nmax-n = {other}\n{bad}\n"));
            reload(&subject, "refused", turn);
            assert_eq!(subject.watched.metrics().count("fib_connections_max"), 100 + turn as u64);
            assert!(alone || keeps_to(&subject, limit), "a part of a bad file was obeyed");
        }
        is_over.store(true, Ordering::Relaxed);
    });
    let log = subject.finish().log;
    assert_eq!(log.matches("the configuration stays as it was").count(), attempts(4, 100), "{log}");
}

fn ask_until(client: &mut Client, is_over: &AtomicBool) {
    let dear = fib_core::exact(20_000);
    while !is_over.load(Ordering::Relaxed) {
        client.send("30\n20000\n");
        assert_eq!(client.line(), "832040");
        assert_eq!(client.line(), dear.as_str());
    }
}

/// Sends the signal, and waits until it has come to so many of these ends.
fn reload(subject: &Subject, result: &str, times: usize) {
    subject.server().signal(Signal::HUP);
    let name = format!(r#"fib_config_reloads_total{{result="{result}"}}"#);
    subject.watched.wait_until_it_is(&name, times);
    let gauge = subject.watched.metrics().count("fib_config_last_reload_successful");
    assert_eq!(gauge == 1, result == "ok");
}

/// Whether new clients, of whichever process, have this limit.
fn keeps_to(subject: &Subject, limit: u64) -> bool {
    (0..5).all(|_| {
        let told = subject.server().connect().ask("30001");
        told.contains(&format!("n must be from 0 to {limit},"))
    })
}
