//! The flags as they are meant: checked once, here, so that nothing else has to doubt them.

use std::{num::NonZeroUsize, time::Duration};

use fib_core::MAX_N_RECURSIVE;
use fib_proto::Address;
use thiserror::Error;

#[cfg(debug_assertions)]
use crate::panics::injected::Injected;
use crate::{
    Cli,
    access::Exposed,
    arguments::Typed,
    child::Role,
    compute::{ComputeKind, ComputeOptions},
    listener::SocketMode,
    settings::Settings,
    strategy::{BuildError, Knobs, Strategy, StrategyKind},
};

/// A server that can be run.
#[derive(Debug)]
pub struct Config {
    /// Where it shall listen, if somebody has said so.
    pub addresses: Vec<Address>,
    /// Who may open the files of Unix sockets.
    pub socket_mode: SocketMode,
    /// Which strategy serves, as a name.
    pub kind: StrategyKind,
    /// Which strategy serves, ready to.
    pub strategy: Box<dyn Strategy>,
    /// What may change while it runs.
    pub settings: Settings,
    /// Who computes the answers, and how.
    pub compute: ComputeOptions,
    /// How long a loop polls before it sleeps, if at all.
    pub busy_poll: Option<Duration>,
    /// How many cores may be used, if not all.
    pub cores: Option<NonZeroUsize>,
    /// Where those who watch the server are answered, if anywhere.
    pub admin: Option<Address>,
    /// Which part this process plays.
    pub role: Role,
    /// Where to panic, for tests.
    #[cfg(debug_assertions)]
    pub(crate) injected: Injected,
}

/// Flags that contradict each other, or a value that cannot be meant.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ConfigError {
    /// The recursion of this n would not end, and its cost not fit a word.
    #[error(
        "--max-n {max_n} with --algorithm recursive: the limit can be at most {MAX_N_RECURSIVE}"
    )]
    MaxN {
        /// What was asked for.
        max_n: u64,
    },
    /// Nothing fits such a line, or it would be a buffer for strangers to fill.
    #[error("--max-line {max_line}: it must be from {} to {}", Self::MAX_LINE.0, Self::MAX_LINE.1)]
    MaxLine {
        /// What was asked for.
        max_line: usize,
    },
    /// Nobody could be served.
    #[error("--max-connections 0 serves nobody")]
    NoConnections,
    /// Nothing could be computed.
    #[error("--max-in-flight 0 computes nothing")]
    NothingInFlight,
    /// There is nobody whom the flag could be for.
    #[error("{flag} has no meaning with --compute {compute}")]
    Compute {
        /// The flag.
        flag: &'static str,
        /// The way to compute.
        compute: ComputeKind,
    },
    /// Other machines could connect, and nothing says which of them may.
    #[error(transparent)]
    Exposed(#[from] Exposed),
    /// It has no stream that encrypts.
    #[error(
        "--tls-cert needs a strategy on Tokio, tokio-tasks or thread-per-core: \
         {strategy} speaks clear text alone"
    )]
    StrategyWithoutTls {
        /// The strategy.
        strategy: StrategyKind,
    },
    /// A file cannot be read, or they do not belong together.
    #[error("{reason}")]
    Tls {
        /// Which one, and what is wrong with it.
        reason: String,
    },
    /// Nobody polls a socket below TLS.
    #[error("--busy-poll has no meaning with --tls-cert: encrypted sockets are not polled")]
    BusyPollWithTls,
    /// The strategy cannot be built with these knobs.
    #[error(transparent)]
    Strategy(#[from] BuildError),
}

impl ConfigError {
    /// The shortest and the longest limit that --max-line takes: a u64 needs 20 digits.
    pub(crate) const MAX_LINE: (usize, usize) = (20, 4096);
}

impl Config {
    /// What the flags mean together.
    pub(crate) fn new(cli: Cli, typed: Typed) -> Result<Self, ConfigError> {
        let settings = Settings::new(&cli, typed)?;
        if let Some(flag) = cli.useless_compute_flag() {
            return Err(ConfigError::Compute { flag, compute: cli.compute });
        }
        let strategy = cli.strategy.build(Knobs { io_threads: cli.io_threads })?;
        if settings.tls.is_some() && !strategy.has_tls() {
            return Err(ConfigError::StrategyWithoutTls { strategy: cli.strategy });
        }
        if settings.tls.is_some() && cli.busy_poll.is_some() {
            return Err(ConfigError::BusyPollWithTls);
        }
        Ok(Self {
            addresses: cli.listen,
            socket_mode: cli.socket_mode,
            kind: cli.strategy,
            strategy,
            settings,
            compute: ComputeOptions {
                kind: cli.compute,
                algorithm: cli.algorithm,
                compute_threads: cli.compute_threads,
                schedule: cli.schedule.unwrap_or_default(),
            },
            busy_poll: cli.busy_poll,
            cores: cli.cores,
            admin: cli.admin,
            role: cli.role,
            #[cfg(debug_assertions)]
            injected: Injected {
                computation: cli.panic_in_computation,
                conversation: cli.panic_in_conversation,
            },
        })
    }
}

impl Config {
    /// Whether other processes serve or compute for this one.
    pub(crate) fn has_children(&self) -> bool {
        self.compute.kind == ComputeKind::Processes || self.strategy.processes().is_some()
    }
}

impl Cli {
    /// A flag that is about threads that there are not.
    fn useless_compute_flag(&self) -> Option<&'static str> {
        let has_threads = self.compute != ComputeKind::Inline;
        let has_schedule = self.compute == ComputeKind::Pool;
        match self {
            Self { compute_threads: Some(_), .. } if !has_threads => Some("--compute-threads"),
            Self { schedule: Some(_), .. } if !has_schedule => Some("--schedule"),
            _ => None,
        }
    }
}
