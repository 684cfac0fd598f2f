//! What only a server over TLS has to promise: whom it lets in, what it says to others, and that
//! those who never finish their handshake are no trouble. Whatever else is promised is asked for
//! over TLS, too, by the tests of that.

use std::{
    error::Error as _,
    io::{self, Read, Write},
    net::{Shutdown, TcpStream},
    num::NonZero,
    path::PathBuf,
    process::{Command, Output, Stdio},
    thread,
};

use fib_client::{
    Connection, Options, Tls, TlsOptions,
    load::{self, Plan, Progress, Reconnect, Until},
    report::Report,
};
use fib_proto::Address;
use rustix::process::Signal;
use rustls::{AlertDescription, ClientConnection, Error};

use super::{Subject, attempts, choices};
use crate::{
    certificates::Certificates,
    support::{Client, Server, Way, for_each_way, skip, wait_until},
    wire::Wire,
};

/// How a record begins that is an alert.
const ALERT: u8 = 21;

/// How a record begins that is a part of a handshake.
pub(super) const HANDSHAKE: u8 = 22;

/// A fatal alert without encryption: the server is not to blame, and cannot say more.
const INTERNAL_ERROR: [u8; 7] = [ALERT, 3, 3, 0, 2, 2, 80];

for_each_way! { over_tls_alone {
    an_end_of_tcp_alone_is_a_half_close,
    a_cut_request_is_none,
    what_was_received_is_answered_in_a_drain,
    bytes_that_are_no_tls_are_told_nothing_in_clear_text,
    one_client_too_many_is_told_so_in_tls,
}}

fn handshakes(subject: &Subject, outcome: &str) -> u64 {
    subject.watched.metrics().count(&format!(r#"fib_tls_handshakes_total{{outcome="{outcome}"}}"#))
}

/// Everything until the end, however it ends.
pub(super) fn rest_of(mut socket: &TcpStream) -> Vec<u8> {
    let mut rest = Vec::new();
    match socket.read_to_end(&mut rest) {
        Err(error) if error.kind() != io::ErrorKind::ConnectionReset => panic!("{error}"),
        _ => rest,
    }
}

/// Its first bytes, as a client sends them.
pub(super) fn client_hello(certificates: &Certificates) -> Vec<u8> {
    let mut hello = Vec::new();
    certificates.client(None).write_tls(&mut hello).unwrap();
    hello
}

/// Many clients close their socket's one direction, and nothing else.
fn an_end_of_tcp_alone_is_a_half_close(way: Way) {
    let subject = Subject::start(way, &["--algorithm", "recursive"]);
    let mut client = subject.server().connect();
    client.send("30\n31\n");
    client.end_tcp();
    assert_eq!(client.rest(), "832040\n1346269\n", "and TLS is told of the end");
    drop(client);
    subject.finish();
}

/// Whoever cuts a connection off cannot make F(3) of F(30).
fn a_cut_request_is_none(way: Way) {
    let subject = Subject::start(way, &[]);
    let mut client = subject.server().connect();
    client.send("5\n3");
    client.end_tcp();
    assert_eq!(client.rest(), "5\nERR parse the input ended before a newline, after \"3\"\n");
    drop(client);
    subject.finish();
}

fn what_was_received_is_answered_in_a_drain(way: Way) {
    // Of one record, which is decrypted as a whole, a conversation takes a part at a time.
    const MORE: usize = 4_000;
    let server = Server::start(way, &["--algorithm", "recursive"]);
    let mut client = server.connect();
    client.send(format!("10\n33\n34\n{}", "1\n".repeat(MORE)));
    assert_eq!(client.line(), "55", "all of it has arrived");
    let ending = thread::spawn(move || server.stop());
    let rest = client.rest();
    assert!(rest == format!("3524578\n5702887\n{}", "1\n".repeat(MORE)), "{} bytes", rest.len());
    let ended = ending.join().unwrap();
    let counts = ["accepted", "closed", "ok"].map(|name| ended.count(name));
    assert_eq!(counts, [1, 1, 3 + MORE as u64]);
}

/// Clear text, noise, and handshakes with an error in them.
fn bytes_that_are_no_tls_are_told_nothing_in_clear_text(way: Way) {
    let mut choices = choices();
    let subject = Subject::start(way, &[]);
    let mut canary = subject.server().connect();
    let right = client_hello(subject.server().certificates());
    let before = handshakes(&subject, "failed");
    let count = attempts(30, 10_000);
    for attempt in 0..count {
        let bytes = match attempt % 3 {
            0 => b"30\nGET / HTTP/1.1\r\n\r\n".to_vec(),
            1 => (0..choices.usize(1..2_000)).map(|_| choices.u8(..)).collect(),
            _ => {
                let mut wrong = right.clone();
                wrong.truncate(choices.usize(1..=right.len()));
                let at = choices.usize(..wrong.len());
                wrong[at] ^= 1 << choices.u8(..8);
                wrong
            }
        };
        let mut socket = subject.server().connect_socket();
        let _ = socket.write_all(&bytes);
        let _ = socket.shutdown(Shutdown::Write);
        let told = rest_of(&socket);
        // What is no error, such as a flaw in a random number, is answered as a handshake.
        let is_tls = told.first().is_none_or(|&it| it == ALERT || it == HANDSHAKE);
        assert!(is_tls, "{told:?} to {bytes:?}");
        assert_eq!(canary.ask("30"), "832040");
    }
    drop(canary);
    subject.watched.wait_until_it_is("fib_connections_open", 0);
    assert_eq!(handshakes(&subject, "failed") - before, count as u64);
    subject.finish();
}

fn one_client_too_many_is_told_so_in_tls(way: Way) {
    let server = Server::start(way, &["--max-connections", "1"]);
    let mut first = server.connect();
    assert_eq!(first.ask("30"), "832040");
    assert_eq!(rest_of(&server.connect_socket()), INTERNAL_ERROR);
    let refused = shake_hands(&server, server.certificates().client(None)).err().unwrap();
    assert_eq!(alert_in(&refused), Some(AlertDescription::InternalError), "{refused}");
    assert_eq!(first.ask("7"), "13", "who is there does not notice");
}

/// Half of them send nothing, the others a part of what they should. It takes 5 seconds, so it is
/// no test for each way to compute.
fn stalled_handshakes_disturb_nobody(strategy: &'static str) {
    let subject = Subject::start(Way { over_tls: true, ..strategy.into() }, &[]);
    let mut canary = subject.server().connect();
    let hello = client_hello(subject.server().certificates());
    let count = attempts(100, 1_000);
    let stalled = (0..count).map(|at| {
        let mut socket = subject.server().connect_socket();
        socket.write_all(&hello[..(at % 2) * hello.len() / 2]).unwrap();
        socket
    });
    let stalled: Vec<_> = stalled.collect();
    wait_until("they are dropped", || {
        assert_eq!(canary.ask("30"), "832040");
        handshakes(&subject, "timeout") == count as u64
    });
    for socket in &stalled {
        assert_eq!(rest_of(socket), b"");
    }
    drop((canary, stalled));
    subject.finish();
}

#[test]
fn stalled_handshakes_disturb_nobody_of_tokio_tasks() {
    stalled_handshakes_disturb_nobody("tokio-tasks");
}

#[test]
fn stalled_handshakes_disturb_nobody_of_thread_per_core() {
    stalled_handshakes_disturb_nobody("thread-per-core");
}

fn shake_hands(server: &Server, client: ClientConnection) -> io::Result<Client> {
    Wire::encrypted(server.connect_socket(), client).map(Client::new)
}

/// The alert that an error is about.
fn alert_in(error: &io::Error) -> Option<AlertDescription> {
    match error.get_ref()?.downcast_ref()? {
        Error::AlertReceived(alert) => Some(*alert),
        _ => None,
    }
}

/// A server that wants to see certificates, from the authority of its own.
fn mutual(certificates: &Certificates) -> Server {
    let ca = certificates.path("ca.pem");
    let own = certificates.flags_of("server");
    let mut flags = vec!["--listen", "127.0.0.1:0", "--tls-client-ca", &ca];
    flags.extend(own.iter().map(String::as_str));
    Server::run(&flags)
}

/// To a client its handshake is over before the server has looked at its certificate, so that it
/// learns of the refusal with its first answer.
#[test]
fn clients_need_a_certificate_of_the_right_authority() {
    let (ours, others) = (Certificates::new(), Certificates::new());
    ours.certify("client");
    ours.certify_expired("expired");
    others.certify("stranger");
    ours.take_over("stranger", &others);
    let server = mutual(&ours);
    let answer = |name: Option<&str>| {
        let mut wire = Wire::encrypted(server.connect_socket(), ours.client(name))?;
        wire.write_all(b"30\n")?;
        let mut answer = [0; 7];
        wire.read_exact(&mut answer)?;
        assert_eq!(&answer, b"832040\n");
        io::Result::Ok(())
    };
    answer(Some("client")).unwrap();
    for (name, alert) in [
        (None, AlertDescription::CertificateRequired),
        (Some("stranger"), AlertDescription::UnknownCA),
        (Some("expired"), AlertDescription::CertificateExpired),
    ] {
        let error = answer(name).unwrap_err();
        assert_eq!(alert_in(&error), Some(alert), "{name:?}: {error}");
    }
    answer(Some("client")).unwrap();
    assert_eq!(server.stop().count("ok"), 2);
}

/// The client that belongs to the server, as a program uses it: one question, and a load.
#[test]
fn our_own_client_is_served() {
    let certificates = Certificates::new();
    certificates.certify("client");
    let server = mutual(&certificates);
    let address: Address = server.address().parse().unwrap();
    let file = |name| PathBuf::from(certificates.path(name));
    let anonymous = TlsOptions { ca: Some(file("ca.pem")), ..TlsOptions::default() };
    let identity = Some((file("client.pem"), file("client.key")));
    let known = TlsOptions { identity, ..anonymous.clone() };
    let connect = |tls: &TlsOptions| {
        let tls = Some(Tls::new(tls).unwrap());
        Connection::open(&address, Options { tls, ..Options::default() }).unwrap()
    };
    let refusal = connect(&anonymous).ask(30).unwrap_err();
    let told = refusal.source().map(ToString::to_string).unwrap_or_default();
    assert!(told.contains("--tls-cert says who the client is"), "{refusal:?}");
    assert_eq!(connect(&known).ask(30).unwrap(), "832040");
    let plan = Plan {
        connections: NonZero::new(4).unwrap(),
        mix: "1=9,20000=1".parse().unwrap(),
        reconnect: Reconnect::Every(NonZero::new(100).unwrap()),
        until: Until::Requests(2_000),
        tls: Some(Tls::new(&known).unwrap()),
        ..Plan::new(address)
    };
    let outcome = load::run(&plan, &Progress::new(&plan), None).unwrap();
    let report = Report::new(&plan, &outcome);
    assert_eq!((report.replies, report.wrong_answers), (2_000, 0));
    assert!(report.failures.is_empty(), "{:?}", report.failures);
}

/// New ones for whoever comes, and nobody who is there notices. What is wrong is refused whole.
#[test]
fn certificates_are_replaced_by_a_reload() {
    let (ours, others) = (Certificates::new(), Certificates::new());
    let flags = ours.flags_of("server");
    let arguments = ["--listen", "127.0.0.1:0"].into_iter().chain(flags.iter().map(String::as_str));
    let server = Server::run(&arguments.collect::<Vec<_>>());
    let mut before = shake_hands(&server, ours.client(None)).unwrap();
    assert_eq!(before.ask("30"), "832040");
    let key = std::fs::read(ours.path("server.key")).unwrap();
    ours.take_over("server", &others);
    std::fs::write(ours.path("server.key"), key).unwrap();
    server.signal(Signal::HUP);
    server.wait_until_logged("the configuration stays as it was");
    assert!(shake_hands(&server, ours.client(None)).is_ok(), "the old one is in force");
    ours.take_over("server", &others);
    server.signal(Signal::HUP);
    server.wait_until_logged("the configuration is reloaded");
    assert!(shake_hands(&server, ours.client(None)).is_err());
    let mut after = shake_hands(&server, others.client(None)).unwrap();
    assert_eq!((before.ask("7"), after.ask("8")), ("13".to_owned(), "21".to_owned()));
    drop((before, after));
    server.stop();
}

fn told_by_a_start_with(flags: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fib-server"));
    let Output { status, stderr, .. } =
        command.args(["--listen", "127.0.0.1:0"]).args(flags).output().unwrap();
    (status.code(), String::from_utf8(stderr).unwrap())
}

#[test]
fn wrong_files_are_told_by_flag_and_name() {
    let certificates = Certificates::new();
    certificates.certify("another");
    let [_, certificate, _, key] = certificates.flags_of("server");
    let [_, _, _, another_key] = certificates.flags_of("another");
    let missing = certificates.path("missing.pem");
    for (certificate, key, ca, words) in [
        (&certificate, &another_key, None, ["--tls-key", &another_key, "KeyMismatch"]),
        (&missing, &key, None, ["--tls-cert", &missing, "No such file"]),
        (&certificate, &missing, None, ["--tls-key", &missing, "No such file"]),
        (&key, &key, None, ["--tls-cert", &key, "no certificate in it"]),
        (&certificate, &certificate, None, ["--tls-key", &certificate, "no private key in it"]),
        (&certificate, &key, Some(&missing), ["--tls-client-ca", &missing, "No such file"]),
    ] {
        let mut flags = vec!["--tls-cert", certificate, "--tls-key", key];
        flags.extend(ca.iter().flat_map(|ca| ["--tls-client-ca", ca]));
        let (code, told) = told_by_a_start_with(&flags);
        assert_eq!(code, Some(2), "{told}");
        assert!(words.iter().all(|word| told.contains(word)), "{words:?} in {told}");
    }
}

#[test]
fn flags_that_contradict_tls_are_usage_errors() {
    let tls = ["--tls-cert", "a.pem", "--tls-key", "a.key"];
    let certificates = Certificates::new();
    let right = certificates.flags_of("server");
    let right: Vec<_> = right.iter().map(String::as_str).collect();
    for strategy in ["sequential", "thread-per-connection", "coroutines", "prefork"] {
        let (code, told) = told_by_a_start_with(&[&right[..], &["--strategy", strategy]].concat());
        assert_eq!(code, Some(2), "{told}");
        assert!(told.contains(&format!("{strategy} speaks clear text alone")), "{told}");
    }
    for flags in [&tls[..2], &tls[2..], &["--tls-client-ca", "a.pem"]] {
        assert_eq!(told_by_a_start_with(flags).0, Some(2), "{flags:?}");
    }
    let (code, told) = told_by_a_start_with(&[&right[..], &["--busy-poll", "1ms"]].concat());
    assert_eq!(code, Some(2), "{told}");
    assert!(told.contains("--busy-poll has no meaning with --tls-cert"), "{told}");
}

#[test]
fn a_key_that_all_can_read_and_a_certificate_out_of_time_are_warned_of() {
    let certificates = Certificates::new();
    certificates.certify_expired("server");
    let flags = certificates.flags_of("server");
    let [_, certificate, _, key] = &flags;
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    std::fs::set_permissions(key, mode).unwrap();
    let mut arguments = vec!["--listen", "127.0.0.1:0"];
    arguments.extend(flags.iter().map(String::as_str));
    let log = Server::run(&arguments).stop().log;
    assert!(log.contains(&format!("chmod o= {key}")), "{log}");
    assert!(log.contains(&format!("will not accept --tls-cert {certificate}")), "{log}");
}

/// The answer of a program that is given a request on its stdin. Where it is missing, the test is
/// skipped.
fn answer_to(program: &str, arguments: &[&str], request: &str) -> Option<String> {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let Ok(mut child) = command.spawn() else {
        skip(&format!("{program} is missing: apt-get install {program}"));
        return None;
    };
    // Its end of input would be the end of the program, and it not wait for the answer.
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    let mut stdout = child.stdout.take().unwrap();
    stdout.read_to_string(&mut answer).unwrap();
    drop(stdin);
    let told = child.wait_with_output().unwrap();
    assert!(told.status.success(), "{answer}{}", String::from_utf8_lossy(&told.stderr));
    Some(answer)
}

/// OpenSSL checks the certificate, speaks both versions of TLS, and is told of the end.
#[test]
fn openssl_is_answered() {
    for strategy in ["tokio-tasks", "thread-per-core"] {
        let server = Server::start(Way { over_tls: true, ..strategy.into() }, &[]);
        let ca = server.certificates().path("ca.pem");
        for version in ["-tls1_2", "-tls1_3"] {
            let connect = ["s_client", "-connect", server.address(), "-CAfile", &ca, version];
            let check = ["-quiet", "-verify_return_error", "-verify_hostname", "localhost"];
            // A line that is too long is the last one that the server reads.
            let request = format!("30\n{}\n", "9".repeat(65));
            let arguments = [&connect[..], &check].concat();
            let Some(answer) = answer_to("openssl", &arguments, &request) else { return };
            assert!(answer.starts_with("832040\nERR too-long "), "{answer}");
        }
    }
}

/// Python's own client, which half-closes in TLS's way and waits for the server's.
#[test]
fn python_is_answered() {
    const SCRIPT: &str = "
import socket, ssl, sys
address, ca = sys.argv[1:]
host, port = address.split(':')
context = ssl.create_default_context(cafile=ca)
with socket.create_connection((host, int(port))) as tcp:
    with context.wrap_socket(tcp, server_hostname='localhost') as tls:
        tls.sendall(b'30\\n1000000\\n')
        answer = b''
        while answer.count(b'\\n') < 2:
            answer += tls.recv(65536)
        tls.unwrap()
print(answer[:6].decode(), len(answer))
";
    for strategy in ["tokio-tasks", "thread-per-core"] {
        let server = Server::start(Way { over_tls: true, ..strategy.into() }, &[]);
        let ca = server.certificates().path("ca.pem");
        let arguments = ["-c", SCRIPT, server.address(), &ca];
        let Some(answer) = answer_to("python3", &arguments, "") else { return };
        assert_eq!(answer, "832040 208996\n");
    }
}

/// One that trusts another authority does not ask.
#[test]
fn a_client_takes_no_other_server() {
    let server = Server::start(Way { over_tls: true, ..Way::from("tokio-tasks") }, &[]);
    let others = Certificates::new();
    let refused = shake_hands(&server, others.client(None)).err().unwrap();
    let cause = refused.get_ref().and_then(|it| it.downcast_ref());
    assert!(matches!(cause, Some(Error::InvalidCertificate(_))), "{refused}");
}
