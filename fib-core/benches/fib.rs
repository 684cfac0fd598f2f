//! What a number costs: the workload in calls a second, and the exact numbers by their size.
//!
//! `cargo bench -p fib-core`. For the workload beside gcc, Go and Python see `cargo xtask kernel`.

use divan::{Bencher, black_box, counter::ItemsCount};

fn main() {
    divan::main();
}

/// Items are calls of the tree.
#[divan::bench(args = [20, 30, 38, 40])]
fn recursive(bencher: Bencher<'_, '_>, n: u64) {
    let calls = fib_core::cost(n).expect("n is in range");
    bencher.counter(ItemsCount::new(calls)).bench(|| fib_core::recursive(black_box(n)));
}

/// The same in slices of so many calls, beside [`recursive`] of 38: what cutting costs.
#[divan::bench(args = [u64::MAX, 1_500_000, 60_000])]
fn sliced(bencher: Bencher<'_, '_>, calls: u64) {
    let cost = fib_core::cost(38).expect("n is in range");
    bencher.counter(ItemsCount::new(cost)).bench(|| {
        let mut work = fib_core::Recursion::new(black_box(38)).expect("n is in range");
        while work.run(calls) > 0 {}
        work.value()
    });
}

#[divan::bench(args = [30, 93])]
fn table(n: u64) -> Option<u64> {
    fib_core::fib(black_box(n))
}

#[divan::bench(args = [100, 1_000, 100_000, 1_000_000])]
fn exact(n: u64) -> fib_core::Decimal {
    fib_core::exact(black_box(n))
}
