//! How often a test tries, and where its choices come from: for all tests that try at random, those
//! of the server too.

use std::env;

use fastrand::Rng;

/// How often to try: a few times, or, with `FIB_LONG=1`, as often as it is promised.
pub(crate) fn attempts(fast: usize, long: usize) -> usize {
    match env::var("FIB_LONG") {
        Ok(it) if it == "1" => long,
        // Miri runs one instruction where others run hundreds.
        _ if cfg!(miri) => fast.div_ceil(500),
        _ => fast,
    }
}

/// Where a test's choices come from. The seed is shown when the test fails, and `FIB_SEED` replays
/// it.
#[expect(clippy::print_stdout, reason = "the test harness shows it with a failure")]
pub(crate) fn choices() -> Rng {
    let given = env::var("FIB_SEED").ok().map(|seed| seed.parse().expect("FIB_SEED is a number"));
    let seed = given.unwrap_or_else(|| fastrand::u64(..));
    println!("FIB_SEED={seed} replays it");
    Rng::with_seed(seed)
}
