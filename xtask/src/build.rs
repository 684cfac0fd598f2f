//! `cargo xtask build`: both programs as they are released.

use std::path::PathBuf;

use anyhow::Result;
use xshell::{Shell, cmd};

use crate::{
    dist,
    flags::BuildArgs,
    tools::{say, workspace},
};

pub(crate) fn run(sh: &Shell, args: &BuildArgs) -> Result<()> {
    let programs = match args.target {
        None => Programs::build(sh)?,
        Some(target) => dist::build(sh, target, args.toolchain)?,
    };
    say(&programs.server.display().to_string());
    say(&programs.client.display().to_string());
    Ok(())
}

/// Where both programs are.
#[derive(Debug)]
pub(crate) struct Programs {
    pub(crate) server: PathBuf,
    pub(crate) client: PathBuf,
}

impl Programs {
    pub(crate) fn build(sh: &Shell) -> Result<Self> {
        cmd!(sh, "cargo build --quiet --release -p fib-server -p fib-client").quiet().run()?;
        let folder = release_folder();
        Ok(Self { server: folder.join("fib-server"), client: folder.join("fib-client") })
    }
}

impl Programs {
    /// With all assertions, and made faster.
    pub(crate) fn debug(sh: &Shell) -> Result<Self> {
        cmd!(sh, "cargo build --quiet -p fib-server -p fib-client").quiet().run()?;
        let folder = target_folder().join("debug");
        Ok(Self { server: folder.join("fib-server"), client: folder.join("fib-client") })
    }
}

/// Where cargo puts release builds.
pub(crate) fn release_folder() -> PathBuf {
    target_folder().join("release")
}

/// Where everything goes that is made, and can be made again.
pub(crate) fn target_folder() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace().join("target"), PathBuf::from)
}
