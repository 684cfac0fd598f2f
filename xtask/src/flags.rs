//! The tasks and their flags. Their doc comments are the help.

use std::{path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand, ValueEnum, builder::PossibleValuesParser};

use crate::{
    dist::{Target, ToolchainKind},
    peers::{COMPUTES, STRATEGIES},
};

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
    Build(BuildArgs),
    /// Check everything that must hold for a change to be merged
    Ci,
    /// Compare the load tester with a minimal one in C: how much load it makes, how little memory
    /// it takes, and how well it keeps a schedule
    Client(ClientArgs),
    /// Pack what is passed on: an archive for each target, the same bytes wherever it is made
    Dist(DistArgs),
    /// Compare the CPU-bound workload with what gcc and Go make of it, and count its instructions
    Kernel(KernelArgs),
    /// Start a server, load it, stop it
    Load(LoadArgs),
    /// Compare how long the decimal digits of large numbers take with GMP
    Numbers(NumbersArgs),
    /// Try what no run shows: all orders of the threads, undefined behaviour, races, unknown input
    Prove,
    /// Hold every server to its promises for long, behind a network that does what networks do
    Soak(SoakArgs),
}

#[derive(Debug, Default, Args)]
pub(crate) struct BenchArgs {
    #[command(flatten)]
    pub(crate) effort: EffortArgs,

    /// Instead of the table, what fib-server shall be able to do, and whether it is: each number
    /// beside that of another server or of other flags, and the relation that is wanted
    #[arg(long)]
    pub(crate) figures: bool,

    /// Only the servers whose name contains one of these, as in --only go,tokio; with --figures,
    /// only the figures
    #[arg(long, value_name = "TEXT,...", value_delimiter = ',', conflicts_with = "record")]
    pub(crate) only: Vec<String>,

    /// Where to write the results, after every run [default: a new folder in target/bench]
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,

    /// Let a bench go on that was ended early; one that is complete is shown again
    #[arg(long, value_name = "DIR", conflicts_with_all = ["out", "only", "seed", "figures", "quick", "full", "smoke"])]
    pub(crate) resume: Option<PathBuf>,

    /// With --full: say which numbers differ from those of another bench on the same machine, by
    /// its folder or a record's DATE-bench.json
    #[arg(long, value_name = "PLACE", conflicts_with = "figures")]
    pub(crate) baseline: Option<PathBuf>,

    /// Fail if a number of fib-server is worse than the baseline's: intervals that do not touch,
    /// and a difference above the noise and above a quarter
    #[arg(long, requires = "baseline")]
    pub(crate) check: bool,

    /// Keep the result under bench/record/HOST, and the table in the documents that have one
    #[arg(long, value_name = "HOST")]
    pub(crate) record: Option<String>,

    /// What the order of the runs is drawn from [default: the time]
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,
}

#[derive(Debug, Args)]
pub(crate) struct BuildArgs {
    /// For this target, as `dist` packs them [default: for this machine, with what a profiler
    /// reads]
    #[arg(long, value_name = "TRIPLE")]
    pub(crate) target: Option<Target>,

    /// The Rust that builds
    #[arg(long, value_enum, default_value_t, requires = "target")]
    pub(crate) toolchain: ToolchainKind,
}

#[derive(Debug, Args)]
pub(crate) struct DistArgs {
    /// A target; repeatable [default: this machine's]
    #[arg(long, value_name = "TRIPLE")]
    pub(crate) target: Vec<Target>,

    /// The Rust that builds
    #[arg(long, value_enum, default_value_t)]
    pub(crate) toolchain: ToolchainKind,

    /// Make each archive a second time, in another folder, and fail unless it is the same
    #[arg(long)]
    pub(crate) verify: bool,

    /// Prove that it works, with programs that are compiled fast: archives, an image's container,
    /// another machine's programs in an emulator. Writes nothing that is passed on
    #[arg(long, conflicts_with_all = ["target", "toolchain", "verify"])]
    pub(crate) smoke: bool,
}

/// How long it may take.
#[derive(Debug, Default, Args)]
#[group(multiple = false)]
pub(crate) struct EffortArgs {
    /// The default: the servers that stand for their like, two short repetitions of most scenarios;
    /// with --figures three of half a second and more. Under two minutes
    #[arg(long)]
    pub(crate) quick: bool,

    /// For tables that are kept: every server, five repetitions for a fifth of a second and more;
    /// it says how long that takes. With --figures nine repetitions of two seconds and more
    #[arg(long)]
    pub(crate) full: bool,

    /// A single repetition: proves that everything runs, measures nothing
    #[arg(long)]
    pub(crate) smoke: bool,
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
pub(crate) struct NumbersArgs {
    /// The numbers to compute
    #[arg(
        short,
        value_name = "N,...",
        value_delimiter = ',',
        default_value = "100,187,300,1000,3000,10000,30000,100000,1000000,10000000,100000000"
    )]
    pub(crate) n: Vec<u64>,

    /// How often each program runs, in turn
    #[arg(long, value_name = "N", default_value_t = 7)]
    pub(crate) repetitions: usize,
}

#[derive(Debug, Args)]
pub(crate) struct ClientArgs {
    /// How often each client runs, in turn
    #[arg(long, value_name = "N", default_value_t = 7)]
    pub(crate) repetitions: usize,

    /// How many seconds each run takes
    #[arg(long, value_name = "SECONDS", default_value_t = 1)]
    pub(crate) seconds: u64,
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

#[derive(Debug, Default, Args)]
pub(crate) struct SoakArgs {
    /// Only this; may be repeated [default: all of it]
    #[arg(value_enum, value_name = "PART")]
    pub(crate) parts: Vec<SoakPart>,

    /// How long `network` takes
    #[arg(short, long, value_name = "DURATION", default_value = "10m")]
    #[arg(value_parser = humantime::parse_duration)]
    pub(crate) duration: Duration,

    /// Half a minute in all, with a debug build: proves that everything runs
    #[arg(long, conflicts_with = "duration")]
    pub(crate) smoke: bool,

    /// What everything is drawn from [default: another one each time]
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,

    /// Only servers of these strategies; not for `promises`
    #[arg(long, value_name = "STRATEGY,...", value_delimiter = ',')]
    #[arg(value_parser = PossibleValuesParser::new(STRATEGIES))]
    pub(crate) strategy: Vec<String>,

    /// Only servers that compute like this; not for `promises`
    #[arg(long, value_name = "COMPUTE,...", value_delimiter = ',')]
    #[arg(value_parser = PossibleValuesParser::new(COMPUTES))]
    pub(crate) compute: Vec<String>,
}

/// What a soak is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum SoakPart {
    /// Each fault of the network for itself, 200 times; and a cut and a reset after every byte
    Faults,
    /// All of them at once, while processes are killed, settings change and servers restart: every
    /// reply is checked, and what the server holds at the end
    Network,
    /// The long form of the tests of docs/promises.md
    Promises,
}
