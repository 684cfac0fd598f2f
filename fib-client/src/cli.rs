//! The flags as they are typed. Their doc comments are the help.

mod tls;

use std::{
    num::{NonZeroU64, NonZeroUsize},
    path::PathBuf,
    time::{Duration, SystemTime},
};

use clap::{
    Args, Parser, Subcommand, ValueEnum,
    builder::{PossibleValuesParser, TypedValueParser},
};
use clap_complete::Shell;
use fib_client::{
    load::{Arrivals, Late, Mix, Rates, Reconnect},
    report::{Demands, Threshold},
};
use fib_proto::{Address, Dialect};

use self::tls::TlsArgs;

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
    Perf(Box<PerfArgs>),
    /// Tell whether runs differ: each side is the report of `perf --json`, a folder of them, or
    /// several joined with commas; one report is one observation
    Compare(CompareArgs),
    /// Add up the reports of clients that loaded a server together
    Merge(MergeArgs),
    /// Print a script that completes this program's flags in a shell
    Completions(CompletionsArgs),
    /// Write the manual pages into a folder
    Man(ManArgs),
}

#[derive(Debug, Args)]
pub(crate) struct CompareArgs {
    /// The sides; the first one is what the others are compared with
    #[arg(required = true, num_args = 2.., value_name = "SIDE")]
    pub(crate) sides: Vec<String>,

    /// A ratio nearer to 1 than this is no difference
    #[arg(long, value_name = "SHARE", default_value_t = Demands::default().noise)]
    pub(crate) noise: f64,

    /// Sides are the same if the whole interval is nearer to 1 than this
    #[arg(long, value_name = "SHARE", default_value_t = Demands::default().same_within)]
    pub(crate) same_within: f64,

    /// Compare loads that are not alike, too
    #[arg(long)]
    pub(crate) force: bool,

    /// End with 3 if any metric is so
    #[arg(long, value_name = "VERDICT", value_enum)]
    pub(crate) fail_on: Option<FailOn>,

    /// Also write it as JSON to FILE; `-` is stdout
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,

    /// ... as a table in Markdown
    #[arg(long, value_name = "FILE")]
    pub(crate) markdown: Option<PathBuf>,

    /// ... as a page for a browser
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
}

/// What a comparison may be failed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum FailOn {
    /// A metric is surely worse
    Worse,
}

#[derive(Debug, Args)]
pub(crate) struct MergeArgs {
    /// What `perf --json` wrote, of each client
    #[arg(required = true, value_name = "REPORT")]
    pub(crate) reports: Vec<PathBuf>,

    /// Demand something of the sum, and end with 3 if it is not met; repeatable
    #[arg(long, value_name = "EXPR")]
    pub(crate) threshold: Vec<Threshold>,

    #[command(flatten)]
    pub(crate) files: FileArgs,
}

#[derive(Debug, Args)]
pub(crate) struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    pub(crate) shell: Shell,
}

#[derive(Debug, Args)]
pub(crate) struct ManArgs {
    /// The folder
    #[arg(value_name = "DIR")]
    pub(crate) folder: PathBuf,
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

    #[command(flatten)]
    pub(crate) tls: TlsArgs,
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

    #[command(flatten)]
    pub(crate) load: LoadArgs,

    #[command(flatten)]
    pub(crate) study: StudyArgs,

    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

/// What to ask, how much of it, and for how long.
#[derive(Debug, Args)]
#[command(next_help_heading = "Load")]
pub(crate) struct LoadArgs {
    /// How many connections to keep open
    #[arg(short, long, value_name = "N", default_value = "1")]
    pub(crate) connections: NonZeroUsize,

    /// How many requests to keep under way on each connection, with --rate at most
    #[arg(long, value_name = "N", default_value = "1")]
    pub(crate) depth: NonZeroUsize,

    /// Ask for F(N) [default: 1, and 30 with perf1]
    #[arg(short, value_name = "N", conflicts_with_all = ["mix", "replay"])]
    pub(crate) n: Option<u64>,

    /// Ask for several numbers, each as often as its weight says: 1=95,30=5, or zipf:1..30
    #[arg(long, value_name = "N=WEIGHT,...", conflicts_with = "replay")]
    pub(crate) mix: Option<Mix>,

    /// Ask for the numbers in FILE, one a line, in this order, over and over
    #[arg(long, value_name = "FILE")]
    pub(crate) replay: Option<PathBuf>,

    /// How long to measure; with --find-max each probe [default: 10s, and 2s with --find-max]
    #[arg(short, long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    pub(crate) duration: Option<Duration>,

    /// Stop after so many requests instead, answered or failed
    #[arg(long, value_name = "N", conflicts_with = "duration")]
    pub(crate) requests: Option<u64>,

    /// Closed loop: the pause between an answer and the next request
    #[arg(long, value_name = "DURATION", default_value = "0s")]
    #[arg(value_parser = humantime::parse_duration)]
    pub(crate) think: Duration,

    /// Open loop: so many requests per second are due, whatever the server does: 500, 2k, or
    /// stages such as 0:100/10s,1k/30s, which say how long they take
    #[arg(long, value_name = "RATE", conflicts_with = "think")]
    pub(crate) rate: Option<Rates>,

    /// Open loop: how the requests are spread over time
    #[arg(long, default_value = "const", value_parser = arrivals_parser())]
    pub(crate) arrivals: Arrivals,

    /// Open loop: requests that cannot be sent when they are due are sent as soon as possible
    /// (catch-up), left out when the next one is due (skip), or when they are so late
    /// (shed=DURATION)
    #[arg(long, value_name = "POLICY", default_value = "catch-up", value_parser = parse_late)]
    pub(crate) late: Late,

    /// How much of the beginning is not measured [default: a tenth of the duration, at most 1s;
    /// none with --requests]
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    pub(crate) warm_up: Option<Duration>,

    /// How long to wait for the last replies
    #[arg(long, value_name = "DURATION", default_value = "2s")]
    #[arg(value_parser = humantime::parse_duration)]
    pub(crate) drain: Duration,

    /// When to open a connection again: never, on-error, or every=N requests
    #[arg(long, value_name = "WHEN", default_value = "on-error", value_parser = parse_reconnect)]
    pub(crate) reconnect: Reconnect,

    /// Threads that drive the connections
    #[arg(long, value_name = "N", default_value = "1")]
    pub(crate) threads: NonZeroUsize,

    /// Before it sleeps, a thread polls for up to so long: a sleeping client's wake-up is in every
    /// latency that it measures
    #[arg(long, value_name = "DURATION", default_value = "50us")]
    #[arg(value_parser = humantime::parse_duration)]
    pub(crate) busy_poll: Duration,

    /// What the draws from a mix and from --arrivals poisson start from
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) seed: u64,

    /// When to begin, so that several clients begin together: seconds since 1970, or RFC 3339 as
    /// in 2026-01-31T12:00:00Z
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    pub(crate) start_at: Option<SystemTime>,
}

/// What to find out.
#[derive(Debug, Args)]
#[command(next_help_heading = "Questions")]
pub(crate) struct StudyArgs {
    /// Demand something, and end with 3 if it is not met: 'p(99)<5ms', 'service{n:30}:avg<1ms',
    /// 'errors<0.1%', 'rate>=1000', 'delivered>=98%'; repeatable
    #[arg(long, value_name = "EXPR")]
    pub(crate) threshold: Vec<Threshold>,

    /// End with 5 if the client was the limit, or too little is known
    #[arg(long)]
    pub(crate) strict: bool,

    /// First find out what this client makes of a server that does nothing
    #[arg(long)]
    pub(crate) calibrate: bool,

    /// Also tell what the answers cost without a server, computed in this way
    #[arg(long, value_name = "ALGORITHM", value_enum)]
    pub(crate) local_cost: Option<LocalCost>,

    /// Toggle long requests for F(N) beside the load, within one run, and tell what they do to it
    /// [N if it is left out: 40]
    #[arg(long, value_name = "N", num_args = 0..=1, default_missing_value = "40")]
    #[arg(conflicts_with_all = ["requests", "find_max"])]
    pub(crate) interference: Option<u64>,

    /// With --interference: how many connections ask for the long request, one phase after the
    /// other
    #[arg(long, value_name = "K,...", value_delimiter = ',', default_value = "1,2,4")]
    pub(crate) interference_levels: Vec<usize>,

    /// Find the largest rate with which this is met: 'p(99)<5ms'
    #[arg(long, value_name = "EXPR", conflicts_with_all = ["rate", "think", "requests"])]
    pub(crate) find_max: Option<Threshold>,
}

/// Where to tell it.
#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
pub(crate) struct OutputArgs {
    #[command(flatten)]
    pub(crate) files: FileArgs,

    /// Tell how it goes in lines, also on a terminal
    #[arg(long)]
    pub(crate) plain: bool,

    /// Do not tell how it goes, only what came of it
    #[arg(short, long, conflicts_with = "plain")]
    pub(crate) quiet: bool,
}

/// The forms of a report.
#[derive(Debug, Args)]
pub(crate) struct FileArgs {
    /// Also write the result as JSON to FILE; `-` is stdout, and everything else goes to stderr
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,

    /// ... as one page for a browser
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,

    /// ... its timeline as CSV
    #[arg(long, value_name = "FILE")]
    pub(crate) csv: Option<PathBuf>,

    /// ... its timeline of response times as an `HdrHistogram` log
    #[arg(long, value_name = "FILE")]
    pub(crate) hlog: Option<PathBuf>,

    /// ... its response times as a percentile distribution, for the plotter of `HdrHistogram`
    #[arg(long, value_name = "FILE")]
    pub(crate) hgrm: Option<PathBuf>,

    /// ... for Prometheus' node exporter, which reads text files
    #[arg(long, value_name = "FILE")]
    pub(crate) prometheus: Option<PathBuf>,
}

/// How an answer is computed in the client itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LocalCost {
    /// By fast doubling
    Doubling,
    /// By all calls of the recursive definition
    Recursive,
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

fn arrivals_parser() -> impl TypedValueParser<Value = Arrivals> {
    PossibleValuesParser::new(Arrivals::ALL.map(Arrivals::name)).map(|name| {
        let named = |it: &Arrivals| it.name() == name;
        Arrivals::ALL.into_iter().find(named).unwrap_or(Arrivals::Const)
    })
}

fn parse_late(text: &str) -> Result<Late, String> {
    match (text, text.strip_prefix("shed=")) {
        ("catch-up", _) => Ok(Late::CatchUp),
        ("skip", _) => Ok(Late::Skip),
        (_, Some(limit)) => {
            humantime::parse_duration(limit).map(Late::Shed).map_err(|error| error.to_string())
        }
        _ => Err("expected catch-up, skip or shed=DURATION, as in shed=100ms".to_owned()),
    }
}

fn parse_reconnect(text: &str) -> Result<Reconnect, String> {
    match (text, text.strip_prefix("every=")) {
        ("never", _) => Ok(Reconnect::Never),
        ("on-error", _) => Ok(Reconnect::OnError),
        (_, Some(requests)) if requests.parse::<NonZeroU64>().is_ok() => {
            requests.parse().map(Reconnect::Every).map_err(|_| "not a number".to_owned())
        }
        _ => Err("expected never, on-error or every=N, as in every=100".to_owned()),
    }
}

fn parse_time(text: &str) -> Result<SystemTime, String> {
    let since_1970 = text.parse().ok().and_then(|it| Duration::try_from_secs_f64(it).ok());
    match since_1970.and_then(|it| SystemTime::UNIX_EPOCH.checked_add(it)) {
        Some(time) => Ok(time),
        None => humantime::parse_rfc3339_weak(text).map_err(|error| error.to_string()),
    }
}
