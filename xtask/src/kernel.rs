//! `cargo xtask kernel`: the CPU-bound workload beside the same function in other languages, and
//! the proof that it makes its calls.
//!
//! A program could answer faster by not doing the work. callgrind counts the instructions that it
//! really executes: folding subtrees away would leave fewer than each call needs.

use std::{
    path::PathBuf,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use xshell::{Shell, cmd};

use crate::{
    build::{release_folder, target_folder},
    flags::KernelArgs,
    peers,
    tools::{CC, GO, VALGRIND, say, to_f64},
};

/// What a call needs at least: its argument, the comparison, the branch and the sum.
const INSTRUCTIONS_PER_CALL_MIN: f64 = 4.0;

/// How many more instructions a call may cost because the work can be cut.
const SLICING_MAX: f64 = 1.02;

/// The calls of a slice of half a millisecond.
const SLICE_CALLS: u64 = 1_500_000;

/// Large enough for some slices, small enough for callgrind.
const PROOF_N: u64 = 32;

pub(crate) fn run(sh: &Shell, args: &KernelArgs) -> Result<()> {
    let candidates = candidates(sh)?;
    let times = time(&candidates, args)?;
    let calls = fib_core::cost(args.n).context("-n is over 92")?;
    say(&format!("F({}), {calls} calls, {} runs each, in turn:", args.n, args.repetitions));
    for (candidate, times) in candidates.iter().zip(times) {
        let [min, median, max] = [0, times.len() / 2, times.len() - 1].map(|at| millis(times[at]));
        let instructions = match instructions_per_call(sh, candidate) {
            Ok(Some(count)) => format!("   {count:.2} instructions a call"),
            Ok(None) => String::new(),
            // It stumbles over some of Go's runtime, now and then.
            Err(_) => "   valgrind cannot run it".to_owned(),
        };
        let name = candidate.name;
        say(&format!("{name:26} {median:7.1} ms  ({min:.1} to {max:.1}){instructions}"));
    }
    prove(sh)
}

/// Fails if the workload executes fewer instructions than its calls need, or if it costs much to
/// cut it.
pub(crate) fn prove(sh: &Shell) -> Result<()> {
    let [plain, sliced] = fib_core_candidates(sh)?;
    if VALGRIND.find_or_skip("the count of instructions per call")?.is_none() {
        return Ok(());
    }
    let whole = instructions_per_call(sh, &plain)?.context("valgrind is there")?;
    let cut = instructions_per_call(sh, &sliced)?.context("valgrind is there")?;
    ensure!(
        whole.min(cut) >= INSTRUCTIONS_PER_CALL_MIN,
        "{whole:.2} and {cut:.2} instructions a call are too few: the compiler has folded calls away"
    );
    ensure!(
        cut <= SLICING_MAX * whole,
        "{cut:.3} instructions a call in slices, {whole:.3} without: slicing costs too much"
    );
    say(&format!("the workload makes its calls: {whole:.3} instructions each, {cut:.3} in slices"));
    Ok(())
}

/// A program that computes, and what it is given behind n.
#[derive(Debug)]
struct Candidate {
    name: &'static str,
    program: PathBuf,
    slice: Option<u64>,
}

impl Candidate {
    fn new(name: &'static str, program: PathBuf) -> Self {
        Self { name, program, slice: None }
    }

    fn arguments(&self, n: u64) -> Vec<String> {
        [Some(n), self.slice].into_iter().flatten().map(|it| it.to_string()).collect()
    }
}

fn candidates(sh: &Shell) -> Result<Vec<Candidate>> {
    let mut candidates = Vec::from(fib_core_candidates(sh)?);
    if CC.find_or_skip("gcc")?.is_some() {
        let compile = |name, flags: &[&str]| peers::compile_c(sh, "fib.c", name, flags);
        candidates.push(Candidate::new("gcc -O3", compile("fib-c", &[])?));
        let native = compile("fib-c-native", &["-march=native"])?;
        candidates.push(Candidate::new("gcc -O3 -march=native", native));
    }
    if GO.find_or_skip("Go")?.is_some() {
        candidates.push(Candidate::new("Go", peers::compile_go(sh, "fib")?));
    }
    Ok(candidates)
}

fn fib_core_candidates(sh: &Shell) -> Result<[Candidate; 2]> {
    cmd!(sh, "cargo build --quiet --release -p fib-core --example recursive").quiet().run()?;
    let program = release_folder().join("examples/recursive");
    let plain = Candidate::new("fib-core", program.clone());
    let sliced = Candidate { name: "fib-core, in slices", program, slice: Some(SLICE_CALLS) };
    Ok([plain, sliced])
}

/// Whole processes, in turn, sorted; a process takes about a millisecond to start.
fn time(candidates: &[Candidate], args: &KernelArgs) -> Result<Vec<Vec<Duration>>> {
    let expected = fib_core::fib(args.n).context("-n is over 93")?.to_string();
    let mut times = vec![Vec::new(); candidates.len()];
    for _ in 0..args.repetitions.max(1) {
        for (candidate, times) in candidates.iter().zip(&mut times) {
            let mut command = Command::new(&candidate.program);
            let begin = Instant::now();
            let output = command.args(candidate.arguments(args.n)).output()?;
            times.push(begin.elapsed());
            let answer = String::from_utf8_lossy(&output.stdout);
            ensure!(answer.contains(&expected), "{} answers {answer:?}", candidate.name);
        }
    }
    for times in &mut times {
        times.sort();
    }
    Ok(times)
}

/// Instructions that the tree costs, without what the program needs to start.
fn instructions_per_call(sh: &Shell, candidate: &Candidate) -> Result<Option<f64>> {
    if VALGRIND.find()?.is_none() {
        return Ok(None);
    }
    let cost = |n| fib_core::cost(n).context("n is small");
    let instructions = instructions(sh, candidate, PROOF_N)? - instructions(sh, candidate, 1)?;
    Ok(Some(instructions / to_f64(cost(PROOF_N)? - cost(1)?)))
}

fn instructions(sh: &Shell, candidate: &Candidate, n: u64) -> Result<f64> {
    let (program, arguments) = (&candidate.program, candidate.arguments(n));
    let out = target_folder().join("callgrind.out");
    let callgrind =
        cmd!(sh, "valgrind --tool=callgrind --callgrind-out-file={out} {program} {arguments...}");
    let log = callgrind.quiet().ignore_stdout().read_stderr()?;
    let collected = log.lines().find_map(|line| line.split_once("Collected :"));
    Ok(collected.context("callgrind tells what it collected")?.1.trim().parse()?)
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
