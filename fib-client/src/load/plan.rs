//! What load to make.

use std::{num::NonZeroUsize, str::FromStr, time::Duration};

use fib_core::exact;
use fib_proto::{Address, Dialect, encode_decimal, encode_request};
use thiserror::Error;

/// A load: who is asked what, how much at a time, and for how long.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The server.
    pub address: Address,
    /// How it expects requests.
    pub dialect: Dialect,
    /// How many connections are kept open.
    pub connections: NonZeroUsize,
    /// How many requests each connection keeps under way; more than one needs [`Dialect::Line`],
    /// because a classic request has no end.
    pub depth: NonZeroUsize,
    /// How many threads drive the connections; no more than there are connections will run.
    pub threads: NonZeroUsize,
    /// How long a thread polls before it sleeps: what it takes to wake it up is a part of every
    /// latency it measures. Zero sleeps at once.
    pub busy_poll: Duration,
    /// What is asked.
    pub mix: Mix,
    /// When it ends.
    pub until: Until,
    /// How long a reply may take before its connection is given up.
    pub timeout: Duration,
    /// What the draws from the mix start from.
    pub seed: u64,
}

impl Plan {
    pub(super) fn running_threads(&self) -> usize {
        self.threads.min(self.connections).get()
    }
}

/// When a load ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// After so much time.
    Elapsed(Duration),
    /// After so many requests, answered or failed.
    Requests(u64),
}

/// Numbers to ask for, and how often each: `1=95,30=5`, or just `30`.
///
/// # Examples
///
/// ```
/// use fib_client::load::Mix;
///
/// # fn main() -> Result<(), fib_client::load::MixError> {
/// let mix: Mix = "1=95,30=5".parse()?;
/// assert_eq!(mix.classes()[1].weight, 5);
/// assert!("1=".parse::<Mix>().is_err());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mix {
    classes: Vec<Class>,
}

/// Requests for one number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Class {
    /// The number asked for.
    pub n: u64,
    /// How often, relative to the other classes.
    pub weight: u32,
}

/// The text is no mix.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("expected N=WEIGHT,..., as in 1=95,30=5, not {text:?}")]
pub struct MixError {
    text: String,
}

impl Mix {
    /// Always the same number.
    #[must_use]
    pub fn only(n: u64) -> Self {
        Self { classes: vec![Class { n, weight: 1 }] }
    }

    /// The numbers and their weights.
    #[must_use]
    pub fn classes(&self) -> &[Class] {
        &self.classes
    }
}

impl FromStr for Mix {
    type Err = MixError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let class = |part: &str| {
            let (n, weight) = part.split_once('=').unwrap_or((part, "1"));
            Some(Class { n: n.parse().ok()?, weight: weight.parse().ok().filter(|&it| it > 0)? })
        };
        let classes: Option<Vec<_>> = text.split(',').map(class).collect();
        classes.map(|classes| Self { classes }).ok_or_else(|| MixError { text: text.to_owned() })
    }
}

/// The bytes of one class: computed once, so that a request costs no formatting and a reply is
/// checked by comparing.
#[derive(Debug)]
pub(super) struct Script {
    pub(super) request: Vec<u8>,
    pub(super) reply: Vec<u8>,
}

impl Script {
    pub(super) fn new(n: u64, dialect: Dialect) -> Self {
        let mut request = Vec::new();
        encode_request(n, &mut request);
        let mut answered = n;
        if dialect == Dialect::Classic {
            request.pop(); // the newline
            answered = n.max(1); // the original function has no F(0)
        }
        let mut reply = Vec::new();
        encode_decimal(exact(answered).as_str(), &mut reply);
        Self { request, reply }
    }
}
