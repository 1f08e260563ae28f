//! The public surface of each published library, one item a line, in `docs/api/`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use public_api::Builder;

use crate::layers::metadata;
use crate::packages::libraries;
use xtask::run::{cargo, root, run};

/// The command that writes the files.
const TO_UPDATE: &str = "cargo xtask api";

/// The public items of a library.
struct Surface {
    package: String,
    items: BTreeSet<String>,
}

/// Writes the surface of each library to its file.
///
/// # Errors
/// If the docs do not build without a warning, or a file cannot be written.
pub(crate) fn write() -> Result<(), String> {
    for Surface { package, items } in surfaces()? {
        let path = file_of(&package);
        let lines: String = items.iter().map(|item| format!("{item}\n")).collect();
        let failed = |error: std::io::Error| format!("{}: {error}", path.display());
        std::fs::create_dir_all(path.with_file_name("")).map_err(failed)?;
        std::fs::write(&path, lines).map_err(failed)?;
        println!("{package}: {} items", items.len());
    }
    Ok(())
}

/// Compares the surface of each library with its file.
///
/// # Errors
/// If the docs do not build without a warning, or a surface differs from its file: the error has
/// the differing items, and the command that writes the files.
pub(crate) fn check() -> Result<(), String> {
    let mut changes = String::new();
    for Surface { package, items } in surfaces()? {
        let recorded = std::fs::read_to_string(file_of(&package)).unwrap_or_default();
        for change in changes_since(&recorded, &items) {
            changes += &format!("{package}: {change}\n");
        }
    }
    if changes.is_empty() {
        return Ok(());
    }
    Err(format!(
        "the public surface differs from docs/api (`-`: removed, `+`: added):\n{changes}If the \
         change is intended, run `{TO_UPDATE}`, commit docs/api, and add a line for users to \
         CHANGELOG.md"
    ))
}

/// Builds the docs of the workspace as JSON, where rustdoc warns as it does for HTML, and reads the
/// surface of each published library.
fn surfaces() -> Result<Vec<Surface>, String> {
    let mut command = cargo(&["doc", "--workspace", "--no-deps", "--features", "mailmesh/testing"]);
    command.env("RUSTDOC", root().join("xtask/rustdoc-json.sh"));
    command.env("RUSTDOCFLAGS", "-D warnings -Zunstable-options --output-format=json");
    run(command)?;
    let metadata = metadata()?;
    let folder = Path::new(metadata["target_directory"].as_str().unwrap_or("target")).join("doc");
    libraries(&metadata).map(|package| read(package.name, &folder)).collect()
}

/// Reads the surface of a library from the JSON of its docs.
fn read(package: &str, folder: &Path) -> Result<Surface, String> {
    let json = folder.join(package.replace('-', "_")).with_extension("json");
    // These implementations follow from others, or from the fields of a type.
    let surface = Builder::from_rustdoc_json(&json)
        .omit_blanket_impls(true)
        .omit_auto_trait_impls(true)
        .omit_auto_derived_impls(true)
        .build()
        .map_err(|error| format!("{}: {error}", json.display()))?;
    let items = surface.items().map(ToString::to_string).collect();
    Ok(Surface { package: package.to_owned(), items })
}

fn file_of(package: &str) -> PathBuf {
    root().join("docs/api").join(package).with_extension("txt")
}

/// The lines of `recorded` that are no longer items, and the items that are not yet recorded.
fn changes_since(recorded: &str, items: &BTreeSet<String>) -> Vec<String> {
    let recorded: BTreeSet<String> = recorded.lines().map(str::to_owned).collect();
    let removed = recorded.difference(items).map(|item| format!("- {item}"));
    let added = items.difference(&recorded).map(|item| format!("+ {item}"));
    removed.chain(added).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_changed_item_is_named() {
        let items = BTreeSet::from(["pub fn a::b()".to_owned(), "pub struct a::C".to_owned()]);
        let changes = changes_since("pub fn a::b()\npub struct a::C\n", &items);
        assert_eq!(changes, [""; 0]);
        let changes = changes_since("pub fn a::b(u8)\npub struct a::C\n", &items);
        assert_eq!(changes, ["- pub fn a::b(u8)", "+ pub fn a::b()"]);
    }

    #[test]
    fn docs_api_has_one_file_for_each_published_library() {
        let metadata = metadata().unwrap();
        let expected: BTreeSet<_> = libraries(&metadata).map(|it| file_of(it.name)).collect();
        assert!(expected.contains(&file_of("mailmesh")), "{expected:?}");
        let files = std::fs::read_dir(root().join("docs/api")).unwrap();
        let files: BTreeSet<_> = files.map(|file| file.unwrap().path()).collect();
        assert_eq!(files, expected, "run `{TO_UPDATE}`, and delete the file of a removed crate");
    }
}
