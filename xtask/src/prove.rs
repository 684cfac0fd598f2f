//! `cargo xtask prove`: what no run of the program shows. Models meet their threads in every order,
//! Miri and the sanitizers watch memory, and a fuzzer looks for input that nobody thought of.
//!
//! All but the models need a nightly Rust with parts that are not everywhere. What is missing is
//! said aloud, with what gets it, and the rest runs.

use std::path::Path;

use anyhow::Result;
use xshell::{Shell, cmd};

use crate::tools::{say, workspace};

/// How long each fuzz target runs.
const FUZZ_SECONDS: u32 = 60;

/// What the sanitizers are built for: they change the ABI, so it has to be named.
const TARGET: &str = "x86_64-unknown-linux-gnu";

pub(crate) fn run(sh: &Shell) -> Result<()> {
    {
        let _long = sh.push_env("FIB_LONG", "1");
        check_models(sh)?;
    }
    run_miri(sh)?;
    run_sanitizers(sh)?;
    fuzz(sh, &format!("-max_total_time={FUZZ_SECONDS}"))?;
    say("prove: everything that could run holds");
    Ok(())
}

/// The threads of the server in every order, as far as a few interruptions go.
pub(crate) fn check_models(sh: &Shell) -> Result<()> {
    Ok(cmd!(sh, "cargo test --package fib-server --features model --lib models::").run()?)
}

/// Shows that the fuzz targets build, and lets each run for a moment. Their corpora are replayed by
/// the ordinary tests, so nothing is required for this.
pub(crate) fn smoke_fuzz(sh: &Shell) -> Result<()> {
    fuzz(sh, "-runs=10000")
}

/// The codec and the order of the queue. The rest of the server is system calls, which Miri lacks.
fn run_miri(sh: &Shell) -> Result<()> {
    let get = "rustup toolchain install nightly --component miri";
    if cmd!(sh, "cargo +nightly miri --version").quiet().ignore_stderr().run().is_err() {
        say_missing("Miri", get);
        return Ok(());
    }
    // Seeds come from the environment, and failures of proptest go to a file.
    let _open = sh.push_env("MIRIFLAGS", "-Zmiri-disable-isolation");
    let _few = sh.push_env("PROPTEST_CASES", "4");
    cmd!(sh, "cargo +nightly miri test --package fib-proto --test main").run()?;
    Ok(cmd!(sh, "cargo +nightly miri test --package fib-server --lib compute::queue::").run()?)
}

/// All ways of serving with each byte of memory watched, and the units with each access compared
/// with those of other threads.
fn run_sanitizers(sh: &Shell) -> Result<()> {
    let get = "rustup toolchain install nightly --component rust-src";
    let Ok(sysroot) = cmd!(sh, "rustc +nightly --print sysroot").quiet().ignore_stderr().read()
    else {
        say_missing("the sanitizers", get);
        return Ok(());
    };
    {
        let _address = sh.push_env("RUSTFLAGS", "-Zsanitizer=address");
        let test = ["test", "--package", "fib-server", "--target", TARGET];
        cmd!(sh, "cargo +nightly {test...} --lib").run()?;
        cmd!(sh, "cargo +nightly {test...} --test main conformance::").run()?;
    }
    if !Path::new(&sysroot).join("lib/rustlib/src/rust/library").exists() {
        say_missing("the thread sanitizer", get);
        return Ok(());
    }
    // Of the standard library's own locks it has to know, too.
    let _thread = sh.push_env("RUSTFLAGS", "-Zsanitizer=thread");
    let test = ["test", "-Zbuild-std", "--package", "fib-server", "--target", TARGET];
    Ok(cmd!(sh, "cargo +nightly {test...} --lib").run()?)
}

/// What it finds worth keeping is kept apart; `cargo fuzz cmin` makes a corpus of it.
fn fuzz(sh: &Shell, until: &str) -> Result<()> {
    let get = "rustup toolchain install nightly; cargo install --locked cargo-fuzz";
    if cmd!(sh, "cargo +nightly fuzz --version").quiet().ignore_stderr().run().is_err() {
        say_missing("the fuzzer", get);
        return Ok(());
    }
    for target in sh.read_dir("fuzz/corpus")? {
        let name = target.file_name().unwrap_or_default();
        let found = workspace().join("target/fuzz").join(name);
        sh.create_dir(&found)?;
        cmd!(sh, "cargo +nightly fuzz run {name} {found} {target} -- {until}").run()?;
    }
    Ok(())
}

fn say_missing(what: &str, get: &str) {
    say(&format!("SKIPPED {what}: not here; {get}"));
}
