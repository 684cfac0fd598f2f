//! The other languages' programs, built with their best portable flags.

use std::path::PathBuf;

use anyhow::{Context, Result};
use xshell::{Shell, cmd};

use crate::{build::target_folder, tools::workspace};

/// Where the other languages' programs lie.
pub(crate) fn folder() -> PathBuf {
    workspace().join("xtask/peers")
}

/// Compiles one of the Go programs.
pub(crate) fn compile_go(sh: &Shell, name: &str) -> Result<PathBuf> {
    let program = target_folder().join("peers").join(format!("{name}-go"));
    let _folder = sh.push_dir(folder().join("go"));
    cmd!(sh, "go build -o {program} ./{name}").quiet().run().context("building with Go")?;
    Ok(program)
}

/// Compiles a C program with the best portable flags.
pub(crate) fn compile_c(sh: &Shell, source: &str, name: &str, flags: &[&str]) -> Result<PathBuf> {
    let program = target_folder().join("peers").join(name);
    sh.create_dir(target_folder().join("peers"))?;
    let source = folder().join("c").join(source);
    cmd!(sh, "gcc -O3 {flags...} -o {program} {source}").quiet().run()?;
    Ok(program)
}
