//! `--cores N`: what GOMAXPROCS is to a Go program, as an affinity mask.
//!
//! It bounds every thread of the process, whichever strategy starts them, and the count of cores
//! that runtimes read to size themselves.

use std::{io, num::NonZeroUsize};

use anyhow::{Result, ensure};

/// Keeps this process on `cores` of the CPUs it may use. To be called before any thread starts:
/// threads inherit the mask of the one that starts them.
#[cfg(target_os = "linux")]
pub(crate) fn limit_to(cores: NonZeroUsize) -> Result<()> {
    use anyhow::Context as _;
    use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

    let allowed = sched_getaffinity(None).context("reading the CPU affinity")?;
    let (wanted, available) = (cores.get(), allowed.count() as usize);
    ensure!(wanted <= available, "--cores {wanted}: this process may use {available}");
    let mut mask = CpuSet::new();
    (0..CpuSet::MAX_CPU)
        .filter(|&cpu| allowed.is_set(cpu))
        .take(wanted)
        .for_each(|cpu| mask.set(cpu));
    sched_setaffinity(None, &mask).context("setting the CPU affinity for --cores")
}

/// Keeps the calling thread on the CPU of this number, counted among those it may use; beyond the
/// last it counts from the first again.
#[cfg(target_os = "linux")]
pub(crate) fn pin_to(core: usize) -> io::Result<()> {
    use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

    let allowed = sched_getaffinity(None)?;
    let cpus = (0..CpuSet::MAX_CPU).filter(|&cpu| allowed.is_set(cpu));
    let mut mask = CpuSet::new();
    if let Some(cpu) = cpus.cycle().nth(core) {
        mask.set(cpu);
        sched_setaffinity(None, &mask)?;
    }
    Ok(())
}

/// Elsewhere the kernel keeps a thread where it thinks best.
#[cfg(not(target_os = "linux"))]
pub(crate) fn pin_to(_core: usize) -> io::Result<()> {
    Ok(())
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn limit_to(cores: NonZeroUsize) -> Result<()> {
    ensure!(false, "--cores {cores}: only Linux can keep a process on some cores");
    Ok(())
}
