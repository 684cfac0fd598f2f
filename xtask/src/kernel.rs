//! `cargo xtask kernel`: the CPU-bound workload beside the same function in other languages, and
//! the proof that it makes its calls.
//!
//! A program could answer faster by not doing the work. callgrind counts the instructions that it
//! really executes: folding subtrees away would leave fewer than each call needs.

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use xshell::{Shell, cmd};

use crate::{
    build::{release_folder, target_folder},
    flags::KernelArgs,
    peers,
    tools::{GCC, GO, VALGRIND, say, to_f64},
};

/// What a call needs at least: its argument, the comparison, the branch and the sum.
const INSTRUCTIONS_PER_CALL_MIN: f64 = 4.0;

/// Large enough that the program's start does not matter, small enough for callgrind.
const PROOF_N: u64 = 30;

pub(crate) fn run(sh: &Shell, args: &KernelArgs) -> Result<()> {
    let programs = programs(sh)?;
    let times = time(&programs, args)?;
    let calls = fib_core::cost(args.n).context("-n is over 92")?;
    say(&format!("F({}), {calls} calls, {} runs each, in turn:", args.n, args.repetitions));
    for ((name, program), times) in programs.iter().zip(times) {
        let [min, median, max] = [0, times.len() / 2, times.len() - 1].map(|at| millis(times[at]));
        let instructions = instructions_per_call(sh, program)?
            .map_or_else(String::new, |count| format!("   {count:.2} instructions a call"));
        say(&format!("{name:26} {median:7.1} ms  ({min:.1} to {max:.1}){instructions}"));
    }
    prove(sh)
}

/// Fails if the workload executes fewer instructions than its calls need.
pub(crate) fn prove(sh: &Shell) -> Result<()> {
    let program = fib_core_program(sh)?;
    if VALGRIND.find_or_skip("the count of instructions per call")?.is_none() {
        return Ok(());
    }
    let count = instructions_per_call(sh, &program)?.context("valgrind is there")?;
    ensure!(
        count >= INSTRUCTIONS_PER_CALL_MIN,
        "{count:.2} instructions a call are too few: the compiler has folded calls away"
    );
    say(&format!("the workload makes its calls: {count:.2} instructions each"));
    Ok(())
}

fn programs(sh: &Shell) -> Result<Vec<(&'static str, PathBuf)>> {
    let mut programs = vec![("fib-core", fib_core_program(sh)?)];
    if GCC.find_or_skip("gcc")?.is_some() {
        programs.push(("gcc -O3", peers::compile_c(sh, "fib.c", "fib-c", &[])?));
        let native = peers::compile_c(sh, "fib.c", "fib-c-native", &["-march=native"])?;
        programs.push(("gcc -O3 -march=native", native));
    }
    if GO.find_or_skip("Go")?.is_some() {
        programs.push(("Go", peers::compile_go(sh, "fib")?));
    }
    Ok(programs)
}

fn fib_core_program(sh: &Shell) -> Result<PathBuf> {
    cmd!(sh, "cargo build --quiet --release -p fib-core --example recursive").quiet().run()?;
    Ok(release_folder().join("examples/recursive"))
}

/// Whole processes, in turn, sorted; a process takes about a millisecond to start.
fn time(programs: &[(&str, PathBuf)], args: &KernelArgs) -> Result<Vec<Vec<Duration>>> {
    let expected = fib_core::fib(args.n).context("-n is over 93")?.to_string();
    let mut times = vec![Vec::new(); programs.len()];
    for _ in 0..args.repetitions.max(1) {
        for ((name, program), times) in programs.iter().zip(&mut times) {
            let begin = Instant::now();
            let output = Command::new(program).arg(args.n.to_string()).output()?;
            times.push(begin.elapsed());
            let answer = String::from_utf8_lossy(&output.stdout);
            ensure!(answer.contains(&expected), "{name} answers {answer:?}");
        }
    }
    for times in &mut times {
        times.sort();
    }
    Ok(times)
}

/// Instructions that the tree costs, without what the program needs to start.
fn instructions_per_call(sh: &Shell, program: &Path) -> Result<Option<f64>> {
    if VALGRIND.find()?.is_none() {
        return Ok(None);
    }
    let cost = |n| fib_core::cost(n).context("n is small");
    let instructions = instructions(sh, program, PROOF_N)? - instructions(sh, program, 1)?;
    Ok(Some(instructions / to_f64(cost(PROOF_N)? - cost(1)?)))
}

fn instructions(sh: &Shell, program: &Path, n: u64) -> Result<f64> {
    let n = n.to_string();
    let out = target_folder().join("callgrind.out");
    let callgrind = cmd!(sh, "valgrind --tool=callgrind --callgrind-out-file={out} {program} {n}");
    let log = callgrind.quiet().ignore_stdout().read_stderr()?;
    let collected = log.lines().find_map(|line| line.split_once("Collected :"));
    Ok(collected.context("callgrind tells what it collected")?.1.trim().parse()?)
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
