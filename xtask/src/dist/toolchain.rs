//! The Rust that builds: rustup's active one, or the system's own.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use xshell::{Cmd, Shell, cmd};

use super::target::{Libc, Target};

/// Which Rust.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum ToolchainKind {
    /// What `cargo` means in this shell
    #[default]
    Active,
    /// /usr/bin/cargo and /usr/bin/rustc, of the distribution's packages
    System,
}

/// A cargo, its compiler, and the libraries that this has.
#[derive(Clone, Debug)]
pub(crate) struct Toolchain {
    pub(crate) kind: ToolchainKind,
    cargo: PathBuf,
    rustc: PathBuf,
    /// Under which the standard libraries lie.
    pub(crate) sysroot: PathBuf,
    pub(crate) host: String,
    pub(crate) release: String,
    pub(crate) commit: String,
}

impl Toolchain {
    pub(crate) fn find(sh: &Shell, kind: ToolchainKind) -> Result<Self> {
        let folder = match kind {
            ToolchainKind::Active => Path::new(""),
            ToolchainKind::System => Path::new("/usr/bin"),
        };
        let (cargo, rustc) = (folder.join("cargo"), folder.join("rustc"));
        if kind == ToolchainKind::System && !(cargo.is_file() && rustc.is_file()) {
            bail!("there is no {}: `apt-get install cargo-web rustc-web`", rustc.display());
        }
        let ask = |what: &[&str]| clean(cmd!(sh, "{rustc} {what...}"), kind).quiet().read();
        let version = ask(&["-vV"]).context("asking rustc what it is")?;
        let fact = |name: &str| {
            let value =
                version.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
            value.map(str::to_owned).with_context(|| format!("rustc does not tell its {name}"))
        };
        Ok(Self {
            kind,
            sysroot: ask(&["--print", "sysroot"])?.into(),
            host: fact("host")?,
            release: fact("release")?,
            commit: fact("commit-hash")?,
            cargo,
            rustc,
        })
    }

    /// Its cargo, which will use its rustc and nobody else's.
    pub(crate) fn cargo<'a>(&self, sh: &'a Shell, verb: &str) -> Cmd<'a> {
        let cargo = &self.cargo;
        let command = clean(cmd!(sh, "{cargo} {verb}"), self.kind);
        match self.kind {
            ToolchainKind::Active => command,
            ToolchainKind::System => command.env("RUSTC", &self.rustc).env_remove("RUSTC_WRAPPER"),
        }
    }

    /// Refuses a target that it has no standard library for, and says how to get it.
    pub(crate) fn require(&self, target: Target) -> Result<()> {
        if self.has_std(target) {
            return Ok(());
        }
        let triple = target.triple();
        let system = match self.kind {
            ToolchainKind::Active => Path::new("/usr"),
            ToolchainKind::System => bail!("{}", self.system_refusal(target)),
        };
        let more = if has_std(system, &triple) && Path::new("/usr/bin/cargo").is_file() {
            "; the system's own Rust has it: --toolchain system"
        } else {
            ""
        };
        bail!(
            "{}{more}",
            self.active_refusal(&triple, env::var("RUSTUP_TOOLCHAIN").ok().as_deref())
        )
    }

    fn has_std(&self, target: Target) -> bool {
        has_std(&self.sysroot, &target.triple())
    }

    /// A `cargo` that rustup starts is told its name.
    fn active_refusal(&self, triple: &str, name: Option<&str>) -> String {
        let option = name.map(|name| format!("--toolchain {name} ")).unwrap_or_default();
        format!(
            "Rust {} has no standard library for {triple}: `rustup target add {option}{triple}`",
            self.release
        )
    }

    fn system_refusal(&self, target: Target) -> String {
        let triple = target.triple();
        let refusal =
            format!("the system's Rust {} has no standard library for {triple}", self.release);
        if target.libc() != Libc::Glibc {
            return format!("{refusal}, and Debian has none: `rustup target add {triple}`");
        }
        let arch = target.arch().debian();
        format!(
            "{refusal}: `dpkg --add-architecture {arch} && apt-get update && \
             apt-get install libstd-rust-web-dev:{arch}`"
        )
    }
}

/// Without what cargo and rustup have set for their own compiler: another one would load the wrong
/// libraries.
fn clean(command: Cmd<'_>, kind: ToolchainKind) -> Cmd<'_> {
    match kind {
        ToolchainKind::Active => command,
        ToolchainKind::System => command.env_remove("LD_LIBRARY_PATH"),
    }
}

fn has_std(sysroot: &Path, triple: &str) -> bool {
    let folder = sysroot.join("lib/rustlib").join(triple).join("lib");
    let is_std = |name: &str| name.starts_with("libstd-") && name.contains(".rlib");
    let files = fs::read_dir(folder).into_iter().flatten().flatten();
    files.into_iter().any(|file| file.file_name().to_str().is_some_and(is_std))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn toolchain(kind: ToolchainKind, sysroot: &Path) -> Toolchain {
        Toolchain {
            kind,
            cargo: "cargo".into(),
            rustc: "rustc".into(),
            sysroot: sysroot.into(),
            host: "x86_64-unknown-linux-gnu".into(),
            release: "1.95.0".into(),
            commit: "0".into(),
        }
    }

    #[test]
    fn a_missing_library_is_refused_with_what_installs_it() {
        let active = toolchain(ToolchainKind::Active, Path::new("/nowhere"));
        let refusal = active.active_refusal("aarch64-apple-darwin", Some("1.95.0-x86_64"));
        let command = "`rustup target add --toolchain 1.95.0-x86_64 aarch64-apple-darwin`";
        assert!(refusal.contains(command), "{refusal}");
        let refusal = active.require(Target::ArmDarwin).unwrap_err().to_string();
        assert!(refusal.contains("`rustup target add "), "{refusal}");
        assert!(!refusal.contains("--toolchain system"), "no distribution has it: {refusal}");

        let system = toolchain(ToolchainKind::System, Path::new("/nowhere"));
        let refusal = system.require(Target::ArmLinuxGnuStatic).unwrap_err().to_string();
        assert!(refusal.contains("apt-get install libstd-rust-web-dev:arm64`"), "{refusal}");
        let refusal = system.require(Target::X86LinuxMusl).unwrap_err().to_string();
        assert!(refusal.contains("`rustup target add x86_64-unknown-linux-musl`"), "{refusal}");
    }

    #[test]
    fn the_library_of_this_machine_is_there() {
        let sh = Shell::new().unwrap();
        let active = Toolchain::find(&sh, ToolchainKind::Active).unwrap();
        let host = Target::of_host(&active.host).unwrap();
        active.require(host).unwrap();
    }
}
