//! The flags as they are typed. Their doc comments are the help.

use std::{num::NonZeroUsize, path::PathBuf, time::Duration};

use clap::{
    Args, Parser, Subcommand, ValueEnum,
    builder::{PossibleValuesParser, TypedValueParser},
};
use fib_client::load::Mix;
use fib_proto::{Address, Dialect};

/// Asks a Fibonacci server, and loads it.
#[derive(Debug, Parser)]
#[command(name = "fib-client", version, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Ask for F(N), and print it
    Get(GetArgs),
    /// Load the server, and tell how it answered
    Perf(PerfArgs),
}

#[derive(Debug, Args)]
pub(crate) struct ServerArgs {
    /// The server: HOST:PORT or unix:PATH
    #[arg(long, env = "FIB_SERVER", value_name = "ADDR", default_value = "127.0.0.1:25000")]
    pub(crate) server: Address,

    /// How requests are framed: a line each, or as the original demo's clients send them, without
    /// a newline
    #[arg(long, default_value_t, value_parser = dialect_parser())]
    pub(crate) dialect: Dialect,

    /// How long a reply may take
    #[arg(long, value_name = "DURATION", default_value = "60s")]
    #[arg(value_parser = humantime::parse_duration)]
    pub(crate) timeout: Duration,
}

#[derive(Debug, Args)]
pub(crate) struct GetArgs {
    #[command(flatten)]
    pub(crate) server: ServerArgs,

    /// The numbers to ask for
    #[arg(required = true, value_name = "N")]
    pub(crate) numbers: Vec<u64>,
}

#[derive(Debug, Args)]
pub(crate) struct PerfArgs {
    #[command(flatten)]
    pub(crate) server: ServerArgs,

    /// Load as one of the original demo's clients does; other flags refine it
    #[arg(long, value_enum)]
    pub(crate) preset: Option<Preset>,

    /// How many connections to keep open
    #[arg(short, long, value_name = "N", default_value = "1")]
    pub(crate) connections: NonZeroUsize,

    /// How many requests to keep under way on each connection
    #[arg(long, value_name = "N", default_value = "1")]
    pub(crate) depth: NonZeroUsize,

    /// Ask for F(N) [default: 1, and 30 with perf1]
    #[arg(short, value_name = "N", conflicts_with = "mix")]
    pub(crate) n: Option<u64>,

    /// Ask for several numbers, each as often as its weight says: 1=95,30=5
    #[arg(long, value_name = "N=WEIGHT,...")]
    pub(crate) mix: Option<Mix>,

    /// How long to load
    #[arg(short, long, value_name = "DURATION", default_value = "10s")]
    #[arg(value_parser = humantime::parse_duration)]
    pub(crate) duration: Duration,

    /// Stop after so many requests instead, answered or failed
    #[arg(long, value_name = "N", conflicts_with = "duration")]
    pub(crate) requests: Option<u64>,

    /// Threads that drive the connections
    #[arg(long, value_name = "N", default_value = "1")]
    pub(crate) threads: NonZeroUsize,

    /// Before it sleeps, a thread polls for up to so long: a sleeping client's wake-up is in every
    /// latency that it measures
    #[arg(long, value_name = "DURATION", default_value = "0s")]
    #[arg(value_parser = humantime::parse_duration)]
    pub(crate) busy_poll: Duration,

    /// What the draws from a mix start from
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) seed: u64,

    /// Also write the result as JSON to FILE; `-` is stdout, and everything else goes to stderr
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
}

/// The clients of the original demo.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Preset {
    /// The time of a long request, over and over: one connection asks fib(30), each time in
    /// seconds is printed
    Perf1,
    /// Requests per second of short requests: one connection asks fib(1)
    Perf2,
}

fn dialect_parser() -> impl TypedValueParser<Value = Dialect> {
    PossibleValuesParser::new(Dialect::ALL.map(Dialect::name))
        .try_map(|name| name.parse::<Dialect>())
}
