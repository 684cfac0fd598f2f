//! The file of `--config`: what flags say, as TOML, under their long names.
//!
//! Which keys there are, and which values they take, is asked of the definition of the flags: a new
//! flag is a key by itself. An entry becomes the argument that it stands for.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use clap::{Arg, ArgAction, Command, CommandFactory, builder::Resettable, error::ErrorKind};
use thiserror::Error;
use toml::de::{DeTable, DeValue};

use crate::Cli;

/// Flags that are no keys: they lead to the file, or say which part of a server a process plays.
pub(crate) const NOT_KEYS: [&str; 3] = ["check-config", "config", "role"];

/// How alike a key must be to one that there is, to be taken for it.
const LIKENESS: f64 = 0.7;

/// What a file says, all of it understood.
#[derive(Clone, Debug)]
pub struct ConfigFile {
    path: PathBuf,
    entries: Vec<Entry>,
}

/// What is wrong with a file, and where.
#[non_exhaustive]
#[derive(Debug, Error)]
pub enum ConfigFileError {
    /// It cannot be read.
    #[error("--config {}: {error}", path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// Why not.
        error: io::Error,
    },
    /// A line of it cannot be obeyed.
    #[error("{}:{line}: {reason}", path.display())]
    Line {
        /// In which file.
        path: PathBuf,
        /// Which line, counted from 1.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
}

/// What stands under one key.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    /// The name of a flag, which is also the key.
    pub(crate) key: String,
    line: usize,
    /// What could be typed instead.
    pub(crate) arguments: Vec<String>,
}

impl ConfigFile {
    /// Reads a file, and understands it.
    pub fn read(path: &Path) -> Result<Self, ConfigFileError> {
        let unreadable = |error| ConfigFileError::Unreadable { path: path.to_owned(), error };
        Self::parse(path, &fs::read_to_string(path).map_err(unreadable)?)
    }

    /// Understands what stands in a file of that name.
    pub fn parse(path: &Path, text: &str) -> Result<Self, ConfigFileError> {
        let line_of = |offset| 1 + text.bytes().take(offset).filter(|&byte| byte == b'\n').count();
        let fault = |offset, reason| {
            let (path, line) = (path.to_owned(), line_of(offset));
            ConfigFileError::Line { path, line, reason }
        };
        let table = DeTable::parse(text).map_err(|error| {
            fault(error.span().map_or(0, |it| it.start), error.message().to_owned())
        })?;
        let mut pairs: Vec<_> = table.get_ref().iter().collect();
        pairs.sort_unstable_by_key(|(key, _)| key.span().start);
        let flags = flags();
        let entries = pairs.into_iter().map(|(key, value)| {
            let offset = key.span().start;
            let arguments = arguments(&flags, key.get_ref(), value.get_ref());
            let arguments = arguments.map_err(|reason| fault(offset, reason))?;
            Ok(Entry { key: key.get_ref().to_string(), line: line_of(offset), arguments })
        });
        Ok(Self { path: path.to_owned(), entries: entries.collect::<Result<_, _>>()? })
    }

    /// What could be typed instead of the file.
    pub fn arguments(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().flat_map(|entry| &entry.arguments).map(String::as_str)
    }

    pub(crate) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Where the file says what this complaint of a flag is about.
    pub(crate) fn place_of(&self, complaint: &str) -> Option<String> {
        let words = complaint.split([' ', ':', ',']);
        let flags: Vec<_> = words.filter_map(|word| word.strip_prefix("--")).collect();
        let entry = self.entries.iter().find(|entry| flags.contains(&entry.key.as_str()))?;
        Some(format!("{}:{}", self.path.display(), entry.line))
    }
}

/// The flags, whatever the environment says.
fn flags() -> Command {
    Cli::command().mut_args(|arg| arg.env(Resettable::Reset))
}

/// Whether a flag is a key.
fn is_key(arg: &Arg) -> bool {
    !arg.is_hide_set() && arg.get_long().is_some_and(|name| !NOT_KEYS.contains(&name))
}

/// What could be typed instead of an entry.
fn arguments(flags: &Command, key: &str, value: &DeValue<'_>) -> Result<Vec<String>, String> {
    let mut keys = flags.get_arguments().filter(|arg| is_key(arg));
    let Some(arg) = keys.find(|arg| arg.get_long() == Some(key)) else {
        return Err(unknown(flags, key));
    };
    let arguments = match (arg.get_action(), value) {
        (ArgAction::SetTrue, DeValue::Boolean(is_set)) => {
            is_set.then(|| format!("--{key}")).into_iter().collect()
        }
        (ArgAction::SetTrue, _) => return Err(mistyped(key, "true or false", value)),
        (ArgAction::Append, DeValue::Array(values)) => {
            let values = values.iter().map(|value| argument(key, value.get_ref()));
            values.collect::<Result<_, _>>()?
        }
        _ => vec![argument(key, value)?],
    };
    for argument in &arguments {
        check(flags, argument)?;
    }
    Ok(arguments)
}

fn argument(key: &str, value: &DeValue<'_>) -> Result<String, String> {
    match value {
        DeValue::String(text) => Ok(format!("--{key}={text}")),
        DeValue::Integer(number) => Ok(format!("--{key}={number}")),
        _ => Err(mistyped(key, "a string or an integer", value)),
    }
}

fn mistyped(key: &str, wanted: &str, value: &DeValue<'_>) -> String {
    format!("{key} takes {wanted}, not a value of type {}", value.type_str())
}

fn unknown(flags: &Command, key: &str) -> String {
    let keys = flags.get_arguments().filter(|arg| is_key(arg)).filter_map(Arg::get_long);
    let likeness = |it: &str| strsim::jaro_winkler(it, key);
    let nearest = keys.max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
    let key = key.escape_default();
    match nearest.filter(|it| likeness(it) >= LIKENESS) {
        Some(nearest) => format!("there is no key {key}; is {nearest} meant?"),
        None => format!("there is no key {key}; the keys are the flags of --help"),
    }
}

/// Whether a flag takes this value, whatever the other flags are.
fn check(flags: &Command, argument: &str) -> Result<(), String> {
    match flags.clone().try_get_matches_from([flags.get_name(), argument]) {
        Err(error) if error.kind() != ErrorKind::MissingRequiredArgument => Err(one_line(&error)),
        _ => Ok(()),
    }
}

/// What is wrong with flags, without how to get help.
pub(crate) fn one_line(error: &clap::Error) -> String {
    let told = error.to_string();
    let lines = told.lines().map(str::trim).filter(|line| !line.is_empty());
    let lines = lines.take_while(|line| !line.starts_with("Usage:"));
    let lines: Vec<_> = lines.take_while(|line| !line.starts_with("For more")).collect();
    let told = lines.join(" ");
    told.strip_prefix("error: ").unwrap_or(&told).to_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(text: &str) -> Result<ConfigFile, String> {
        ConfigFile::parse(Path::new("fib.toml"), text).map_err(|error| error.to_string())
    }

    #[test]
    fn entries_are_arguments() {
        let text = "# first\nmax-n = 1_000\nidle-timeout = \"5m\"\n\
                    listen = [\"127.0.0.1:1\", \"unix:/tmp/a b\"]\nstrategy = 'prefork'\n";
        let file = parse(text).unwrap();
        let arguments: Vec<_> = file.arguments().collect();
        let expected = [
            "--max-n=1000",
            "--idle-timeout=5m",
            "--listen=127.0.0.1:1",
            "--listen=unix:/tmp/a b",
            "--strategy=prefork",
        ];
        assert_eq!(arguments, expected);
        assert_eq!(file.place_of("--max-n 1000 is too much").as_deref(), Some("fib.toml:2"));
        assert_eq!(file.place_of("--max-n-more: no"), None);
    }

    #[test]
    fn what_cannot_be_obeyed_is_told_with_its_line() {
        for (text, told) in [
            ("\nmax_n = 1", "fib.toml:2: there is no key max_n; is max-n meant?"),
            (
                "max-conections = 1",
                "fib.toml:1: there is no key max-conections; is max-connections",
            ),
            ("zzz = 1", "fib.toml:1: there is no key zzz; the keys are the flags of --help"),
            ("role = 'prefork'", "fib.toml:1: there is no key role"),
            ("config = 'other.toml'", "fib.toml:1: there is no key config"),
            ("max-n = 1\n\nmax-n = 2", "fib.toml:3: duplicate key"),
            ("max-n = true", "fib.toml:1: max-n takes a string or an integer, not a value of type"),
            ("max-n = 1.5", "type float"),
            ("max-n = [1]", "type array"),
            ("max-n = -1", "fib.toml:1: invalid value '-1' for '--max-n <N>'"),
            ("[max-n]\nx = 1", "type table"),
            ("cores = 1\nidle-timeout = 5", "fib.toml:2: invalid value '5' for '--idle-timeout"),
            ("strategy = 'threads'", "[possible values: sequential, "),
            ("listen = [25000]", "expected HOST:PORT"),
            ("a b", "fib.toml:1: "),
            ("max-n = ", "fib.toml:1: "),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(told), "{text:?}: {error}");
            assert_eq!(error.lines().count(), 1, "{error}");
        }
    }

    /// It is refused with a line that there is, or can be obeyed: as the fuzz target holds it to.
    fn check_any(text: &str) {
        match ConfigFile::parse(Path::new("fib.toml"), text) {
            Ok(file) => {
                let arguments = [flags().get_name()].map(str::to_owned).into_iter();
                let arguments = arguments.chain(file.arguments().map(str::to_owned));
                flags().try_get_matches_from(arguments).unwrap();
            }
            Err(ConfigFileError::Line { line, .. }) => {
                assert!((1..=text.split('\n').count()).contains(&line), "{text:?}: {line}");
            }
            Err(error) => panic!("nothing is read: {error}"),
        }
    }

    #[test]
    fn the_fuzzing_corpus_is_refused_or_obeyed() {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/config_file");
        let files: Vec<_> = fs::read_dir(corpus).unwrap().map(|it| it.unwrap().path()).collect();
        assert!(!files.is_empty(), "the corpus is committed");
        for file in files {
            check_any(&String::from_utf8_lossy(&fs::read(file).unwrap()));
        }
    }

    proptest! {
        #[test]
        fn whatever_stands_there_is_refused_or_obeyed(
            pieces in prop::collection::vec(prop::sample::select(PIECES.as_slice()), 0..12),
        ) {
            check_any(&pieces.concat());
        }
    }

    const PIECES: [&str; 22] = [
        "max-n",
        "idle-timeout",
        "listen",
        "strategy",
        "cores",
        "max-m",
        " = ",
        "=",
        ".",
        "\n",
        "\r\n",
        "1",
        "-1",
        "0x1f",
        "\"5m\"",
        "'prefork'",
        "true",
        "[",
        "]",
        "{",
        "\"127.0.0.1:0\"",
        "# ü",
    ];

    /// It names no key that there is not, and shows no default that is none.
    #[test]
    fn the_example_shows_the_defaults() {
        let text = include_str!("../../deploy/fib-server.toml");
        let given = |text: &str| parse(text).unwrap().entries;
        assert!(given(text).is_empty(), "nothing changes before somebody changes it");
        let lines = text.lines().map(|line| match line.strip_prefix('#') {
            Some(entry) if !entry.is_empty() && !entry.starts_with(' ') => entry,
            _ => line,
        });
        let entries = given(&lines.collect::<Vec<_>>().join("\n"));
        assert!(entries.len() > 10);
        let flags = flags();
        for Entry { key, arguments, .. } in entries {
            let arg = flags.get_arguments().find(|arg| arg.get_long() == Some(&key)).unwrap();
            for default in arg.get_default_values() {
                assert_eq!(arguments, [format!("--{key}={}", default.display())]);
            }
        }
    }

    #[test]
    fn every_flag_that_is_not_hidden_is_a_key() {
        for arg in flags().get_arguments().filter(|arg| is_key(arg)) {
            let key = arg.get_long().unwrap();
            let error = parse(&format!("{key} = 1979-05-27")).unwrap_err();
            assert!(error.contains(&format!("{key} takes ")), "{error}");
        }
    }
}
