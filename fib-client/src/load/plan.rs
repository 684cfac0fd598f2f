//! What load to make.

use std::{
    collections::BTreeMap,
    num::{NonZeroU64, NonZeroUsize},
    str::FromStr,
    time::{Duration, SystemTime},
};

use fib_core::exact;
use fib_proto::{Address, Dialect, encode_decimal, encode_request};
use thiserror::Error;

use crate::{Tls, load::Pace};

/// A load: who is asked what, how much at a time, and for how long.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The server.
    pub address: Address,
    /// How it expects requests.
    pub dialect: Dialect,
    /// How many connections are kept open.
    pub connections: NonZeroUsize,
    /// How many requests each connection keeps under way, in an open loop at most; more than one
    /// needs [`Dialect::Line`], because a classic request has no end.
    pub depth: NonZeroUsize,
    /// How many threads drive the connections; no more than there are connections will run.
    pub threads: NonZeroUsize,
    /// How long a thread polls before it sleeps: what it takes to wake it up is a part of every
    /// latency it measures. Zero sleeps at once.
    pub busy_poll: Duration,
    /// When requests are due.
    pub pace: Pace,
    /// What is asked.
    pub mix: Mix,
    /// When it ends.
    pub until: Until,
    /// How much of its beginning is not measured.
    pub warm_up: Duration,
    /// How long to wait for the last replies when it has ended.
    pub drain: Duration,
    /// How long a reply may take before its connection is given up.
    pub timeout: Duration,
    /// When connections are opened again.
    pub reconnect: Reconnect,
    /// What all draws start from.
    pub seed: u64,
    /// How long a window of the timeline is at first.
    pub window: Duration,
    /// When it begins, so that several programs can begin together; at once if that has passed.
    pub start_at: Option<SystemTime>,
    /// How it is encrypted, if it is.
    pub tls: Option<Tls>,
}

impl Plan {
    /// One connection that asks for F(1), over and over, for ten seconds.
    #[must_use]
    pub fn new(address: Address) -> Self {
        Self {
            address,
            dialect: Dialect::Line,
            connections: NonZeroUsize::MIN,
            depth: NonZeroUsize::MIN,
            threads: NonZeroUsize::MIN,
            busy_poll: Duration::ZERO,
            pace: Pace::Closed { think: Duration::ZERO },
            mix: Mix::only(1),
            until: Until::Elapsed(Duration::from_secs(10)),
            warm_up: Duration::ZERO,
            drain: Duration::from_secs(2),
            timeout: Duration::from_mins(1),
            reconnect: Reconnect::OnError,
            seed: 0,
            window: Duration::from_millis(100),
            start_at: None,
            tls: None,
        }
    }

    pub(super) fn running_threads(&self) -> usize {
        self.threads.min(self.connections).get()
    }
}

/// When a connection is opened again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reconnect {
    /// Never: what is lost stays lost.
    Never,
    /// After a failure, and after a pause that grows with each further one.
    OnError,
    /// The same, and also after so many requests: a load of connections that come and go.
    Every(NonZeroU64),
}

/// When a load ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// After so much time.
    Elapsed(Duration),
    /// After so many requests, answered or failed.
    Requests(u64),
}

/// Numbers to ask for, and how often each: `1=95,30=5`, just `30`, or `zipf:1..30`, where the
/// second number is asked half as often as the first, the third a third as often, and so on.
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
    /// For a replay, the class of each request; then it begins again.
    sequence: Vec<u32>,
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
pub enum MixError {
    /// Neither weights nor a distribution.
    #[error(
        "expected N=WEIGHT,... or zipf:FIRST..LAST, as in 1=95,30=5 or zipf:1..30, not {text:?}"
    )]
    Syntax {
        /// What was there instead.
        text: String,
    },
    /// Each number has histograms of its own.
    #[error("more than {CLASSES_MAX} different numbers")]
    Classes,
    /// Nothing to replay.
    #[error("there is no number in it")]
    Empty,
}

/// A megabyte of histograms each: more would be a surprise to whoever runs it.
const CLASSES_MAX: usize = 256;

/// The weight of the first number of a Zipf distribution: it has many divisors.
const ZIPF_WEIGHT: u64 = 720_720;

impl Mix {
    /// Always the same number.
    #[must_use]
    pub fn only(n: u64) -> Self {
        Self { classes: vec![Class { n, weight: 1 }], sequence: Vec::new() }
    }

    /// These numbers in this order, over and over.
    ///
    /// # Errors
    ///
    /// [`MixError`] if there are none, or too many different ones.
    pub fn replay(numbers: &[u64]) -> Result<Self, MixError> {
        let mut weights = BTreeMap::new();
        for &n in numbers {
            *weights.entry(n).or_insert(0_u32) += 1;
        }
        let classes = weights.iter().map(|(&n, &weight)| Class { n, weight }).collect();
        let mix = Self::new(classes)?;
        // There are few different numbers.
        let class: BTreeMap<_, _> = weights.into_keys().zip(0..).collect();
        let sequence = numbers.iter().filter_map(|n| class.get(n).copied()).collect();
        Ok(Self { sequence, ..mix })
    }

    fn new(classes: Vec<Class>) -> Result<Self, MixError> {
        match classes.len() {
            0 => Err(MixError::Empty),
            1..=CLASSES_MAX => Ok(Self { classes, sequence: Vec::new() }),
            _ => Err(MixError::Classes),
        }
    }

    /// The numbers and their weights.
    #[must_use]
    pub fn classes(&self) -> &[Class] {
        &self.classes
    }

    pub(super) fn sequence(&self) -> &[u32] {
        &self.sequence
    }
}

impl FromStr for Mix {
    type Err = MixError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let classes = match text.strip_prefix("zipf:") {
            Some(range) => zipf(range),
            None => text.split(',').map(class).collect(),
        };
        Self::new(classes.ok_or_else(|| MixError::Syntax { text: text.to_owned() })?)
    }
}

fn class(text: &str) -> Option<Class> {
    let (n, weight) = text.split_once('=').unwrap_or((text, "1"));
    Some(Class { n: n.parse().ok()?, weight: weight.parse().ok().filter(|&it| it > 0)? })
}

fn zipf(range: &str) -> Option<Vec<Class>> {
    let (first, last) = range.split_once("..")?;
    let (first, last): (u64, u64) = (first.parse().ok()?, last.parse().ok()?);
    // No longer than what is refused for its length.
    let numbers = (first..=last).take(CLASSES_MAX + 1).zip(1..);
    let class = |(n, rank)| Class { n, weight: u32::try_from(ZIPF_WEIGHT / rank).unwrap_or(1) };
    Some(numbers.map(class).collect()).filter(|classes: &Vec<_>| !classes.is_empty())
}

/// The bytes of one class: computed once, so that a request costs no formatting and a reply is
/// checked by comparing.
#[derive(Debug)]
pub(crate) struct Script {
    pub(crate) request: Vec<u8>,
    pub(crate) reply: Vec<u8>,
}

impl Script {
    pub(crate) fn new(n: u64, dialect: Dialect) -> Self {
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
