//! `fib-client completions`: what a shell needs to complete the flags.

use std::{io, process::ExitCode};

use clap::CommandFactory;

use crate::cli::{Cli, CompletionsArgs};

pub(crate) fn run(args: &CompletionsArgs) -> ExitCode {
    clap_complete::generate(args.shell, &mut Cli::command(), "fib-client", &mut io::stdout());
    ExitCode::SUCCESS
}
