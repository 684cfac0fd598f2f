//! What every server promises, and the client that holds it to that.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    thread,
    time::Duration,
};

use anyhow::{Result, ensure};
use socket2::{Domain, SockAddr, Socket, Type};

use crate::server::Server;

/// How long a reply may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// What it is, and whether it holds.
pub(super) type Promise = (&'static str, fn(&Server) -> Result<()>);

pub(super) const PROMISES: [Promise; 8] = [
    ("answers rightly", answers_rightly),
    ("answers lines of one packet in order", answers_a_packet_in_order),
    ("answers many lines in order", answers_a_pipeline_in_order),
    ("knows a line in two packets", knows_a_split_line),
    ("refuses what is no number and goes on", refuses_and_goes_on),
    ("ends an endless line", ends_an_endless_line),
    ("answers who has half-closed", answers_a_half_closed_client),
    ("serves others after a reset", serves_others_after_a_reset),
];

fn answers_rightly(server: &Server) -> Result<()> {
    let mut client = Client::of(server)?;
    let told = [client.ask("1\n")?, client.ask("10\n")?, client.ask("20\n")?];
    ensure!(told == ["1", "55", "6765"], "{told:?}");
    Ok(())
}

fn answers_a_packet_in_order(server: &Server) -> Result<()> {
    let mut client = Client::of(server)?;
    let told = [client.ask("20\n1\n10\n")?, client.ask("")?, client.ask("")?];
    ensure!(told == ["6765", "1", "55"], "{told:?}");
    Ok(())
}

/// More than a server reads at once: a line is cut somewhere.
fn answers_a_pipeline_in_order(server: &Server) -> Result<()> {
    let numbers: Vec<u64> = (0..9_000).map(|at| at % 12 + 1).collect();
    let lines: Vec<_> = numbers.iter().map(u64::to_string).collect();
    let mut client = Client::of(server)?;
    client.send(&(lines.join("\n") + "\n"))?;
    for n in numbers {
        let (told, right) = (client.line()?, fib_core::fib(n).map(|it| it.to_string()));
        ensure!(Some(&told) == right.as_ref(), "F({n}) is not {told}");
    }
    Ok(())
}

/// The reply to the first line says that the first half of the second has come.
fn knows_a_split_line(server: &Server) -> Result<()> {
    let mut client = Client::of(server)?;
    let told = [client.ask("20\n1")?, client.ask("0\n")?];
    ensure!(told == ["6765", "55"], "{told:?}");
    Ok(())
}

fn refuses_and_goes_on(server: &Server) -> Result<()> {
    let mut client = Client::of(server)?;
    for (line, code) in [("x\n", "parse"), ("\n", "parse"), ("1x\n", "parse"), ("94\n", "range")] {
        let told = client.ask(line)?;
        ensure!(told.starts_with(&format!("ERR {code} ")), "{line:?} is answered {told:?}");
    }
    let told = client.ask("10\n")?;
    ensure!(told == "55", "{told:?}");
    Ok(())
}

fn ends_an_endless_line(server: &Server) -> Result<()> {
    let mut client = Client::of(server)?;
    // It may end before all is sent.
    let _ = client.send(&"1".repeat(100_000));
    match client.line() {
        Ok(told) => ensure!(told.is_empty(), "{told:?}"),
        Err(error) => {
            let kind = error.downcast_ref::<io::Error>().map(io::Error::kind);
            ensure!(kind == Some(io::ErrorKind::ConnectionReset), "{error}");
        }
    }
    Ok(())
}

fn answers_a_half_closed_client(server: &Server) -> Result<()> {
    let mut client = Client::of(server)?;
    client.send("10\n")?;
    client.stream.get_ref().shutdown(Shutdown::Write)?;
    let mut told = String::new();
    client.stream.read_to_string(&mut told)?;
    ensure!(told == "55\n", "{told:?}");
    Ok(())
}

fn serves_others_after_a_reset(server: &Server) -> Result<()> {
    for request in ["20\n", "1", ""] {
        let mut client = Client::of(server)?;
        client.send(request)?;
        let socket = Socket::from(client.stream.into_inner());
        socket.set_linger(Some(Duration::ZERO))?;
    }
    answers_rightly(server)
}

/// The second is answered when the first has gone.
pub(super) fn serves_one_at_a_time(server: &Server) -> Result<()> {
    let (mut first, mut second) = (Client::of(server)?, Client::of(server)?);
    second.send("20\n")?;
    ensure!(first.ask("10\n")? == "55", "the first is not served");
    drop(first);
    ensure!(second.line()? == "6765", "the second is not served");
    Ok(())
}

/// The second is answered while the first takes no replies, until the server has no more room for
/// them; then the first gets all of them.
pub(super) fn serves_two_at_once(server: &Server) -> Result<()> {
    const LINES: usize = 160_000;
    let (mut first, mut second) = (Client::that_takes_little(server)?, Client::of(server)?);
    let mut sender = first.stream.get_ref().try_clone()?;
    let sender = thread::spawn(move || sender.write_all("x\n".repeat(LINES).as_bytes()));
    for _ in 0..200 {
        ensure!(second.ask("10\n")? == "55", "the second is not served");
    }
    for _ in 0..LINES {
        let told = first.line()?;
        ensure!(told.starts_with("ERR parse "), "the first is answered {told:?}");
    }
    sender.join().expect("it does not panic")?;
    Ok(())
}

/// A client that waits for lines.
#[derive(Debug)]
pub(super) struct Client {
    stream: BufReader<TcpStream>,
}

impl Client {
    pub(super) fn of(server: &Server) -> Result<Self> {
        Self::from(TcpStream::connect(server.address())?)
    }

    /// Whose socket has little room for replies.
    fn that_takes_little(server: &Server) -> Result<Self> {
        let address: SocketAddr = server.address().parse()?;
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
        socket.set_recv_buffer_size(4_096)?;
        socket.connect(&SockAddr::from(address))?;
        Self::from(TcpStream::from(socket))
    }

    fn from(stream: TcpStream) -> Result<Self> {
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream: BufReader::new(stream) })
    }

    fn send(&mut self, text: &str) -> Result<()> {
        Ok(self.stream.get_mut().write_all(text.as_bytes())?)
    }

    /// The next line, without its end.
    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        self.stream.read_line(&mut line)?;
        Ok(line.trim_end().to_owned())
    }

    pub(super) fn ask(&mut self, text: &str) -> Result<String> {
        self.send(text)?;
        self.line()
    }
}
