use std::fs;
use std::path::{Path, PathBuf};

use super::Mutation;
use crate::run::{cargo, root};

/// The crates that the simulator needs.
const CRATES: [&str; 5] = ["secrets", "events", "delivery", "state", "sim"];

/// A copy of the core and the simulator, in which faults are planted.
#[derive(Debug)]
pub(crate) struct Copy {
    at: PathBuf,
}

impl Copy {
    /// Copies what is needed; what was built there before is used again.
    pub(crate) fn make() -> Result<Self, String> {
        let at = root().join("target").join("mutants");
        for name in CRATES {
            let (from, to) = (root().join("crates").join(name), at.join("crates").join(name));
            copy_all(&from, &to)?;
        }
        let manifest = read(&root().join("Cargo.toml"))?;
        let shared = manifest
            .find("[workspace.package]")
            .ok_or("Cargo.toml of the workspace has no [workspace.package]")?;
        let members = CRATES.map(|name| format!("\"crates/{name}\"")).join(", ");
        let head = format!("[workspace]\nresolver = \"3\"\nmembers = [{members}]\n\n");
        write(&at.join("Cargo.toml"), &(head + &manifest[shared..]))?;
        if !at.join("Cargo.lock").exists() {
            write(&at.join("Cargo.lock"), &read(&root().join("Cargo.lock"))?)?;
        }
        Ok(Self { at })
    }

    /// Plants a fault, or none, builds, and does something with that.
    pub(crate) fn with<R>(
        &self,
        mutation: Option<&Mutation>,
        f: impl FnOnce() -> Result<R, String>,
    ) -> Result<R, String> {
        let Some(mutation) = mutation else {
            self.build("the core as it is")?;
            return f();
        };
        let path = source(&self.at, mutation);
        let text = original(mutation)?;
        if text.matches(mutation.original).count() != 1 {
            return Err(format!(
                "the place of `{}` is not in {} exactly once: mend xtask/src/mutants/table.rs",
                mutation.name, mutation.file
            ));
        }
        write(&path, &text.replace(mutation.original, mutation.replacement))?;
        let result = self.build(mutation.name).and_then(|()| f());
        write(&path, &text)?;
        result
    }

    /// The program that runs seeds.
    pub(crate) fn program(&self) -> PathBuf {
        self.at.join("target/release/examples/seeds")
    }

    fn build(&self, what: &str) -> Result<(), String> {
        let args = ["build", "--release", "--quiet", "-p", "mailmesh-sim", "--example", "seeds"];
        let mut command = cargo(&args);
        command.current_dir(&self.at).env_remove("CARGO_TARGET_DIR");
        let output = command.output().map_err(|error| format!("cargo: {error}"))?;
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        Err(format!("{what} does not build:\n{said}"))
    }
}

/// The text of the file that a fault is planted in.
pub(crate) fn original(mutation: &Mutation) -> Result<String, String> {
    read(&source(&root(), mutation))
}

fn source(root: &Path, mutation: &Mutation) -> PathBuf {
    root.join("crates").join(mutation.core.name()).join("src").join(mutation.file)
}

/// Makes `to` the same as `from`; files that are the same already are left alone, so
/// that they are not compiled again.
fn copy_all(from: &Path, to: &Path) -> Result<(), String> {
    let failed = |path: &Path, error| format!("{}: {error}", path.display());
    if from.is_file() {
        return write(to, &read(from)?);
    }
    fs::create_dir_all(to).map_err(|error| failed(to, error))?;
    let names = |path: &Path| -> Result<Vec<_>, String> {
        let entries = fs::read_dir(path).map_err(|error| failed(path, error))?;
        entries.map(|e| e.map(|e| e.file_name()).map_err(|error| failed(path, error))).collect()
    };
    let wanted = names(from)?;
    for name in names(to)?.iter().filter(|name| !wanted.contains(name)) {
        let path = to.join(name);
        let removed =
            if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        removed.map_err(|error| failed(&path, error))?;
    }
    wanted.iter().try_for_each(|name| copy_all(&from.join(name), &to.join(name)))
}

fn read(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    if fs::read_to_string(path).is_ok_and(|old| old == text) {
        return Ok(());
    }
    fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_crate_that_the_simulator_needs_is_copied() {
        for name in CRATES {
            let manifest = read(&root().join("crates").join(name).join("Cargo.toml")).unwrap();
            let needed = manifest.lines().filter_map(|line| line.strip_prefix("mailmesh-"));
            for needed in needed.filter_map(|line| line.split(['.', ' ', '=']).next()) {
                assert!(CRATES.contains(&needed), "`{name}` needs `{needed}`");
            }
        }
    }
}
