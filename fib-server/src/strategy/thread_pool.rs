//! A pool of threads that take connections from one queue: whoever is free takes the next.
//!
//! The lesson: a client who is silent needs no thread, and one who asks needs one only until it is
//! answered. The queue is the kernel's list of sockets that are ready (epoll). A connection that
//! waits gives its thread back and names what it waits for; when that happens the kernel puts it
//! at the end of the queue, once, and wakes a free thread. So no thread hands out the work. And as
//! long as there is another free one, a thread waits for its client itself, which is cheaper.

use std::{
    collections::{BTreeSet, HashMap},
    future,
    io::{self, PipeReader, PipeWriter},
    mem::{self, MaybeUninit},
    num::NonZeroUsize,
    os::fd::OwnedFd,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    task::{self, Poll, Wake, Waker},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use rustix::{
    event::{
        PollFd, PollFlags, Timespec,
        epoll::{self, CreateFlags, Event, EventData, EventFlags},
        poll,
    },
    io::Errno,
    net::{RecvFlags, SendFlags, send},
};
use socket2::Socket;
use tracing::{Span, error};

use crate::{
    acceptor::Acceptor,
    access::Standing,
    connection::Connection,
    context::Context,
    listener::Listener,
    session::Session,
    strategy::{
        Strategy,
        conversation::{self, Received, Stream, read},
    },
    telemetry,
};

/// When every core computes a long request, there are still free threads, and the kernel lets one
/// in for a short request at once. One per core would end its slice first.
const THREADS_PER_CORE: usize = 2;

/// How long a thread stays with a silent client when another is free; the kernel rounds it up to
/// its next tick.
const LONGEST_STAY: Duration = Duration::from_millis(1);

/// How long a computation that lets others go first may stay out of the queue because its client
/// does not read, so that its socket has no room.
const LONGEST_YIELD: Duration = Duration::from_millis(100);

/// What the end of all work is called in the queue; connections are counted from 0.
const END: u64 = u64::MAX;

/// Serves all clients on a fixed number of threads.
#[derive(Clone, Copy, Debug)]
pub struct ThreadPool {
    threads: Option<NonZeroUsize>,
}

impl ThreadPool {
    /// Of so many threads, or two per core.
    #[must_use]
    pub const fn new(threads: Option<NonZeroUsize>) -> Self {
        Self { threads }
    }
}

impl Strategy for ThreadPool {
    fn serve(self: Box<Self>, listeners: Vec<Listener>, context: &Arc<Context>) -> Result<()> {
        let threads = match self.threads {
            Some(threads) => threads.get(),
            None => THREADS_PER_CORE * thread::available_parallelism()?.get(),
        };
        // Whoever may cause more work holds the writer. When the last one lets go of it, the
        // reader is ready for every thread.
        let (ended, more_work) = io::pipe().context("creating a pipe")?;
        let pool = Arc::new(Pool::new(context, ended).context("creating the queue")?);
        thread::scope(|scope| {
            let more_work = Arc::new(more_work);
            for _ in 0..threads {
                let thread = thread::Builder::new().name("worker".into());
                thread.spawn_scoped(scope, || pool.work()).context("starting the pool")?;
            }
            let mut acceptor = Acceptor::new(listeners, context);
            while let Some(connection) = acceptor.next_client()? {
                pool.take_on(connection, &more_work);
            }
            Ok(())
        })
    }
}

/// What the threads share.
struct Pool {
    context: Arc<Context>,
    /// The queue, and those who wait outside of it.
    epoll: OwnedFd,
    _ended: PipeReader,
    state: Mutex<State>,
    /// How many threads wait for somebody to be queued.
    free_threads: AtomicUsize,
}

#[derive(Default)]
struct State {
    next_id: u64,
    tasks: HashMap<u64, Arc<Task>>,
    /// Who is to run at what time if nothing happens before.
    timers: BTreeSet<(Instant, u64)>,
}

impl Pool {
    fn new(context: &Arc<Context>, ended: PipeReader) -> io::Result<Self> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        epoll::add(&epoll, &ended, EventData::new_u64(END), EventFlags::IN)?;
        Ok(Self {
            context: Arc::clone(context),
            epoll,
            _ended: ended,
            state: Mutex::default(),
            free_threads: AtomicUsize::new(0),
        })
    }

    /// Makes a task of a connection, to be queued when its client asks something.
    fn take_on(self: &Arc<Self>, connection: Connection, more_work: &Arc<PipeWriter>) {
        let span = self.context.span(&connection);
        // Until the task is there for whoever takes its name from the queue.
        let mut state = self.state();
        let id = state.next_id;
        let place = match Place::new(self, &connection, id) {
            Ok(place) => Arc::new(place),
            Err(error) => return span.in_scope(|| telemetry::log_end(Err(error))),
        };
        let (stream, context) = (PoolStream(Arc::clone(&place)), Arc::clone(&self.context));
        let conversation = async move { conversation::serve(connection, stream, &context).await };
        let task = Task {
            conversation: Mutex::new(Some(Box::pin(conversation))),
            waker: Waker::from(place),
            span,
            _more_work: Arc::clone(more_work),
        };
        state.tasks.insert(id, Arc::new(task));
        state.next_id += 1;
    }

    /// What each thread does: it runs one task after the other, from the timers and from the
    /// queue by turns.
    fn work(&self) {
        loop {
            if let Some(id) = self.take_due() {
                self.run(id);
            }
            match self.take_queued() {
                Ok(Some(END)) => return,
                Ok(Some(id)) => self.run(id),
                Ok(None) => {}
                Err(error) => return error!("a thread of the pool has lost the queue: {error}"),
            }
        }
    }

    fn take_due(&self) -> Option<u64> {
        let mut state = self.state();
        let (_, id) = *state.timers.first().filter(|(at, _)| *at <= Instant::now())?;
        state.timers.pop_first();
        Some(id)
    }

    /// Takes the first in the queue. Where there is none, it polls for a while if that is wanted,
    /// and then sleeps, at most until a timer is due.
    fn take_queued(&self) -> io::Result<Option<u64>> {
        let begin = Instant::now();
        let time_left = self.state().timers.first().map(|(at, _)| at.duration_since(begin));
        if let Some(busy_poll) = self.context.busy_poll() {
            let busy_poll = time_left.map_or(busy_poll, |it| it.min(busy_poll));
            while begin.elapsed() < busy_poll {
                if let Some(id) = self.take_within(Some(Duration::ZERO))? {
                    return Ok(Some(id));
                }
            }
        }
        self.free_threads.fetch_add(1, Ordering::Relaxed);
        let taken = self.take_within(time_left);
        self.free_threads.fetch_sub(1, Ordering::Relaxed);
        taken
    }

    fn take_within(&self, timeout: Option<Duration>) -> io::Result<Option<u64>> {
        let timeout = timeout.map(Timespec::try_from).transpose().map_err(io::Error::other)?;
        let mut buffer = [const { MaybeUninit::<Event>::uninit() }; 1];
        match epoll::wait(&self.epoll, &mut buffer, timeout.as_ref()) {
            Ok((events, _)) => Ok(events.first().map(|event| event.data.u64())),
            Err(Errno::INTR) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Runs a task until it waits. It may have ended meanwhile; then there is nothing to do.
    fn run(&self, id: u64) {
        let task = self.state().tasks.get(&id).cloned();
        if task.is_some_and(|task| task.run().is_ready()) {
            // To be dropped when the lock is not held any more.
            let _task = self.state().tasks.remove(&id);
        }
    }

    /// Whether the others can spare a thread. One that polls does so for all.
    fn can_spare_a_thread(&self) -> bool {
        self.context.busy_poll().is_none() && self.free_threads.load(Ordering::Relaxed) > 0
    }

    /// Whether anybody is queued, or due.
    fn somebody_waits(&self) -> bool {
        let mut events = [PollFd::new(&self.epoll, PollFlags::IN)];
        let is_queued = poll(&mut events, Some(&Timespec::default())) != Ok(0);
        is_queued || self.state().timers.first().is_some_and(|(at, _)| *at <= Instant::now())
    }

    /// Nothing panics while it is locked.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A conversation that waits, or runs on one of the threads.
struct Task {
    /// `None` once it is over. Two threads may want to run it, where it is queued before it has
    /// left the first, or due as well: they go one after the other.
    conversation: Mutex<Option<Pin<Box<dyn Future<Output = ()> + Send>>>>,
    waker: Waker,
    span: Span,
    _more_work: Arc<PipeWriter>,
}

impl Task {
    /// Runs until it waits, or is over.
    fn run(&self) -> Poll<()> {
        let mut conversation = self.conversation.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(running) = conversation.as_mut() else { return Poll::Ready(()) };
        let mut context = task::Context::from_waker(&self.waker);
        if self.span.in_scope(|| running.as_mut().poll(&mut context)).is_pending() {
            return Poll::Pending;
        }
        *conversation = None;
        Poll::Ready(())
    }
}

/// Where a connection stands: in the queue, or outside of it until its socket is ready.
struct Place {
    pool: Arc<Pool>,
    socket: Arc<Socket>,
    id: u64,
}

impl Place {
    fn new(pool: &Arc<Pool>, connection: &Connection, id: u64) -> io::Result<Self> {
        let socket = &connection.socket;
        socket.set_nonblocking(false)?;
        socket.set_read_timeout(Some(LONGEST_STAY))?;
        let ready = match connection.standing {
            // The time that it has for its header runs from now on.
            Standing::Proxy => EventFlags::IN | EventFlags::OUT,
            _ => EventFlags::IN,
        };
        let data = EventData::new_u64(id);
        epoll::add(&pool.epoll, socket, data, ready | EventFlags::ONESHOT)?;
        Ok(Self { pool: Arc::clone(pool), socket: Arc::clone(socket), id })
    }

    /// Has the kernel put it at the end of the queue once the socket is ready for that.
    fn queue_when(&self, ready: EventFlags) -> io::Result<()> {
        let data = EventData::new_u64(self.id);
        Ok(epoll::modify(&self.pool.epoll, &self.socket, data, ready | EventFlags::ONESHOT)?)
    }

    /// Gives the thread back, and gets another one when the socket is ready, or at that time.
    /// It may be sooner: whoever waits looks for itself what has happened.
    async fn wait(&self, ready: EventFlags, until: Option<Instant>) -> io::Result<()> {
        let timer = until.map(|until| (until, self.id));
        self.queue_when(ready)?;
        self.pool.state().timers.extend(timer);
        let mut has_waited = false;
        future::poll_fn(|_| {
            if mem::replace(&mut has_waited, true) { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        if let Some(timer) = timer {
            self.pool.state().timers.remove(&timer);
        }
        Ok(())
    }
}

/// An answer was computed elsewhere. A socket that has room is ready at once; without room the
/// answer could not be sent anyway.
impl Wake for Place {
    fn wake(self: Arc<Self>) {
        if let Err(error) = self.queue_when(EventFlags::IN | EventFlags::OUT) {
            error!("a connection cannot be queued for its answer: {error}");
        }
    }
}

/// A socket whose conversation runs on any thread of the pool. It blocks where it is not told
/// otherwise.
struct PoolStream(Arc<Place>);

impl PoolStream {
    /// One read, if there is anything to be read in time.
    fn try_read(&self, session: &mut Session, flags: RecvFlags) -> io::Result<Option<Received>> {
        match read(&self.0.socket, session, flags) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            result => result.map(|len| Some(Received::bytes(len))),
        }
    }
}

impl Stream for PoolStream {
    /// Where no thread can be spared, it is queued before each read: who sends without pause has
    /// one chunk at a time answered, like all others.
    async fn receive(
        &mut self,
        session: &mut Session,
        until: Option<Instant>,
    ) -> io::Result<Received> {
        if until.is_none()
            && self.0.pool.can_spare_a_thread()
            && let Some(received) = self.try_read(session, RecvFlags::empty())?
        {
            return Ok(received);
        }
        loop {
            self.0.wait(EventFlags::IN, until).await?;
            if let Some(received) = self.try_read(session, RecvFlags::DONTWAIT)? {
                return Ok(received);
            }
            if until.is_some_and(|until| until <= Instant::now()) {
                return Ok(Received::TimedOut);
            }
        }
    }

    async fn send(&mut self, session: &mut Session) -> io::Result<()> {
        while !session.output().is_empty() {
            let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
            match send(&self.0.socket, session.output(), flags) {
                Ok(len) => session.sent(len),
                Err(Errno::AGAIN) => self.0.wait(EventFlags::OUT, None).await?,
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// A socket that has room is at once at the end of the queue.
    async fn yield_now(&mut self) {
        if self.0.pool.somebody_waits() {
            let until = Instant::now() + LONGEST_YIELD;
            // Where the kernel could not queue it, it would go on.
            let _ = self.0.wait(EventFlags::IN | EventFlags::OUT, Some(until)).await;
        }
    }
}
