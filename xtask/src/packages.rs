//! Packs the published crates as `cargo publish` would, so that a crate that cannot be published is
//! noticed early.

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
    for (name, folder) in published(&crate::layers::metadata()?) {
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

/// The name and folder of each package without `publish = false`.
pub(crate) fn published(metadata: &Value) -> Vec<(&str, &Path)> {
    let packages = metadata["packages"].as_array().into_iter().flatten();
    packages
        .filter(|package| package["publish"].is_null())
        .filter_map(|package| {
            let manifest = Path::new(package["manifest_path"].as_str()?);
            Some((package["name"].as_str()?, manifest.parent()?))
        })
        .collect()
}
