//! What an archive holds, and how each part of it is made.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::{Context, Result};
use clap::{CommandFactory, ValueEnum};
use clap_complete::{Generator, Shell as Completing};
use fib_server::Cli;
use xshell::{Shell, cmd};

use super::{
    compile::{Recipe, read_programs},
    licences,
    linked::Linked,
    sbom,
    target::Libc,
};
use crate::tools::workspace;

/// What one finds at the top, beside the programs.
const DOCUMENTS: [&str; 3] = ["LICENSE-APACHE", "LICENSE-MIT", "README.md"];

/// What runs the server on a machine: units, manifests, dashboards.
const DEPLOYMENT: &str = "deploy";

/// The shells that are completed for.
const SHELLS: [Completing; 3] = [Completing::Bash, Completing::Fish, Completing::Zsh];

/// Files by name, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Contents(pub(crate) BTreeMap<String, Entry>);

/// A file's bytes, and who may do what with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) bytes: Vec<u8>,
    pub(crate) mode: u32,
}

impl Contents {
    /// Builds the programs, and adds to the guides all that belongs to them.
    pub(crate) fn gather(sh: &Shell, recipe: &Recipe, guides: &Self) -> Result<Self> {
        let Recipe { source, toolchain, target, .. } = recipe;
        let linked = Linked::find(sh, source, toolchain, *target)?;
        let programs = read_programs(&recipe.compile(sh, &linked)?)?;
        let has_glibc = target.libc() == Libc::Glibc && target.is_static();
        let glibc = if has_glibc { Some(recipe.glibc(sh)?) } else { None };

        let mut contents = guides.clone();
        let sbom = sbom::document(recipe, &linked, &programs, glibc.as_deref())?;
        contents.add_text("fib.cdx.json", sbom);
        licences::add(&mut contents, recipe, &linked)?;
        contents.add_sources(recipe)?;
        for (name, bytes) in programs {
            contents.0.insert(name.to_owned(), Entry { bytes, mode: 0o755 });
        }
        Ok(contents)
    }

    pub(crate) fn add_text(&mut self, name: &str, text: impl Into<Vec<u8>>) {
        self.0.insert(name.to_owned(), Entry { bytes: text.into(), mode: 0o644 });
    }

    fn add_sources(&mut self, recipe: &Recipe) -> Result<()> {
        let is_wanted = |file: &Path| {
            file.starts_with(DEPLOYMENT) || DOCUMENTS.iter().any(|document| file == *document)
        };
        for file in recipe.source.files.iter().filter(|file| is_wanted(file)) {
            let name = file.to_str().with_context(|| format!("{} is no name", file.display()))?;
            self.add_text(name, fs::read(recipe.source.folder.join(file))?);
        }
        Ok(())
    }

    /// Completions and manual pages, of the flags as they are here: they are the same everywhere.
    pub(crate) fn guides(sh: &Shell) -> Result<Self> {
        let mut guides = Self::default();
        let folder = sh.create_temp_dir()?;
        let (completions, man) = (folder.path().join("completions"), folder.path().join("man1"));
        fs::create_dir(&completions)?;
        fs::create_dir(&man)?;
        clap_mangen::generate_to(Cli::command(), &man)?;
        let _here = sh.push_dir(workspace());
        let client = || cmd!(sh, "cargo run --quiet --locked --bin fib-client --").quiet();
        client().arg("man").arg(&man).run().context("writing the client's manual")?;
        for shell in SHELLS {
            clap_complete::generate_to(shell, &mut Cli::command(), "fib-server", &completions)?;
            let name = shell.to_possible_value().context("a shell has a name")?;
            let script = client().arg("completions").arg(name.get_name()).output()?;
            fs::write(completions.join(shell.file_name("fib-client")), script.stdout)?;
        }
        guides.add_folder("completions", &completions)?;
        guides.add_folder("man/man1", &man)?;
        Ok(guides)
    }

    fn add_folder(&mut self, name: &str, folder: &Path) -> Result<()> {
        for file in fs::read_dir(folder)? {
            let file = file?;
            let path = format!("{name}/{}", file.file_name().to_string_lossy());
            self.add_text(&path, fs::read(file.path())?);
        }
        Ok(())
    }
}
