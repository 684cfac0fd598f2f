//! That the numbers are what happened: the client is lied to, held up and disturbed, and tells.

use std::{
    io::{ErrorKind, Read, Write},
    net::TcpStream,
    process::{Command, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use fib_client::{
    load::{Arrivals, Late, Pace, Plan, Rates, Schedule, Until},
    report::{Report, Verdict},
    study::{self, InterferencePlan},
};
use rustix::process::{Pid, Signal, kill_process};

use crate::{
    load::{plan, run},
    support::{Process, answer, honest, serve},
};

pub(crate) fn open_loop(rate: &str, arrivals: Arrivals, late: Late) -> Pace {
    Pace::Open(Schedule { rates: rate.parse::<Rates>().unwrap(), arrivals, late })
}

/// The server does nothing for 1.4 s. Those who wait for it know, and a client that only looks at
/// requests that it could send would not.
#[test]
fn a_server_that_stops_shows_in_the_response() {
    let server = Process::start();
    let pid = Pid::from_child(&server.child);
    let stopper = thread::spawn(move || {
        thread::sleep(Duration::from_secs(1));
        kill_process(pid, Signal::STOP).unwrap();
        thread::sleep(Duration::from_millis(1_400));
        kill_process(pid, Signal::CONT).unwrap();
    });
    let report = run(&Plan {
        connections: 8.try_into().unwrap(),
        pace: open_loop("500", Arrivals::Const, Late::CatchUp),
        until: Until::Elapsed(Duration::from_secs(5)),
        ..plan(server.address.clone())
    });
    stopper.join().unwrap();
    let (response, service) = (report.latency.response, report.latency.service);
    assert_eq!(report.replies, 2_500, "{report}");
    assert!(response.p99_ns.unwrap() > 1_200_000_000, "{report}");
    assert!(response.max_ns.unwrap() > 1_350_000_000, "{report}");
    assert!(service.p50_ns.unwrap() < 100_000_000, "{report}");
    assert!(report.latency.lag.p99_ns.unwrap() > 1_000_000_000, "{report}");
}

/// A server that polls takes 2 ms for each request, to the microsecond. A machine that is busy can
/// only make it longer, so one of several attempts has to be right, and none may be too short.
#[test]
fn a_known_delay_is_measured() {
    const DELAY: Duration = Duration::from_millis(2);
    const LEEWAY: Duration = Duration::from_micros(50);
    let slow = serve(|mut socket| {
        socket.set_nodelay(true).unwrap();
        socket.set_nonblocking(true).unwrap();
        let mut chunk = [0; 100];
        loop {
            match socket.read(&mut chunk) {
                Ok(0) => return,
                Ok(_) => {
                    let begin = Instant::now();
                    while begin.elapsed() < DELAY {
                        std::hint::spin_loop();
                    }
                    socket.write_all(b"1\n").unwrap();
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(_) => return,
            }
        }
    });
    let attempts = (0..60).map(|_| {
        let busy_poll = Duration::from_secs(1);
        let plan = Plan { busy_poll, until: Until::Requests(200), ..plan(slow.clone()) };
        let service = run(&plan).latency.service;
        assert!(u128::from(service.min_ns.unwrap()) * 1_001 / 1_000 >= DELAY.as_nanos());
        Duration::from_nanos(service.p50_ns.unwrap()).saturating_sub(DELAY)
    });
    let mut beyond = Vec::new();
    let is_right = attempts.inspect(|&it| beyond.push(it)).any(|it| it <= LEEWAY);
    assert!(is_right, "{beyond:?}");
}

/// What arrives at the server is what was offered, also when the server is slow.
#[test]
fn a_schedule_is_kept() {
    for arrivals in Arrivals::ALL {
        let report = run(&Plan {
            connections: 4.try_into().unwrap(),
            depth: 4.try_into().unwrap(),
            pace: open_loop("2k", arrivals, Late::CatchUp),
            until: Until::Elapsed(Duration::from_secs(2)),
            ..plan(honest())
        });
        let offered = report.offered_per_s.unwrap();
        match arrivals {
            Arrivals::Const => assert!((offered - 2_000.0).abs() <= 2.0, "{report}"),
            // Four standard deviations of the count of a Poisson process.
            Arrivals::Poisson => assert!((offered - 2_000.0).abs() <= 4.0 * 32.0, "{report}"),
        }
        assert_eq!(report.sent + report.unsent_at_end, report.replies, "{report}");
        assert!(report.delivered().unwrap() > 0.98, "{report}");
    }
}

/// Requests that cannot be sent are told of, whatever becomes of them.
#[test]
fn what_is_late_is_never_lost_in_silence() {
    let slow = answer(|_| {
        thread::sleep(Duration::from_millis(5));
        "1\n".to_owned()
    });
    let load = |late| {
        run(&Plan {
            pace: open_loop("1k", Arrivals::Const, late),
            until: Until::Elapsed(Duration::from_secs(1)),
            ..plan(slow.clone())
        })
    };
    let kinds = |report: &Report| {
        let kinds = report.failures.iter().map(|it| (it.kind.clone(), it.count));
        kinds.collect::<Vec<_>>()
    };
    let report = load(Late::CatchUp);
    assert_eq!(report.sent + report.unsent_at_end, 1_000, "{report}");
    assert!(report.unsent_at_end > 600 && report.grade.verdict == Verdict::ServerLimited);
    assert!(report.latency.with_unanswered.is_some(), "{report}");
    let report = load(Late::Skip);
    assert_eq!(
        kinds(&report),
        [("skipped".to_owned(), 1_000 - report.sent - report.unsent_at_end)]
    );
    let report = load(Late::Shed(Duration::from_millis(50)));
    assert_eq!(kinds(&report)[0].0, "shed");
    assert!(report.latency.lag.max_ns.unwrap() < 500_000_000, "{report}");
}

/// Stopped half of the time, the client sees a slow server. It knows better.
#[test]
fn a_client_that_is_held_up_says_so() {
    let mut client = Command::new(env!("CARGO_BIN_EXE_fib-client"))
        .args(["perf", "-d", "2s", "--json", "-", "--quiet", "--server", &honest().to_string()])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let pid = Pid::from_child(&client);
    let (stop, stopped) = mpsc::channel::<()>();
    let tormentor = thread::spawn(move || {
        while stopped.try_recv().is_err() {
            for (signal, millis) in [(Signal::STOP, 60), (Signal::CONT, 40)] {
                let _ = kill_process(pid, signal);
                thread::sleep(Duration::from_millis(millis));
            }
        }
    });
    let mut json = String::new();
    client.stdout.take().unwrap().read_to_string(&mut json).unwrap();
    stop.send(()).unwrap();
    tormentor.join().unwrap();
    client.wait().unwrap();
    let report: Report = serde_json::from_str(&json).unwrap();
    assert_eq!(report.grade.verdict, Verdict::ClientLimited, "{report}");
}

/// Compared with a server that does nothing, the same server is the client's limit.
#[test]
fn a_client_at_its_own_ceiling_says_so() {
    let plan = plan(honest());
    let server = study::NullServer::start(&plan).unwrap();
    let plan = Plan { address: server.address().clone(), ..plan };
    let mut run =
        |plan: &Plan| fib_client::load::run(plan, &fib_client::load::Progress::new(plan), None);
    let ceiling = study::ceiling(&plan, &mut run).unwrap();
    let mut report = Report::new(&plan, &run(&plan).unwrap());
    assert_eq!((report.wrong_answers, report.errors), (0, 0));
    report.ceiling = Some(ceiling);
    report.ceiling.as_mut().unwrap().rate_per_s = report.rate_per_s; // whatever else runs here
    report.conclude();
    assert_eq!(report.grade.verdict, Verdict::ClientLimited, "{report}");
}

/// A server with one thread for all is what the question is about.
#[test]
fn interference_tells_a_server_that_starves_from_one_that_does_not() {
    let serve_all = |lock: bool| {
        let busy = std::sync::Arc::new(std::sync::Mutex::new(()));
        answer(move |line| {
            let guard = lock.then(|| busy.lock().unwrap());
            thread::sleep(Duration::from_millis(if line == "40" { 150 } else { 1 }));
            drop(guard);
            format!("{}\n", fib_core::exact(line.parse().unwrap()))
        })
    };
    let isolation = |address| {
        let until = Until::Elapsed(Duration::from_secs(3));
        let plan = Plan { until, ..plan(address) };
        let disturbance = InterferencePlan { long_n: 40, levels: vec![2] };
        let mut run =
            |plan: &Plan| fib_client::load::run(plan, &fib_client::load::Progress::new(plan), None);
        study::interference(&plan, &disturbance, &mut run).unwrap().1.unwrap()
    };
    let (starving, fair) = (isolation(serve_all(true)), isolation(serve_all(false)));
    assert!(starving.isolation < 0.2, "{starving}");
    assert!(fair.isolation > 2.0 * starving.isolation, "{starving}{fair}");
    assert_eq!(starving.levels.len(), 2);
    assert!(starving.levels[1].long_rate_per_s > 1.0, "{starving}");
}

/// What did not happen is not told: nobody was starved who was not disturbed.
#[test]
fn an_interrupted_study_tells_what_it_has() {
    let plan = Plan { until: Until::Elapsed(Duration::from_mins(1)), ..plan(honest()) };
    let disturbance = InterferencePlan { long_n: 40, levels: vec![1, 2] };
    let mut run = |plan: &Plan| {
        let progress = fib_client::load::Progress::new(plan);
        thread::scope(|scope| {
            scope.spawn(|| {
                thread::sleep(Duration::from_millis(500));
                progress.stop();
            });
            fib_client::load::run(plan, &progress, None)
        })
    };
    let (outcome, found) = study::interference(&plan, &disturbance, &mut run).unwrap();
    assert!(outcome.interrupted && found.is_none(), "{found:?}");
}

/// Thinking is not waiting: the pause is no part of the latency.
#[test]
fn thinking_takes_time_and_is_not_counted() {
    let think = Duration::from_millis(20);
    let report = run(&Plan {
        connections: 2.try_into().unwrap(),
        pace: Pace::Closed { think },
        until: Until::Elapsed(Duration::from_millis(900)),
        ..plan(honest())
    });
    assert!((40..=92).contains(&report.replies), "{report}");
    assert!(report.latency.response.p50_ns.unwrap() < 20_000_000, "{report}");
}

/// What comes in the warm-up is not measured, and what comes after the end is.
#[test]
fn the_edges_of_a_load_are_told() {
    let slow = answer(|_| {
        thread::sleep(Duration::from_millis(100));
        "1\n".to_owned()
    });
    let base = Plan {
        warm_up: Duration::from_millis(250),
        until: Until::Elapsed(Duration::from_millis(350)),
        ..plan(slow)
    };
    let drained = run(&Plan { drain: Duration::from_secs(1), ..base.clone() });
    assert_eq!(drained.warm_up_requests, 3, "{drained}");
    assert_eq!((drained.sent, drained.replies, drained.in_flight_at_end), (3, 3, 0), "{drained}");
    assert!(drained.rate_per_s * drained.elapsed_s < 2.5, "what came later is no rate: {drained}");
    let cut = run(&Plan { drain: Duration::ZERO, ..base });
    assert_eq!((cut.sent, cut.replies, cut.in_flight_at_end), (3, 2, 1), "{cut}");
    assert_eq!(cut.latency.with_unanswered.unwrap().count, 3);
}

/// A connection is for so many requests, if that is asked for.
#[test]
fn connections_are_renewed() {
    let report = run(&Plan {
        reconnect: fib_client::load::Reconnect::Every(5.try_into().unwrap()),
        until: Until::Requests(100),
        ..plan(serve(|socket: TcpStream| {
            // It would be an error to ask a sixth time.
            let mut reader = socket.try_clone().unwrap();
            let (mut chunk, mut requests) = ([0; 2], 0);
            while reader.read_exact(&mut chunk).is_ok() {
                requests += 1;
                assert!(requests <= 5);
                (&socket).write_all(b"1\n").unwrap();
            }
        }))
    });
    assert_eq!((report.replies, report.errors), (100, 0), "{report}");
    assert!((19..=20).contains(&report.connections.renewals), "{report}");
}
