//! What a load was made on: without it its numbers mean nothing.

use std::{env, fs};

use procfs::{CpuInfo, Current, LoadAverage};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The machine of the client.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Environment {
    /// Its name.
    pub host: String,
    /// The model of its processors.
    pub cpu: String,
    /// How many of them the client may use.
    pub cores: usize,
    /// How they choose their frequency, where that is told.
    pub governor: Option<String>,
    /// The kernel.
    pub kernel: String,
    /// How many tasks wanted to run when the load had ended: the mean of a minute.
    pub load_average: Option<f32>,
    /// The share of the CPU time wanted meanwhile that the host of a virtual machine gave to
    /// others.
    pub stolen: Option<f64>,
    /// What the client was called with.
    pub command: Vec<String>,
}

impl Environment {
    /// Of this machine, now.
    #[must_use]
    pub fn read(stolen: Option<f64>) -> Self {
        let cpu = CpuInfo::current().ok();
        let model = cpu.as_ref().and_then(|info| info.model_name(0)).unwrap_or("unknown");
        let governor = "/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor";
        Self {
            host: read("/proc/sys/kernel/hostname").unwrap_or_default(),
            cpu: model.to_owned(),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            governor: read(governor),
            kernel: read("/proc/sys/kernel/osrelease").unwrap_or_default(),
            load_average: LoadAverage::current().ok().map(|it| it.one),
            stolen,
            command: env::args().collect(),
        }
    }
}

fn read(path: &str) -> Option<String> {
    fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
}
