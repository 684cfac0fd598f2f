//! What can be built for. The names are rustc's, and so is the suffix, which is that of its
//! `-C target-feature=+crt-static`.

use std::{env, fmt};

use anyhow::{Context, Result};
use clap::ValueEnum;

/// A machine, its system, and how the programs are linked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Target {
    #[value(name = "x86_64-unknown-linux-gnu")]
    X86LinuxGnu,
    #[value(name = "x86_64-unknown-linux-gnu+crt-static")]
    X86LinuxGnuStatic,
    #[value(name = "aarch64-unknown-linux-gnu")]
    ArmLinuxGnu,
    #[value(name = "aarch64-unknown-linux-gnu+crt-static")]
    ArmLinuxGnuStatic,
    #[value(name = "x86_64-unknown-linux-musl")]
    X86LinuxMusl,
    #[value(name = "aarch64-unknown-linux-musl")]
    ArmLinuxMusl,
    #[value(name = "x86_64-apple-darwin")]
    X86Darwin,
    #[value(name = "aarch64-apple-darwin")]
    ArmDarwin,
}

const CRT_STATIC: &str = "+crt-static";

/// A C library, which decides what a program finds where it is started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Libc {
    Glibc,
    Musl,
    /// macOS has one, and nobody else does.
    Darwin,
}

impl Target {
    /// The plain target of the machine that rustc runs on.
    pub(crate) fn of_host(triple: &str) -> Option<Self> {
        Self::value_variants().iter().copied().find(|target| target.to_string() == triple)
    }

    /// What runs in an empty folder, and in an image.
    pub(crate) fn of_static(arch: Arch) -> Self {
        match arch {
            Arch::X86 => Self::X86LinuxGnuStatic,
            Arch::Arm => Self::ArmLinuxGnuStatic,
        }
    }

    /// What rustc calls it, without the way of linking.
    pub(crate) fn triple(self) -> String {
        self.to_string().trim_end_matches(CRT_STATIC).to_owned()
    }

    pub(crate) fn arch(self) -> Arch {
        match self {
            Self::X86LinuxGnu | Self::X86LinuxGnuStatic | Self::X86LinuxMusl | Self::X86Darwin => {
                Arch::X86
            }
            _ => Arch::Arm,
        }
    }

    pub(crate) fn libc(self) -> Libc {
        match self {
            Self::X86LinuxMusl | Self::ArmLinuxMusl => Libc::Musl,
            Self::X86Darwin | Self::ArmDarwin => Libc::Darwin,
            _ => Libc::Glibc,
        }
    }

    /// Whether the programs need nothing of where they are started, not even a C library.
    pub(crate) fn is_static(self) -> bool {
        self.libc() == Libc::Musl || self.to_string().ends_with(CRT_STATIC)
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.to_possible_value();
        f.write_str(value.as_ref().map_or("", |value| value.get_name()))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arch {
    X86,
    Arm,
}

impl Arch {
    pub(crate) fn of_this_machine() -> Result<Self> {
        let all = [Self::X86, Self::Arm];
        let this = all.into_iter().find(|arch| arch.gnu() == env::consts::ARCH);
        this.context("no archive is made for this machine")
    }

    pub(crate) fn other(self) -> Self {
        match self {
            Self::X86 => Self::Arm,
            Self::Arm => Self::X86,
        }
    }

    /// As gcc and the kernel call it.
    pub(crate) fn gnu(self) -> &'static str {
        match self {
            Self::X86 => "x86_64",
            Self::Arm => "aarch64",
        }
    }

    /// As Debian and Docker call it.
    pub(crate) fn debian(self) -> &'static str {
        match self {
            Self::X86 => "amd64",
            Self::Arm => "arm64",
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::flags::Flags;

    #[test]
    fn an_unknown_target_is_refused_with_the_list() {
        let words = ["xtask", "dist", "--target", "riscv64gc-unknown-linux-gnu"];
        let refusal = Flags::try_parse_from(words).unwrap_err().to_string();
        for target in Target::value_variants() {
            assert!(refusal.contains(&target.to_string()), "{refusal}");
        }
    }

    #[test]
    fn the_way_of_linking_is_no_part_of_the_triple() {
        let target = Target::ArmLinuxGnuStatic;
        assert_eq!(target.triple(), "aarch64-unknown-linux-gnu");
        assert_eq!(Target::of_host(&target.triple()), Some(Target::ArmLinuxGnu));
        assert!(target.is_static() && !Target::ArmLinuxGnu.is_static());
        assert!(Target::X86LinuxMusl.is_static(), "rustc links musl statically");
    }
}
