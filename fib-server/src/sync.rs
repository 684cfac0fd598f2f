//! Locks, threads and atomics: the standard library's; or, in models, those of loom, which tries
//! every order in which threads can meet there.
//!
//! What is modelled is the code as it is shipped: a file that has a model takes these from here,
//! and the model stands below it. `cargo xtask prove` runs all of them.

#[cfg(not(all(test, feature = "model")))]
pub(crate) use std::{
    sync::{Condvar, Mutex, MutexGuard, atomic},
    thread::{Builder, JoinHandle},
};

#[cfg(all(test, feature = "model"))]
pub(crate) use loom::{
    sync::{Condvar, Mutex, MutexGuard, atomic},
    thread::{Builder, JoinHandle},
};

/// Runs a model in every order of its threads, as far as a thread is interrupted at most so often
/// where it could have gone on, if there is a limit. With `FIB_LONG=1` it is one more: that takes
/// ten times as long.
#[cfg(all(test, feature = "model"))]
#[expect(clippy::print_stdout, reason = "it is told by whoever asks with --nocapture")]
pub(crate) fn explore(interruptions_max: Option<usize>, model: impl Fn() + Send + Sync + 'static) {
    let more = usize::from(std::env::var("FIB_LONG").is_ok_and(|it| it == "1"));
    let orders = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let tried = std::sync::Arc::clone(&orders);
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = interruptions_max.map(|it| it + more);
    builder.max_branches = 10_000;
    builder.check(move || {
        tried.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        model();
    });
    println!("tried in {orders:?} orders");
}
