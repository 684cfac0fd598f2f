//! Clients that load a server together, and runs that are compared.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
    thread,
    time::{Duration, SystemTime},
};

use fib_client::{
    load::Latencies,
    report::{Report, merge},
};

use crate::support::{honest, honest_everywhere};

const CLIENTS: usize = 3;

fn client(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_fib-client")).args(arguments).output().expect("it runs")
}

fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}

fn read(file: &Path) -> Report {
    serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap()
}

/// A network of its own for each client, with a cable to ours. Dropping it takes it away.
struct Networks(Vec<String>);

impl Networks {
    /// `None` where that is not allowed.
    #[expect(clippy::print_stderr, reason = "whoever runs the tests shall know")]
    fn new() -> Option<Self> {
        let mut networks = Self(Vec::new());
        for at in 0..CLIENTS {
            let name = format!("fib-{}-{at}", std::process::id());
            let (ours, theirs) = (
                format!("fa{}-{at}", std::process::id()),
                format!("fb{}-{at}", std::process::id()),
            );
            let script = format!(
                "ip netns add {name} && ip link add {ours} type veth peer name {theirs} && \
                 ip link set {theirs} netns {name} && ip addr add 10.213.{at}.1/30 dev {ours} && \
                 ip link set {ours} up && ip -n {name} addr add 10.213.{at}.2/30 dev {theirs} && \
                 ip -n {name} link set {theirs} up"
            );
            let made = Command::new("sh")
                .args(["-c", &script])
                .output()
                .is_ok_and(|it| it.status.success());
            networks.0.push(name);
            if !made {
                eprintln!("network namespaces are not allowed here: the clients share one");
                return None;
            }
        }
        Some(networks)
    }

    /// The beginning of a command in one of them.
    fn inside(&self, at: usize) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.0[at], env!("CARGO_BIN_EXE_fib-client")]);
        command
    }
}

impl Drop for Networks {
    fn drop(&mut self) {
        for name in &self.0 {
            let _ = Command::new("ip").args(["netns", "delete", name]).output();
        }
    }
}

#[test]
fn three_clients_find_the_union() {
    let folder = folder("together");
    let port = honest_everywhere();
    let networks = Networks::new();
    let start = SystemTime::now() + Duration::from_secs(1);
    let start_at = start.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs_f64().to_string();
    let files: Vec<_> = (0..CLIENTS).map(|at| folder.join(format!("{at}.json"))).collect();
    thread::scope(|scope| {
        for (at, file) in files.iter().enumerate() {
            let (mut command, host) = match &networks {
                Some(networks) => (networks.inside(at), format!("10.213.{at}.1")),
                None => (Command::new(env!("CARGO_BIN_EXE_fib-client")), "127.0.0.1".to_owned()),
            };
            command.args(["perf", "--server", &format!("{host}:{port}"), "--mix", "1=9,30=1"]);
            command.args(["--rate", "500", "-c", "4", "-d", "1500ms", "--warm-up", "100ms"]);
            command.args(["--start-at", &start_at, "--seed", &at.to_string(), "--json"]).arg(file);
            scope.spawn(move || assert!(command.output().unwrap().status.success()));
        }
    });
    let merged_file = folder.join("merged.json");
    let mut arguments =
        vec!["merge".to_owned(), "--json".to_owned(), merged_file.display().to_string()];
    arguments.extend(files.iter().map(|file| file.display().to_string()));
    let output = client(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let (reports, merged) =
        (files.iter().map(|it| read(it)).collect::<Vec<_>>(), read(&merged_file));
    assert_is_union(&reports, &merged);
    assert_eq!((merged.clients, merged.connections.open), (3, 12));
    assert!((merged.offered_per_s.unwrap() - 1_500.0).abs() < 2.0, "{merged}");
    // They began together.
    assert!(merged.elapsed_s < 1.7, "{merged}");
}

fn assert_is_union(parts: &[Report], merged: &Report) {
    assert_eq!(parts.iter().map(|it| it.replies).sum::<u64>(), merged.replies);
    assert_eq!(parts.iter().map(|it| it.sent).sum::<u64>(), merged.sent);
    for (at, class) in merged.classes.iter().enumerate() {
        let mut union = Latencies::new();
        for part in parts {
            let samples = part.classes[at].histograms.as_ref().unwrap().decode().unwrap();
            union.response.add(&samples.response).unwrap();
            union.service.add(&samples.service).unwrap();
            union.lag.add(&samples.lag).unwrap();
        }
        let found = class.histograms.as_ref().unwrap().decode().unwrap();
        assert_eq!(found.response, union.response);
        assert_eq!(found.service, union.service);
        assert_eq!(found.lag, union.lag);
    }
    let in_windows =
        |report: &Report| report.timeline.windows.iter().map(|it| it.replies).sum::<u64>();
    assert_eq!(parts.iter().map(in_windows).sum::<u64>(), in_windows(merged));
}

/// A report of samples that are known.
fn report_of(values: impl Iterator<Item = u64> + Clone) -> Report {
    use fib_client::report::{ClassReport, Histograms, Rows, SCHEMA_VERSION};
    let mut latencies = Latencies::new();
    for value in values {
        latencies.response.record(value).unwrap();
        latencies.service.record(value / 2 + 1).unwrap();
        latencies.lag.record(value / 3 + 1).unwrap();
    }
    let class = ClassReport {
        n: 1,
        replies: latencies.response.len(),
        latency: Rows::of(&latencies),
        local_ns: None,
        histograms: Some(Histograms::of(&latencies)),
    };
    Report {
        schema_version: SCHEMA_VERSION,
        began: "2026-01-01T00:00:00Z".to_owned(),
        elapsed_s: 10.0,
        replies: class.replies,
        latency: class.latency,
        timeline: fib_client::report::TimelineReport { window_s: 0.1, windows: Vec::new() },
        classes: vec![class],
        ..Report::default()
    }
}

/// Merging finds what one client would have found that had made all requests.
#[test]
fn merging_is_the_union() {
    let values = |at: u64| (at..300_000).step_by(3).map(|it| it * it % 1_000_003 + 1);
    let parts: Vec<_> = (0..3).map(|at| report_of(values(at))).collect();
    let union = report_of((0..300_000).map(|it| it * it % 1_000_003 + 1));
    let merged = merge(&parts).unwrap();
    assert_eq!(merged.classes[0].histograms, union.classes[0].histograms);
    assert_eq!((merged.latency, merged.replies), (union.latency, union.replies));
    let backwards: Vec<_> = parts.iter().rev().cloned().collect();
    assert_eq!(merge(&backwards).unwrap().classes, merged.classes);
}

#[test]
fn what_does_not_belong_together_is_refused() {
    let base = report_of(1..1_000);
    let refused = |change: &dyn Fn(&mut Report)| {
        let mut other = base.clone();
        change(&mut other);
        merge(&[base.clone(), other]).unwrap_err().to_string()
    };
    assert!(refused(&|it| it.setup.depth = 9).contains("depth"));
    assert!(refused(&|it| it.schema_version = 1).contains("format 1"));
    assert!(refused(&|it| it.began = "2026-01-01T00:00:09Z".to_owned()).contains("another time"));
    assert!(refused(&|it| it.classes[0].histograms = None).contains("no histograms"));
    assert!(merge(&[]).is_err());
}

#[test]
fn runs_are_compared_from_the_command_line() {
    let folder = folder("compare");
    let server = honest().to_string();
    for side in ["a", "b"] {
        fs::create_dir(folder.join(side)).unwrap();
        for run in 0..5 {
            let file = folder.join(side).join(format!("{run}.json")).display().to_string();
            let depth = if side == "a" { "1" } else { "16" };
            let arguments = ["perf", "--server", &server, "--requests", "2000", "--depth", depth];
            assert!(
                client(&[&arguments[..], &["--quiet", "--json", &file]].concat()).status.success()
            );
        }
    }
    let [a, b] = ["a", "b"].map(|side| folder.join(side).display().to_string());
    let refused = client(&["compare", &a, &b]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("depth; --force"));
    let html = folder.join("c.html").display().to_string();
    let compared = client(&["compare", &a, &b, "--force", "--html", &html, "--fail-on", "worse"]);
    let told = String::from_utf8_lossy(&compared.stdout);
    assert!(told.contains("verdict") && told.contains("reqs/s"), "{told}");
    assert!(fs::read_to_string(html).unwrap().contains("Comparison with"));
    let itself = client(&["compare", &a, &a, "--fail-on", "worse", "--markdown", "-"]);
    assert_eq!(itself.status.code(), Some(0));
    assert!(String::from_utf8_lossy(&itself.stdout).starts_with("| side | metric |"));
}
