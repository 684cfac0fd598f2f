//! One direction of a connection.

use std::{future, io, time::Duration};

use fastrand::Rng;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, Interest},
    net::tcp::{ReadHalf, WriteHalf},
    time::sleep,
};

use super::Toxic;

/// How many bytes are read at a time.
const CHUNK_LEN: usize = 16 * 1024;

/// How often it is looked whether whoever sends into a black hole has given up.
const GLANCE: Duration = Duration::from_millis(5);

/// What passes bytes on, as far as the toxic lets them.
pub(super) struct Pump<'a> {
    pub(super) from: ReadHalf<'a>,
    pub(super) to: WriteHalf<'a>,
    pub(super) toxic: Option<Toxic>,
    pub(super) rng: Rng,
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// The sender has ended, or was ended for the receiver.
    End,
    /// The sender has reset the connection.
    SenderReset,
    /// The receiver takes no more.
    ReceiverGone,
    /// The connection is to be reset.
    Reset,
}

impl Pump<'_> {
    /// Tells of what was read, and of what is about to be written; no bytes stand for the end.
    pub(super) async fn run(
        mut self,
        mut read: impl FnMut(&[u8]),
        mut written: impl FnMut(&[u8]),
    ) -> Ending {
        let mut chunk = vec![0; CHUNK_LEN];
        let mut left = self.toxic.and_then(Toxic::limit);
        loop {
            if left == Some(0) {
                return self.stop(read, written).await;
            }
            let Ok(len) = self.from.read(&mut chunk).await else { return Ending::SenderReset };
            read(&chunk[..len]);
            if len == 0 {
                return self.end(written).await;
            }
            let passing = left.map_or(len, |left| len.min(usize::try_from(left).unwrap_or(len)));
            if self.pass(&mut chunk[..passing], &mut written).await.is_err() {
                return Ending::ReceiverGone;
            }
            left = left.map(|left| left - passing as u64);
        }
    }

    async fn pass(&mut self, bytes: &mut [u8], written: &mut impl FnMut(&[u8])) -> io::Result<()> {
        let Some(toxic) = self.toxic else { return self.write(bytes, written).await };
        toxic.change(bytes, &mut self.rng);
        for piece in bytes.chunks(toxic.piece_len()) {
            pause(toxic.pause(piece.len(), &mut self.rng)).await;
            self.write(piece, written).await?;
        }
        Ok(())
    }

    async fn write(&self, bytes: &[u8], written: &mut impl FnMut(&[u8])) -> io::Result<()> {
        let mut rest = bytes;
        while !rest.is_empty() {
            self.to.writable().await?;
            match self.to.try_write(rest) {
                Ok(len) => {
                    written(&rest[..len]);
                    rest = &rest[len..];
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    async fn end(&mut self, mut written: impl FnMut(&[u8])) -> Ending {
        pause(self.toxic.map_or(Duration::ZERO, Toxic::pause_before_end)).await;
        written(&[]);
        let ended = self.to.shutdown().await;
        if ended.is_ok() { Ending::End } else { Ending::ReceiverGone }
    }

    /// What the toxic does after all that it lets pass.
    async fn stop(mut self, read: impl FnMut(&[u8]), written: impl FnMut(&[u8])) -> Ending {
        match self.toxic {
            Some(Toxic::Reset { .. }) => Ending::Reset,
            Some(Toxic::BlackHole { .. }) => self.swallow(read).await,
            _ => self.end(written).await,
        }
    }

    /// Takes nothing until the sender has given up; then what it had sent.
    async fn swallow(&mut self, mut read: impl FnMut(&[u8])) -> Ending {
        while self.from.ready(Interest::READABLE).await.is_ok_and(|it| !it.is_read_closed()) {
            sleep(GLANCE).await;
        }
        let mut chunk = vec![0; CHUNK_LEN];
        loop {
            match self.from.read(&mut chunk).await {
                Ok(0) => return Ending::End,
                Ok(len) => read(&chunk[..len]),
                Err(_) => return Ending::SenderReset,
            }
        }
    }
}

/// Does not even yield for no time at all.
async fn pause(time: Duration) {
    if time.is_zero() {
        future::ready(()).await;
    } else {
        sleep(time).await;
    }
}
