//! The crates that are linked into both programs for a target, as cargo itself resolves them.
//!
//! `cargo metadata` alone would tell too much: it knows the features that all of the workspace
//! wants together, and what only tests, build scripts and macros need.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::PathBuf,
};

use anyhow::{Context, Result};
use cargo_metadata::{MetadataCommand, Package};
use xshell::Shell;

use super::{source::Source, target::Target, toolchain::Toolchain};

/// What is built.
pub(crate) const PROGRAMS: [&str; 2] = ["fib-client", "fib-server"];

/// A crate's name and version: in one program there is no other with both.
pub(crate) type Id = (String, String);

/// What is linked, and who needs whom.
#[derive(Debug, Default)]
pub(crate) struct Linked {
    pub(crate) crates: BTreeMap<Id, Crate>,
    pub(crate) needs: BTreeMap<Id, BTreeSet<Id>>,
}

#[derive(Debug)]
pub(crate) struct Crate {
    pub(crate) package: Package,
    /// The SHA-256 of what the registry holds; ours are in none.
    pub(crate) checksum: Option<String>,
}

impl Crate {
    pub(crate) fn folder(&self) -> PathBuf {
        let mut folder = self.package.manifest_path.clone().into_std_path_buf();
        folder.pop();
        folder
    }

    pub(crate) fn is_ours(&self) -> bool {
        self.package.source.is_none()
    }

    pub(crate) fn is_program(&self) -> bool {
        PROGRAMS.contains(&self.package.name.as_str())
    }

    /// Its licence as an SPDX expression; older crates write a slash for OR.
    pub(crate) fn licence(&self) -> Result<String> {
        let licence = self.package.license.as_ref();
        let licence = licence.with_context(|| format!("{} names no licence", self.package.name))?;
        Ok(licence.replace(" / ", "/").replace('/', " OR "))
    }
}

impl Linked {
    pub(crate) fn find(
        sh: &Shell,
        source: &Source,
        toolchain: &Toolchain,
        target: Target,
    ) -> Result<Self> {
        let _there = sh.push_dir(&source.folder);
        let triple = target.triple();
        let metadata = toolchain.cargo(sh, "metadata").quiet();
        let metadata = metadata.args(["--format-version=1", "--locked", "--filter-platform"]);
        let metadata = MetadataCommand::parse(metadata.arg(&triple).read()?)?;
        let packages = metadata.packages.into_iter();
        let mut packages: BTreeMap<Id, Package> = packages
            .map(|package| ((package.name.to_string(), package.version.to_string()), package))
            .collect();
        let lock = fs::read_to_string(source.folder.join("Cargo.lock"))?;
        let mut checksums = checksums(&lock);

        let tree = toolchain.cargo(sh, "tree").quiet();
        let tree = tree.args(["--locked", "-p", "fib-server", "-p", "fib-client", "--target"]);
        let tree = tree.args([&triple, "--edges", "normal,no-proc-macro"]);
        let tree = tree.args(["--prefix", "depth", "--format", " {p}"]);
        let needs = edges(&tree.read()?)?;
        let mut crates = BTreeMap::new();
        for id in needs.keys() {
            let package = packages.remove(id);
            let package = package.with_context(|| format!("cargo does not know {}", id.0))?;
            crates.insert(id.clone(), Crate { package, checksum: checksums.remove(id) });
        }
        Ok(Self { crates, needs })
    }

    /// The folders in which the sources of crates lie.
    pub(crate) fn registries(&self) -> BTreeSet<PathBuf> {
        let others = self.crates.values().filter(|it| !it.is_ours());
        others.filter_map(|it| it.folder().parent().map(PathBuf::from)).collect()
    }
}

/// Who needs whom, of a tree that has the depth before each crate.
fn edges(tree: &str) -> Result<BTreeMap<Id, BTreeSet<Id>>> {
    let mut needs = BTreeMap::<Id, BTreeSet<Id>>::new();
    let mut path: Vec<Id> = Vec::new();
    for line in tree.lines().filter(|line| !line.is_empty()) {
        let words: Vec<_> = line.split(' ').collect();
        let [depth, name, version, ..] = words[..] else {
            anyhow::bail!("cargo tree printed {line:?}");
        };
        let version = version.strip_prefix('v').context("a version has a v before it")?;
        let id = (name.to_owned(), version.to_owned());
        path.truncate(depth.parse().context("a line of the tree has its depth before it")?);
        if let Some(parent) = path.last() {
            needs.entry(parent.clone()).or_default().insert(id.clone());
        }
        needs.entry(id.clone()).or_default();
        path.push(id);
    }
    Ok(needs)
}

/// What Cargo.lock says of each crate that comes from a registry.
fn checksums(lock: &str) -> BTreeMap<Id, String> {
    let field = |package: &str, name: &str| {
        let value = package.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(" = "));
        value.map(|value| value.trim_matches('"').to_owned())
    };
    let packages = lock.split("[[package]]");
    let found = packages.filter_map(|package| {
        let id = (field(package, "name")?, field(package, "version")?);
        Some((id, field(package, "checksum")?))
    });
    found.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(name: &str) -> Id {
        (name.to_owned(), "1.0.0".to_owned())
    }

    #[test]
    fn a_tree_tells_who_needs_whom() {
        let tree = "0 a v1.0.0 (/here)\n1 b v1.0.0\n2 c v1.0.0\n1 c v1.0.0\n\n0 d v1.0.0\n1 b v1.0.0 (*)\n";
        let needs = edges(tree).unwrap();
        assert_eq!(needs[&id("a")], BTreeSet::from([id("b"), id("c")]));
        assert_eq!(needs[&id("b")], BTreeSet::from([id("c")]));
        assert_eq!(needs[&id("d")], BTreeSet::from([id("b")]));
        assert!(needs[&id("c")].is_empty());
        assert!(edges("a v1.0.0").is_err());
    }

    #[test]
    fn only_what_the_programs_need_is_linked() {
        let sh = Shell::new().unwrap();
        let source = Source::here(&sh).unwrap();
        let toolchain = Toolchain::find(&sh, super::super::ToolchainKind::Active).unwrap();
        let linked = Linked::find(&sh, &source, &toolchain, Target::X86LinuxGnu).unwrap();
        let has = |name: &str| linked.crates.keys().any(|(it, _)| it == name);
        for name in ["fib-server", "fib-client", "tokio", "ratatui"] {
            assert!(has(name), "{name}");
        }
        for name in ["xtask", "proptest", "tokio-macros", "windows-sys"] {
            assert!(!has(name), "{name}");
        }
        for (id, it) in &linked.crates {
            assert_eq!(it.checksum.is_none(), it.is_ours(), "{id:?}");
        }
    }
}
