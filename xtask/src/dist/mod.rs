//! `cargo xtask dist`: what is passed on, an archive a target, the same wherever it is made.

mod again;
mod compile;
mod container;
mod contents;
mod executable;
mod image;
mod licences;
mod linked;
mod linker;
mod pack;
mod sbom;
mod smoke;
mod source;
mod target;
mod toolchain;

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use comfy_table::{Table, presets::ASCII_MARKDOWN};
use indicatif::HumanBytes;
use xshell::Shell;

use self::{
    compile::{Profile, Recipe},
    contents::Contents,
    linked::Linked,
    source::Source,
    toolchain::Toolchain,
};
pub(crate) use self::{smoke::prove, target::Target, toolchain::ToolchainKind};
use crate::{
    build::{Programs, target_folder},
    flags::DistArgs,
    tools::say,
};

pub(crate) fn run(sh: &Shell, args: &DistArgs) -> Result<()> {
    if args.smoke {
        return prove(sh);
    }
    let source = Source::here(sh)?;
    if !source.is_committed {
        say("there are changes that are not committed: nobody else can make these archives");
    }
    let toolchain = Toolchain::find(sh, args.toolchain)?;
    let host = Target::of_host(&toolchain.host).context("no archive is made for this machine");
    let targets = if args.target.is_empty() { vec![host?] } else { args.target.clone() };
    let recipe = |target| Recipe::new(sh, &source, &toolchain, target, Profile::Dist);
    // Whatever is refused is refused before the first minutes are spent.
    let recipes = targets.into_iter().map(recipe).collect::<Result<Vec<_>>>()?;
    let guides = Contents::guides(sh)?;
    let mut archives = Vec::new();
    for recipe in &recipes {
        let archive = Archive::make(sh, recipe, &guides)?;
        if args.verify {
            again::verify(sh, recipe, &archive, &guides)?;
            say(&format!("{} is the same", archive.name()));
        }
        archives.push(archive);
    }
    let folder = target_folder().join("dist");
    for archive in &archives {
        archive.write(&folder)?;
    }
    pack::write_sums(&folder)?;
    say(&format!("in {}:\n{}", folder.display(), table(&archives)));
    Ok(())
}

/// Both programs for a target, as they are passed on.
pub(crate) fn build(sh: &Shell, target: Target, kind: ToolchainKind) -> Result<Programs> {
    let (source, toolchain) = (Source::here(sh)?, Toolchain::find(sh, kind)?);
    let recipe = Recipe::new(sh, &source, &toolchain, target, Profile::Dist)?;
    let linked = Linked::find(sh, &source, &toolchain, target)?;
    announce(&recipe);
    recipe.compile(sh, &linked)
}

fn announce(recipe: &Recipe) {
    let Recipe { target, toolchain, linker, .. } = recipe;
    say(&format!("{target}: Rust {}, linked by {}", toolchain.release, linker.name()));
}

/// An archive, still in memory.
#[derive(Debug)]
struct Archive {
    /// The one folder in it.
    folder: String,
    contents: Contents,
    bytes: Vec<u8>,
}

impl Archive {
    fn make(sh: &Shell, recipe: &Recipe, guides: &Contents) -> Result<Self> {
        announce(recipe);
        let folder = format!("fib-{}-{}", env!("CARGO_PKG_VERSION"), recipe.target);
        let contents = Contents::gather(sh, recipe, guides)?;
        let bytes = pack::pack(&contents, &folder, recipe.source.seconds())?;
        Ok(Self { folder, contents, bytes })
    }

    fn name(&self) -> String {
        pack::file_name(&self.folder)
    }

    fn write(&self, folder: &Path) -> Result<PathBuf> {
        fs::create_dir_all(folder)?;
        let path = folder.join(self.name());
        fs::write(&path, &self.bytes).with_context(|| format!("writing {}", path.display()))?;
        Ok(path)
    }
}

fn table(archives: &[Archive]) -> Table {
    let mut table = Table::new();
    table.load_preset(ASCII_MARKDOWN).set_header(["archive", "size", "sha256"]);
    for archive in archives {
        let size = HumanBytes(archive.bytes.len() as u64).to_string();
        table.add_row([archive.name(), size, pack::sha256(&archive.bytes)]);
    }
    table
}
