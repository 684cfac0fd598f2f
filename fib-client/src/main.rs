//! `fib-client`: one verb a file, one match over them.

#![forbid(unsafe_code)]

mod cli;
mod cmd;

use std::process::ExitCode;

use clap::Parser;

use crate::cli::{Cli, Verb};

fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = match cli.verb {
        Verb::Get(args) => cmd::get::run(&args),
        Verb::Perf(args) => cmd::perf::run(&args),
        Verb::Compare(args) => cmd::compare::run(&args),
        Verb::Merge(args) => cmd::merge::run(&args),
        Verb::Completions(args) => Ok(cmd::completions::run(&args)),
        Verb::Man(args) => cmd::man::run(&args),
    };
    result.unwrap_or_else(|error| {
        cmd::complain(&error);
        ExitCode::FAILURE
    })
}
