//! One conversation over a socket: what all strategies share but the waiting.
//!
//! It is written once, as a stackless coroutine. A strategy brings a [`Stream`], whose operations
//! wait in its own way: a blocking one is simply ready whenever it returns.

use std::{
    io,
    mem::MaybeUninit,
    net::Shutdown,
    time::{Duration, Instant},
};

use fib_core::decimal_len;
use fib_proto::Request;
use rustix::{
    io::{Errno, ioctl_fionread},
    net::{RecvFlags, recv},
};
use socket2::Socket;
use tracing::warn;

use crate::{
    compute::{Compute, Outcome, Refusal, Started},
    connection::{Client, Connection},
    context::Context,
    panics,
    session::{CHUNK_LEN, InputEnd, Session},
    strategy::introduction,
    telemetry::{self, Seldom},
};

/// How long a closing connection waits for the client to read its last reply.
const LINGER: Duration = Duration::from_secs(1);

/// How much is sent at a time by who does not stop before all of it is sent: so it is seen that the
/// client reads.
pub(super) const SEND_LEN: usize = 64 * 1024;

/// How long a conversation may answer what it has received before others have their turn.
const TURN: Duration = Duration::from_micros(250);

/// How many requests are answered between two glances at the clock. The most expensive of those
/// that are answered at once take 20 µs each.
const REQUESTS_BETWEEN_GLANCES: u32 = 32;

/// What to log when [`Session::newline_is_missing`].
const NEWLINE_HINT: &str = "digits without a newline for a second: if this client is one of \
    the original demo, start the server with --dialect classic";
static NEWLINE_HINTS: Seldom = Seldom::new();

/// A connected socket, and how a strategy waits for it.
pub(super) trait Stream {
    /// Waits for input, at most until then, and gives the session what one read brings.
    async fn receive(
        &mut self,
        session: &mut Session,
        until: Option<Instant>,
    ) -> io::Result<Received>;

    /// Sends all of the session's output.
    async fn send(&mut self, session: &mut Session) -> io::Result<()>;

    /// Tells the client that all is sent.
    async fn end_output(&mut self, socket: &Socket) -> io::Result<()> {
        socket.shutdown(Shutdown::Write)
    }

    /// Lets the other conversations of this thread have their turn, if there are any.
    async fn yield_now(&mut self);

    /// How many bytes it may have from the kernel that it has given to no session.
    fn read_ahead(&self) -> usize {
        0
    }
}

/// What came of waiting for input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Received {
    /// The session has it.
    Input,
    /// No more will come.
    End,
    /// Nothing came in time.
    TimedOut,
}

impl Received {
    /// What it means to have read so many bytes.
    pub(super) const fn bytes(len: usize) -> Self {
        if len == 0 { Self::End } else { Self::Input }
    }
}

/// One read of what has come, straight into the session; how many bytes there were. None is the
/// end of input.
pub(super) fn read(socket: &Socket, session: &mut Session, flags: RecvFlags) -> io::Result<usize> {
    let mut chunk = [MaybeUninit::uninit(); CHUNK_LEN];
    loop {
        match recv(socket, &mut chunk[..], flags) {
            Ok(((bytes, _), len)) => {
                session.receive(bytes, Instant::now());
                return Ok(len);
            }
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Talks with one client until the conversation is over, and logs how it ended. A panic ends it,
/// too.
pub(super) async fn serve(mut connection: Connection, stream: impl Stream, context: &Context) {
    let conversation = converse(&mut connection, stream, context);
    let result = panics::contain_coroutine(context.counters(), conversation).await;
    let Some(result) = result else { return };
    if result.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::TimedOut) {
        connection.count_given_up();
    }
    telemetry::log_end(result);
}

async fn converse(
    connection: &mut Connection,
    mut stream: impl Stream,
    context: &Context,
) -> io::Result<()> {
    if !introduction::hear(connection, &mut stream, context).await? {
        return Ok(());
    }
    let client = connection.client();
    loop {
        answer_all(connection, &mut stream, &client, context).await?;
        let held_back = connection.session.output_is_high();
        send(connection, &mut stream).await?;
        // From here on nobody waits for the client.
        connection.session.keep_waiting();
        if connection.session.is_over() {
            stream.end_output(&connection.socket).await?;
            return linger(&mut connection.session, &mut stream).await;
        }
        if held_back {
            // So many answers were a turn's work.
            stream.yield_now().await;
        } else {
            receive(connection, &mut stream, context).await?;
        }
    }
}

/// Answers what the session has received, until it needs more input or room for output.
async fn answer_all(
    connection: &mut Connection,
    stream: &mut impl Stream,
    client: &Client,
    context: &Context,
) -> io::Result<()> {
    let mut turn_began = connection.session.received_at();
    while let Some(pause) = answer_cheap(&mut connection.session, context.compute()) {
        if turn_began.elapsed() > TURN {
            stream.yield_now().await;
            turn_began = Instant::now();
        }
        if let Pause::Costly(request) = pause {
            let outcome = compute(request, connection, stream, client, context).await?;
            connection.session.answer(&outcome);
            if outcome == Err(Refusal::ClientGone) {
                return Err(loss(&connection.socket));
            }
        }
    }
    Ok(())
}

/// Has a request computed that is not cheap.
async fn compute(
    request: Request,
    connection: &mut Connection,
    stream: &mut impl Stream,
    client: &Client,
    context: &Context,
) -> io::Result<Outcome> {
    #[cfg(debug_assertions)]
    panics::injected::in_conversation(request.n);
    let (counters, received_at) = (context.counters(), connection.session.received_at());
    connection.session.keep_waiting();
    let started = if connection.reserve_output(decimal_len(request.n)) {
        let limits = context.settings().jobs;
        context.compute().start(request.n, client, received_at, limits)
    } else {
        Err(Refusal::NoRoom { max: context.connections().limits().max_output })
    };
    match started {
        Ok(started) => {
            let job = counters.begin_job(received_at);
            // Earlier answers must not wait for a later one.
            send_output(connection, stream).await?;
            connection.session.keep_waiting();
            let outcome = finish(started, stream).await;
            job.end(&outcome);
            Ok(outcome)
        }
        Err(refusal) => {
            counters.refuse_job(refusal);
            Ok(Err(refusal))
        }
    }
}

/// Counts and sends the answers that there are.
async fn send(connection: &mut Connection, stream: &mut impl Stream) -> io::Result<()> {
    connection.hold_output();
    send_output(connection, stream).await?;
    connection.release_output();
    Ok(())
}

/// The same, while a further answer is held for.
async fn send_output(connection: &mut Connection, stream: &mut impl Stream) -> io::Result<()> {
    connection.count_answers();
    connection.session.await_room();
    stream.send(&mut connection.session).await
}

/// Why requests are not answered in one go.
enum Pause {
    /// It is time to look at the clock.
    Glance,
    /// This one is not cheap.
    Costly(Request),
}

/// Answers requests that are cheap, as long as they are. `None` when there are no more.
fn answer_cheap(session: &mut Session, compute: &Compute) -> Option<Pause> {
    for _ in 0..REQUESTS_BETWEEN_GLANCES {
        let request = session.next_request()?;
        match compute.at_once(request.n) {
            Some(outcome) => session.answer(&outcome),
            None => return Some(Pause::Costly(request)),
        }
    }
    Some(Pause::Glance)
}

async fn finish(started: Started, stream: &mut impl Stream) -> Outcome {
    match started {
        Started::Here(mut job) => loop {
            match job.run_slice() {
                Some(outcome) => return outcome,
                None => stream.yield_now().await,
            }
        },
        Started::Elsewhere(outcome) => outcome.await.unwrap_or(Err(Refusal::Failed)),
    }
}

/// Why nobody can read an answer any more: the client has ended it, or the kernel has given it up.
fn loss(socket: &Socket) -> io::Error {
    let told = socket.take_error().ok().flatten();
    told.unwrap_or_else(|| io::ErrorKind::ConnectionReset.into())
}

async fn receive(
    connection: &mut Connection,
    stream: &mut impl Stream,
    context: &Context,
) -> io::Result<()> {
    if context.draining().is_fired() && has_all_input(connection, stream) {
        connection.session.end_input(InputEnd::Drain);
        return Ok(());
    }
    let session = &mut connection.session;
    session.await_input();
    let deadline = session.deadline();
    match stream.receive(session, deadline).await? {
        Received::Input => {}
        Received::End => session.end_input(context.input_end(session.progress().verdict())),
        Received::TimedOut => {
            let now = Instant::now();
            if session.newline_is_missing(now)
                && let Some(unlogged) = NEWLINE_HINTS.ask(now)
            {
                warn!(unlogged, "{NEWLINE_HINT}");
            }
        }
    }
    Ok(())
}

/// Whether the session has what had come when this was asked first. A client that never stops
/// sending must not be waited for.
fn has_all_input(connection: &mut Connection, stream: &impl Stream) -> bool {
    // Where it cannot be told, reading tells why.
    let in_kernel = ioctl_fionread(&connection.socket).unwrap_or(u64::MAX);
    let unread = in_kernel.saturating_add(stream.read_ahead() as u64);
    connection.session.limit_input(unread)
}

/// Reads the client's leftovers away, so that closing does not reset the connection before the
/// client has read its last reply. A session that is over takes them and forgets them.
async fn linger(session: &mut Session, stream: &mut impl Stream) -> io::Result<()> {
    let end = Instant::now() + LINGER;
    while Instant::now() < end && stream.receive(session, Some(end)).await? == Received::Input {
        stream.yield_now().await;
    }
    Ok(())
}
