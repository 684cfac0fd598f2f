//! Who burns the CPU for an answer: one room per way.
//!
//! A request that costs less than its handing over is answered by the thread that read it,
//! whatever the way. A larger one becomes a job: it has a client who may leave and a
//! deadline that may pass, and both are looked at between its slices.

mod algorithm;
mod costs;
mod inline;
mod job;
mod pool;
mod processes;
mod queue;
mod work;

use std::{
    fmt, io,
    num::NonZeroUsize,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use clap::ValueEnum;
use fib_proto::ErrorCode;
use thiserror::Error;
use tokio::sync::oneshot;

pub(crate) use self::processes::serve as serve_as_child;
pub use self::{
    algorithm::{Algorithm, Answer},
    inline::InlineJob,
    queue::Schedule,
};
use self::{
    costs::Costs,
    job::{Job, Permit, Terms},
    pool::Pool,
    processes::Processes,
    work::Work,
};
use crate::{arguments::Typed, connection::Client, counters::Counters, sync::atomic::AtomicUsize};

/// How long a job runs before others may have their turn: so long may a request be late.
const SLICE: Duration = Duration::from_micros(250);

/// The names of the ways to compute, as `--compute` takes them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ComputeKind {
    /// The thread that read the request computes the answer
    Inline,
    /// Threads that do nothing else, shortest request first
    #[default]
    Pool,
    /// Child processes, each of which can be killed, compute what takes time
    Processes,
}

/// What can be set on a way to compute.
#[derive(Clone, Copy, Debug)]
pub struct ComputeOptions {
    /// Who computes.
    pub kind: ComputeKind,
    /// How F(n) is computed.
    pub algorithm: Algorithm,
    /// How many threads or processes compute, if not one per core.
    pub compute_threads: Option<NonZeroUsize>,
    /// In which order.
    pub schedule: Schedule,
}

/// Who computes the answers.
#[derive(Debug)]
pub struct Compute {
    algorithm: Algorithm,
    costs: Costs,
    in_flight: Arc<AtomicUsize>,
    counters: Arc<Counters>,
    engine: Engine,
}

/// What may be computed.
#[derive(Clone, Copy, Debug)]
pub struct JobLimits {
    /// How many requests may be computed, or wait for it, at once.
    pub max_in_flight: usize,
    /// How long a request may take from its arrival to its answer.
    pub deadline: Option<Duration>,
}

/// Who computes what is not cheap.
#[derive(Debug)]
enum Engine {
    Inline,
    Pool(Pool),
    Processes(Processes),
}

/// What comes of a request.
pub type Outcome = Result<Answer, Refusal>;

/// Why a request has no answer.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Refusal {
    /// There are too many already.
    #[error("{max} requests are being computed; --max-in-flight raises the limit")]
    TooMany {
        /// How many may be.
        max: usize,
    },
    /// The answer is large, and other answers wait to be read.
    #[error("large answers wait to be read by their clients; --max-output {max} is the limit")]
    NoRoom {
        /// How many bytes of them may wait.
        max: u64,
    },
    /// It would take too long.
    #[error("it cannot be done within --deadline {}", humantime::format_duration(*deadline))]
    TooLate {
        /// How long it may take.
        deadline: Duration,
    },
    /// The deadline passed.
    #[error("not done within --deadline {}", humantime::format_duration(*deadline))]
    Deadline {
        /// How long it may take.
        deadline: Duration,
    },
    /// The client is gone: nobody will read this.
    #[error("the client is gone")]
    ClientGone,
    /// The server's fault.
    #[error("no answer could be computed")]
    Failed,
}

impl Refusal {
    /// Its name on the wire.
    #[must_use]
    pub const fn code(self) -> ErrorCode {
        match self {
            Self::TooMany { .. } | Self::NoRoom { .. } | Self::TooLate { .. } => ErrorCode::Busy,
            Self::Deadline { .. } => ErrorCode::Deadline,
            Self::ClientGone | Self::Failed => ErrorCode::Internal,
        }
    }
}

/// A request that is being computed.
#[derive(Debug)]
pub enum Started {
    /// To be computed by the caller, slice by slice.
    Here(InlineJob),
    /// Somebody else computes it. Dropping this cancels it.
    Elsewhere(oneshot::Receiver<Outcome>),
}

impl Compute {
    /// Calibrates, and starts whoever computes: processes with these arguments.
    ///
    /// # Errors
    ///
    /// Where threads or processes cannot be started.
    pub(crate) fn new(
        options: ComputeOptions,
        typed: &Typed,
        counters: Arc<Counters>,
    ) -> anyhow::Result<Self> {
        let ComputeOptions { kind, algorithm, .. } = options;
        let costs = Costs::calibrate(algorithm);
        let threads = options.threads()?;
        let engine = match kind {
            ComputeKind::Inline => Engine::Inline,
            ComputeKind::Pool => {
                let counters = Arc::clone(&counters);
                Engine::Pool(Pool::start(threads, options.schedule, &costs, counters)?)
            }
            ComputeKind::Processes => {
                Engine::Processes(Processes::new(threads, typed.clone(), Arc::clone(&counters))?)
            }
        };
        Ok(Self { algorithm, costs, in_flight: Arc::default(), counters, engine })
    }

    /// F(n), if that costs less than to hand it over. The caller has checked n against the limit.
    #[must_use]
    #[inline]
    pub fn at_once(&self, n: u64) -> Option<Outcome> {
        self.costs.is_cheap(n).then(|| self.algorithm.compute(n).ok_or(Refusal::Failed))
    }

    /// Begins to compute F(n).
    ///
    /// # Errors
    ///
    /// Where there is too much to do already.
    pub fn start(
        &self,
        n: u64,
        client: &Client,
        received_at: Instant,
        limits: JobLimits,
    ) -> Result<Started, Refusal> {
        let max = limits.max_in_flight;
        let permit = Permit::take(&self.in_flight, max).ok_or(Refusal::TooMany { max })?;
        let terms = Terms::new(client.clone(), received_at, limits.deadline);
        let work = || Work::new(&self.costs, self.algorithm, n).ok_or(Refusal::Failed);
        match &self.engine {
            Engine::Inline => {
                let job = Job { work: work()?, terms, permit };
                Ok(Started::Here(InlineJob::new(
                    job,
                    self.costs.calls_in(SLICE),
                    Arc::clone(&self.counters),
                )))
            }
            Engine::Pool(pool) => {
                let job = Job { work: work()?, terms, permit };
                Ok(Started::Elsewhere(pool.submit(job)?))
            }
            Engine::Processes(processes) => {
                let time = self.costs.time(n);
                Ok(Started::Elsewhere(processes.submit(n, time, terms, permit)))
            }
        }
    }

    /// Ends the processes that compute, if there are any, and waits for them. To be called when
    /// nobody waits for an answer any more: it must not depend on who drops this last.
    pub fn close(&self) {
        if let Engine::Processes(processes) = &self.engine {
            processes.close();
        }
    }
}

impl ComputeOptions {
    /// How many descriptors it takes to compute: a socket to each child.
    pub(crate) fn descriptors(&self) -> usize {
        match self.kind {
            ComputeKind::Inline | ComputeKind::Pool => 0,
            ComputeKind::Processes => self.threads().map_or(1, NonZeroUsize::get),
        }
    }

    /// The same for a process that computes nothing: nobody is started for it.
    pub(crate) const fn by_nobody(self) -> Self {
        Self { kind: ComputeKind::Inline, ..self }
    }

    /// The same for one of so many processes: together they have the default number of threads.
    pub(crate) fn shared_by(self, processes: usize) -> Self {
        let share = || NonZeroUsize::new(self.threads().ok()?.get() / processes);
        let share = self.compute_threads.or_else(share).unwrap_or(NonZeroUsize::MIN);
        Self { compute_threads: Some(share), ..self }
    }

    fn threads(&self) -> io::Result<NonZeroUsize> {
        self.compute_threads.map_or_else(thread::available_parallelism, Ok)
    }
}

impl fmt::Display for ComputeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.to_possible_value();
        f.pad(value.as_ref().map_or("", |value| value.get_name()))
    }
}
