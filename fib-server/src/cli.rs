//! The flags as they are typed. Their doc comments are the help.

use std::{
    num::{NonZeroU64, NonZeroUsize},
    path::PathBuf,
    time::Duration,
};

use clap::{
    Parser,
    builder::{PossibleValuesParser, TypedValueParser},
};
use fib_proto::{Address, Dialect};

use crate::{
    access::{Network, User},
    child::Role,
    compute::{Algorithm, ComputeKind, Schedule},
    listener::SocketMode,
    strategy::StrategyKind,
    telemetry::LogFormat,
};

/// Answers `30` with `832040`: a CPU-bound service, under the concurrency strategy of your choice.
///
/// Try it: fib-server &  printf '30\n' | nc -N 127.0.0.1 25000
#[derive(Debug, Parser)]
#[command(name = "fib-server", version, max_term_width = 100)]
pub struct Cli {
    /// Where to listen: HOST:PORT (port 0 picks one) or unix:PATH; may be repeated
    /// [default: 127.0.0.1:25000, or the sockets that systemd has passed]
    #[arg(long, env = "FIB_LISTEN", value_name = "ADDR", value_delimiter = ',')]
    pub listen: Vec<Address>,

    /// From where clients may connect over TCP: a network as 10.0.0.0/8, an address, or any; may be
    /// repeated. Whoever else connects is disconnected. Without it the server listens on no other
    /// address than this machine's own
    #[arg(long, env = "FIB_ALLOW", value_name = "CIDR", value_delimiter = ',')]
    pub allow: Vec<Network>,

    /// Whose connections begin with a header of the PROXY protocol (version 1 or 2), which is
    /// believed: who the client is, for --allow, the limits and the log. A network, an address or
    /// any; may be repeated [default: nobody's]
    #[arg(long, env = "FIB_TRUST_PROXY", value_name = "CIDR", value_delimiter = ',')]
    pub trust_proxy: Vec<Network>,

    /// Who may connect to the Unix sockets of --listen, besides the server's own user; may be
    /// repeated [default: whoever --socket-mode lets]
    #[arg(long, env = "FIB_ALLOW_USER", value_name = "NAME|UID", value_delimiter = ',')]
    pub allow_user: Vec<User>,

    /// The permissions of the files of Unix sockets, as chmod takes them
    #[arg(long, env = "FIB_SOCKET_MODE", value_name = "OCTAL", default_value_t)]
    pub socket_mode: SocketMode,

    /// Who owns the sockets
    #[arg(long, env = "FIB_STRATEGY", value_enum, default_value_t)]
    pub strategy: StrategyKind,

    /// Who burns the CPU
    #[arg(long, env = "FIB_COMPUTE", value_enum, default_value_t)]
    pub compute: ComputeKind,

    /// Threads or processes that compute; not for --compute inline [default: one per core]
    #[arg(long, env = "FIB_COMPUTE_THREADS", value_name = "N")]
    pub compute_threads: Option<NonZeroUsize>,

    /// Which request is computed next; only for --compute pool [default: srpt]
    #[arg(long, env = "FIB_SCHEDULE", value_enum)]
    pub schedule: Option<Schedule>,

    /// How F(n) is computed
    #[arg(long, env = "FIB_ALGORITHM", value_enum, default_value_t)]
    pub algorithm: Algorithm,

    /// How requests are framed: a line each, or a received chunk each as the original demo's
    /// clients send them, without a newline
    #[arg(long, env = "FIB_DIALECT", default_value_t)]
    #[arg(value_parser = dialect_parser())]
    pub dialect: Dialect,

    /// Use at most N CPU cores, as GOMAXPROCS does [default: all]
    #[arg(long, env = "FIB_CORES", value_name = "N")]
    pub cores: Option<NonZeroUsize>,

    /// Threads that serve clients, for thread-pool [default: two per core], tokio-tasks and
    /// thread-per-core [default: one per core]; or processes, for prefork [default: one per core]
    #[arg(long, env = "FIB_IO_THREADS", value_name = "N")]
    pub io_threads: Option<NonZeroUsize>,

    /// Before it sleeps, a loop polls for up to so long: lower latency, paid for in CPU
    /// [default: it sleeps at once]
    #[arg(long, env = "FIB_BUSY_POLL", value_name = "DURATION")]
    #[arg(value_parser = humantime::parse_duration)]
    pub busy_poll: Option<Duration>,

    /// The largest n that is answered [default: 10000000 for doubling, 45 for recursive]
    #[arg(long, env = "FIB_MAX_N", value_name = "N")]
    pub max_n: Option<u64>,

    /// The longest request line, in bytes before the newline
    #[arg(long, env = "FIB_MAX_LINE", value_name = "BYTES", default_value_t = 64)]
    pub max_line: usize,

    /// How many clients are served at once; the next one gets `ERR busy`
    #[arg(long, env = "FIB_MAX_CONNECTIONS", value_name = "N", default_value_t = 10_000)]
    pub max_connections: usize,

    /// How many clients of one IPv4 address, or of one /64 network of IPv6, are served at once; the
    /// next one gets `ERR busy` [default: no limit]
    #[arg(long, env = "FIB_MAX_PER_ADDRESS", value_name = "N")]
    pub max_per_address: Option<NonZeroU64>,

    /// How many requests are computed, or wait for it, at once; the next one gets `ERR busy`
    #[arg(long, env = "FIB_MAX_IN_FLIGHT", value_name = "N", default_value_t = 10_000)]
    pub max_in_flight: usize,

    /// How many bytes of large answers may wait for their clients to read them, in all; the next
    /// request for one gets `ERR busy`
    #[arg(long, env = "FIB_MAX_OUTPUT", value_name = "BYTES", default_value_t = 64 << 20)]
    pub max_output: u64,

    /// How long a client may be silent while it is owed nothing; then its connection is closed.
    /// 0s is for ever
    #[arg(long, env = "FIB_IDLE_TIMEOUT", value_name = "DURATION", default_value = "5m")]
    #[arg(value_parser = humantime::parse_duration)]
    pub idle_timeout: Duration,

    /// How long a client may take from the first byte of a line to its newline; then it gets `ERR
    /// deadline`, and its connection is closed. 0s is for ever
    #[arg(long, env = "FIB_LINE_TIMEOUT", value_name = "DURATION", default_value = "10s")]
    #[arg(value_parser = humantime::parse_duration)]
    pub line_timeout: Duration,

    /// How long a client may take to read its answers, 256 KiB at a time; then its connection is
    /// reset. 0s is for ever
    #[arg(long, env = "FIB_WRITE_TIMEOUT", value_name = "DURATION", default_value = "10s")]
    #[arg(value_parser = humantime::parse_duration)]
    pub write_timeout: Duration,

    /// How long a request may take, from its arrival until its answer is computed; then it gets
    /// `ERR deadline` [default: as long as it needs]
    #[arg(long, env = "FIB_DEADLINE", value_name = "DURATION")]
    #[arg(value_parser = humantime::parse_duration)]
    pub deadline: Option<Duration>,

    /// Serve over TLS only, with the certificates in FILE: the server's own, and those between it
    /// and its authority, in PEM; for tokio-tasks and thread-per-core
    #[arg(long, env = "FIB_TLS_CERT", value_name = "FILE", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,

    /// The private key of that certificate, in PEM
    #[arg(long, env = "FIB_TLS_KEY", value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,

    /// Serve only clients with a certificate that an authority in FILE has signed
    #[arg(long, env = "FIB_TLS_CLIENT_CA", value_name = "FILE", requires = "tls_cert")]
    pub tls_client_ca: Option<PathBuf>,

    /// Where to answer HTTP for those who watch the server, on /healthz, /readyz and /metrics:
    /// HOST:PORT or unix:PATH [default: nowhere]
    #[arg(long, env = "FIB_ADMIN", value_name = "ADDR")]
    pub admin: Option<Address>,

    /// How long a server that is told to stop goes on as before, while /readyz says so already: a
    /// load balancer needs a moment to notice, and to send its clients elsewhere
    #[arg(long, env = "FIB_DRAIN_DELAY", value_name = "DURATION", default_value = "0s")]
    #[arg(value_parser = humantime::parse_duration)]
    pub drain_delay: Duration,

    /// How long a stopping server may then take to answer what it has received
    #[arg(long, env = "FIB_DRAIN_TIMEOUT", value_name = "DURATION", default_value = "30s")]
    #[arg(value_parser = humantime::parse_duration)]
    pub drain_timeout: Duration,

    /// How log lines look on stderr; `RUST_LOG=debug` shows more of them
    #[arg(long, env = "FIB_LOG_FORMAT", value_enum, default_value_t)]
    pub log_format: LogFormat,

    /// A file with what flags say, as TOML: `max-n = 1000`, `idle-timeout = "1m"`. Flags, and the
    /// environment, win over it [default: none]
    #[arg(long, env = "FIB_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// Only say whether flags, environment and file can be obeyed: exit with 0, or with 2 and what
    /// is wrong
    #[arg(long, env = "FIB_CHECK_CONFIG")]
    pub check_config: bool,

    /// For tests, only in debug builds: the computation of F(N) panics, if it is not cheap
    #[cfg(debug_assertions)]
    #[arg(long, value_name = "N", hide = true)]
    pub panic_in_computation: Option<u64>,

    /// For tests, only in debug builds: the conversation that is about F(N) panics, if it is not
    /// cheap
    #[cfg(debug_assertions)]
    #[arg(long, value_name = "N", hide = true)]
    pub panic_in_conversation: Option<u64>,

    /// Which part this process plays: a server gives its children theirs
    #[arg(long, value_enum, default_value_t, hide = true)]
    pub role: Role,
}

fn dialect_parser() -> impl TypedValueParser<Value = Dialect> {
    PossibleValuesParser::new(Dialect::ALL.map(Dialect::name))
        .try_map(|name| name.parse::<Dialect>())
}
