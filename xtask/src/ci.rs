//! `cargo xtask ci`: everything that must hold, in the order in which it fails fastest.

use anyhow::Result;
use xshell::{Shell, cmd};

use crate::{
    bench, dist,
    flags::{BenchArgs, EffortArgs, SoakArgs},
    kernel, prove, soak,
    tools::{CARGO_DENY, say},
};

pub(crate) fn run(sh: &Shell) -> Result<()> {
    format(sh)?;
    lint(sh)?;
    test(sh)?;
    prove::check_models(sh)?;
    prove::smoke_fuzz(sh)?;
    document(sh)?;
    check_dependencies(sh)?;
    package(sh)?;
    kernel::prove(sh)?;
    dist::prove(sh)?;
    for figures in [false, true] {
        let effort = EffortArgs { smoke: true, ..EffortArgs::default() };
        bench::run(sh, &BenchArgs { effort, figures, ..BenchArgs::default() })?;
    }
    soak::run(sh, &SoakArgs { smoke: true, ..SoakArgs::default() })?;
    say("ci: everything holds");
    Ok(())
}

fn format(sh: &Shell) -> Result<()> {
    cmd!(sh, "cargo fmt --all --check").run()?;
    Ok(cmd!(sh, "cargo fmt --manifest-path fuzz/Cargo.toml --check").run()?)
}

fn lint(sh: &Shell) -> Result<()> {
    cmd!(sh, "cargo clippy --workspace --all-targets -- -D warnings").run()?;
    let alone = ["--package", "fib-core", "--no-default-features", "--lib"];
    cmd!(sh, "cargo clippy {alone...} -- -D warnings").run()?;
    let models = ["--package", "fib-server", "--features", "model", "--lib", "--tests"];
    Ok(cmd!(sh, "cargo clippy {models...} -- -D warnings").run()?)
}

fn test(sh: &Shell) -> Result<()> {
    Ok(cmd!(sh, "cargo test --workspace").run()?)
}

fn document(sh: &Shell) -> Result<()> {
    let _strict = sh.push_env("RUSTDOCFLAGS", "-D warnings");
    Ok(cmd!(sh, "cargo doc --workspace --no-deps").run()?)
}

/// Licences, bans and sources; advisories need a network, and a day on which they are news.
fn check_dependencies(sh: &Shell) -> Result<()> {
    if CARGO_DENY.find_or_skip("licences, bans and sources")?.is_some() {
        cmd!(sh, "cargo deny check licenses bans sources").run()?;
    }
    Ok(())
}

fn package(sh: &Shell) -> Result<()> {
    Ok(cmd!(sh, "cargo package --quiet --allow-dirty -p fib-core").run()?)
}
