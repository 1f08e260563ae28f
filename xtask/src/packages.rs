//! The published crates, and their packing as `cargo publish` does it, so that a crate that cannot
//! be published is noticed early.

use std::path::Path;

use serde_json::Value;

use xtask::run::{cargo, show};

/// Files that each package needs besides its manifest and code.
const NEEDED: [&str; 3] = ["README.md", "LICENSE-MIT", "LICENSE-APACHE"];

/// Packs every crate without `publish = false`, in the order of their dependencies. With `verify`,
/// each is also built from its package.
///
/// # Errors
/// If a file is missing, or cargo fails or warns.
pub(crate) fn pack(verify: bool) -> Result<(), String> {
    let mut command = cargo(&["package", "--allow-dirty"]);
    if !verify {
        // The build of this task has read all that is needed of the registry.
        command.args(["--no-verify", "--offline"]);
    }
    for Package { name, folder, .. } in published(&crate::layers::metadata()?) {
        if let Some(missing) = NEEDED.iter().find(|file| !folder.join(file).exists()) {
            return Err(format!("{name} lacks {missing}: add it to {}", folder.display()));
        }
        command.args(["--package", name]);
    }
    let shown = show(&command);
    eprintln!("$ {shown}");
    let output = command.output().map_err(|error| format!("`{shown}` did not start: {error}"))?;
    let messages = String::from_utf8_lossy(&output.stderr);
    eprint!("{messages}");
    if !output.status.success() {
        return Err(format!("`{shown}` failed: {}", output.status));
    }
    if messages.lines().any(|line| line.starts_with("warning")) {
        return Err(format!("`{shown}` warns; a published crate must be packed without a warning"));
    }
    Ok(())
}

/// A package without `publish = false`.
#[derive(Debug)]
pub(crate) struct Package<'a> {
    pub(crate) name: &'a str,
    /// The folder of its manifest.
    pub(crate) folder: &'a Path,
    /// Whether users install it as a program. They depend on the other packages.
    pub(crate) is_program: bool,
}

/// The published packages, given the output of `cargo metadata`.
pub(crate) fn published(metadata: &Value) -> Vec<Package<'_>> {
    let packages = metadata["packages"].as_array().into_iter().flatten();
    packages
        .filter(|package| package["publish"].is_null())
        .filter_map(|package| {
            let manifest = Path::new(package["manifest_path"].as_str()?);
            let targets = package["targets"].as_array().into_iter().flatten();
            let mut kinds = targets.filter_map(|target| target["kind"].as_array()).flatten();
            Some(Package {
                name: package["name"].as_str()?,
                folder: manifest.parent()?,
                is_program: kinds.any(|kind| kind == "bin"),
            })
        })
        .collect()
}

/// The published packages that users depend on.
pub(crate) fn libraries(metadata: &Value) -> impl Iterator<Item = Package<'_>> {
    published(metadata).into_iter().filter(|package| !package.is_program)
}
