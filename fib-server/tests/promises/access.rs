//! Who may be a client, and who can pretend to be one: by where connections come from. All of
//! 127.0.0.0/8 is this machine, so its other addresses stand for other machines.

use std::{
    fs,
    io::{Read, Write},
    net::{Ipv4Addr, Shutdown, TcpListener},
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use rustix::process::geteuid;

use super::{
    Subject, ask_if_any, attempts, choices,
    tls::{HANDSHAKE, client_hello, rest_of},
};
use crate::{
    proxy_header::check,
    support::{Client, Server, Way, all_strategies, for_each_way, is_available, skip, wait_until},
};

for_each_way! {{
    strangers_are_not_heard,
    a_trusted_proxy_says_who_the_client_is,
    nobody_else_is_believed,
    clients_of_a_proxy_have_a_place_each,
}}

for_each_way! { over_tls_alone {
    a_handshake_follows_the_header_of_a_proxy,
}}

/// Where a trusted proxy is.
const PROXY: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 9);

/// Whom a proxy speaks for that has such clients, and whom it does not.
const CLIENT: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 7);
const STRANGER: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 7);

const FLAGS: [&str; 6] =
    ["--allow", "127.0.0.1", "--allow", "192.0.2.0/24", "--trust-proxy", "127.0.0.9"];

fn v1(client: Ipv4Addr) -> Vec<u8> {
    format!("PROXY TCP4 {client} 10.0.0.1 4660 25000\r\n").into()
}

fn v2(client: Ipv4Addr) -> Vec<u8> {
    let rest = [&client.octets()[..], &[10, 0, 0, 1], &[0x12, 0x34, 0x61, 0xa8]].concat();
    [&b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c"[..], &rest].concat()
}

/// What a proxy says when it asks for itself.
const FOR_ITSELF: [&[u8]; 2] = [b"PROXY UNKNOWN\r\n", b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0"];

fn refused(subject: &Subject, reason: &str) -> usize {
    let name = format!(r#"fib_connections_refused_total{{reason="{reason}"}}"#);
    subject.watched.metrics().count(&name).try_into().unwrap()
}

fn is_sequential(way: Way) -> bool {
    way.strategy == "sequential"
}

/// Whatever they send: none of it is a request, and none of them takes a place. Who says nothing
/// sees a connection that ends in order.
fn strangers_are_not_heard(way: Way) {
    let flags = ["--allow", "127.0.0.1", "--allow", "10.0.0.0/8", "--max-connections", "2"];
    let subject = Subject::start(way, &flags);
    let mut canary = (!is_sequential(way)).then(|| subject.server().connect());
    ask_if_any(&mut canary);
    let (before, count) = (subject.watched.metrics(), attempts(20, 10_000));
    for at in 0..count {
        let last = 2 + u8::try_from(at % 200).unwrap();
        let mut stranger = subject.server().connect_from(Ipv4Addr::new(127, 0, 0, last));
        if at % 2 == 0 {
            assert_eq!(stranger.rest(), "");
        } else {
            stranger.send_in_vain(b"30\n");
            assert_eq!(stranger.rest_or_reset(), "");
        }
    }
    assert_eq!(refused(&subject, "not-allowed"), count);
    let after = subject.watched.metrics();
    for name in ["fib_connections_accepted_total", r#"fib_requests_total{outcome="ok"}"#] {
        assert_eq!(after.count(name), before.count(name), "{name}");
    }
    ask_if_any(&mut canary);
    drop(canary);
    let ended = subject.finish();
    let told = ended.log.matches(r#""reason":"not-allowed""#).count();
    assert!((1..count).contains(&told), "it is logged {told} times");
}

/// However the header is cut, what follows it is the client's.
fn a_trusted_proxy_says_who_the_client_is(way: Way) {
    let mut choices = choices();
    let subject = Subject::start(way, &FLAGS);
    let headers = [v1(CLIENT), v2(CLIENT)].into_iter().chain(FOR_ITSELF.map(Vec::from));
    let headers: Vec<_> = headers.collect();
    let cuts = |header: &Vec<u8>| (0..=header.len()).collect::<Vec<_>>();
    let mut splits = 0;
    for header in &headers {
        let mut cuts = cuts(header);
        choices.shuffle(&mut cuts);
        cuts.truncate(attempts(6, usize::MAX));
        for cut in cuts {
            let mut proxy = subject.server().connect_from(PROXY);
            let (head, tail) = header.split_at(cut);
            proxy.send(head);
            thread::sleep(Duration::from_millis(1));
            proxy.send([tail, b"30\n10\n"].concat());
            assert_eq!((proxy.line(), proxy.line()), ("832040".into(), "55".into()));
            assert_eq!(proxy.ask("20"), "6765");
            splits += 1;
        }
    }
    // What ends within a header is none; where nothing was said nothing is wrong.
    let mut broken = 0;
    for header in &headers {
        let mut cuts = cuts(header);
        cuts.pop();
        choices.shuffle(&mut cuts);
        cuts.truncate(attempts(6, usize::MAX));
        for cut in cuts {
            let mut proxy = subject.server().connect_from(PROXY);
            proxy.send(&header[..cut]);
            proxy.half_close();
            assert_eq!(proxy.rest(), "", "{cut} bytes of a header are none");
            broken += usize::from(cut > 0);
        }
    }
    for wrong in [&b"30\n"[..], b"PROXY TCP4 192.0.2.7\r\n", &[b'P'; 600], &[0x0d; 600]] {
        let mut proxy = subject.server().connect_from(PROXY);
        proxy.send(wrong);
        assert_eq!(proxy.rest_or_reset(), "");
        broken += 1;
    }
    wait_until("each is counted", || refused(&subject, "proxy-header") == broken);
    // The same holds for its clients as for those who come without it.
    for header in [v1(STRANGER), v2(STRANGER)] {
        let mut proxy = subject.server().connect_from(PROXY);
        proxy.send([&header, &b"30\n"[..]].concat());
        assert_eq!(proxy.rest_or_reset(), "");
    }
    assert_eq!(refused(&subject, "not-allowed"), 2);
    let ended = subject.finish();
    assert!(ended.log.contains(&format!(r#""peer":"{STRANGER}:4660""#)), "{}", ended.log);
    assert_eq!(ended.count("ok"), 3 * (splits + 1), "the first three were asked at the start");
}

/// In clear text, and in one piece with the first bytes of the handshake or not.
fn a_handshake_follows_the_header_of_a_proxy(way: Way) {
    let mut choices = choices();
    let subject = Subject::start(way, &FLAGS);
    let hello = client_hello(subject.server().certificates());
    let headers = [v1(CLIENT), v2(CLIENT)].into_iter().chain(FOR_ITSELF.map(Vec::from));
    for header in headers {
        let mut client = subject.server().connect_through(PROXY, &header);
        assert_eq!(client.ask("30"), "832040");
        for _ in 0..attempts(3, 100) {
            // The server's hello is enough to know that it has heard all of the client's.
            let begun = [&header[..], &hello].concat();
            let (head, tail) = begun.split_at(choices.usize(1..begun.len()));
            let mut proxy = subject.server().connect_socket_from(PROXY);
            proxy.write_all(head).unwrap();
            thread::sleep(Duration::from_millis(1));
            proxy.write_all(tail).unwrap();
            let mut first = [0];
            proxy.read_exact(&mut first).unwrap();
            assert_eq!(first, [HANDSHAKE]);
        }
    }
    for wrong in [&hello[..], &v1(CLIENT)[..20], &[&v1(STRANGER)[..], &hello].concat()] {
        let mut proxy = subject.server().connect_socket_from(PROXY);
        proxy.write_all(wrong).unwrap();
        proxy.shutdown(Shutdown::Write).unwrap();
        assert_eq!(rest_of(&proxy), b"", "nobody is served, nor told why in clear text");
    }
    subject.finish();
}

/// A header that comes from anywhere else is a line as any other, and no request.
fn nobody_else_is_believed(way: Way) {
    let subject = Subject::start(way, &FLAGS);
    for _ in 0..attempts(5, 1_000) {
        for header in [v1(CLIENT), v1(STRANGER)] {
            let mut client = subject.server().connect();
            client.send([&header, &b"30\n"[..]].concat());
            assert!(client.line().starts_with("ERR parse "));
            assert_eq!(client.line(), "832040");
        }
        let mut client = subject.server().connect();
        client.send([&v2(CLIENT), &b"\n30\n"[..]].concat());
        let lines: Vec<_> = (0..7).map(|_| client.line()).collect();
        let (answer, errors) = lines.split_last().unwrap();
        assert!(errors.iter().all(|it| it.starts_with("ERR parse ")), "{errors:?}");
        assert_eq!(answer, "832040");
        drop(client);
        // Nor does a header let in whom nothing else lets in.
        let mut stranger = subject.server().connect_from(Ipv4Addr::new(127, 0, 0, 2));
        stranger.send_in_vain(&v2(CLIENT));
        assert_eq!(stranger.rest_or_reset(), "");
    }
    assert_eq!(refused(&subject, "proxy-header"), 0);
    subject.finish();
}

/// `--max-per-address` is for the address that the header says: the proxy may have any number.
fn clients_of_a_proxy_have_a_place_each(way: Way) {
    if is_sequential(way) {
        return; // whoever is one too many waits for a turn
    }
    let subject = Subject::start(way, &[&FLAGS[..], &["--max-per-address", "3"]].concat());
    let connect = |host: u8| {
        let mut proxy = subject.server().connect_from(PROXY);
        let client = Ipv4Addr::new(192, 0, 2, host);
        proxy.send(if host.is_multiple_of(2) { v1(client) } else { v2(client) });
        proxy
    };
    let told = "ERR busy 3 clients of your address are connected; --max-per-address limits them\n";
    let hosts: Vec<u8> = (1..=u8::try_from(attempts(5, 250)).unwrap()).collect();
    let mut inside = Vec::new();
    for &host in &hosts {
        inside.push([(); 3].map(|()| connect(host)));
        inside.last_mut().unwrap().iter_mut().for_each(|it| assert_eq!(it.ask("30"), "832040"));
        assert_eq!(connect(host).rest(), told);
    }
    assert_eq!(refused(&subject, "address"), hosts.len());
    // A place that is given up can be had, by that client alone.
    let [mut stays, also_stays, leaves] = inside.remove(0);
    drop(leaves);
    subject.watched.wait_until_it_is("fib_connections_open", 3 * hosts.len() - 1);
    assert_eq!(connect(hosts[0]).ask("30"), "832040");
    assert_eq!(connect(hosts[1]).rest(), told);
    assert_eq!(stays.ask("30"), "832040");
    drop((stays, also_stays, inside));
    subject.finish();
}

/// Who computes makes no difference to that, so the strategies wait side by side.
#[test]
fn a_header_has_to_come_in_time() {
    thread::scope(|scope| {
        for strategy in all_strategies() {
            scope.spawn(move || await_headers(Way::new(strategy, "pool")));
        }
    });
}

fn await_headers(way: Way) {
    // No other limit holds meanwhile.
    let flags = [&FLAGS[..], &["--idle-timeout", "1s", "--line-timeout", "1s"]].concat();
    let subject = Subject::start(way, &flags);
    let began = Instant::now();
    let parts = [Vec::new(), v1(CLIENT)[..20].to_vec(), v2(CLIENT)[..16].to_vec()];
    let count = if is_sequential(way) { 1 } else { parts.len() };
    let mut proxies = Vec::new();
    for part in &parts[parts.len() - count..] {
        let mut proxy = subject.server().connect_from(PROXY);
        proxy.send(part);
        proxies.push(proxy);
    }
    if !is_sequential(way) {
        while began.elapsed() < Duration::from_millis(2_500) {
            assert_eq!(subject.server().connect().ask("30"), "832040");
            thread::sleep(Duration::from_millis(20));
        }
    }
    for proxy in &mut proxies {
        assert_eq!(proxy.rest(), "");
    }
    assert!(began.elapsed() >= Duration::from_secs(3));
    assert_eq!(refused(&subject, "proxy-header"), count);
    subject.finish();
}

#[test]
fn a_header_is_found_where_it_ends() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/proxy_header");
    let files = fs::read_dir(corpus).unwrap().map(|it| fs::read(it.unwrap().path()).unwrap());
    let checked = files.map(|bytes| check(&bytes)).count();
    assert!(checked > 0, "the corpus is committed");
}

#[test]
fn a_proxied_address_is_the_one_in_the_log() {
    let server = Server::start("tokio-tasks", &FLAGS);
    let mut proxy = server.connect_from(PROXY);
    proxy.send([&v2(CLIENT), &b"30"[..]].concat());
    // A line of the log that tells of this connection.
    server.wait_until_logged("--dialect classic");
    let peer = format!(r#""peer":"{CLIENT}:4660""#);
    assert!(server.times_logged(&peer) > 0, "{peer}");
    assert!(server.times_logged(r#""proxy":"127.0.0.9:"#) > 0);
}

/// IPv4 comes in IPv6's clothes there.
#[test]
fn a_socket_for_both_families_knows_its_clients() {
    for strategy in all_strategies() {
        let flags = ["--listen", "[::]:0", "--strategy", strategy, "--allow", "127.0.0.1"];
        let server = Server::run(&flags);
        let port = server.address().rsplit_once(':').unwrap().1.parse().unwrap();
        let connect = |from| Client::connect_from(from, (Ipv4Addr::LOCALHOST, port).into());
        assert_eq!(connect(Ipv4Addr::LOCALHOST).ask("30"), "832040");
        assert_eq!(connect(Ipv4Addr::new(127, 0, 0, 2)).rest(), "");
    }
}

/// Whether it is asked for or passed, no address can be reached from outside by accident.
#[test]
fn whom_it_listens_to_has_to_be_said() {
    let passed = TcpListener::bind("0.0.0.0:0").unwrap();
    let server = || Command::new(env!("CARGO_BIN_EXE_fib-server"));
    let mut commands = Vec::new();
    for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:25000", "[::ffff:192.0.2.1]:25000"] {
        let mut command = server();
        command.args(["--listen", "127.0.0.1:0", "--listen", address]);
        commands.push(command);
    }
    let mut command = Command::new("sh");
    let script = "exec 3<&0; export LISTEN_FDS=1 LISTEN_PID=$$; exec \"$0\"";
    command.args(["-c", script, env!("CARGO_BIN_EXE_fib-server")]);
    command.stdin(std::os::fd::OwnedFd::from(passed));
    commands.push(command);
    for mut command in commands {
        let output = command.output().unwrap();
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{told}");
        assert!(told.contains("as in --allow 10.0.0.0/8, or --allow any"), "{told}");
        assert!(output.stdout.is_empty(), "it does not say that it listens");
    }
    let server = Server::run(&["--listen", "0.0.0.0:0", "--allow", "any"]);
    let port = server.address().rsplit_once(':').unwrap().1.parse().unwrap();
    let address = (Ipv4Addr::LOCALHOST, port).into();
    assert_eq!(Client::connect_from(PROXY, address).ask("30"), "832040");
}

/// A path for a socket that no other test has.
fn socket_path(name: &str) -> PathBuf {
    let folder = Path::new("/tmp").join(format!("fib-access-{}-{name}", std::process::id()));
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir(&folder).unwrap();
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
    folder.join("fib.sock")
}

/// Not for a moment, whatever the umask.
#[test]
fn the_file_of_a_socket_has_its_mode_from_the_first_moment() {
    let path = socket_path("mode");
    let listen = format!("unix:{}", path.display());
    for (umask, flags, mode) in [
        ("000", &[][..], 0o600),
        ("077", &["--socket-mode", "0660"], 0o660),
        ("022", &["--socket-mode", "666"], 0o666),
    ] {
        let stop = AtomicBool::new(false);
        let seen = thread::scope(|scope| {
            let watch = scope.spawn(|| {
                let mut seen = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    seen.extend(fs::metadata(&path).map(|it| it.mode() & 0o777).ok());
                    seen.dedup();
                }
                seen
            });
            let script = format!("umask {umask}; exec \"$0\" \"$@\"");
            let flags = [&["--listen", &listen], flags].concat();
            let server = Server::run_by(&["sh", "-c", &script], &flags);
            wait_until("it is there", || path.exists());
            stop.store(true, Ordering::Relaxed);
            server.stop();
            watch.join().unwrap()
        });
        assert!(seen.iter().all(|it| *it == mode), "{mode:o}: {seen:?}");
    }
    fs::remove_dir_all(path.parent().unwrap()).unwrap();
}

/// Whoever may open the file is asked by the kernel who it is.
#[test]
fn only_these_users_are_heard() {
    if !geteuid().is_root() {
        return skip("only root can connect as somebody else");
    }
    for strategy in all_strategies().filter(|it| is_available(it)) {
        let path = socket_path(strategy);
        let listen = format!("unix:{}", path.display());
        let flags = ["--listen", &listen, "--socket-mode", "0666", "--strategy", strategy];
        let server = Server::run(&[&flags[..], &["--allow-user", "daemon,65533"]].concat());
        let ask_as = |user: &str| {
            let script = "import os, socket, sys; os.setuid(int(sys.argv[1]))
s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[2])
try: s.sendall(b'30\\n'); s.shutdown(1); print(s.recv(100).decode(), end='')
except (BrokenPipeError, ConnectionResetError): pass";
            let mut command = Command::new("python3");
            let output = command.args(["-c", script, user]).arg(&path).output().unwrap();
            assert!(output.status.success(), "{output:?}");
            String::from_utf8(output.stdout).unwrap()
        };
        for (user, answer) in [("0", "832040\n"), ("1", "832040\n"), ("65533", "832040\n")] {
            assert_eq!(ask_as(user), answer, "{strategy}, user {user}");
        }
        assert_eq!(ask_as("65534"), "", "{strategy}");
        let ended = server.stop();
        assert_eq!((ended.count("ok"), ended.count("accepted")), (3, 3));
        fs::remove_dir_all(path.parent().unwrap()).unwrap();
    }
}
