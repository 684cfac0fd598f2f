//! A blocking accept, for strategies whose threads wait for clients.

use std::{io, thread};

use rustix::{
    event::{PollFd, PollFlags, poll},
    io::Errno,
};

use crate::{
    connection::Connection,
    context::Context,
    listener::{Accepted, Listener},
    shortage::Shortage,
};

/// A blocking accept over all listeners.
#[derive(Debug)]
pub(crate) struct Acceptor<'a> {
    listeners: Vec<Listener>,
    context: &'a Context,
    shortage: Shortage,
}

impl<'a> Acceptor<'a> {
    pub(crate) fn new(listeners: Vec<Listener>, context: &'a Context) -> Self {
        Self { listeners, context, shortage: Shortage::new() }
    }

    /// The next client of any listener, waiting for it; `None` once the drain has begun and
    /// whoever had already connected is accepted.
    pub(crate) fn next_client(&mut self) -> io::Result<Option<Connection>> {
        loop {
            let draining = self.context.latch().is_fired();
            let mut nobody_waits = true;
            for listener in &self.listeners {
                match listener.accept(self.context, &mut self.shortage) {
                    Accepted::Client(connection) => return Ok(Some(connection)),
                    Accepted::NobodyWaits => {}
                    Accepted::Nothing | Accepted::NoResources => nobody_waits = false,
                }
            }
            if draining && nobody_waits {
                return Ok(None);
            }
            self.shortage.time_left().into_iter().for_each(thread::sleep);
            if !draining {
                self.wait_for_clients()?;
            }
        }
    }

    fn wait_for_clients(&self) -> io::Result<()> {
        let listeners = self.listeners.iter();
        let mut events: Vec<_> = listeners.map(|it| PollFd::new(it, PollFlags::IN)).collect();
        events.push(PollFd::new(self.context.latch(), PollFlags::IN));
        match poll(&mut events, None) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}
