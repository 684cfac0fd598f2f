//! What is left of a server that is killed under load: none of its processes, and nothing that
//! keeps the next one from listening where it did. Where somebody else holds the listening socket,
//! nobody is refused meanwhile.

use std::{
    fs,
    io::{self, Write},
    net::{Shutdown, TcpListener, TcpStream},
    path::PathBuf,
    process::Command,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    thread,
    time::{Duration, Instant},
};

use fastrand::Rng;
use rustix::process::Signal;

use super::{SetOnDrop, Subject, attempts, choices};
use crate::{
    support::{Client, Measured, PATIENCE, Process, Server, Way, for_each_way, strike, wait_until},
    systemd::{ask_at, by_hand, fresh_path},
    wire::Wire,
};

for_each_way! {{
    nothing_is_left_of_a_killed_server,
    nobody_is_refused_while_servers_are_killed,
}}

/// What is promised is a tenth of a second.
const CEILING: Duration = Duration::from_secs(10);

/// Requests of which the last one takes longer than the test, and what may be read of them.
const REQUESTS: &str = "20\n25\n60\n";
const REPLIES: &str = "6765\n75025\n";
const FLAGS: [&str; 4] = ["--algorithm", "recursive", "--max-n", "60"];

fn nothing_is_left_of_a_killed_server(way: Way) {
    let mut choices = choices();
    let mut times = Measured::new("from SIGKILL to the end of all its processes", CEILING);
    let place = Place::new(way);
    let mut server = place.start(&[]);
    let place = Place { address: server.address().to_owned(), ..place };
    for _ in 0..attempts(2, 42) {
        let clients = load(&server, &mut choices);
        server = kill(server, &mut times, || place.start(&[]));
        clients.into_iter().for_each(check_what_it_has);
        place.check_it_answers();
    }
    let subject = kill(server, &mut times, || Subject::of(way, |flags| place.start(flags)));
    place.check_nobody_else_can_have_it();
    place.check_it_answers();
    subject.finish();
    assert_eq!(place.processes(), 0, "no orphan is left of any of them");
    assert!(!place.path.exists(), "a server that ends takes its file with it");
}

/// Clients that wait for answers, and some that have none.
fn load(server: &Server, choices: &mut Rng) -> Vec<Client> {
    let mut clients: Vec<_> = (0..6).map(|_| server.connect()).collect();
    for client in &mut clients {
        client.send(REQUESTS);
    }
    thread::sleep(Duration::from_millis(choices.u64(..60)));
    clients
}

/// Nothing of it is wrong.
fn check_what_it_has(mut client: Client) {
    let read = client.rest_or_reset();
    assert!(REPLIES.starts_with(&read), "{read:?}");
}

/// Kills the server and has another one started at once, while what it leaves behind still ends.
fn kill<T: Send>(server: Server, times: &mut Measured, start: impl FnOnce() -> T + Send) -> T {
    let family = server.descendants();
    let begin = Instant::now();
    drop(server);
    thread::scope(|scope| {
        let next = scope.spawn(start);
        wait_until("its children are gone", || family.iter().all(|&it| Process::is_gone(it)));
        times.take(begin.elapsed());
        next.join().expect("another server can listen there")
    })
}

/// Where servers listen, one after the other.
struct Place {
    way: Way,
    address: String,
    path: PathBuf,
    /// A variable that all its processes have in their environment, and no others.
    mark: String,
}

impl Place {
    fn new(way: Way) -> Self {
        let path = fresh_path();
        let mark = format!("MARK={}", path.display());
        // No connection of another test takes a port of this address while nobody has it.
        Self { way, address: "127.7.0.1:0".to_owned(), path, mark }
    }

    fn unix(&self) -> String {
        format!("unix:{}", self.path.display())
    }

    fn start(&self, flags: &[&str]) -> Server {
        let (Way { strategy, compute, .. }, unix) = (self.way, self.unix());
        let listen = ["--listen", &self.address, "--listen", &unix];
        let way = ["--strategy", strategy, "--compute", compute];
        let flags = [&listen[..], &way, &FLAGS, flags].concat();
        let mut server = Server::run_by(&["env", &self.mark], &flags);
        assert_eq!(server.next_line("listening on "), unix);
        server
    }

    /// How many live of all servers that were here.
    fn processes(&self) -> usize {
        let is_marked = |environment: &Vec<u8>| {
            environment.split(|it| *it == 0).any(|it| it == self.mark.as_bytes())
        };
        let all = fs::read_dir("/proc").unwrap().flatten();
        let environments = all.filter_map(|it| fs::read(it.path().join("environ")).ok());
        environments.filter(is_marked).count()
    }

    fn check_it_answers(&self) {
        let mut socket = TcpStream::connect(&self.address).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.write_all(b"30\n").unwrap();
        socket.shutdown(Shutdown::Write).unwrap();
        assert_eq!(io::read_to_string(socket).unwrap(), "832040\n");
        assert_eq!(ask_at(&self.path), "832040\n");
    }

    /// What a server has that lives is not taken over.
    fn check_nobody_else_can_have_it(&self) {
        for address in [&self.address, &self.unix()] {
            let mut command = Command::new(env!("CARGO_BIN_EXE_fib-server"));
            let output = command.args(["--listen", address]).output().unwrap();
            let told = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(1), "{told}");
            assert!(told.contains("in use"), "{told}");
        }
    }
}

/// The listening socket is somebody else's, as systemd's is, who starts one server after the other.
fn nobody_is_refused_while_servers_are_killed(way: Way) {
    let mut choices = choices();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let start = |flags: &[&str]| {
        let mut command = by_hand(listener.try_clone().unwrap().into());
        command.args(["--strategy", way.strategy, "--compute", way.compute]).args(FLAGS);
        command.args(flags);
        Server::spawn(command)
    };
    let (kills, is_over) = (Kills::default(), AtomicBool::new(false));
    let address = listener.local_addr().unwrap().to_string();
    let answered: usize = thread::scope(|scope| {
        let mut server = start(&[]);
        // Also when something else has failed.
        let over = SetOnDrop(&is_over);
        let come_and_go = || come_and_go(&address, &kills, &is_over);
        let clients = [(); 4].map(|()| scope.spawn(come_and_go));
        for _ in 0..attempts(3, 20) {
            thread::sleep(Duration::from_millis(choices.u64(20..100)));
            let waiting = kills.count(|| kill_before_it_accepts(server));
            server = start(&[]);
            for mut client in waiting {
                assert_eq!(client.rest(), "832040\n", "the next one answers who waited");
            }
        }
        drop(over);
        clients.map(|it| it.join().expect("nobody was refused")).iter().sum()
    });
    assert!(answered > 0, "no client was answered between two kills");
    Subject::of(way, start).finish();
}

/// Kills all processes of a server, once none of them can accept any more; who has connected since.
fn kill_before_it_accepts(server: Server) -> Vec<Client> {
    // The server first, or it would replace its children.
    stop(server.pid().cast_signed());
    let family = server.descendants();
    family.iter().copied().for_each(stop);
    let mut waiting: Vec<_> = (0..5).map(|_| server.connect()).collect();
    for client in &mut waiting {
        client.send("30\n");
        client.half_close();
    }
    for &it in &family {
        strike(it, Signal::KILL);
    }
    drop(server);
    wait_until("its children are gone", || family.iter().all(|&it| Process::is_gone(it)));
    waiting
}

fn stop(process: i32) {
    strike(process, Signal::STOP);
    wait_until("all of its threads have stopped", || {
        let Ok(threads) = fs::read_dir(format!("/proc/{process}/task")) else { return true };
        let files = threads.flatten().map(|it| fs::read_to_string(it.path().join("stat")));
        // The state follows the name, which is in brackets.
        let mut each_state =
            files.flatten().filter_map(|stat| stat.rsplit(") ").next()?.chars().next());
        each_state.all(|state| "TZ".contains(state))
    });
}

/// Asks in one connection after the other. Who was connected to a server that was killed may have
/// no answer; all others have. How many have.
fn come_and_go(address: &str, kills: &Kills, is_over: &AtomicBool) -> usize {
    let mut answered = 0;
    while !is_over.load(SeqCst) {
        let before = kills.counted();
        let socket = TcpStream::connect(address).expect("it is not refused");
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut client = Client::new(Wire::new(socket));
        client.send_in_vain(b"20\n");
        client.half_close_in_vain();
        let reply = client.rest_or_reset();
        if reply == "6765\n" {
            answered += 1;
        } else {
            assert_eq!(reply, "");
            assert!(kills.counted() > before || before % 2 == 1, "no server was killed meanwhile");
        }
    }
    answered
}

/// How often one has begun and ended: odd while a server is being killed.
#[derive(Default)]
struct Kills(AtomicUsize);

impl Kills {
    fn count<T>(&self, kill: impl FnOnce() -> T) -> T {
        self.0.fetch_add(1, SeqCst);
        let result = kill();
        self.0.fetch_add(1, SeqCst);
        result
    }

    fn counted(&self) -> usize {
        self.0.load(SeqCst)
    }
}
