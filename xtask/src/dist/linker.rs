//! Who links for another machine: whoever is there.

use anyhow::{Result, bail};
use xshell::{Shell, cmd};

use super::target::{Arch, Libc, Target};
use crate::tools::Tool;

/// Who puts the parts together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Linker {
    /// What rustc takes by itself.
    Native,
    /// The distribution's gcc for that machine.
    Gcc(Arch),
    /// zig, called by cargo-zigbuild: it has the libraries of many systems with it.
    Zig,
}

const ZIGBUILD: Tool =
    Tool { program: "cargo-zigbuild", install: "pip install ziglang cargo-zigbuild" };

impl Linker {
    /// gcc comes first: it is the compiler of the machine's own programs, and has a static glibc,
    /// which zig does not.
    pub(crate) fn choose(sh: &Shell, target: Target, host: &str) -> Result<Self> {
        if is_native(target, host) {
            return Ok(Self::Native);
        }
        if target.libc() == Libc::Glibc && has_gcc(sh, target) {
            return Ok(Self::Gcc(target.arch()));
        }
        if can_zig(target) && has_zig(sh) {
            return Ok(Self::Zig);
        }
        bail!("{}", refusal(target))
    }

    /// How it is called where somebody is told.
    pub(crate) fn name(self) -> String {
        match self {
            Self::Native => "this machine's linker".to_owned(),
            Self::Gcc(arch) => gcc(arch),
            Self::Zig => "cargo-zigbuild".to_owned(),
        }
    }
}

/// The compiler of a C program for it, and of what links a Rust one.
pub(crate) fn gcc(arch: Arch) -> String {
    format!("{}-linux-gnu-gcc", arch.gnu())
}

/// Whether the machine that builds has what the programs need: its own C library, or for musl,
/// which rustc brings along, nothing.
fn is_native(target: Target, host: &str) -> bool {
    let (triple, musl) = (target.triple(), host.replace("-gnu", "-musl"));
    triple == host
        || target.libc() == Libc::Musl && triple == musl
        || target.libc() == Libc::Darwin && host.ends_with("-apple-darwin")
}

/// Whether it is there, and has the C library, too: that is another package.
fn has_gcc(sh: &Shell, target: Target) -> bool {
    let gcc = gcc(target.arch());
    let library = if target.is_static() { "libc.a" } else { "libc.so" };
    let asked = cmd!(sh, "{gcc} -print-file-name={library}").quiet().ignore_stderr().read();
    // What it does not find it returns as it was.
    asked.is_ok_and(|path| path != library)
}

/// zig links glibc from a description of it; there is nothing to link statically.
fn can_zig(target: Target) -> bool {
    !(target.libc() == Libc::Glibc && target.is_static())
}

fn has_zig(sh: &Shell) -> bool {
    let is_there = |command: xshell::Cmd<'_>| command.quiet().ignore_stderr().read().is_ok();
    is_there(cmd!(sh, "cargo-zigbuild -V"))
        && (is_there(cmd!(sh, "zig version")) || is_there(cmd!(sh, "python3 -m ziglang version")))
}

fn refusal(target: Target) -> String {
    let zig = ZIGBUILD.install;
    let arch = target.arch();
    let (gnu, debian) = (arch.gnu().replace('_', "-"), arch.debian());
    let gcc = format!("apt-get install gcc-{gnu}-linux-gnu libc6-dev-{debian}-cross");
    let installs = match (target.libc(), can_zig(target)) {
        (Libc::Glibc, true) => format!("`{gcc}`, or `{zig}`"),
        (Libc::Glibc, false) => format!("`{gcc}`"),
        _ => format!("`{zig}`"),
    };
    format!("nobody here links for {target}: {installs}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const X86: &str = "x86_64-unknown-linux-gnu";

    #[test]
    fn nobody_crosses_to_the_own_machine() {
        let sh = Shell::new().unwrap();
        for target in [Target::X86LinuxGnu, Target::X86LinuxGnuStatic, Target::X86LinuxMusl] {
            assert_eq!(Linker::choose(&sh, target, X86).unwrap(), Linker::Native);
        }
    }

    #[test]
    fn who_has_no_linker_is_told_both() {
        let sh = Shell::new().unwrap();
        let _none = sh.push_env("PATH", "/nowhere");
        let told = |target| Linker::choose(&sh, target, X86).unwrap_err().to_string();
        let gcc = "`apt-get install gcc-aarch64-linux-gnu libc6-dev-arm64-cross`";
        let zig = "`pip install ziglang cargo-zigbuild`";
        let refusal = told(Target::ArmLinuxGnu);
        assert!(refusal.contains(gcc) && refusal.contains(zig), "{refusal}");
        let refusal = told(Target::ArmLinuxGnuStatic);
        assert!(refusal.contains(gcc) && !refusal.contains(zig), "{refusal}");
        let refusal = told(Target::ArmDarwin);
        assert!(refusal.contains(zig) && !refusal.contains("apt-get"), "{refusal}");
    }
}
