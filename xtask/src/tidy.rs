//! House rules that no lint knows, as tests.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::{
    peers::{COMPUTES, STRATEGIES},
    tools::workspace,
};

/// The crates without a line of unsafe code.
const SAFE_CRATES: [&str; 2] = ["fib-client", "fib-proto"];

/// The modules that have all of it.
const UNSAFE_MODULES: [&str; 2] = ["fib-core/src/simd", "fib-server/src/sys"];

/// Rust sources of the workspace, and the fuzz targets.
fn sources() -> Vec<PathBuf> {
    let mut found = Vec::new();
    let roots = ["fib-core", "fib-proto", "fib-server", "fib-client", "xtask", "fuzz/fuzz_targets"];
    let mut folders: Vec<_> = roots.map(|root| workspace().join(root)).into();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|it| it == "rs") {
                found.push(path);
            }
        }
    }
    found
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap()
}

#[test]
fn every_file_opens_with_what_it_is() {
    for path in sources() {
        assert!(read(&path).starts_with("//! "), "{} has no //! line", path.display());
    }
}

#[test]
fn no_line_is_over_100_columns() {
    for path in sources() {
        let long = |line: &&str| line.chars().count() > 100 && !line.contains('"');
        let text = read(&path);
        let found = text.lines().find(long);
        assert_eq!(found, None, "{}", path.display());
    }
}

/// A strategy has one name: of its file, its flag value, and its row in the documents.
#[test]
fn every_strategy_is_told_of() {
    let folder = workspace().join("fib-server/src/strategy");
    let documents = ["README.md", "docs/strategies.md"].map(|it| (it, workspace().join(it)));
    let conformance = read(&workspace().join("fib-server/tests/support.rs"));
    let mut strategies = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let file = entry.unwrap().path();
        let noun = file.file_stem().unwrap().to_string_lossy().into_owned();
        let is_part = file.is_dir();
        if is_part
            || ["mod", "conversation", "blocking", "asynchronous", "executor", "introduction"]
                .contains(&noun.as_str())
        {
            continue;
        }
        strategies += 1;
        let flag = noun.replace('_', "-");
        for (name, document) in &documents {
            assert!(
                read(document).contains(&format!("`{flag}`")),
                "{name} does not tell of {flag}"
            );
        }
        assert!(STRATEGIES.contains(&flag.as_str()), "the bench has no row of {flag}");
        let place = format!("<!-- {flag}: begin -->");
        assert!(read(&documents[1].1).contains(&place), "the bench cannot tell of {flag}");
        let row = format!("{noun} \"{flag}\"");
        assert!(conformance.contains(&row), "the conformance suite does not run {flag}");
    }
    assert_eq!(strategies, STRATEGIES.len(), "the bench has a row of what there is not");
}

/// Each way to compute has one name, too.
#[test]
fn every_compute_is_a_file() {
    let folder = workspace().join("fib-server/src/compute");
    for compute in COMPUTES {
        let files =
            [folder.join(compute).with_extension("rs"), folder.join(compute).join("mod.rs")];
        assert!(files.iter().any(|file| file.exists()), "there is no {compute}");
    }
}

/// The libraries that everything builds on do no I/O and read no clock.
#[test]
fn pure_code_stays_pure() {
    let impure = ["std::net", "std::fs", "std::thread", "Instant::now", "SystemTime", "socket2"];
    let is_pure = |path: &PathBuf| {
        let path = path.to_string_lossy();
        path.contains("fib-core/src")
            || path.contains("fib-proto/src")
            || path.ends_with("session.rs")
    };
    for path in sources().into_iter().filter(is_pure) {
        if path.components().any(|part| part.as_os_str() == "tests") {
            continue;
        }
        let text = read(&path);
        for word in impure {
            assert!(!text.contains(word), "{} uses {word}", path.display());
        }
    }
}

/// The compiler holds it where it is forbidden; where it is not, one module has it.
#[test]
fn unsafe_code_stays_where_it_is_reviewed() {
    for name in SAFE_CRATES {
        for root in ["lib.rs", "main.rs"].map(|root| workspace().join(name).join("src").join(root))
        {
            let is_safe = !root.exists() || read(&root).contains("\n#![forbid(unsafe_code)]\n");
            assert!(is_safe, "{} does not forbid unsafe code", root.display());
        }
    }
    let modules = UNSAFE_MODULES.map(|module| workspace().join(module));
    let is_in_module =
        |path: &Path| modules.iter().any(|module| path.with_extension("").starts_with(module));
    for path in sources().into_iter().filter(|it| !is_in_module(it)) {
        let text = read(&path);
        let mut code = text.lines().map(|line| line.split("//").next().unwrap_or_default());
        let found = code.find(|code| UNSAFE.iter().any(|word| code.contains(word)));
        assert_eq!(found, None, "{}", path.display());
    }
}

/// What begins unsafe code; in halves, because this file has none.
const UNSAFE: [&str; 4] = [
    concat!("unsafe", " {"),
    concat!("unsafe", " fn"),
    concat!("unsafe", " impl"),
    concat!("unsafe", " extern"),
];

/// Whoever reads a manifest learns why each crate is there. The members share the root's reasons.
#[test]
fn every_dependency_has_a_reason() {
    let folders = ["", "fib-client", "fib-core", "fib-proto", "fib-server", "fuzz", "xtask"];
    for manifest in folders.map(|folder| workspace().join(folder).join("Cargo.toml")) {
        let text = read(&manifest);
        let mut section = "";
        for line in text.lines() {
            section = line.strip_prefix('[').map_or(section, |it| it.trim_end_matches(']'));
            let names_one =
                section.ends_with("dependencies") && line.starts_with(char::is_alphabetic);
            let ours = line.starts_with("fib-");
            let reason = line.split_once(" # ").is_some_and(|(_, reason)| reason.len() > 10);
            let is_told = ours || reason || line.ends_with(".workspace = true");
            assert!(!names_one || is_told, "{}: {line}", manifest.display());
        }
    }
}
