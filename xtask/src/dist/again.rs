//! Whether an archive is reproducible: all of it is made a second time, elsewhere.

use std::{env, os::unix::fs::symlink, path::PathBuf};

use anyhow::{Context, Result, ensure};
use xshell::Shell;

use super::{Archive, compile::Recipe, contents::Contents};
use crate::tools::say;

/// Makes the archive again, of a copy of the sources in another folder and with the crates in
/// another place, and compares each byte.
pub(crate) fn verify(
    sh: &Shell,
    recipe: &Recipe,
    first: &Archive,
    guides: &Contents,
) -> Result<()> {
    say(&format!("building {} again, in another folder", recipe.target));
    let elsewhere = sh.create_temp_dir()?;
    let source = recipe.source.copied_to(&elsewhere.path().join("a/copy/of/the/sources"))?;
    let home = elsewhere.path().join("cargo");
    symlink(cargo_home()?, &home)?;
    let _home = sh.push_env("CARGO_HOME", &home);
    let second = Archive::make(sh, &Recipe { source, ..recipe.clone() }, guides)?;
    let differing = differing(&first.contents, &second.contents);
    ensure!(differing.is_empty(), "not reproducible: {} differs", differing.join(", "));
    ensure!(first.bytes == second.bytes, "the contents are reproducible, and their packing is not");
    Ok(())
}

fn cargo_home() -> Result<PathBuf> {
    let named = env::var_os("CARGO_HOME").map(PathBuf::from);
    named.or_else(|| Some(env::home_dir()?.join(".cargo"))).context("where is cargo's home?")
}

/// The names of what is not the same in both.
fn differing(one: &Contents, other: &Contents) -> Vec<String> {
    let names = one.0.keys().chain(other.0.keys().filter(|name| !one.0.contains_key(*name)));
    names.filter(|name| one.0.get(*name) != other.0.get(*name)).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_is_named() {
        let (mut one, mut other) = (Contents::default(), Contents::default());
        for contents in [&mut one, &mut other] {
            contents.add_text("same", "same");
        }
        one.add_text("changed", "before");
        other.add_text("changed", "after");
        one.add_text("gone", "");
        other.add_text("new", "");
        assert_eq!(differing(&one, &other), ["changed", "gone", "new"]);
        assert_eq!(differing(&one, &one), [""; 0]);
    }
}
