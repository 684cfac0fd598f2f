//! All that this process was told about how to serve: on the command line, in the environment, and
//! in the file of `--config`. What comes first in this order wins, and what nobody says has a
//! default.

use std::{
    collections::{BTreeMap, BTreeSet},
    env,
    ffi::{OsStr, OsString},
    path::PathBuf,
};

use clap::{
    ArgAction, ArgMatches, CommandFactory, FromArgMatches, error::ErrorKind, parser::ValueSource,
};
use thiserror::Error;

use crate::{
    Cli, Config, ConfigError,
    config_file::{ConfigFile, ConfigFileError, NOT_KEYS, one_line},
    settings::Settings,
};

/// The flags, whoever has said what they are.
#[derive(Debug)]
pub struct Arguments {
    /// As they are to be obeyed.
    pub cli: Cli,
    pub(crate) typed: Typed,
    file: Option<ConfigFile>,
}

/// Why arguments cannot be obeyed.
#[non_exhaustive]
#[derive(Debug, Error)]
pub enum ArgumentsError {
    /// The flags are no flags, or help was asked for.
    #[error("{}", one_line(.0))]
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
        Self::of(env::args_os().collect())
    }

    /// Those of a process that was started so, in this environment.
    pub(crate) fn of(mut arguments: Vec<OsString>) -> Result<Self, ArgumentsError> {
        // What is wrong with the flags is told the second time.
        let first_look = Cli::command().ignore_errors(true).try_get_matches_from(&arguments)?;
        let path = first_look.get_one::<PathBuf>("config");
        let file = path.map(|path| ConfigFile::read(path)).transpose()?;
        let from_file = file.iter().flat_map(|file| arguments_of(file, &first_look));
        // Behind the program's name.
        let at = arguments.len().min(1);
        arguments.splice(at..at, from_file.collect::<Vec<_>>());
        let matches = Cli::command().try_get_matches_from(arguments)?;
        Ok(Self { cli: Cli::from_arg_matches(&matches)?, typed: Typed::new(&matches), file })
    }

    /// What they mean together.
    pub fn into_config(self) -> Result<Config, ArgumentsError> {
        let Self { cli, typed, file } = self;
        Config::new(cli, typed).map_err(|error| locate(file, error))
    }

    /// What they mean, as far as it may change while a server runs.
    pub(crate) fn into_settings(self) -> Result<Settings, ArgumentsError> {
        let Self { cli, typed, file } = self;
        Settings::new(&cli, typed).map_err(|error| locate(file, error))
    }
}

/// Adds where the file says what the error is about.
fn locate(file: Option<ConfigFile>, error: ConfigError) -> ArgumentsError {
    match file.and_then(|file| file.place_of(&error.to_string())) {
        Some(place) => ArgumentsError::ConfigFile { place, error },
        None => error.into(),
    }
}

/// What was said of each flag, by whomever, or its default: as it would be typed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Typed(BTreeMap<String, Vec<OsString>>);

impl Typed {
    fn new(matches: &ArgMatches) -> Self {
        let flags = Cli::command();
        let flags = flags.get_arguments().filter_map(|arg| {
            let name = arg.get_long().filter(|name| !NOT_KEYS.contains(name))?;
            let values = matches.get_raw(arg.get_id().as_str())?;
            let typed = match arg.get_action() {
                ArgAction::SetTrue => {
                    values.filter(|it| *it == "true").map(|_| format!("--{name}").into()).collect()
                }
                _ => values.map(|value| with_value(name, value)).collect(),
            };
            Some((name.to_owned(), typed))
        });
        Self(flags.collect())
    }

    /// All of it.
    pub(crate) fn arguments(&self) -> impl Iterator<Item = &OsString> {
        self.0.values().flatten()
    }

    /// The flags of which something else was said before.
    pub(crate) fn changed_from<'a>(&'a self, before: &'a Self) -> Vec<&'a str> {
        let all: BTreeSet<_> = self.0.keys().chain(before.0.keys()).collect();
        let changed = all.into_iter().filter(|name| self.0.get(*name) != before.0.get(*name));
        changed.map(String::as_str).collect()
    }
}

fn with_value(name: &str, value: &OsStr) -> OsString {
    let mut typed = OsString::from(format!("--{name}="));
    typed.push(value);
    typed
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
