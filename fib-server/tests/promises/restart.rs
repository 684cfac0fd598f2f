//! What clients notice when SIGUSR2 has another process take the server's place: nothing, also
//! where that process fails.

use std::{
    fs,
    io::{self, Write},
    net::Shutdown,
    os::unix::{
        fs::symlink,
        net::{UnixListener, UnixStream},
    },
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::SetOnDrop;
use crate::{
    config_file::ConfigFile,
    effort::attempts,
    support::{Ended, Measured, Process, Server, Way, for_each_way, wait_until},
    systemd::{Manager, ask_at, by_hand, fresh_path},
    watched::Watched,
};

for_each_way! {{
    nobody_notices_a_restart,
    nobody_notices_a_successor_that_fails,
    every_socket_is_handed_over,
}}
for_each_way! { over_tls_alone {
    nobody_notices_a_restart,
    nobody_notices_a_successor_that_fails,
}}

/// Clients that come one after the other, and how often each of them does: 2,000 a second.
const THREADS: usize = 4;
const PAUSE: Duration = Duration::from_millis(2);

/// What the log says of it.
const SERVES: &str = "another process serves";

const GOES_ON: &str = "the server goes on without a successor";

/// A second is for clients to end by themselves.
const CEILING: Duration = Duration::from_secs(20);

fn nobody_notices_a_restart(way: Way) {
    let watched = Watched::start(way, &["--algorithm", "recursive"]);
    let mut generations = Generations::new(&watched.server);
    let mut times = Measured::new("from the signal to the old one's exit", CEILING);
    let restarts = attempts(2, 20);
    while_clients_come_and_go(&watched.server, |connections| {
        for number in 1..=restarts {
            times.take(generations.next());
            watched.wait_until_it_is(r#"fib_restarts_total{outcome="ok"}"#, number);
            assert_eq!(watched.get("/readyz").0, "200");
        }
        wait_until("enough have come", || {
            connections.load(Relaxed) >= restarts * attempts(50, 2_000)
        });
    });
    generations.stop();
    drop(generations);
    let ended = watched.server.wait();
    check_all_counts(&ended, restarts + 1);
}

/// Whatever it fails of: the server says so and goes on, until there is one that does not fail.
fn nobody_notices_a_successor_that_fails(way: Way) {
    let (program, file) = (Program::new(), ConfigFile::new(GOOD));
    let script = format!("exec {} \"$@\"", program.0.display());
    let watched = Watched::of(|admin| {
        let flags = [&["--config", file.path()], admin].concat();
        Server::start_by(&["sh", "-c", &script], way, &flags)
    });
    let mut generations = Generations::new(&watched.server);
    let rounds = attempts(1, 5);
    while_clients_come_and_go(&watched.server, |_| {
        for round in 1..=rounds {
            file.write("max-n = many");
            generations.fail("the successor has given up: it ended with status 2");
            file.write("strategy = 7");
            generations.fail("the successor has given up: it ended with status 2");
            file.write(GOOD);
            program.remove();
            generations.fail("No such file or directory");
            symlink("/bin/false", &program.0).unwrap();
            generations.fail("the successor has given up: it ended with status 1");
            assert_eq!(watched.get("/readyz").0, "200");
            assert_eq!(watched.metrics().count(r#"fib_restarts_total{outcome="failed"}"#), 4);
            program.remove();
            program.install();
            generations.next();
            watched.wait_until_it_is(r#"fib_restarts_total{outcome="ok"}"#, round);
        }
    });
    generations.stop();
    drop(generations);
    check_all_counts(&watched.server.wait(), rounds + 1);
}

/// Those that were passed and those of paths, too; and whoever manages services knows who is the
/// server now.
fn every_socket_is_handed_over(way: Way) {
    let (manager, passed, own) = (Manager::new(), fresh_path(), fresh_path());
    let mut command = by_hand(UnixListener::bind(&passed).unwrap().into());
    let listen = format!("unix:{}", own.display());
    command.args(["--listen", &listen, "--strategy", way.strategy, "--compute", way.compute]);
    let mut server = Server::spawn({
        command.env("NOTIFY_SOCKET", &manager.path);
        command
    });
    assert_eq!(server.next_line("listening on "), listen);
    manager.hear_ready();
    let mut generations = Generations::new(&server);
    let restarts = attempts(2, 20);
    for _ in 0..restarts {
        // Either of the two lets them in.
        let asking = [&passed, &own].map(|path| {
            let mut client = UnixStream::connect(path).unwrap();
            client.write_all(b"30\n").unwrap();
            client.shutdown(Shutdown::Write).unwrap();
            client
        });
        generations.next();
        let told = format!("MAINPID={}\nSTATUS=serving\n", generations.now);
        wait_until("its manager is told", || manager.hear() == told);
        manager.hear_ready();
        for client in asking {
            assert_eq!(io::read_to_string(client).unwrap(), "832040\n");
        }
        assert_eq!([&passed, &own].map(ask_at), ["832040\n", "832040\n"]);
    }
    generations.stop();
    drop(generations);
    check_all_counts(&server.wait(), restarts + 1);
    assert!(passed.exists(), "it is not the server's");
    assert!(!own.exists(), "the last one takes it with it");
    fs::remove_file(passed).unwrap();
}

/// A configuration that can be obeyed.
const GOOD: &str = "max-n = 30000";

/// A program whose file may become another, or none.
struct Program(PathBuf);

impl Program {
    fn new() -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let program = Self(folder.join(fresh_path().file_name().unwrap()));
        program.install();
        program
    }

    /// As a name of its own, not as a copy: what is written to may still be open for that, in a
    /// process that another test starts.
    fn install(&self) {
        fs::hard_link(env!("CARGO_BIN_EXE_fib-server"), &self.0).unwrap();
    }

    fn remove(&self) {
        fs::remove_file(&self.0).unwrap();
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// Does something while clients come and go, of whom it knows how many came; all are answered.
fn while_clients_come_and_go(server: &Server, happens: impl FnOnce(&AtomicUsize)) {
    let (is_over, connections) = (AtomicBool::new(false), AtomicUsize::new(0));
    thread::scope(|scope| {
        // Also when something else has failed.
        let over = SetOnDrop(&is_over);
        let come_and_go = || {
            let begin = Instant::now();
            for turn in 0.. {
                if is_over.load(Relaxed) {
                    return;
                }
                let mut client = server.connect();
                assert_eq!((client.ask("10"), client.ask("20")), ("55".into(), "6765".into()));
                client.half_close();
                assert_eq!(client.rest(), "");
                connections.fetch_add(1, Relaxed);
                thread::sleep((begin + turn * PAUSE).saturating_duration_since(Instant::now()));
            }
        };
        let clients: Vec<_> = (0..THREADS).map(|_| scope.spawn(come_and_go)).collect();
        happens(&connections);
        drop(over);
        for client in clients {
            client.join().expect("it was answered");
        }
    });
}

/// Every connection and request of each of the processes is accounted for.
fn check_all_counts(ended: &Ended, processes: usize) {
    let all: Vec<_> = ended.all_drained().collect();
    assert_eq!(all.len(), processes, "{}", ended.log);
    for drained in all {
        let count = |name| drained[name].as_u64().unwrap();
        assert_eq!(count("accepted"), count("closed"), "{}", ended.log);
        let parts = count("ok") + count("err") + count("cancelled");
        assert_eq!(count("requests"), parts, "{}", ended.log);
    }
}

/// The process that serves now, killed when dropped.
struct Generations<'a> {
    server: &'a Server,
    now: i32,
}

impl<'a> Generations<'a> {
    fn new(server: &'a Server) -> Self {
        Self { server, now: server.pid().cast_signed() }
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_raw(self.now).unwrap(), signal).expect("it runs");
    }

    /// Has another one take its place; how long it took until the old one was gone.
    fn next(&mut self) -> Duration {
        let old = self.now;
        let begin = Instant::now();
        let before = self.server.times_logged(SERVES);
        self.signal(Signal::USR2);
        wait_until("another process serves", || self.server.times_logged(SERVES) > before);
        self.now = successors(&self.server.log()).last().expect("the log says which");
        wait_until("the old one is gone", || Process::is_gone(old));
        begin.elapsed()
    }

    /// Has it try in vain, for this reason.
    fn fail(&self, reason: &str) {
        let before = self.server.times_logged(GOES_ON);
        self.signal(Signal::USR2);
        wait_until("it has failed", || self.server.times_logged(GOES_ON) > before);
        let log = self.server.log();
        let told = log.lines().rfind(|it| it.contains(GOES_ON)).unwrap();
        assert!(told.contains(reason), "{log}");
    }

    fn stop(&self) {
        self.signal(Signal::TERM);
        wait_until("the last one is gone", || Process::is_gone(self.now));
    }
}

impl Drop for Generations<'_> {
    fn drop(&mut self) {
        if self.now != self.server.pid().cast_signed() {
            // It may be gone.
            let _ = kill_process(Pid::from_raw(self.now).unwrap(), Signal::KILL);
        }
    }
}

/// The processes that have taken the place of another, as the log has them.
fn successors(log: &str) -> impl Iterator<Item = i32> {
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines.filter_map(|line| line["fields"]["successor"].as_i64()?.try_into().ok())
}
