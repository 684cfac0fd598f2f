//! `cargo xtask numbers`: how long the decimal digits of large numbers take, beside GMP.
//!
//! GMP gets what its manual advises: `mpz_fib_ui`, then `mpz_get_str`, in C, with the library that
//! the system has, which knows this processor.

use std::{path::PathBuf, time::Duration};

use anyhow::{Context, Result, ensure};
use xshell::{Shell, cmd};

use crate::{
    build::release_folder,
    flags::NumbersArgs,
    peers,
    tools::{CC, say, skip},
};

/// For about how long a program computes the same number again and again.
const EACH: Duration = Duration::from_millis(200);

/// A program that computes.
struct Candidate {
    name: &'static str,
    program: PathBuf,
    /// What it is given behind the number and how often to compute it.
    flag: Option<&'static str>,
}

pub(crate) fn run(sh: &Shell, args: &NumbersArgs) -> Result<()> {
    let candidates = candidates(sh)?;
    say(&format!(
        "microseconds to the digits of F(n): median (min to max) of {}",
        args.repetitions
    ));
    for &n in &args.n {
        let times = time(sh, &candidates, n, args.repetitions.max(1))?;
        let baseline = middle(&times[times.len() - 1]);
        for (candidate, times) in candidates.iter().zip(&times) {
            let [min, median, max] =
                [times[0], middle(times), times[times.len() - 1]].map(|nanos| nanos / 1e3);
            let factor = baseline / 1e3 / median;
            let name = candidate.name;
            say(&format!(
                "{n:>11}  {name:22} {median:12.3} ({min:.3} to {max:.3})   {factor:.2} x"
            ));
        }
    }
    Ok(())
}

/// Ours, and, at the end, what they are compared with.
fn candidates(sh: &Shell) -> Result<Vec<Candidate>> {
    cmd!(sh, "cargo build --quiet --release -p fib-core --example exact").quiet().run()?;
    let program = release_folder().join("examples/exact");
    let mut candidates = vec![
        Candidate { name: "fib-core", program: program.clone(), flag: None },
        Candidate { name: "fib-core, all cores", program, flag: Some("threads") },
    ];
    if CC.find_or_skip("GMP")?.is_some() {
        match peers::compile_c(sh, "gmp.c", "gmp-c", &["-lgmp"]) {
            Ok(program) => candidates.push(Candidate { name: "GMP", program, flag: None }),
            Err(_) => skip("GMP", "apt-get install libgmp-dev")?,
        }
    }
    Ok(candidates)
}

/// The times of each in nanoseconds, sorted: they run in turn.
fn time(sh: &Shell, candidates: &[Candidate], n: u64, repetitions: usize) -> Result<Vec<Vec<f64>>> {
    let len = fib_core::decimal_len(n);
    let run = |candidate: &Candidate, count: u128| -> Result<f64> {
        let Candidate { program, flag, .. } = candidate;
        let (n, count) = (n.to_string(), count.to_string());
        let told = cmd!(sh, "{program} {n} {count} {flag...}").quiet().read()?;
        let (nanos, digits) = told.split_once(" ns, ").context("it says how long it took")?;
        ensure!(digits == format!("{len} digits"), "{} says {told:?}", candidate.name);
        Ok(nanos.parse()?)
    };
    // The first one counts for nothing: it says how often it can be done.
    let counts = candidates.iter().map(|candidate| {
        let once = Duration::from_secs_f64(run(candidate, 1)? / 1e9);
        Ok((EACH.as_nanos() / once.as_nanos().max(1)).clamp(1, 1_000_000))
    });
    let counts = counts.collect::<Result<Vec<_>>>()?;
    let mut times = vec![Vec::new(); candidates.len()];
    for _ in 0..repetitions {
        for ((candidate, &count), times) in candidates.iter().zip(&counts).zip(&mut times) {
            times.push(run(candidate, count)?);
        }
    }
    for times in &mut times {
        times.sort_by(f64::total_cmp);
    }
    Ok(times)
}

fn middle(times: &[f64]) -> f64 {
    times[times.len() / 2]
}
