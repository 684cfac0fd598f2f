//! Questions that take more than one load: what long requests do to short ones, how much a server
//! can bear, and how much of a result is the client's own.
//!
//! Each study gets a function that runs a load, so that whoever calls it decides what people see
//! meanwhile.

mod ceiling;
mod interference;
mod local;
mod null_server;
mod search;

use std::io;

use crate::load::{Outcome, Plan};

pub use ceiling::ceiling;
pub use interference::{InterferencePlan, interference};
pub use local::{Workload, local_cost};
pub use null_server::NullServer;
pub use search::search;

/// Runs a load: [`load::run`](crate::load::run) with something to look at.
pub type RunLoad<'a> = dyn FnMut(&Plan) -> io::Result<Outcome> + 'a;
