//! Asking and loading over TLS, and what people are told where that does not work.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::{Shutdown, TcpStream},
    sync::Arc,
};

use fib_client::load::Failure;
use fib_proto::Address;
use rustls::{
    RootCertStore, ServerConfig, ServerConnection, Stream,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::WebPkiClientVerifier,
};
use serde_json::Value;

use crate::{
    certificates::Certificates,
    cli::{command, run, text},
    support::{fib, honest, serve},
};

/// An honest server over TLS. It may serve those alone whom its authority has certified.
pub(crate) fn encrypted(certificates: &Certificates, knows_its_clients: bool) -> Address {
    let config = Arc::new(config(certificates, knows_its_clients));
    serve(move |mut socket| {
        let mut tls = ServerConnection::new(Arc::clone(&config)).unwrap();
        answer_on(&mut Stream::new(&mut tls, &mut socket));
        linger(&mut socket);
    })
}

fn config(certificates: &Certificates, knows_its_clients: bool) -> ServerConfig {
    let read = |name| CertificateDer::from_pem_file(certificates.path(name)).unwrap();
    let provider = Arc::new(ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider));
    let builder = builder.with_safe_default_protocol_versions().unwrap();
    let builder = if knows_its_clients {
        let mut roots = RootCertStore::empty();
        roots.add(read("ca.pem")).unwrap();
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
        builder.with_client_cert_verifier(verifier.build().unwrap())
    } else {
        builder.with_no_client_auth()
    };
    let key = PrivateKeyDer::from_pem_file(certificates.path("server.key")).unwrap();
    builder.with_single_cert(vec![read("server.pem")], key).unwrap()
}

fn answer_on(stream: &mut (impl Read + Write)) {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    while reader.read_line(&mut line).is_ok_and(|len| len > 0) {
        if reader.get_mut().write_all(fib(line.trim_end()).as_bytes()).is_err() {
            return;
        }
        line.clear();
    }
}

/// Lets the client read the alert before it learns that nobody reads it any more.
fn linger(socket: &mut TcpStream) {
    let _ = socket.shutdown(Shutdown::Write);
    let _ = io::copy(socket, &mut io::sink());
}

/// It fails, and says this.
fn fails(server: &Address, arguments: &[&str], told: &str) {
    let output = run(server, arguments);
    assert_eq!(output.status.code(), Some(1), "{arguments:?}");
    let stderr = text(&output.stderr);
    assert!(stderr.contains(told), "{arguments:?}: {told:?} is not in {stderr:?}");
}

#[test]
fn get_asks_over_tls() {
    let certificates = Certificates::new();
    let server = encrypted(&certificates, false);
    let ca = certificates.path("ca.pem");
    // The last answer is longer than a record of TLS.
    let output = run(&server, &["get", "--tls-ca", &ca, "30", "0", "100000"]);
    assert_eq!(text(&output.stderr), "");
    let expected = format!("832040\n0\n{}\n", fib_core::exact(100_000));
    assert_eq!(text(&output.stdout), expected);
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn whom_the_machine_trusts_is_trusted() {
    let certificates = Certificates::new();
    let server = encrypted(&certificates, false);
    let get = |trusted: &str| {
        let mut command = command(&server, &["get", "--tls", "10"]);
        command.env_remove("SSL_CERT_DIR").env("SSL_CERT_FILE", certificates.path(trusted));
        command.output().expect("it runs")
    };
    assert_eq!(text(&get("ca.pem").stdout), "55\n");
    let nobody = get("none.pem");
    assert_eq!(nobody.status.code(), Some(1));
    let told = text(&nobody.stderr);
    assert!(told.contains("--tls: whom to trust: this machine's certificates: "), "{told}");
}

#[test]
fn a_server_is_trusted_for_its_authority_and_its_name() {
    let (certificates, others) = (Certificates::new(), Certificates::new());
    let server = encrypted(&certificates, false);
    let (ca, other) = (certificates.path("ca.pem"), others.path("ca.pem"));
    fails(&server, &["get", "--tls-ca", &other, "1"], "UnknownIssuer; --tls-ca says whom to trust");
    fails(&server, &["perf", "--tls-ca", &other], "UnknownIssuer; --tls-ca says whom to trust");
    let elsewhere = ["get", "--tls-ca", &ca, "--tls-name", "fib.example", "1"];
    fails(&server, &elsewhere, "--tls-name says what the server is called");
    let here = run(&server, &["get", "--tls-ca", &ca, "--tls-name", "localhost", "10"]);
    assert_eq!(text(&here.stdout), "55\n");
}

#[test]
fn a_server_in_clear_text_is_told() {
    let certificates = Certificates::new();
    let ca = certificates.path("ca.pem");
    for reply in ["ERR parse not a number\n", ""] {
        let server = serve(move |mut socket| {
            let _ = socket.write_all(reply.as_bytes());
            linger(&mut socket);
        });
        for arguments in [&["get", "--tls-ca", &ca, "1"][..], &["perf", "--tls-ca", &ca]] {
            fails(&server, arguments, "leave out --tls if the server speaks none");
        }
    }
}

#[test]
fn a_client_has_a_certificate_where_it_needs_one() {
    let certificates = Certificates::new();
    certificates.certify("client");
    let server = encrypted(&certificates, true);
    let ca = certificates.path("ca.pem");
    fails(&server, &["get", "--tls-ca", &ca, "1"], "--tls-cert says who the client is");
    let load = ["perf", "--tls-ca", &ca, "-d", "300ms", "--warm-up", "0s", "--json", "-"];
    let perf = run(&server, &load);
    assert_eq!(perf.status.code(), Some(1), "{}", text(&perf.stderr));
    let report: Value = serde_json::from_slice(&perf.stdout).unwrap();
    assert_eq!(report["failures"][0]["kind"], Failure::Tls.name(), "{}", report["failures"]);
    let evidence = report["failures"][0].to_string();
    assert!(evidence.contains("--tls-cert says who the client is"), "{evidence}");
    let [cert, key] = ["client.pem", "client.key"].map(|name| certificates.path(name));
    let identity = ["--tls-ca", &ca, "--tls-cert", &cert, "--tls-key", &key];
    let output = run(&server, &[&["get"][..], &identity, &["10"]].concat());
    assert_eq!(text(&output.stdout), "55\n", "{}", text(&output.stderr));
}

#[test]
fn files_that_are_none_are_told_with_their_flag() {
    let certificates = Certificates::new();
    let [ca, key, none] = ["ca.pem", "server.key", "none.pem"].map(|name| certificates.path(name));
    fails(&honest(), &["get", "--tls-ca", &none, "1"], "--tls-ca: ");
    fails(&honest(), &["get", "--tls-ca", &key, "1"], "--tls-ca: ");
    let no_certificate = ["get", "--tls-ca", &ca, "--tls-cert", &none, "--tls-key", &key, "1"];
    fails(&honest(), &no_certificate, "--tls-cert: ");
    let no_key = ["get", "--tls-ca", &ca, "--tls-cert", &ca, "--tls-key", &none, "1"];
    fails(&honest(), &no_key, "--tls-key: ");
    fails(&honest(), &["get", "--tls-ca", &ca, "--tls-name", "no name", "1"], "--tls-name: ");
}

#[test]
fn perf_checks_what_it_is_told_over_tls() {
    let certificates = Certificates::new();
    let server = encrypted(&certificates, false);
    let ca = certificates.path("ca.pem");
    let load = ["-c", "3", "--depth", "4", "--mix", "1=9,5000=1", "--requests", "2000"];
    for churn in [&[][..], &["--reconnect", "every=50"]] {
        let arguments = [&["perf", "--tls-ca", &ca, "--json", "-"], &load[..], churn].concat();
        let output = run(&server, &arguments);
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(report["setup"]["tls"], true);
        assert_eq!((&report["replies"], &report["wrong_answers"]), (&2000.into(), &0.into()));
    }
}
