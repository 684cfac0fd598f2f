//! The licences of all that is in the programs: ours is not the only code that is passed on.

use std::{
    collections::BTreeMap,
    fmt::Write,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};

use super::{
    compile::Recipe,
    contents::Contents,
    linked::{Crate, Linked},
    target::{Libc, Target},
};

/// A file whose name begins so tells what one may do with a crate.
const NAMES: [&str; 6] = ["COPYING", "COPYRIGHT", "LICENCE", "LICENSE", "NOTICE", "UNLICENSE"];

/// Adds a file for the crates, one for Rust's own library, and those of a C library that is linked
/// statically.
pub(crate) fn add(contents: &mut Contents, recipe: &Recipe, linked: &Linked) -> Result<()> {
    let crates = of_crates(recipe, linked)?;
    contents.add_text("licences/crates.txt", crates);
    for (name, places) in places(recipe) {
        let place = places.iter().find(|place| place.is_file());
        let place = place.with_context(|| {
            let places: Vec<_> = places.iter().map(|it| it.display().to_string()).collect();
            format!("no licence of {name}: there is none of {}", places.join(", "))
        })?;
        let extension =
            if place.extension().is_some_and(|it| it == "html") { "html" } else { "txt" };
        contents.add_text(&format!("licences/{name}.{extension}"), fs::read(place)?);
    }
    Ok(())
}

/// Where the licences lie of what is no crate, as rustup and the distributions put them.
fn places(recipe: &Recipe) -> Vec<(&'static str, Vec<PathBuf>)> {
    let Recipe { toolchain, target, .. } = recipe;
    let documents = Path::new("/usr/share/doc");
    let minor = toolchain.release.rsplit_once('.').map_or("", |(minor, _)| minor);
    let rust = vec![
        toolchain.sysroot.join("share/doc/rust/COPYRIGHT-library.html"),
        documents.join(format!("libstd-rust-web-{minor}/copyright")),
        documents.join(format!("libstd-rust-{minor}/copyright")),
    ];
    let mut places = vec![("rust-library", rust)];
    if target.is_static() {
        places.extend(of_libc(*target, documents));
    }
    places
}

fn of_libc(target: Target, documents: &Path) -> Vec<(&'static str, Vec<PathBuf>)> {
    if target.libc() == Libc::Musl {
        return vec![("musl", vec![documents.join("musl/copyright")])];
    }
    let cross = format!("libc6-dev-{}-cross/copyright", target.arch().debian());
    let glibc = vec![
        documents.join(cross),
        documents.join("libc6-dev/copyright"),
        "/usr/share/licenses/glibc/LICENSES".into(),
    ];
    let lgpl = vec![
        "/usr/share/common-licenses/LGPL-2.1".into(),
        "/usr/share/licenses/glibc/COPYING.LIB".into(),
    ];
    vec![("glibc", glibc), ("LGPL-2.1", lgpl)]
}

/// A list of the crates, and after it each text once, with the crates that it is of.
fn of_crates(recipe: &Recipe, linked: &Linked) -> Result<String> {
    let others = || linked.crates.values().filter(|it| !it.is_ours());
    let mut text =
        format!("What others wrote in fib-server and fib-client, {}:\n\n", recipe.target);
    for it in others() {
        let Crate { package, .. } = it;
        let place = package.repository.as_deref().unwrap_or_default();
        writeln!(text, "{} {}: {}; {place}", package.name, package.version, it.licence()?)?;
    }
    let mut owners = BTreeMap::<String, Vec<String>>::new();
    for it in others() {
        for licence in texts(it, &recipe.source.folder)? {
            let name = format!("{} {}", it.package.name, it.package.version);
            owners.entry(licence).or_default().push(name);
        }
    }
    let mut owners: Vec<_> = owners.into_iter().collect();
    owners.sort_by(|(_, one), (_, other)| one.cmp(other));
    for (licence, names) in owners {
        let line = "-".repeat(80);
        writeln!(text, "\n{line}\n{}\n{line}\n\n{}", names.join(", "), licence.trim_end())?;
    }
    Ok(text)
}

/// What a crate has with it. Of one that has nothing, the licence that has the same text for all.
fn texts(it: &Crate, ours: &Path) -> Result<Vec<String>> {
    let is_licence = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().to_uppercase();
        path.is_file() && NAMES.iter().any(|prefix| name.starts_with(prefix))
    };
    let files = fs::read_dir(it.folder())?.flatten().map(|file| file.path());
    let mut files: Vec<_> = files.filter(is_licence).collect();
    files.sort();
    if files.is_empty() {
        let licence = it.licence()?;
        let name = &it.package.name;
        ensure!(licence.contains("Apache-2.0"), "{name} has no text of its licence with it");
        files.push(ours.join("LICENSE-APACHE"));
    }
    let read =
        |path: PathBuf| fs::read_to_string(&path).with_context(|| path.display().to_string());
    files.into_iter().map(read).collect()
}
