//! What developers run, as `cargo xtask TASK`: one file a task, one match over them.

mod bench;
mod build;
mod ci;
mod client;
mod dist;
mod faults;
mod flags;
mod kernel;
mod line_client;
mod load;
mod numbers;
mod peers;
mod prove;
mod server;
mod soak;
#[cfg(test)]
mod tidy;
mod tools;

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;
use xshell::Shell;

use crate::{
    flags::{Flags, Task},
    tools::say,
};

fn main() -> ExitCode {
    match run(Flags::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("xtask: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run(flags: Flags) -> Result<()> {
    let sh = Shell::new()?;
    sh.change_dir(tools::workspace());
    match flags.task {
        Task::Bench(args) => bench::run(&sh, &args),
        Task::Build(args) => build::run(&sh, &args),
        Task::Ci => ci::run(&sh),
        Task::Client(args) => client::run(&sh, &args),
        Task::Dist(args) => dist::run(&sh, &args),
        Task::Kernel(args) => kernel::run(&sh, &args),
        Task::Load(args) => load::run(&sh, &args),
        Task::Numbers(args) => numbers::run(&sh, &args),
        Task::Prove => prove::run(&sh),
        Task::Soak(args) => soak::run(&sh, &args),
    }
}
