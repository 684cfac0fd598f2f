//! The tasks and their flags. Their doc comments are the help.

use clap::{Args, Parser, Subcommand};

/// What developers of fib run.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", max_term_width = 100)]
pub(crate) struct Flags {
    #[command(subcommand)]
    pub(crate) task: Task,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Task {
    /// Compare all servers, ours and other languages', in one interleaved run
    Bench(BenchArgs),
    /// Build both programs as they are released
    Build,
    /// Check everything that must hold for a change to be merged
    Ci,
    /// Compare the CPU-bound workload with what gcc and Go make of it, and count its instructions
    Kernel(KernelArgs),
    /// Start a server, load it, stop it
    Load(LoadArgs),
}

#[derive(Debug, Default, Args)]
pub(crate) struct BenchArgs {
    /// Two repetitions, 0.2 s for most loads, 0.9 s for the canary: under two minutes (the default)
    #[arg(long, conflicts_with_all = ["full", "smoke"])]
    pub(crate) quick: bool,

    /// Seven repetitions, a second for most loads, three for the canary: under half an hour, for
    /// tables that are kept
    #[arg(long, conflicts_with = "smoke")]
    pub(crate) full: bool,

    /// An instant for everything: proves that every server runs, measures nothing
    #[arg(long)]
    pub(crate) smoke: bool,

    /// Only the servers whose name contains one of these, as in --only go,tokio
    #[arg(long, value_name = "TEXT,...", value_delimiter = ',', conflicts_with = "record")]
    pub(crate) only: Vec<String>,

    /// Keep the result under bench/record/HOST, and the table in README.md and docs/benchmarks.md
    #[arg(long, value_name = "HOST")]
    pub(crate) record: Option<String>,

    /// What the order of the runs is drawn from [default: the time]
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,
}

#[derive(Debug, Args)]
pub(crate) struct KernelArgs {
    /// The number to compute
    #[arg(short, value_name = "N", default_value_t = 40)]
    pub(crate) n: u64,

    /// How often each program runs, in turn
    #[arg(long, value_name = "N", default_value_t = 9)]
    pub(crate) repetitions: usize,
}

#[derive(Debug, Args)]
pub(crate) struct LoadArgs {
    /// Flags of fib-server, in one argument: "--strategy tokio-tasks --cores 1"
    #[arg(long, value_name = "FLAGS", default_value = "", allow_hyphen_values = true)]
    pub(crate) serve: String,

    /// Flags of fib-client perf
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub(crate) perf: Vec<String>,
}
