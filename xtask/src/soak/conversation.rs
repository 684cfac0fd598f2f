//! One client, and what lies between it and the server.

use std::{
    cell::RefCell,
    io,
    net::Ipv4Addr,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use fastrand::Rng;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::{sleep, timeout},
};

use super::{
    model::{Found, MAX_N, Model, Silence},
    subject::Subject,
    tls,
};
use crate::faults::{End, Faults, Nobody, Witness, relay};

/// How long a client may say nothing, a line may take, and a client may read nothing.
pub(super) const TIMEOUT: Duration = Duration::from_secs(1);

/// Until then each conversation has ended, whatever happens to it: some wait for several timeouts.
const DEADLINE: Duration = Duration::from_mins(1);

/// How long a client waits that wants to stay: nobody may call it silent.
const PAUSE: Duration = Duration::from_millis(100);

/// How much a client reads at a time.
const CHUNK_LEN: usize = 16 * 1024;

/// Lines that are no request.
const BAD_LINES: [&str; 8] = ["", "x", "-1", "+", "1 2", "\u{663}", "0x10", "1e3"];

/// A client that sends all of it, in pieces, and reads what it is answered.
#[derive(Clone, Debug)]
pub(super) struct Conversation {
    /// What the faults are drawn from as they happen.
    pub(super) seed: u64,
    pub(super) requests: Vec<Vec<u8>>,
    /// How long the client waits between two pieces.
    pub(super) pause: Duration,
    pub(super) faults: Faults,
}

/// What a client wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    /// Small numbers for the most part, at once.
    Usual,
    /// The same, for seconds.
    ToStay,
    /// Answers of every length, and no faults: whatever holds memory has soon held the most.
    EveryLength,
}

/// How a connection may end that has no fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Endings {
    /// When everything is answered.
    InOrder,
    /// At any time: whoever serves may be killed.
    Any,
}

/// How it was.
struct Exchanged {
    /// For the client.
    asked: io::Result<()>,
    /// For the server, where the model does not see what that sees.
    silence: Silence,
    /// For the network.
    end: End,
}

impl Conversation {
    /// Some requests, most of them good, and some faults.
    pub(super) fn draw(wish: Wish, seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let requests = draw_requests(wish, &mut rng);
        let pause = if wish == Wish::ToStay { PAUSE } else { Duration::ZERO };
        let mut drawn = Self { seed, requests, pause, faults: Faults::default() };
        if wish != Wish::EveryLength {
            drawn.faults = Faults::draw(&mut rng, drawn.lens());
        }
        drawn
    }

    /// How many bytes its requests have, and about how many its replies.
    pub(super) fn lens(&self) -> [u64; 2] {
        let requests = self.requests.iter().map(|it| it.len() as u64).sum();
        [requests, 4 * requests]
    }

    /// Holds it with a server, and checks all that the server does.
    pub(super) async fn hold(&self, subject: &Subject, endings: Endings) -> Result<Found> {
        let (began, model) = (Instant::now(), RefCell::new(Model::new()));
        let held = timeout(DEADLINE, self.exchange(subject, &model)).await;
        let model = model.into_inner();
        let Ok(held) = held else {
            bail!("it hangs; its client was silent for {:?}", model.silence().time());
        };
        let Exchanged { asked, silence, end } = held?;
        if let Some(wrong) = model.wrong() {
            bail!("wrong: {wrong}");
        }
        if endings == Endings::InOrder {
            let drain = subject.drain_after(began);
            match subject.tls() {
                None => judge(&model, end, drain)?,
                Some(_) => tls::judge(&model, &silence, asked, self.faults, drain)?,
            }
        }
        Ok(model.found())
    }

    async fn exchange(&self, subject: &Subject, model: &RefCell<Model>) -> Result<Exchanged> {
        // The server's time may begin before its client knows that it is connected.
        let (nobody, silence) = (RefCell::new(Nobody), RefCell::new(Silence::begin()));
        let (client, client_side) = pair().await?;
        let server_side = TcpStream::connect(subject.address()).await.context("connecting")?;
        let (faults, seed) = (self.faults, self.seed);
        let (asked, end) = match subject.tls() {
            None => {
                let link = relay(client_side, server_side, faults, seed, model);
                tokio::join!(self.ask(client, &nobody), link)
            }
            Some(tls) => {
                let link = relay(client_side, server_side, faults, seed, &silence);
                tokio::join!(async { self.ask(tls.connect(client).await?, model).await }, link)
            }
        };
        Ok(Exchanged { asked, silence: silence.into_inner(), end: end? })
    }

    /// Asks, and reads to the end. In clear text, whatever befalls the client is the network's
    /// doing.
    async fn ask(
        &self,
        mut socket: impl AsyncRead + AsyncWrite + Unpin,
        witness: &RefCell<impl Witness>,
    ) -> io::Result<()> {
        let mut chunk = vec![0; CHUNK_LEN];
        let mut read = async |socket: &mut _| {
            let len = AsyncReadExt::read(socket, &mut chunk).await?;
            witness.borrow_mut().answered(&chunk[..len]);
            io::Result::Ok(len)
        };
        for (at, piece) in self.requests.iter().enumerate() {
            // Between two pieces something is answered, or it is over.
            if at > 0 && read(&mut socket).await? == 0 {
                return Ok(());
            }
            if at > 0 && !self.pause.is_zero() {
                sleep(self.pause).await;
            }
            witness.borrow_mut().asked(piece);
            if send(&mut socket, piece).await.is_err() {
                // What the server has said before it ended is still to be read.
                break;
            }
            if at + 1 == self.requests.len() {
                witness.borrow_mut().asked(&[]);
                let _ = socket.shutdown().await;
            }
        }
        while read(&mut socket).await? > 0 {}
        Ok(())
    }
}

async fn send(socket: &mut (impl AsyncWrite + Unpin), piece: &[u8]) -> io::Result<()> {
    socket.write_all(piece).await?;
    socket.flush().await
}

fn judge(model: &Model, end: End, drain: Option<Instant>) -> Result<()> {
    match end {
        End::Fault => {}
        End::Server => {
            if let Some(early) = model.early_end(TIMEOUT, drain) {
                bail!("{early}");
            }
        }
        // Of a client that does not read.
        End::ServerReset => ensure!(model.silence().may_be(TIMEOUT), "it has reset the connection"),
    }
    Ok(())
}

async fn pair() -> io::Result<(TcpStream, TcpStream)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let client = TcpStream::connect(listener.local_addr()?).await?;
    Ok((client, listener.accept().await?.0))
}

fn draw_requests(wish: Wish, rng: &mut Rng) -> Vec<Vec<u8>> {
    let (pieces, lines) = match wish {
        Wish::ToStay => (rng.usize(10..=40), rng.usize(1..=5)),
        _ => (rng.usize(1..=4), rng.usize(1..=50)),
    };
    let mut line = || match wish {
        Wish::EveryLength if rng.bool() => draw_length(rng),
        _ => draw_line(rng),
    };
    (0..pieces).map(|_| (0..lines).flat_map(|_| line()).collect()).collect()
}

/// The length of an answer is about a fifth of n.
fn draw_length(rng: &mut Rng) -> Vec<u8> {
    let most = MAX_N >> rng.u32(0..=10);
    format!("{}\n", rng.u64(94..=most)).into_bytes()
}

fn draw_line(rng: &mut Rng) -> Vec<u8> {
    let line = match rng.u32(0..1_000) {
        0 => "1".repeat(rng.usize(65..200)),
        1..20 => "0".repeat(rng.usize(0..=64)),
        20..40 => BAD_LINES[rng.usize(..BAD_LINES.len())].to_owned(),
        40..50 => rng.u64(..).to_string(),
        50..52 => rng.u64(20_000..=MAX_N).to_string(),
        52..72 => rng.u64(1_000..20_000).to_string(),
        72..150 => rng.u64(94..1_000).to_string(),
        150..200 => format!("\t +{:03} \r", rng.u64(0..=93)),
        _ => rng.u64(0..=93).to_string(),
    };
    (line + "\n").into_bytes()
}
