//! Layers point one way: the list of allowed dependencies between the crates. Any other is an
//! error.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use xtask::run::cargo;

/// Each crate, and the workspace crates that it may depend on (normal dependencies).
const ARROWS: [(&str, &[&str]); 14] = [
    ("mailmesh-secrets", &[]),
    ("mailmesh-events", &[]),
    ("mailmesh-codec", &["mailmesh-events"]),
    ("mailmesh-delivery", &[]),
    ("mailmesh-transport", &["mailmesh-delivery", "mailmesh-secrets"]),
    ("mailmesh-state", &["mailmesh-events", "mailmesh-secrets"]),
    ("mailmesh-lists", &["mailmesh-events"]),
    ("mailmesh-store", &[]),
    (
        "mailmesh",
        &[
            "mailmesh-codec",
            "mailmesh-delivery",
            "mailmesh-events",
            "mailmesh-lists",
            "mailmesh-secrets",
            "mailmesh-state",
            "mailmesh-store",
            "mailmesh-transport",
        ],
    ),
    ("mailmesh-sim", &["mailmesh-delivery", "mailmesh-events", "mailmesh-state"]),
    ("mailmesh-cli", &["mailmesh"]),
    ("mailmesh-contender", &["mailmesh", "mailmesh-codec", "mailmesh-events", "mailmesh-state"]),
    ("mailmesh-trials", &["mailmesh-contender"]),
    (
        "mailmesh-fuzz",
        &[
            "mailmesh-cli",
            "mailmesh-codec",
            "mailmesh-delivery",
            "mailmesh-events",
            "mailmesh-lists",
            "mailmesh-state",
            "mailmesh-store",
            "mailmesh-transport",
        ],
    ),
];

/// Crates that no core may depend on: a core has no I/O and no runtime. `sources.rs` checks that it
/// has no clock.
const FORBIDDEN_IN_CORES: [&str; 3] = ["tokio", "zenoh", "async-std"];
const CORES: [&str; 5] =
    ["mailmesh-events", "mailmesh-codec", "mailmesh-delivery", "mailmesh-state", "mailmesh-lists"];

pub(crate) fn run() -> Result<(), String> {
    let dependencies = dependencies()?;
    check(&dependencies)?;
    for (name, _) in ARROWS {
        let ours =
            dependencies.get(name).into_iter().flatten().filter(|d| d.starts_with("mailmesh"));
        let ours: Vec<_> = ours.map(String::as_str).collect();
        let shown = if ours.is_empty() { "nothing of ours".into() } else { ours.join(", ") };
        println!("{name:<20}-> {shown}");
    }
    Ok(())
}

/// The metadata that cargo has of the packages of the workspace.
pub(crate) fn metadata() -> Result<Value, String> {
    let output = cargo(&["metadata", "--format-version", "1", "--no-deps"])
        .output()
        .map_err(|error| format!("cargo metadata: {error}"))?;
    serde_json::from_slice(&output.stdout).map_err(|error| format!("cargo metadata: {error}"))
}

/// The normal dependencies of each crate of the workspace.
fn dependencies() -> Result<BTreeMap<String, BTreeSet<String>>, String> {
    let metadata = metadata()?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let packages = metadata["packages"].as_array().into_iter().flatten();
    let of_package = |package: &Value| {
        let all = package["dependencies"].as_array().into_iter().flatten();
        let normal = all.filter(|dependency| dependency["kind"].is_null());
        (text(&package["name"]), normal.map(|dependency| text(&dependency["name"])).collect())
    };
    Ok(packages.map(of_package).collect())
}

fn check(dependencies: &BTreeMap<String, BTreeSet<String>>) -> Result<(), String> {
    let mut wrong = Vec::new();
    for (name, found) in dependencies {
        let allowed = ARROWS.iter().find(|(known, _)| known == name).map(|(_, allowed)| *allowed);
        let Some(allowed) = allowed else {
            if name.starts_with("mailmesh") && name != "mailmesh-benches" {
                wrong.push(format!("{name} has no place among the layers"));
            }
            continue;
        };
        for dependency in found.iter().filter(|d| d.starts_with("mailmesh")) {
            if !allowed.contains(&dependency.as_str()) {
                wrong.push(format!("{name} must not depend on {dependency}"));
            }
        }
        let is_core = CORES.contains(&name.as_str());
        for dependency in
            found.iter().filter(|d| is_core && FORBIDDEN_IN_CORES.contains(&d.as_str()))
        {
            wrong.push(format!("{name} is a core and must not depend on {dependency}"));
        }
    }
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("; ")) }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use xtask::run::root;

    use super::*;

    #[test]
    fn layers_point_one_way() {
        let dependencies = dependencies().unwrap();
        for (name, _) in ARROWS {
            assert!(dependencies.contains_key(name), "{name} is not in the workspace");
        }
        check(&dependencies).unwrap();
    }

    #[test]
    fn a_default_build_compiles_nothing_of_the_laboratory() {
        let (dependencies, metadata) = (dependencies().unwrap(), metadata().unwrap());
        let by_id = |id: &Value| {
            let packages = metadata["packages"].as_array().unwrap();
            packages.iter().find(|package| package["id"] == *id).unwrap()
        };
        let members = metadata["workspace_default_members"].as_array().unwrap();
        let mut to_build: Vec<_> =
            members.iter().map(|id| by_id(id)["name"].as_str().unwrap().to_owned()).collect();
        assert!(to_build.contains(&"mailmesh-cli".to_owned()), "{to_build:?}");
        let laboratory = root().join("lab");
        while let Some(name) = to_build.pop() {
            let Some(found) = dependencies.get(&name) else { continue };
            to_build.extend(found.iter().cloned());
            let packages = metadata["packages"].as_array().unwrap();
            let package = packages.iter().find(|package| package["name"] == *name).unwrap();
            let manifest = Path::new(package["manifest_path"].as_str().unwrap());
            assert!(!manifest.starts_with(&laboratory), "{name} is built by default");
        }
    }

    #[test]
    fn the_docs_have_a_line_for_each_direct_dependency() {
        let read = |path: &str| std::fs::read_to_string(root().join(path)).unwrap();
        let manifest = read("Cargo.toml");
        let (_, shared) = manifest.split_once("[workspace.dependencies]\n").unwrap();
        let lines = shared.lines().take_while(|line| !line.starts_with('['));
        let declared: BTreeSet<_> = lines
            .filter_map(|line| line.split_once(" = "))
            .map(|(name, _)| name.trim())
            .filter(|name| {
                !name.starts_with("mailmesh") && *name != "xtask" && !name.starts_with('#')
            })
            .collect();
        let docs = read("docs/reference/dependencies.md");
        let documented: BTreeSet<_> = docs
            .lines()
            .filter_map(|line| line.strip_prefix("| `")?.split_once('`'))
            .map(|(name, _)| name)
            .collect();
        assert_eq!(declared, documented);
    }

    #[test]
    fn a_forbidden_dependency_is_found() {
        let of = |name: &str, dependency: &str| {
            BTreeMap::from([(name.to_owned(), BTreeSet::from([dependency.to_owned()]))])
        };
        for (name, dependency) in [
            ("mailmesh-events", "mailmesh-codec"),
            ("mailmesh-transport", "mailmesh-events"),
            ("mailmesh-delivery", "tokio"),
            ("mailmesh-extra", "serde"),
        ] {
            assert!(check(&of(name, dependency)).is_err(), "{name} -> {dependency}");
        }
        check(&of("mailmesh-state", "mailmesh-events")).unwrap();
    }
}
