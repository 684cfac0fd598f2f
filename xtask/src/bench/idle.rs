//! Connections that ask once, and then say nothing: what they cost the server.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use rustix::process::{Resource, getrlimit, setrlimit};

/// How long a reply may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// How many are opened before their replies are read: fewer than a server's backlog holds.
const BATCH: usize = 100;

/// Lets this process and its children open as many connections as the system allows.
pub(super) fn raise_descriptor_limit() -> Result<()> {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).context("raising the limit of open files")
}

/// Opens so many connections. Each has asked for F(1) and got it: the server serves it.
pub(super) fn open(address: &str, count: usize) -> Result<Vec<TcpStream>> {
    let mut open = Vec::with_capacity(count);
    while open.len() < count {
        let batch = BATCH.min(count - open.len());
        let mut streams = Vec::with_capacity(batch);
        for _ in 0..batch {
            let mut stream = TcpStream::connect(address).context("ulimit -n bounds them")?;
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.write_all(b"1\n")?;
            streams.push(stream);
        }
        for stream in &mut streams {
            let mut reply = [0; 2];
            stream.read_exact(&mut reply).context("an idle connection was closed")?;
            ensure!(&reply == b"1\n", "an idle connection got {reply:?}");
        }
        open.append(&mut streams);
    }
    Ok(open)
}
