//! All that this process was told about how to serve: on the command line, in the environment, and
//! in the file of `--config`. What comes first in this order wins, and what nobody says has a
//! default.

use std::{env, ffi::OsString, path::PathBuf};

use clap::{ArgMatches, CommandFactory, FromArgMatches, error::ErrorKind, parser::ValueSource};
use thiserror::Error;

use crate::{
    Cli, Config, ConfigError,
    config_file::{ConfigFile, ConfigFileError},
};

/// The flags, whoever has said what they are.
#[derive(Debug)]
pub struct Arguments {
    /// As they are to be obeyed.
    pub cli: Cli,
    file: Option<ConfigFile>,
}

/// Why arguments cannot be obeyed.
#[non_exhaustive]
#[derive(Debug, Error)]
pub enum ArgumentsError {
    /// The flags are no flags, or help was asked for.
    #[error(transparent)]
    Usage(#[from] clap::Error),
    /// The file is none.
    #[error(transparent)]
    File(#[from] ConfigFileError),
    /// They contradict each other.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// They contradict each other, and the file has a part in it.
    #[error("{place}: {error}")]
    ConfigFile {
        /// The file and the line.
        place: String,
        /// How.
        error: ConfigError,
    },
}

impl Arguments {
    /// Those of this process.
    pub fn read() -> Result<Self, ArgumentsError> {
        let mut arguments: Vec<_> = env::args_os().collect();
        // What is wrong with the flags is told the second time.
        let first_look = Cli::command().ignore_errors(true).try_get_matches_from(&arguments)?;
        let path = first_look.get_one::<PathBuf>("config");
        let file = path.map(|path| ConfigFile::read(path)).transpose()?;
        let from_file = file.iter().flat_map(|file| arguments_of(file, &first_look));
        // Behind the program's name.
        let at = arguments.len().min(1);
        arguments.splice(at..at, from_file.collect::<Vec<_>>());
        let matches = Cli::command().try_get_matches_from(arguments)?;
        Ok(Self { cli: Cli::from_arg_matches(&matches)?, file })
    }

    /// What they mean together.
    pub fn into_config(self) -> Result<Config, ArgumentsError> {
        let Self { cli, file } = self;
        Config::try_from(cli).map_err(|error| {
            match file.and_then(|file| file.place_of(&error.to_string())) {
                Some(place) => ArgumentsError::ConfigFile { place, error },
                None => error.into(),
            }
        })
    }
}

impl ArgumentsError {
    /// Says so, and ends this process as for wrong flags.
    pub fn exit(self) -> ! {
        match self {
            Self::Usage(error) => error.exit(),
            error => Cli::command().error(ErrorKind::ValueValidation, error).exit(),
        }
    }
}

/// What a file says that was said nowhere else.
fn arguments_of(file: &ConfigFile, given: &ArgMatches) -> impl Iterator<Item = OsString> {
    let is_given = |key: &str| {
        let source = given.value_source(&key.replace('-', "_"));
        source.is_some_and(|it| it != ValueSource::DefaultValue)
    };
    let entries = file.entries().iter().filter(move |entry| !is_given(&entry.key));
    entries.flat_map(|entry| &entry.arguments).map(OsString::from)
}
