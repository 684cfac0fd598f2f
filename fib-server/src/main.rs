//! `fib-server`: read what is wanted, serve, say how it ended.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use fib_server::{Arguments, ConfigError, telemetry};

/// What flags end with that cannot be obeyed.
const USAGE_ERROR: u8 = 2;

fn main() -> ExitCode {
    let arguments = Arguments::read().unwrap_or_else(|error| error.exit());
    telemetry::init(arguments.cli.log_format);
    let only_check = arguments.cli.check_config;
    let config = arguments.into_config().unwrap_or_else(|error| error.exit());
    match if only_check { tell_valid() } else { fib_server::run(config) } {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            if error.is::<ConfigError>() { USAGE_ERROR.into() } else { ExitCode::FAILURE }
        }
    }
}

fn tell_valid() -> anyhow::Result<()> {
    Ok(writeln!(io::stdout(), "the configuration is valid")?)
}
