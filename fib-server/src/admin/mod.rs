//! The admin endpoint: what load balancers, Prometheus and people ask a server about itself.
//!
//! It has a thread of its own, so that it answers while every other thread computes. The thread is
//! a small loop over all who ask, so that nobody who is slow, or hostile, holds up the others.

mod exchange;
mod metrics;
#[cfg_attr(not(target_os = "linux"), path = "no_process_tree.rs")]
mod process_tree;
mod response;

use std::{
    cmp, io,
    sync::Arc,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
};
use tracing::{debug, error};

use self::exchange::{Exchange, Progress};
pub(crate) use self::{metrics::Identity, process_tree::ProcessTree};
use crate::{
    context::Context,
    listener::Listener,
    shortage::{Shortage, is_short_of_resources},
    shutdown::Latch,
};

/// How many may ask at once. One more takes the place of whoever has asked for the longest time.
const EXCHANGES: usize = 32;

/// How long an exchange may take, however it is spread over its reading and writing.
const PATIENCE: Duration = Duration::from_secs(5);

/// The descriptors that it may need, for those who ask and to look at processes.
pub(crate) const DESCRIPTORS: usize = EXCHANGES + 8;

/// The endpoint. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct Admin {
    stop: Arc<Latch>,
    thread: Option<JoinHandle<()>>,
}

/// What is asked about.
#[derive(Debug)]
pub(crate) struct Subject {
    pub(crate) context: Arc<Context>,
    pub(crate) identity: Identity,
    pub(crate) process_tree: ProcessTree,
}

impl Admin {
    /// Answers whoever comes in there, if there is a way in. Once `close` fires, whoever comes is
    /// left to another process that has the same sockets.
    pub(crate) fn start(
        listeners: Vec<Listener>,
        subject: Subject,
        close: Arc<Latch>,
    ) -> Result<Option<Self>> {
        if listeners.is_empty() {
            return Ok(None);
        }
        let stop = Arc::new(Latch::new().context("creating a latch")?);
        let mut endpoint = Endpoint {
            stop: Arc::clone(&stop),
            close,
            listeners,
            subject,
            exchanges: Vec::new(),
            shortage: Shortage::new(),
        };
        let thread = thread::Builder::new().name("admin".into()).spawn(move || {
            if let Err(error) = endpoint.serve() {
                error!("the admin endpoint has ended: {error}");
            }
        });
        Ok(Some(Self { stop, thread: Some(thread.context("starting a thread")?) }))
    }
}

impl Drop for Admin {
    fn drop(&mut self) {
        if let Err(error) = self.stop.fire() {
            return error!("the admin endpoint does not end: {error}");
        }
        if let Some(thread) = self.thread.take() {
            // A panic of it is on stderr already.
            let _ = thread.join();
        }
    }
}

struct Endpoint {
    stop: Arc<Latch>,
    /// Fires when another process answers whoever comes.
    close: Arc<Latch>,
    listeners: Vec<Listener>,
    subject: Subject,
    /// Those that are under way, the oldest first.
    exchanges: Vec<Exchange>,
    shortage: Shortage,
}

impl Endpoint {
    fn serve(&mut self) -> io::Result<()> {
        while !self.stop.is_fired() {
            let is_ready = self.wait()?;
            if self.close.is_fired() {
                self.listeners.clear();
            }
            self.advance(&is_ready);
            self.accept();
        }
        Ok(())
    }

    /// Waits until something can be done; which of the exchanges can go on.
    fn wait(&self) -> io::Result<Vec<bool>> {
        let short = self.shortage.time_left();
        let until_late = self.exchanges.first().map(Exchange::time_left);
        let timeout = [short, until_late].into_iter().flatten().min();
        let timeout = timeout.and_then(|it| Timespec::try_from(it).ok());
        let exchanges = self.exchanges.iter().map(|it| PollFd::new(it, it.awaits()));
        let mut events: Vec<_> = exchanges.collect();
        let latches = [&*self.stop, &*self.close].into_iter().filter(|latch| !latch.is_fired());
        events.extend(latches.map(|latch| PollFd::new(latch, PollFlags::IN)));
        if short.is_none() {
            events.extend(self.listeners.iter().map(|it| PollFd::new(it, PollFlags::IN)));
        }
        match poll(&mut events, timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let events = events.iter().take(self.exchanges.len());
        Ok(events.map(|event| !event.revents().is_empty()).collect())
    }

    /// Lets those go on that can, and forgets those that are over or late.
    fn advance(&mut self, is_ready: &[bool]) {
        let mut is_ready = is_ready.iter();
        let subject = &self.subject;
        self.exchanges.retain_mut(|exchange| {
            let is_ready = is_ready.next().is_some_and(|&it| it);
            let progress = if is_ready { exchange.advance(subject) } else { Progress::Waits };
            progress == Progress::Waits && !exchange.time_left().is_zero()
        });
    }

    /// Takes in a few of those who wait.
    fn accept(&mut self) {
        for at in 0..self.listeners.len() {
            for _ in 0..EXCHANGES {
                match self.listeners[at].accept_socket() {
                    Ok((socket, _)) => self.begin(Exchange::new(socket, Instant::now() + PATIENCE)),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    Err(error) if is_short_of_resources(&error) => {
                        self.shortage.meet(&error);
                        break;
                    }
                    Err(error) => debug!("gone before it was accepted: {error}"),
                }
            }
        }
    }

    fn begin(&mut self, exchange: io::Result<Exchange>) {
        match exchange {
            Ok(exchange) => {
                let too_many = (self.exchanges.len() + 1).saturating_sub(EXCHANGES);
                self.exchanges.drain(..cmp::min(too_many, self.exchanges.len()));
                self.exchanges.push(exchange);
            }
            Err(error) => debug!("an admin connection failed: {error}"),
        }
    }
}
