//! `fib-client man`: the manual pages, one a verb, from the same definitions as `--help`.

use std::{fs, process::ExitCode};

use anyhow::{Context, Result};
use clap::CommandFactory;

use crate::cli::{Cli, ManArgs};

pub(crate) fn run(args: &ManArgs) -> Result<ExitCode> {
    let folder = &args.folder;
    let told = || format!("writing to {}", folder.display());
    fs::create_dir_all(folder).with_context(told)?;
    clap_mangen::generate_to(Cli::command().disable_help_subcommand(true), folder)
        .with_context(told)?;
    Ok(ExitCode::SUCCESS)
}
