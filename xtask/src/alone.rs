//! Uses each published library alone: its example is the program of a package outside the
//! workspace.
//!
//! In the workspace, features that another crate turns on, dev-dependencies, and other crates of
//! ours hide what a library lacks for its users.

use std::fs;
use std::path::{Path, PathBuf};

use crate::layers::metadata;
use crate::packages::{Package, libraries};
use xtask::run::{cargo, root, run};

/// Dependencies besides the library: its users choose the runtime of an asynchronous API.
const RUNTIMES: [(&str, &str); 1] =
    [("mailmesh", r#"tokio = { version = "1", features = ["macros", "rt-multi-thread"] }"#)];

/// Builds and runs the example of each published library.
///
/// # Errors
/// If a library has no example, or an example does not build or fails.
pub(crate) fn run_all() -> Result<(), String> {
    let metadata = metadata()?;
    let target = Path::new(metadata["target_directory"].as_str().unwrap_or("target"));
    for package in libraries(&metadata) {
        let manifest = write_package(&package, &target.join("alone").join(package.name))?;
        let mut command = cargo(&["run", "--quiet", "--manifest-path"]);
        // The workspace has built most dependencies.
        command.arg(manifest).arg("--target-dir").arg(target);
        run(command)?;
    }
    Ok(())
}

/// Writes the package that uses a library, and returns the path of its manifest.
fn write_package(package: &Package<'_>, folder: &Path) -> Result<PathBuf, String> {
    let example = example_of(package);
    if !example.exists() {
        return Err(format!("{} is missing: it uses {} alone", example.display(), package.name));
    }
    let manifest = folder.join("Cargo.toml");
    let failed = |error: std::io::Error| format!("{}: {error}", folder.display());
    fs::create_dir_all(folder).map_err(failed)?;
    fs::copy(root().join("Cargo.lock"), folder.join("Cargo.lock")).map_err(failed)?;
    fs::write(&manifest, manifest_of(package, &example)).map_err(failed)?;
    Ok(manifest)
}

/// The example of a library. Each has a name of its own, because cargo builds the examples of all
/// crates into one folder.
fn example_of(package: &Package<'_>) -> PathBuf {
    let short_name = package.name.trim_start_matches("mailmesh-");
    package.folder.join(format!("examples/{short_name}_alone.rs"))
}

fn manifest_of(package: &Package<'_>, example: &Path) -> String {
    let name = package.name;
    let runtime = RUNTIMES.iter().find(|(user, _)| *user == name).map_or("", |(_, line)| line);
    format!(
        "[package]\n\
         name = \"{name}-alone\"\n\
         edition = \"2024\"\n\
         [[bin]]\n\
         name = \"{name}-alone\"\n\
         path = {example:?}\n\
         [workspace]\n\
         [dependencies]\n\
         {name} = {{ path = {folder:?} }}\n\
         {runtime}\n\
         {PROFILE}",
        folder = package.folder,
    )
}

/// The profile of the workspace, so that its build results serve.
const PROFILE: &str = "[profile.dev]\n\
                       opt-level = 1\n\
                       debug = \"line-tables-only\"\n\
                       [profile.dev.package.\"*\"]\n\
                       debug = false\n";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_published_library_has_a_short_example_of_its_use_alone() {
        for package in libraries(&metadata().unwrap()) {
            let path = example_of(&package);
            let example = fs::read_to_string(&path).expect(package.name);
            assert!(example.lines().count() < 30, "{} is too long", path.display());
        }
    }

    #[test]
    fn the_profile_is_that_of_the_workspace() {
        let workspace = fs::read_to_string(root().join("Cargo.toml")).unwrap();
        let workspace: Vec<_> = workspace.lines().collect();
        for line in PROFILE.lines() {
            assert!(workspace.contains(&line), "{line}");
        }
    }
}
