//! A server under test, as those see it who watch it, and the real ones who do.

use std::{
    collections::BTreeMap,
    fs,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{self, Command, Stdio},
};

use serde_json::Value;

use crate::support::{PATIENCE, Server, Way, skip, wait_until};

/// A server, and where it is watched.
pub(crate) struct Watched {
    pub(crate) server: Server,
    pub(crate) admin: String,
}

impl Watched {
    pub(crate) fn start(way: impl Into<Way>, flags: &[&str]) -> Self {
        Self::of(|admin| Server::start(way, &[flags, admin].concat()))
    }

    /// One that is started with these further flags.
    pub(crate) fn of(start: impl FnOnce(&[&str]) -> Server) -> Self {
        let mut server = start(&["--admin", "127.0.0.1:0"]);
        let admin = server.next_line("admin on ");
        Self { server, admin }
    }

    pub(crate) fn connect(&self) -> TcpStream {
        let socket = TcpStream::connect(&self.admin).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket
    }

    /// The whole response to these bytes.
    pub(crate) fn response(&self, request: impl AsRef<[u8]>) -> String {
        let mut socket = self.connect();
        socket.write_all(request.as_ref()).unwrap();
        let mut response = String::new();
        socket.read_to_string(&mut response).unwrap();
        response
    }

    /// The status and the body.
    pub(crate) fn get(&self, path: &str) -> (String, String) {
        let response = get(self.connect(), path);
        let (head, body) = response.split_once("\r\n\r\n").unwrap();
        assert!(head.contains("\r\nConnection: close"), "{head}");
        assert!(head.contains(&format!("\r\nContent-Length: {}\r\n", body.len())), "{head}");
        (status(&response).to_owned(), body.to_owned())
    }

    pub(crate) fn metrics(&self) -> Metrics {
        Metrics::parse(&self.get("/metrics").1)
    }

    /// Waits until some metric has this value.
    pub(crate) fn wait_until_it_is(&self, name: &str, value: usize) {
        wait_until(name, || self.metrics().count(name) == value as u64);
    }
}

/// The whole response to a request over this connection.
pub(crate) fn get(mut socket: impl Read + Write, path: &str) -> String {
    socket.write_all(format!("GET {path} HTTP/1.1\r\nHost: fib\r\n\r\n").as_bytes()).unwrap();
    let mut response = String::new();
    socket.read_to_string(&mut response).unwrap();
    response
}

pub(crate) fn status(response: &str) -> &str {
    response.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)).expect("a status line")
}

/// The numbers of one scrape, by their names and labels.
pub(crate) struct Metrics(BTreeMap<String, String>);

impl Metrics {
    pub(crate) fn parse(page: &str) -> Self {
        let lines = page.lines().filter(|line| !line.starts_with('#'));
        let series = lines.map(|line| {
            let (name, value) = line.rsplit_once(' ').unwrap();
            (name.to_owned(), value.to_owned())
        });
        Self(series.collect())
    }

    /// How many series there are.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn number(&self, name: &str) -> f64 {
        self.text(name).parse().unwrap()
    }

    pub(crate) fn count(&self, name: &str) -> u64 {
        self.text(name).parse().unwrap()
    }

    /// The sum over all labels.
    pub(crate) fn sum(&self, name: &str) -> u64 {
        let of_name = self.0.keys().filter(|it| it.starts_with(&format!("{name}{{")));
        of_name.map(|name| self.count(name)).sum()
    }

    fn text(&self, name: &str) -> &str {
        self.0.get(name).unwrap_or_else(|| panic!("there is no {name}"))
    }
}

/// Has Prometheus's own tool read the page.
pub(crate) fn check_metrics(page: &str) {
    let mut command = Command::new("promtool");
    let command = command.args(["check", "metrics"]).stdin(Stdio::piped()).stderr(Stdio::piped());
    let Ok(mut promtool) = command.stdout(Stdio::piped()).spawn() else {
        return skip("promtool is missing: apt-get install prometheus");
    };
    promtool.stdin.take().unwrap().write_all(page.as_bytes()).unwrap();
    let output = promtool.wait_with_output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && told.is_empty(), "{told}");
}

/// A running Prometheus, killed and forgotten when dropped.
pub(crate) struct Prometheus {
    process: process::Child,
    address: String,
    folder: PathBuf,
}

impl Prometheus {
    /// One that scrapes that target. `None` where there is no such program.
    pub(crate) fn watching(target: &str) -> Option<Self> {
        let text = format!(
            "global: {{scrape_interval: 200ms, scrape_timeout: 200ms}}\n\
             scrape_configs: [{{job_name: fib, static_configs: [{{targets: ['{target}']}}]}}]\n"
        );
        Self::start(&[("prometheus.yml", &text)])
    }

    /// One with these files, `prometheus.yml` among them. `None` where there is no such program.
    pub(crate) fn start(files: &[(&str, &str)]) -> Option<Self> {
        let address = free_address();
        let name = format!("prometheus-{}", address.replace(':', "-"));
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir_all(&folder).unwrap();
        for (name, text) in files {
            fs::write(folder.join(name), text).unwrap();
        }
        let mut command = Command::new("prometheus");
        command.arg(format!("--config.file={}", folder.join("prometheus.yml").display()));
        command.arg(format!("--storage.tsdb.path={}", folder.join("data").display()));
        command.arg(format!("--web.listen-address={address}"));
        let Ok(process) = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn() else {
            fs::remove_dir_all(folder).unwrap();
            skip("prometheus is missing: apt-get install prometheus");
            return None;
        };
        Some(Self { process, address, folder })
    }

    /// What its API says; `None` while it does not answer.
    pub(crate) fn ask(&self, path: &str) -> Option<Value> {
        let mut socket = TcpStream::connect(&self.address).ok()?;
        socket.set_read_timeout(Some(PATIENCE)).ok()?;
        socket.write_all(format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes()).ok()?;
        let mut response = String::new();
        socket.read_to_string(&mut response).ok()?;
        serde_json::from_str(response.split_once("\r\n\r\n")?.1).ok()
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Where nobody listens now.
pub(crate) fn free_address() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}
