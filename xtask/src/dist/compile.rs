//! Both programs as they are passed on: the same bytes, wherever and whenever they are built.

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use xshell::{Shell, cmd};

use super::{
    executable, linked::Linked, linker::Linker, source::Source, target::Target,
    toolchain::Toolchain,
};
use crate::build::Programs;

/// How well they are compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Profile {
    /// As they are passed on.
    Dist,
    /// As fast as it goes: enough to see whether they run.
    Smoke,
}

/// All that decides what comes out.
#[derive(Clone, Debug)]
pub(crate) struct Recipe {
    pub(crate) source: Source,
    pub(crate) toolchain: Toolchain,
    pub(crate) target: Target,
    pub(crate) linker: Linker,
    pub(crate) profile: Profile,
}

impl Recipe {
    /// Refuses what cannot be built here, before anything is.
    pub(crate) fn new(
        sh: &Shell,
        source: &Source,
        toolchain: &Toolchain,
        target: Target,
        profile: Profile,
    ) -> Result<Self> {
        toolchain.require(target)?;
        let linker = Linker::choose(sh, target, &toolchain.host)?;
        Ok(Self { source: source.clone(), toolchain: toolchain.clone(), target, linker, profile })
    }

    /// Compiles both programs, and looks whether they are what they should be.
    pub(crate) fn compile(&self, sh: &Shell, linked: &Linked) -> Result<Programs> {
        let _there = sh.push_dir(&self.source.folder);
        let verb = if self.linker == Linker::Zig { "zigbuild" } else { "build" };
        let (triple, builds) = (self.target.triple(), &self.source.target_folder);
        let profile = self.profile.name();
        let mut command = self.toolchain.cargo(sh, verb).quiet();
        command = command.args(["--quiet", "--locked", "-p", "fib-server", "-p", "fib-client"]);
        command = command.args(["--profile", profile, "--target", &triple, "--target-dir"]);
        command = command.arg(builds).env("CARGO_ENCODED_RUSTFLAGS", self.flags(linked));
        if let Linker::Gcc(arch) = self.linker {
            let variable = triple.to_uppercase().replace('-', "_");
            let gcc = super::linker::gcc(arch);
            command = command.env(format!("CARGO_TARGET_{variable}_LINKER"), gcc);
        }
        for (variable, value) in self.profile.settings() {
            command = command.env(variable, value);
        }
        command.run().with_context(|| format!("building for {}", self.target))?;
        let folder = builds.join(triple).join(self.profile.folder());
        let programs =
            Programs { server: folder.join("fib-server"), client: folder.join("fib-client") };
        for program in [&programs.server, &programs.client] {
            let bytes = fs::read(program)?;
            executable::check(&bytes, self.target)
                .with_context(|| format!("checking {}", program.display()))?;
        }
        Ok(programs)
    }

    /// The flags of rustc: no path of this machine in the programs, and static where wanted.
    fn flags(&self, linked: &Linked) -> OsString {
        let mut flags: Vec<OsString> = Vec::new();
        let mut remap = |from: &Path, to: &str| {
            let mut flag = OsString::from("--remap-path-prefix=");
            flag.push(from);
            flag.push("=");
            flag.push(to);
            flags.push(flag);
        };
        remap(&self.source.folder, "/fib");
        // The last one that fits counts, and this may lie within the sources, or elsewhere.
        remap(&self.source.target_folder, "/fib/target");
        for folder in linked.registries() {
            remap(&folder, "/cargo");
        }
        // Where the library's sources are installed, rustc finds them there. Elsewhere it names
        // them so.
        let library = format!("/rustc/{}", self.toolchain.commit);
        remap(&self.toolchain.sysroot.join("lib/rustlib/src/rust"), &library);
        if self.target.is_static() {
            flags.push("-Ctarget-feature=+crt-static".into());
        }
        flags.join(&OsString::from("\u{1f}"))
    }

    /// The version of glibc, as the compiler that links it says.
    pub(crate) fn glibc(&self, sh: &Shell) -> Result<String> {
        let gcc = match self.linker {
            Linker::Gcc(arch) => super::linker::gcc(arch),
            Linker::Native | Linker::Zig => "cc".to_owned(),
        };
        let question = "#include <features.h>\n__GLIBC__ __GLIBC_MINOR__\n";
        let answer = cmd!(sh, "{gcc} -E -P -").stdin(question).quiet().read()?;
        let version = answer.lines().last().context("asking for the version of glibc")?;
        Ok(version.trim().replace(' ', "."))
    }
}

impl Profile {
    fn name(self) -> &'static str {
        match self {
            Self::Dist => "dist",
            Self::Smoke => "dev",
        }
    }

    /// Where cargo puts what comes out.
    fn folder(self) -> &'static str {
        match self {
            Self::Dist => "dist",
            Self::Smoke => "debug",
        }
    }

    /// An unoptimized build shall differ from the real one in nothing else. Its crates that are
    /// optimized all the same would be so in parts that are named after files, and these after
    /// folders; a real one has no such parts.
    fn settings(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Dist => &[],
            Self::Smoke => &[
                ("CARGO_INCREMENTAL", "0"),
                ("CARGO_PROFILE_DEV_DEBUG", "line-tables-only"),
                ("CARGO_PROFILE_DEV_LTO", "off"),
                ("CARGO_PROFILE_DEV_STRIP", "debuginfo"),
            ],
        }
    }
}

/// A program's bytes, and its name.
pub(crate) fn read_programs(programs: &Programs) -> Result<[(&'static str, Vec<u8>); 2]> {
    let read = |path: &PathBuf| fs::read(path).with_context(|| path.display().to_string());
    Ok([("fib-client", read(&programs.client)?), ("fib-server", read(&programs.server)?)])
}
