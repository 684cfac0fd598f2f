//! Any text as a configuration file: it is refused with a line that there is, or it is arguments
//! that the flags' own parser takes.
//!
//! `cargo +nightly fuzz run config_file`.
#![no_main]

use std::path::Path;

use clap::Parser;
use fib_server::{Cli, ConfigFile, ConfigFileError};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    match ConfigFile::parse(Path::new("fib-server.toml"), text) {
        Ok(file) => {
            let arguments = ["fib-server"].into_iter().chain(file.arguments());
            Cli::try_parse_from(arguments).expect("what is accepted can be obeyed");
        }
        Err(ConfigFileError::Line { line, .. }) => {
            assert!((1..=text.split('\n').count()).contains(&line), "{line}");
        }
        Err(error) => panic!("nothing is read: {error}"),
    }
});
