//! Whether a file is a program for the machine that was asked for, and as static as it should be.

use anyhow::{Context, Result, ensure};
use object::{
    Architecture, Endianness, Object,
    elf::{DT_NEEDED, FileHeader64, PT_INTERP},
    read::elf::{Dyn, ElfFile64, FileHeader, ProgramHeader},
};

use super::target::{Arch, Target};

pub(crate) fn check(bytes: &[u8], target: Target) -> Result<()> {
    let file = object::File::parse(bytes).context("it is no program")?;
    let expected = match target.arch() {
        Arch::X86 => Architecture::X86_64,
        Arch::Arm => Architecture::Aarch64,
    };
    let found = file.architecture();
    ensure!(found == expected, "it is for {found:?}, and not for {expected:?}");
    if target.is_static() { check_static(bytes) } else { Ok(()) }
}

/// A static program asks for no interpreter, and needs no library.
fn check_static(bytes: &[u8]) -> Result<()> {
    let header = FileHeader64::<Endianness>::parse(bytes)?;
    let order = header.endian()?;
    for segment in header.program_headers(order, bytes)? {
        ensure!(segment.p_type(order) != PT_INTERP, "it is not static: it asks for a loader");
        let entries = segment.dynamic(order, bytes)?.unwrap_or_default();
        let needs = entries.iter().filter(|it| it.tag(order) == DT_NEEDED).count();
        ensure!(needs == 0, "it is not static: it needs {needs} libraries");
    }
    ElfFile64::<Endianness>::parse(bytes)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::{env, fs};

    use super::*;

    #[test]
    fn a_test_is_not_static() {
        let this = fs::read(env::current_exe().unwrap()).unwrap();
        let arch = if cfg!(target_arch = "x86_64") { Arch::X86 } else { Arch::Arm };
        let (plain, other, with_libc) = match arch {
            Arch::X86 => (Target::X86LinuxGnu, Target::ArmLinuxGnu, Target::X86LinuxGnuStatic),
            Arch::Arm => (Target::ArmLinuxGnu, Target::X86LinuxGnu, Target::ArmLinuxGnuStatic),
        };
        check(&this, plain).unwrap();
        let refusal = check(&this, other).unwrap_err().to_string();
        assert!(refusal.starts_with("it is for "), "{refusal}");
        let refusal = check(&this, with_libc).unwrap_err().to_string();
        assert_eq!(refusal, "it is not static: it asks for a loader");
    }
}
