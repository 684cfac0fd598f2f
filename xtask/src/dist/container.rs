//! A container without an engine: the namespaces and the empty root that one would give it.

use std::{
    fs::{self, File},
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    os::fd::AsFd,
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use rustix::{
    process::{Pid, Signal, geteuid, kill_process},
    thread::{LinkNameSpaceType, move_into_link_name_space},
};

use super::image::Image;
use crate::tools::{Tool, skip};

const UNSHARE: Tool = Tool { program: "unshare", install: "apt-get install util-linux" };
const NSENTER: Tool = Tool { program: "nsenter", install: "apt-get install util-linux" };
const CHROOT: Tool = Tool { program: "chroot", install: "apt-get install coreutils" };
const IP: Tool = Tool { program: "ip", install: "apt-get install iproute2" };

/// How long it may take to end, and how often it is looked whether it has.
const PATIENCE: Duration = Duration::from_secs(10);
const GLANCE: Duration = Duration::from_millis(5);

/// What an engine gives a process, besides a root: a network that is up, `/proc` and `/dev/null`.
/// Then this process is it.
const BEGIN: &str = r#"ip=$1 root=$2; shift 2
"$ip" link set lo up && mount --bind /dev/null "$root/dev/null" && exec env -i "$@""#;

/// What makes containers.
#[derive(Clone, Debug)]
pub(crate) struct Engine {
    unshare: PathBuf,
    nsenter: PathBuf,
    chroot: PathBuf,
    ip: PathBuf,
}

impl Engine {
    /// `None`, said aloud, where something is missing.
    pub(crate) fn find(what: &str) -> Result<Option<Self>> {
        if !geteuid().is_root() {
            skip(what, "only root may do it")?;
            return Ok(None);
        }
        let find = |tool: Tool| tool.find_or_skip(what);
        let tools = (find(UNSHARE)?, find(NSENTER)?, find(CHROOT)?, find(IP)?);
        let (Some(unshare), Some(nsenter), Some(chroot), Some(ip)) = tools else {
            return Ok(None);
        };
        Ok(Some(Self { unshare, nsenter, chroot, ip }))
    }
}

/// The image's process, which is the first of its namespace. Dropping it kills it.
#[derive(Debug)]
pub(crate) struct Container<'a> {
    engine: &'a Engine,
    image: &'a Image,
    /// `unshare`, which waits for the process and ends as it does.
    supervisor: Child,
    /// Kept, because a program whose stdout is closed fails to write to it.
    _stdout: BufReader<ChildStdout>,
    process: Pid,
}

impl<'a> Container<'a> {
    /// Starts the image, with further arguments or with its own, and waits until it listens.
    pub(crate) fn start(
        engine: &'a Engine,
        image: &'a Image,
        root: &Path,
        arguments: &[&str],
    ) -> Result<Self> {
        let [proc, dev] = ["proc", "dev"].map(|name| root.join(name));
        fs::create_dir_all(&proc)?;
        fs::create_dir_all(&dev)?;
        File::create(dev.join("null"))?;
        let mut command = Command::new(&engine.unshare);
        command.args(["--net", "--mount", "--pid", "--fork", "--kill-child"]);
        command.arg(format!("--mount-proc={}", proc.display()));
        command.args(["sh", "-c", BEGIN, "sh"]).arg(&engine.ip).arg(root);
        command.args(image.environment.iter().map(|(name, value)| format!("{name}={value}")));
        command
            .arg("RUST_LOG=warn")
            .arg(&engine.chroot)
            .arg(format!("--userspec={}", image.user))
            .arg(root);
        command.args(&image.entrypoint);
        if arguments.is_empty() {
            command.args(&image.command);
        } else {
            command.args(arguments);
        }
        let mut supervisor = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
        let mut line = String::new();
        let mut stdout = BufReader::new(supervisor.stdout.take().context("its stdout is piped")?);
        stdout.read_line(&mut line)?;
        let process = only_child(&supervisor);
        if !line.starts_with("listening on ") || process.is_err() {
            let _ = supervisor.kill();
            let status = supervisor.wait()?;
            bail!("it said {line:?}, and ended with {status}");
        }
        Ok(Self { engine, image, supervisor, _stdout: stdout, process: process? })
    }

    /// Does something within its network.
    pub(crate) fn within<T: Send>(&self, task: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        let network = format!("/proc/{}/ns/net", self.process.as_raw_nonzero());
        let network = File::open(network).context("opening the container's network")?;
        // Of a process, only the thread that enters a network is in it.
        let entered = move || {
            let kind = Some(LinkNameSpaceType::Network);
            move_into_link_name_space(network.as_fd(), kind).context("entering the network")?;
            task()
        };
        let done = thread::scope(|scope| scope.spawn(entered).join());
        done.unwrap_or_else(|_| bail!("the thread in the container's network has panicked"))
    }

    /// Runs what the image says tells whether it is healthy, as an engine does: inside.
    pub(crate) fn check_health(&self) -> Result<String> {
        let mut command = Command::new(&self.engine.nsenter);
        let process = self.process.as_raw_nonzero().to_string();
        command.args(["--net", "--mount", "--pid", "--root", "--wd", "--target", &process]);
        let (user, group) = self.image.user.split_once(':').context("USER has a group")?;
        command.args(["--setuid", user, "--setgid", group, "--"]).args(&self.image.health_check);
        let output = command.env_clear().envs(&self.image.environment).output()?;
        let told = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "it is not healthy: {} {told}", output.status);
        Ok(String::from_utf8(output.stdout)?)
    }

    /// What the admin endpoint answers.
    pub(crate) fn get(&self, port: u16, path: &str) -> Result<String> {
        self.within(|| {
            let mut stream = TcpStream::connect(("127.0.0.1", port))?;
            stream.set_read_timeout(Some(PATIENCE))?;
            write!(stream, "GET {path} HTTP/1.1\r\nHost: fib\r\nConnection: close\r\n\r\n")?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer)?;
            Ok(answer)
        })
    }

    /// Ends it as an engine does, and checks that it ended well.
    pub(crate) fn stop(mut self) -> Result<()> {
        ensure!(self.image.stop_signal == "SIGTERM", "that is what is sent");
        kill_process(self.process, Signal::TERM).context("the container is gone")?;
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if let Some(status) = self.supervisor.try_wait()? {
                ensure!(status.success(), "the container ended with {status}");
                return Ok(());
            }
            thread::sleep(GLANCE);
        }
        bail!("the container does not end")
    }
}

impl Drop for Container<'_> {
    fn drop(&mut self) {
        // It is told to take its child with it.
        let _ = self.supervisor.kill();
        let _ = self.supervisor.wait();
    }
}

fn only_child(parent: &Child) -> Result<Pid> {
    let id = parent.id();
    let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children"))?;
    let child = children.split_whitespace().next().and_then(|child| child.parse().ok());
    child.and_then(Pid::from_raw).context("nothing was started")
}
