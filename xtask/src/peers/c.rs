//! C: a thread for each client, and one thread on epoll. The floor of what a request costs.

use std::path::PathBuf;

use anyhow::Result;
use xshell::{Shell, cmd};

use super::{
    compiled, first_missing, folder,
    peer::{Family, PORT, Peer},
};
use crate::tools::CC;

pub(crate) const C_THREADS: &str = "C, threads";

pub(super) fn rows(sh: &Shell) -> Result<Vec<Peer>> {
    Ok(vec![threads(sh)?, server(sh, "C, epoll", "epoll")?])
}

pub(crate) fn threads(sh: &Shell) -> Result<Peer> {
    server(sh, C_THREADS, "threads")
}

fn server(sh: &Shell, name: &str, source: &str) -> Result<Peer> {
    let missing = first_missing(&[CC])?;
    let program = format!("{source}-c");
    if missing.is_none() {
        compile_c(sh, &format!("{source}.c"), &program, &["-pthread"])?;
    }
    let arguments = ["127.0.0.1", PORT];
    Ok(Peer::new(name, Family::C, compiled(&program), &arguments).without(missing))
}

/// Compiles a C program with the best portable flags.
pub(crate) fn compile_c(sh: &Shell, source: &str, name: &str, flags: &[&str]) -> Result<PathBuf> {
    let program = compiled(name);
    sh.create_dir(compiled(""))?;
    let source = folder().join("c").join(source);
    cmd!(sh, "cc -O3 -o {program} {source} {flags...}").quiet().run()?;
    Ok(program)
}
