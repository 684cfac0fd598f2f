//! A load allocates when it starts, and then no more, however long it runs.

use std::time::Duration;

use fib_client::load::{self, Arrivals, Late, Mix, Pace, Plan, Progress, Rates, Schedule, Until};

use crate::support::honest;

#[test]
fn requests_of_a_closed_loop_allocate_nothing() {
    allocate_nothing(&Pace::Closed { think: Duration::ZERO });
    allocate_nothing(&Pace::Closed { think: Duration::from_micros(1) });
}

#[test]
fn requests_of_an_open_loop_allocate_nothing() {
    let rates: Rates = "50k".parse().unwrap();
    for (arrivals, late) in
        [(Arrivals::Const, Late::CatchUp), (Arrivals::Poisson, Late::Shed(Duration::from_secs(9)))]
    {
        allocate_nothing(&Pace::Open(Schedule { rates: rates.clone(), arrivals, late }));
    }
}

fn allocate_nothing(pace: &Pace) {
    let address = honest();
    let allocations = |replies| {
        let plan = Plan {
            connections: 2.try_into().unwrap(),
            depth: 4.try_into().unwrap(),
            busy_poll: Duration::from_micros(10),
            pace: pace.clone(),
            mix: "1=9,30=1".parse::<Mix>().unwrap(),
            until: Until::Requests(replies),
            ..Plan::new(address.clone())
        };
        let progress = Progress::new(&plan);
        let mut replies = 0;
        let counted = allocation_counter::measure(|| {
            // The only worker runs on this thread, the one that is measured.
            replies = load::run(&plan, &progress, None).unwrap().tally.replies();
        });
        (replies, counted.count_total)
    };
    allocations(100);
    let (short, long) = (allocations(1_000), allocations(20_000));
    assert_eq!((short.0, long.0), (1_000, 20_000));
    assert_eq!(short.1, long.1, "twenty times the requests, and not one allocation more");
}
