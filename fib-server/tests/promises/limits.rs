//! What happens where there are more clients than it takes: floods of them, too many at once, or
//! more than the system has room for.

use std::{
    iter,
    net::Ipv4Addr,
    thread,
    time::{Duration, Instant},
};

use super::{Subject, attempts, choices, tell};
use crate::support::{Client, Process, Server, Way, for_each_way, has_strace};

/// When a client's kernel tries again to connect, because the server's had no room.
const RETRY: Duration = Duration::from_secs(1);

/// How many may be connected, where that is limited.
const PLACES: usize = 3;

/// How many descriptors a process may have, where that is limited.
const DESCRIPTORS: usize = 64;

/// How much may be kept of the addresses that somebody came from: a table for each process, seen by
/// all of them; and as much for allocators.
const MEMORY_OF_ADDRESSES: u64 = 1 << 20;

/// How many hundredths of a second of CPU it may take in a second in which it has nothing to do.
const IDLE_TICKS: u64 = 5;

for_each_way! {{
    no_client_of_a_flood_is_lost,
    one_too_many_is_told_so,
    one_address_cannot_take_all_places,
    who_finds_no_descriptor_is_told_so,
    accepting_survives_errors,
}}

/// They connect, ask and leave as fast as they can; none of them has to try twice.
fn no_client_of_a_flood_is_lost(way: Way) {
    let subject = Subject::start(way, &[]);
    flood(&subject, attempts(320, 20_000));
    subject.finish();
}

/// A conversation whose client has left ends before many others begin, however fast they come.
#[test]
fn who_leaves_does_not_wait_behind_who_comes() {
    let subject = Subject::start("coroutines".into(), &["--max-connections", "100"]);
    flood(&subject, 8_000);
    subject.finish();
}

/// So many clients, a few at a time.
fn flood(subject: &Subject, clients: usize) {
    const THREADS: u8 = 8;
    let come_and_go = |from| {
        for _ in 0..clients / usize::from(THREADS) {
            let began = Instant::now();
            let mut client = subject.server().connect_from(Ipv4Addr::new(127, 0, 1, from));
            assert!(began.elapsed() < RETRY, "the queue of those who connect was full");
            is_served(&mut client);
        }
    };
    thread::scope(|scope| {
        for from in 0..THREADS {
            scope.spawn(move || come_and_go(from));
        }
    });
}

/// However much it sends before it reads, it reads why; and those inside notice nothing.
fn one_too_many_is_told_so(way: Way) {
    if way.strategy == "sequential" {
        return; // whoever is one too many waits for a turn
    }
    let mut choices = choices();
    let subject = Subject::start(way, &["--max-connections", &PLACES.to_string()]);
    let mut inside: Vec<_> = (0..PLACES).map(|_| subject.server().connect()).collect();
    inside.iter_mut().for_each(is_served);
    let tries = attempts(30, 1_000);
    let told = "ERR busy 3 clients are connected; --max-connections raises the limit\n";
    let mut longest = Duration::ZERO;
    for _ in 0..tries {
        let began = Instant::now();
        let mut client = subject.server().connect();
        for _ in 0..choices.u8(0..4) {
            client.send("30\n".repeat(choices.usize(1..4096)));
        }
        assert_eq!(client.rest(), told);
        longest = longest.max(began.elapsed());
    }
    tell(way, &format!("{tries} were refused, each within {longest:?}"));
    assert_eq!(refused(&subject, "busy"), tries as u64);
    inside.iter_mut().for_each(is_served);
    inside.pop();
    subject.watched.wait_until_it_is("fib_connections_open", PLACES - 1);
    is_served(&mut subject.server().connect());
    drop(inside);
    subject.finish();
}

/// Whoever comes from elsewhere is served, whatever the first address does; and the memory that it
/// takes to know does not grow with the addresses.
fn one_address_cannot_take_all_places(way: Way) {
    if way.strategy == "sequential" {
        return; // whoever is one too many waits for a turn
    }
    let subject = Subject::start(way, &["--max-per-address", &PLACES.to_string()]);
    let server = subject.server();
    let greedy = Ipv4Addr::new(127, 0, 0, 2);
    let mut elsewhere = (Ipv4Addr::new(127, 1, 0, 0).to_bits()..).map(Ipv4Addr::from_bits);
    let mut inside: Vec<_> = (0..PLACES).map(|_| server.connect_from(greedy)).collect();
    inside.iter_mut().for_each(is_served);
    let told = "ERR busy 3 clients of your address are connected; --max-per-address limits them";
    let tries = attempts(30, 1_000);
    for honest in elsewhere.by_ref().take(tries) {
        assert_eq!(server.connect_from(greedy).rest(), format!("{told}\n"));
        is_served(&mut server.connect_from(honest));
    }
    assert_eq!(refused(&subject, "address"), tries as u64);
    inside.iter_mut().for_each(is_served);
    drop(inside);
    subject.watched.wait_until_it_is("fib_connections_open", 0);
    is_served(&mut server.connect_from(greedy));
    let memory = || subject.watched.metrics().count("process_resident_memory_bytes");
    let before = memory();
    for address in elsewhere.take(attempts(100, 100_000)) {
        is_served(&mut server.connect_from(address));
    }
    let after = memory();
    tell(way, &format!("{} KiB more", after.saturating_sub(before) / 1024));
    assert!(after <= before + MEMORY_OF_ADDRESSES, "{before} bytes before, {after} after");
    subject.finish();
}

/// Those who have a place keep it and are answered; the server neither spins nor floods its log;
/// and whoever comes when there is room again is served.
fn who_finds_no_descriptor_is_told_so(way: Way) {
    if way.strategy == "sequential" {
        return; // it needs one for its only client
    }
    let subject = Subject::of(way, |flags| Server::start_limited_to(DESCRIPTORS, way, flags));
    let mut clients: Vec<_> = iter::repeat_with(|| subject.server().connect()).take(200).collect();
    let told = "ERR busy the server may open no more files; ulimit -n raises the limit";
    let is_inside = |client: &mut Client| {
        let reply = client.ask("30");
        assert!(reply == "832040" || reply == told, "{reply}");
        reply != told
    };
    clients.retain_mut(is_inside);
    assert!((1..200).contains(&clients.len()), "{} are inside", clients.len());
    clients.iter_mut().for_each(is_served);
    let (seconds, before) = (attempts(1, 10) as u64, cpu_ticks(&subject));
    thread::sleep(Duration::from_secs(seconds));
    let busy = cpu_ticks(&subject) - before;
    assert!(busy <= seconds * IDLE_TICKS, "{busy} ticks in {seconds} s, for nothing");
    let wanted = clients.len() - 5;
    clients.truncate(wanted);
    let began = Instant::now();
    while !is_inside(&mut subject.server().connect()) {}
    tell(way, &format!("{busy} ticks in {seconds} s; a place again after {:?}", began.elapsed()));
    clients.iter_mut().for_each(is_served);
    assert!((1..=10).contains(&subject.server().times_logged("cannot accept")));
    drop(clients);
    subject.finish();
}

/// Whatever the kernel says instead of accepting, those who wait are served in the end.
fn accepting_survives_errors(way: Way) {
    if way.strategy == "io-uring" || !has_strace() {
        return; // it accepts without a call that could be made to fail
    }
    let all = ["ENFILE", "EMFILE", "ENOMEM", "ENOBUFS", "ECONNABORTED", "EPROTO", "EPERM"];
    let first = choices().usize(0..all.len());
    for error in all.iter().cycle().skip(first).take(attempts(1, 4 * all.len())) {
        let inject = format!("inject=accept4:error={error}:when=3..20");
        let strace = ["strace", "-D", "-f", "-qq", "--seccomp-bpf", "-o", "/dev/null", "-e"];
        let strace = [&strace[..], &[&inject]].concat();
        let subject = Subject::of(way, |flags| Server::start_by(&strace, way, flags));
        for _ in 0..20 {
            is_served(&mut subject.server().connect());
        }
        subject.finish();
    }
}

fn is_served(client: &mut Client) {
    assert_eq!(client.ask("30"), "832040");
}

fn refused(subject: &Subject, reason: &str) -> u64 {
    let name = format!(r#"fib_connections_refused_total{{reason="{reason}"}}"#);
    subject.watched.metrics().count(&name)
}

/// What the server and its children have used.
fn cpu_ticks(subject: &Subject) -> u64 {
    let server = subject.server();
    let family = server.descendants().into_iter().chain([server.pid().cast_signed()]);
    family.filter_map(Process::find).map(|it| it.ticks).sum()
}
