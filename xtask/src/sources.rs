//! Rules for the text of source files: each file of a published crate begins with its job, and no
//! core reads a clock.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::layers::metadata;
use crate::packages::{Package, published};

/// Crates that read no clock: their callers pass the time.
const CLOCKLESS: [&str; 6] = [
    "mailmesh-secrets",
    "mailmesh-events",
    "mailmesh-codec",
    "mailmesh-delivery",
    "mailmesh-state",
    "mailmesh-lists",
];
/// The reading of a clock in Rust source.
const CLOCKS: [&str; 3] = ["Instant::now", "SystemTime::now", "tokio::time"];
/// The beginnings of a file that say its job. The second is that of a crate.
const HEADERS: [&str; 2] = ["//! ", "#![doc = include_str!("];

pub(crate) fn run() -> Result<(), String> {
    check(&metadata()?)
}

/// Checks the files in `src` of every published crate.
///
/// # Errors
/// Names each file that breaks a rule, or the file that cannot be read.
fn check(metadata: &Value) -> Result<(), String> {
    let mut wrong = Vec::new();
    for Package { name, folder, .. } in published(metadata) {
        for file in rust_files(&folder.join("src"))? {
            let text = read(&file)?;
            let file = file.display();
            if !has_header(&text) {
                wrong.push(format!("{file} does not begin with `//!` and the job of the file"));
            }
            if CLOCKLESS.contains(&name)
                && let Some(clock) = clock_read(&text)
            {
                wrong.push(format!("{file} reads a clock (`{clock}`): take the time as argument"));
            }
        }
    }
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("; ")) }
}

fn has_header(text: &str) -> bool {
    HEADERS.iter().any(|header| text.starts_with(header))
}

/// The first clock that code outside comments and the test module reads.
fn clock_read(text: &str) -> Option<&'static str> {
    let code = text.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
    let mut lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
    lines.find_map(|line| CLOCKS.into_iter().find(|clock| line.contains(clock)))
}

fn read(path: &Path) -> Result<String, String> {
    std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}

/// The Rust files below a folder, in a fixed order.
fn rust_files(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let failed = |error| format!("{}: {error}", folder.display());
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.is_dir() {
            files.extend(rust_files(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn source_files_say_their_job_and_cores_read_no_clock() {
        let metadata = metadata().unwrap();
        let names: Vec<_> = published(&metadata).into_iter().map(|package| package.name).collect();
        for name in CLOCKLESS {
            assert!(names.contains(&name), "{name} is not a published crate");
        }
        check(&metadata).unwrap();
    }

    #[test]
    fn a_missing_header_and_a_clock_outside_tests_are_found() {
        assert!(has_header("//! Reads.\n\nuse x;\n"));
        assert!(!has_header("use x;\n"));
        let clock = "fn f() {\n    let now = std::time::Instant::now();\n}\n";
        assert_eq!(clock_read(clock), Some("Instant::now"));
        assert_eq!(clock_read(&format!("#[cfg(test)]\nmod tests {{\n{clock}}}\n")), None);
        assert_eq!(clock_read("/// let now = SystemTime::now();\n"), None);
    }
}
