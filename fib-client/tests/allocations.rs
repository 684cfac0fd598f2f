//! A load allocates when it starts, and then no more, however long it runs.

use fib_client::load::{self, Mix, Plan, Progress, Until};
use fib_proto::Dialect;

use crate::support::honest;

#[test]
fn requests_allocate_nothing() {
    let address = honest();
    let allocations = |replies| {
        let plan = Plan {
            address: address.clone(),
            dialect: Dialect::Line,
            connections: 2.try_into().unwrap(),
            depth: 4.try_into().unwrap(),
            threads: 1.try_into().unwrap(),
            busy_poll: std::time::Duration::from_micros(10),
            mix: "1=9,30=1".parse::<Mix>().unwrap(),
            until: Until::Requests(replies),
            timeout: std::time::Duration::from_secs(10),
            seed: 0,
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
