//! `cargo xtask load`: one server, one load, with the flags of both programs.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use xshell::Shell;

use crate::{build::Programs, flags::LoadArgs, server::Server};

pub(crate) fn run(sh: &Shell, args: &LoadArgs) -> Result<()> {
    let programs = Programs::build(sh)?;
    let mut serve = Command::new(&programs.server);
    serve.args(["--listen", "127.0.0.1:0"]).args(args.serve.split_whitespace());
    let server = Server::start(serve).context("starting fib-server")?;
    let status = Command::new(&programs.client)
        .arg("perf")
        .args(["--server", server.address()])
        .args(&args.perf)
        .status()
        .context("running fib-client")?;
    ensure!(status.success(), "fib-client perf: {status}");
    server.stop()
}
