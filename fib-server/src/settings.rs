//! What may change while the server runs, as one value, which is swapped whole: whoever reads it
//! sees what one configuration says, and never a part of another.

use std::{
    fmt,
    sync::{Arc, OnceLock},
};

use arc_swap::{ArcSwap, Guard};
use fib_core::MAX_N_RECURSIVE;
use fib_proto::Limits;

use crate::{
    Cli, ConfigError,
    access::Access,
    arguments::Typed,
    compute::{Algorithm, JobLimits},
    connection::ConnectionLimits,
    reaper::Timeouts,
    shutdown::DrainTimes,
    tls::Tls,
};

/// The flags that [`Settings`] are made of. All others are for the life of the process.
pub(crate) const CHANGEABLE: [&str; 18] = [
    "allow",
    "allow-user",
    "deadline",
    "drain-delay",
    "drain-timeout",
    "idle-timeout",
    "line-timeout",
    "max-connections",
    "max-in-flight",
    "max-line",
    "max-n",
    "max-output",
    "max-per-address",
    "tls-cert",
    "tls-client-ca",
    "tls-key",
    "trust-proxy",
    "write-timeout",
];

/// What may change.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Who may be a client, on connections that begin.
    pub access: Access,
    /// What a request may look like, on connections that begin.
    pub protocol: Limits,
    /// What clients may take.
    pub limits: ConnectionLimits,
    /// What may be computed.
    pub jobs: JobLimits,
    /// When a drain begins, and how long it may take.
    pub drain: DrainTimes,
    /// The certificates, where conversations are encrypted.
    pub(crate) tls: Option<Tls>,
    /// All that was said to come to this, for processes that are to serve alike.
    pub(crate) typed: Typed,
}

impl Settings {
    /// What the flags mean, as far as they are about this.
    pub(crate) fn new(cli: &Cli, typed: Typed) -> Result<Self, ConfigError> {
        let max_n = cli.max_n.unwrap_or_else(|| cli.algorithm.default_max_n());
        if cli.algorithm == Algorithm::Recursive && max_n > MAX_N_RECURSIVE {
            return Err(ConfigError::MaxN { max_n });
        }
        let (shortest, longest) = ConfigError::MAX_LINE;
        if !(shortest..=longest).contains(&cli.max_line) {
            return Err(ConfigError::MaxLine { max_line: cli.max_line });
        }
        if cli.max_connections == 0 {
            return Err(ConfigError::NoConnections);
        }
        if cli.max_in_flight == 0 {
            return Err(ConfigError::NothingInFlight);
        }
        let access = Access::new(cli)?;
        let none_if_zero = |limit: std::time::Duration| (!limit.is_zero()).then_some(limit);
        let tls = Tls::load(cli)?;
        Ok(Self {
            access,
            protocol: Limits { dialect: cli.dialect, max_line: cli.max_line, max_n },
            limits: ConnectionLimits {
                max_connections: cli.max_connections,
                max_per_address: cli.max_per_address,
                max_output: cli.max_output,
                timeouts: Timeouts {
                    idle: none_if_zero(cli.idle_timeout),
                    line: none_if_zero(cli.line_timeout),
                    write: none_if_zero(cli.write_timeout),
                },
            },
            jobs: JobLimits { max_in_flight: cli.max_in_flight, deadline: cli.deadline },
            drain: DrainTimes { delay: cli.drain_delay, timeout: cli.drain_timeout },
            tls,
            typed,
        })
    }

    /// For so many clients that may take what they want.
    pub(crate) fn unlimited(protocol: Limits, max_connections: usize) -> Self {
        Self {
            access: Access::default(),
            protocol,
            limits: ConnectionLimits::none(max_connections),
            jobs: JobLimits { max_in_flight: max_connections, deadline: None },
            drain: DrainTimes::default(),
            tls: None,
            typed: Typed::default(),
        }
    }
}

/// The settings in force.
pub(crate) struct InForce {
    settings: ArcSwap<Settings>,
    on_change: OnceLock<Box<dyn Fn() + Send + Sync>>,
}

impl InForce {
    pub(crate) fn new(settings: Settings) -> Self {
        Self { settings: ArcSwap::from_pointee(settings), on_change: OnceLock::new() }
    }

    /// To be looked at, and let go soon.
    pub(crate) fn load(&self) -> Guard<Arc<Settings>> {
        self.settings.load()
    }

    /// To be kept.
    pub(crate) fn load_full(&self) -> Arc<Settings> {
        self.settings.load_full()
    }

    /// From now on these are.
    pub(crate) fn change(&self, settings: Settings) {
        self.settings.store(Arc::new(settings));
        if let Some(on_change) = self.on_change.get() {
            on_change();
        }
    }

    /// Whom to tell that they have changed; the first who asks.
    pub(crate) fn on_change(&self, tell: impl Fn() + Send + Sync + 'static) {
        // A strategy serves once.
        let _ = self.on_change.set(Box::new(tell));
    }
}

impl fmt::Debug for InForce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("InForce").field(&self.settings).finish()
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn what_may_change_are_flags() {
        let command = Cli::command();
        for key in CHANGEABLE {
            assert!(command.get_arguments().any(|arg| arg.get_long() == Some(key)), "{key}");
        }
    }
}
