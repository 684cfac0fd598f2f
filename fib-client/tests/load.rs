//! Loading: the numbers say what happened, also when it is bad.

use std::{
    io::{Read, Write},
    num::NonZeroUsize,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use fib_client::{
    load::{self, Mix, Plan, Progress, Until},
    report::Report,
};
use fib_proto::{Address, Dialect};

use crate::support::{answer, honest, serve};

pub(crate) fn plan(address: Address) -> Plan {
    Plan {
        until: Until::Elapsed(Duration::from_millis(300)),
        drain: Duration::from_millis(100),
        timeout: Duration::from_secs(10),
        ..Plan::new(address)
    }
}

pub(crate) fn run(plan: &Plan) -> Report {
    let outcome = load::run(plan, &Progress::new(plan), None).expect("it connects");
    Report::new(plan, &outcome)
}

pub(crate) fn failures(report: &Report) -> Vec<(&str, u64)> {
    report.failures.iter().map(|failure| (failure.kind.as_str(), failure.count)).collect()
}

#[test]
fn so_many_requests_are_so_many() {
    for shape in [[1, 1, 1], [3, 4, 2], [5, 7, 3], [2, 1, 9]] {
        let [connections, depth, threads] = shape.map(|it| NonZeroUsize::new(it).unwrap());
        let until = Until::Requests(1_001);
        let busy_poll = Duration::from_micros(connections.get() as u64 % 2 * 100);
        let plan = Plan { connections, depth, threads, busy_poll, until, ..plan(honest()) };
        let report = run(&plan);
        assert_eq!((report.replies, report.wrong_answers), (1_001, 0));
        assert_eq!((report.connections.served, report.in_flight_at_end), (shape[0], 0));
        assert!(report.failures.is_empty());
    }
}

#[test]
fn a_mix_is_drawn_by_weight_and_reported_by_class() {
    let mix: Mix = "1=9,90=1".parse().unwrap();
    let report = run(&Plan { mix, until: Until::Requests(10_000), ..plan(honest()) });
    let replies: Vec<_> = report.classes.iter().map(|class| class.replies).collect();
    assert_eq!(replies.iter().sum::<u64>(), 10_000);
    assert!((800..1_200).contains(&replies[1]), "{replies:?}");
}

#[test]
fn large_answers_are_checked_to_the_last_digit() {
    let report =
        run(&Plan { mix: Mix::only(50_000), until: Until::Requests(20), ..plan(honest()) });
    assert_eq!((report.replies, report.wrong_answers), (20, 0));
    let lying = answer(|line| {
        let mut digits = fib_core::exact(line.parse().unwrap()).to_string();
        digits.pop();
        format!("{digits}x\n")
    });
    let report = run(&Plan { mix: Mix::only(50_000), until: Until::Requests(20), ..plan(lying) });
    assert_eq!(report.replies, 0);
    assert_eq!(report.wrong_answers, report.failures[0].count);
}

#[test]
fn wrong_answers_are_counted_by_kind_and_never_timed() {
    let kinds = [
        ("2\n", "wrong-value"),
        ("10\n", "wrong-value"),
        ("hello\n", "malformed"),
        ("\n", "malformed"),
        ("ERR busy later\n", "server-busy"),
        ("ERR internal sorry\n", "server-internal"),
    ];
    for (reply, kind) in kinds {
        let report =
            run(&Plan { until: Until::Requests(10), ..plan(answer(|_| reply.to_owned())) });
        assert_eq!(failures(&report), [(kind, 10)]);
        assert_eq!((report.replies, report.latency.response.max_ns), (0, None));
    }
}

#[test]
fn a_reply_too_many_is_unsolicited() {
    let chatty = answer(|line| format!("{line}\n{line}\n"));
    let report = run(&plan(chatty));
    assert!(failures(&report).iter().any(|&(kind, _)| kind == "unsolicited"), "{report}");
    assert!(report.wrong_answers > 0);
}

#[test]
fn a_server_that_hangs_times_out_and_is_not_counted_as_fast() {
    let hanging = serve(|mut socket| while socket.read(&mut [0; 100]).is_ok_and(|len| len > 0) {});
    let timeout = Duration::from_millis(100);
    let report = run(&Plan { timeout, connections: 2.try_into().unwrap(), ..plan(hanging) });
    assert!(
        failures(&report).iter().all(|&(kind, count)| kind == "timeout" && count >= 2),
        "{report}"
    );
    assert_eq!((report.replies, report.connections.served), (0, 0));
}

/// A load of so many requests ends, whatever becomes of them.
#[test]
fn a_lost_request_is_counted_and_not_asked_again() {
    let hanging = serve(|mut socket| while socket.read(&mut [0; 100]).is_ok_and(|len| len > 0) {});
    let (timeout, until) = (Duration::from_millis(50), Until::Requests(8));
    let one_by_one = Plan { timeout, until, ..plan(hanging) };
    assert_eq!(failures(&run(&one_by_one)), [("timeout", 8)]);
    let pipelined = Plan { depth: 4.try_into().unwrap(), ..one_by_one };
    assert_eq!(failures(&run(&pipelined)), [("timeout", 2), ("abandoned", 6)]);
}

#[test]
fn a_starved_connection_shows() {
    let clients = Arc::new(AtomicUsize::new(0));
    let one_at_a_time = serve(move |mut socket| {
        let mut chunk = [0; 100];
        let favoured = clients.fetch_add(1, Ordering::Relaxed) == 0;
        while socket.read(&mut chunk).is_ok_and(|len| len > 0) {
            if favoured && socket.write_all(b"1\n").is_err() {
                return;
            }
        }
    });
    let report = run(&Plan { connections: 3.try_into().unwrap(), ..plan(one_at_a_time) });
    assert_eq!((report.connections.served, report.in_flight_at_end), (1, 2));
    assert!(report.to_string().contains("starved      2 connections"), "{report}");
}

#[test]
fn a_closing_server_is_met_again() {
    let closing = serve(|mut socket| {
        if socket.read(&mut [0; 100]).is_ok() {
            let _ = socket.write_all(b"1\n");
        }
    });
    let until = Until::Elapsed(Duration::from_secs(1));
    let report = run(&Plan { until, ..plan(closing) });
    assert!(report.connections.reconnects >= 2, "{report}");
    assert!(report.replies > report.connections.reconnects, "{report}");
}

#[test]
fn the_time_a_server_takes_is_the_time_that_is_told() {
    let delay = Duration::from_millis(20);
    let slow = answer(move |line| {
        thread::sleep(delay);
        format!("{line}\n")
    });
    let report = run(&Plan { until: Until::Requests(30), ..plan(slow) });
    let p50 = Duration::from_nanos(report.latency.response.p50_ns.unwrap());
    assert!(p50 >= delay, "{p50:?}");
    assert!(report.elapsed_s >= 30.0 * delay.as_secs_f64(), "{report}");
    assert_eq!(
        report.latency.response.p99_ns, None,
        "30 samples say nothing of the 99th percentile"
    );
}

#[test]
fn clients_of_the_original_demo_can_be_played() {
    let demo = serve(|mut socket| {
        let mut chunk = [0; 100];
        while let Ok(len @ 1..) = socket.read(&mut chunk) {
            assert!(!chunk[..len].contains(&b'\n'));
            let n: i64 = std::str::from_utf8(&chunk[..len]).unwrap().parse().unwrap();
            let reply = fib_core::fib(n.max(1).unsigned_abs()).unwrap();
            socket.write_all(format!("{reply}\n").as_bytes()).unwrap();
        }
    });
    let mix: Mix = "0,1,30".parse().unwrap();
    let until = Until::Requests(300);
    let report = run(&Plan { dialect: Dialect::Classic, mix, until, ..plan(demo) });
    assert_eq!((report.replies, report.wrong_answers), (300, 0), "{report}");
}

#[test]
fn a_report_survives_json() {
    let report = run(&Plan { mix: "1,30".parse().unwrap(), ..plan(honest()) });
    let json = serde_json::to_string(&report).unwrap();
    assert_eq!(serde_json::from_str::<Report>(&json).unwrap(), report);
}
