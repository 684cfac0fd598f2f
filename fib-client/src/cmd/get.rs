//! `fib-client get`: asks, and prints one answer a line.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use anyhow::{Context, Result};
use fib_client::{ClientError, Connection, Options};

use crate::{cli::GetArgs, cmd};

pub(crate) fn run(args: &GetArgs) -> Result<ExitCode> {
    let server = &args.server;
    let options = Options {
        reply_timeout: server.timeout,
        dialect: server.dialect,
        tls: server.tls.read()?,
        ..Options::default()
    };
    let mut connection = Connection::open(&server.server, options)?;
    let mut stdout = io::stdout().lock();
    let mut exit = ExitCode::SUCCESS;
    for (n, answer) in args.numbers.iter().zip(connection.pipeline(&args.numbers)) {
        match answer {
            Ok(digits) => writeln!(stdout, "{digits}").context("writing to stdout")?,
            Err(error @ ClientError::Server { .. }) => {
                cmd::complain(&anyhow::Error::from(error).context(format!("F({n})")));
                exit = ExitCode::FAILURE;
            }
            Err(error) => return Err(error).with_context(|| format!("F({n})")),
        }
    }
    Ok(exit)
}
