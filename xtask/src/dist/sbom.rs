//! What is in an archive's programs, as a CycloneDX document: for whoever has to know, on the day
//! on which something is found in one of its parts, whether they have it.

use anyhow::Result;
use serde_json::{Value, json};

use super::{
    compile::Recipe,
    linked::{Crate, Id, Linked},
    pack,
    target::Libc,
};

const VERSION: &str = env!("CARGO_PKG_VERSION");
const LICENCE: &str = env!("CARGO_PKG_LICENSE");

/// The document. Nothing in it depends on where and when it is made.
pub(crate) fn document(
    recipe: &Recipe,
    linked: &Linked,
    programs: &[(&'static str, Vec<u8>)],
    glibc: Option<&str>,
) -> Result<String> {
    let libraries = linked.crates.iter().filter(|(_, it)| !it.is_program());
    let libraries = libraries.map(|(id, it)| library(id, it));
    let mut components = libraries.collect::<Result<Vec<_>>>()?;
    let runtime = runtime(recipe, glibc);
    components.extend(runtime.clone());
    let parts: Vec<_> = programs.iter().map(|(name, bytes)| program(name, bytes)).collect();
    let document = json!({
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "timestamp": humantime::format_rfc3339_seconds(recipe.source.date).to_string(),
            "lifecycles": [{ "phase": "build" }],
            "component": {
                "type": "application",
                "bom-ref": "fib",
                "name": "fib",
                "version": VERSION,
                "licenses": [{ "expression": LICENCE }],
                "components": parts,
            },
            "properties": [
                { "name": "fib:target", "value": recipe.target.to_string() },
                { "name": "fib:rustc", "value": recipe.toolchain.release },
                { "name": "fib:linker", "value": recipe.linker.name() },
            ],
        },
        "components": components,
        "dependencies": dependencies(linked, &runtime),
    });
    Ok(format!("{document:#}\n"))
}

fn program(name: &str, bytes: &[u8]) -> Value {
    json!({
        "type": "application",
        "bom-ref": name,
        "name": name,
        "version": VERSION,
        "licenses": [{ "expression": LICENCE }],
        "hashes": [{ "alg": "SHA-256", "content": pack::sha256(bytes) }],
    })
}

fn library((name, version): &Id, it: &Crate) -> Result<Value> {
    let mut library = json!({
        "type": "library",
        "bom-ref": reference(&(name.clone(), version.clone()), it),
        "name": name,
        "version": version,
        "scope": "required",
        "licenses": [{ "expression": it.licence()? }],
    });
    if let Some(checksum) = &it.checksum {
        library["purl"] = json!(format!("pkg:cargo/{name}@{version}"));
        library["hashes"] = json!([{ "alg": "SHA-256", "content": checksum }]);
    }
    if let Some(place) = &it.package.repository {
        library["externalReferences"] = json!([{ "type": "vcs", "url": place }]);
    }
    Ok(library)
}

/// What is linked and no crate of ours: Rust's library, and a C library that is in the program.
fn runtime(recipe: &Recipe, glibc: Option<&str>) -> Vec<Value> {
    let library = |name: &str, version: &str, licence: &str| {
        json!({
            "type": "library",
            "bom-ref": format!("{name}@{version}"),
            "name": name,
            "version": version,
            "scope": "required",
            "licenses": [{ "expression": licence }],
        })
    };
    let mut all = vec![library("rust-std", &recipe.toolchain.release, "MIT OR Apache-2.0")];
    if let Some(version) = glibc {
        all.push(library("glibc", version, "LGPL-2.1-or-later"));
    } else if recipe.target.libc() == Libc::Musl {
        all.push(library("musl", &format!("of-rust-{}", recipe.toolchain.release), "MIT"));
    }
    all
}

fn dependencies(linked: &Linked, runtime: &[Value]) -> Vec<Value> {
    let reference = |id: &Id| linked.crates.get(id).map(|it| reference(id, it));
    let mut all = vec![json!({ "ref": "fib", "dependsOn": ["fib-client", "fib-server"] })];
    for (id, needs) in &linked.needs {
        let mut needs: Vec<_> = needs.iter().filter_map(reference).map(Value::from).collect();
        if linked.crates.get(id).is_some_and(Crate::is_program) {
            needs.extend(runtime.iter().map(|it| it["bom-ref"].clone()));
        }
        all.push(json!({ "ref": reference(id), "dependsOn": needs }));
    }
    all
}

/// What a part is called by the others.
fn reference((name, version): &Id, it: &Crate) -> String {
    match it {
        _ if it.is_program() => name.clone(),
        _ if it.is_ours() => format!("{name}@{version}"),
        _ => format!("pkg:cargo/{name}@{version}"),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use xshell::Shell;

    use super::*;
    use crate::dist::{
        compile::Profile,
        source::Source,
        target::{Arch, Target},
        toolchain::{Toolchain, ToolchainKind},
    };

    #[test]
    fn whoever_is_needed_is_listed_once() {
        let sh = Shell::new().unwrap();
        let source = Source::here(&sh).unwrap();
        let toolchain = Toolchain::find(&sh, ToolchainKind::Active).unwrap();
        let target = Target::of_static(Arch::of_this_machine().unwrap());
        let linked = Linked::find(&sh, &source, &toolchain, target).unwrap();
        let recipe = Recipe::new(&sh, &source, &toolchain, target, Profile::Dist).unwrap();
        let programs = [("fib-client", b"client".to_vec()), ("fib-server", b"server".to_vec())];
        let document = document(&recipe, &linked, &programs, Some("2.36")).unwrap();
        assert!(!document.contains(source.folder.to_str().unwrap()), "it tells where it was made");

        let document: Value = serde_json::from_str(&document).unwrap();
        let list = |value: &Value| value.as_array().unwrap().clone();
        let whole = &document["metadata"]["component"];
        let mut all = list(&document["components"]);
        all.extend(list(&whole["components"]));
        all.push(whole.clone());
        let names: BTreeSet<_> = all.iter().map(|it| it["bom-ref"].to_string()).collect();
        assert_eq!(names.len(), all.len(), "a part is listed twice");
        let dependencies = list(&document["dependencies"]);
        for dependency in &dependencies {
            for needed in list(&dependency["dependsOn"]) {
                assert!(names.contains(&needed.to_string()), "{needed} is not listed");
            }
        }
        let server = dependencies.iter().find(|it| it["ref"] == "fib-server").unwrap();
        let needs = server["dependsOn"].to_string();
        for part in ["fib-core@", "pkg:cargo/tokio@", "rust-std@", "glibc@2.36"] {
            assert!(needs.contains(part), "the server needs {part}: {needs}");
        }
    }
}
