//! What the kernel knows of this process and, where it has children that serve or compute, of all
//! of them together.

use std::{
    fmt,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use procfs::{
    ProcResult, boot_time_secs, page_size,
    process::{LimitValue, Process, Stat, all_processes},
    ticks_per_second,
};
use tracing::debug;

use super::metrics::Page;

/// How deep the tree is: a server, its children that serve, and theirs that compute.
const GENERATIONS: usize = 3;

/// Whose numbers are looked up.
#[derive(Debug)]
pub(crate) struct ProcessTree {
    has_children: bool,
    /// The most CPU time that was seen, in ticks. A child that is reaped between two looks at it
    /// and at its parent would be missing once, and a counter must not go back.
    cpu_ticks: AtomicU64,
}

/// What was found, all processes taken together.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Processes {
    count: u64,
    threads: u64,
    cpu_ticks: u64,
    resident_bytes: u64,
    open_descriptors: u64,
    /// `None` where there is no limit.
    max_descriptors: Option<u64>,
    started_at: f64,
}

impl ProcessTree {
    /// Of this process, with or without its children.
    pub(crate) const fn new(has_children: bool) -> Self {
        Self { has_children, cpu_ticks: AtomicU64::new(0) }
    }

    /// Looks them up; `None` where the system does not tell.
    pub(super) fn look(&self) -> Option<Processes> {
        let result = self.try_look();
        result.inspect_err(|error| debug!("the system does not tell of processes: {error}")).ok()
    }

    fn try_look(&self) -> ProcResult<Processes> {
        let own = Process::myself()?;
        let stat = own.stat()?;
        let mut sum = Processes {
            max_descriptors: Some(0),
            started_at: started_at(&stat)?,
            ..Processes::default()
        };
        sum.add(&own, &stat)?;
        if self.has_children {
            for (process, stat) in descendants(stat.pid)? {
                // It may be gone by now.
                let _ = sum.add(&process, &stat);
            }
        }
        sum.cpu_ticks = sum.cpu_ticks.max(self.cpu_ticks.fetch_max(sum.cpu_ticks, Relaxed));
        Ok(sum)
    }
}

impl Processes {
    fn add(&mut self, process: &Process, stat: &Stat) -> ProcResult<()> {
        // Those that were reaped are in their parent's.
        let reaped = u64::try_from(stat.cutime + stat.cstime).unwrap_or_default();
        self.cpu_ticks += stat.utime + stat.stime + reaped;
        self.count += 1;
        self.threads += u64::try_from(stat.num_threads).unwrap_or_default();
        self.resident_bytes += stat.rss * page_size();
        self.open_descriptors += process.fd_count()? as u64;
        self.max_descriptors = match process.limits()?.max_open_files.soft_limit {
            LimitValue::Unlimited => None,
            LimitValue::Value(limit) => self.max_descriptors.map(|sum| sum + limit),
        };
        Ok(())
    }

    pub(super) fn encode(&self, page: &mut Page<'_>) -> fmt::Result {
        let help = "User and system CPU time of all processes of the server, in seconds.";
        page.counter("process_cpu_seconds", help, seconds(self.cpu_ticks))?;
        let help = "Resident memory of all processes of the server, in bytes; what they share is \
                    counted for each.";
        page.gauge("process_resident_memory_bytes", help, self.resident_bytes)?;
        let help = "Open file descriptors of all processes of the server.";
        page.gauge("process_open_fds", help, self.open_descriptors)?;
        if let Some(max) = self.max_descriptors {
            let help = "How many all processes of the server may have open.";
            page.gauge("process_max_fds", help, max)?;
        }
        page.gauge("process_threads", "Threads of all processes of the server.", self.threads)?;
        let help = "When the server was started, in seconds since 1970.";
        page.gauge("process_start_time_seconds", help, self.started_at)?;
        let help = "Processes of the server: itself, and children that serve or compute.";
        page.gauge("fib_processes", help, self.count)
    }
}

/// The children, and theirs.
fn descendants(parent: i32) -> ProcResult<Vec<(Process, Stat)>> {
    let mut others: Vec<_> = all_processes()?
        .filter_map(|process| {
            let process = process.ok()?;
            let stat = process.stat().ok()?;
            Some((process, stat))
        })
        .collect();
    let mut found = Vec::new();
    let mut parents = vec![parent];
    for _ in 1..GENERATIONS {
        let (children, rest) =
            others.into_iter().partition::<Vec<_>, _>(|(_, stat)| parents.contains(&stat.ppid));
        parents = children.iter().map(|(_, stat)| stat.pid).collect();
        found.extend(children);
        others = rest;
    }
    Ok(found)
}

fn started_at(stat: &Stat) -> ProcResult<f64> {
    #[expect(clippy::cast_precision_loss, reason = "seconds since 1970 fit 53 bits")]
    let booted_at = boot_time_secs()? as f64;
    Ok(booted_at + seconds(stat.starttime))
}

#[expect(clippy::cast_precision_loss, reason = "nobody needs more than 53 bits of them")]
fn seconds(ticks: u64) -> f64 {
    ticks as f64 / ticks_per_second() as f64
}
