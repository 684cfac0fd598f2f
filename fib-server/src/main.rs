//! `fib-server`: parse, configure, serve, say how it ended.

use std::process::ExitCode;

use clap::{CommandFactory, Parser, error::ErrorKind};
use fib_server::{Cli, Config, telemetry};

fn main() -> ExitCode {
    let cli = Cli::parse();
    telemetry::init(cli.log_format);
    let config = match Config::try_from(cli) {
        Ok(config) => config,
        Err(error) => Cli::command().error(ErrorKind::ValueValidation, error).exit(),
    };
    match fib_server::run(config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}
