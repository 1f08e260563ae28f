//! Each public field of a settings struct has a place in the reference.

use std::fs;
use std::path::Path;

use super::page::Page;

/// A source file, and the page that names each public field of its structs.
const DOCUMENTED: [(&str, &str); 1] =
    [("crates/delivery/src/settings.rs", "docs/reference/limits.md")];

/// The fields that their page does not name.
pub(super) fn faults(root: &Path) -> Result<Vec<String>, String> {
    let read = |path: &str| {
        fs::read_to_string(root.join(path)).map_err(|error| format!("{path}: {error}"))
    };
    let mut faults = Vec::new();
    for (source, page) in DOCUMENTED {
        let named = Page::parse(&read(page)?).code;
        let fields = fields(&read(source)?);
        let missing = fields.into_iter().filter(|field| !named.contains(field));
        faults.extend(missing.map(|field| format!("{page}: no word on `{field}` of {source}")));
    }
    Ok(faults)
}

/// Names of the public fields of a file's structs.
fn fields(source: &str) -> Vec<String> {
    let field = |line: &str| {
        let (name, _) = line.strip_prefix("    pub ")?.split_once(':')?;
        let is_name = name.chars().all(|c| c.is_ascii_lowercase() || c == '_');
        is_name.then(|| name.to_owned())
    };
    source.lines().filter_map(field).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use xtask::run;

    #[test]
    fn the_reference_names_each_setting() {
        assert_eq!(faults(&run::root()).unwrap(), Vec::<String>::new());
    }

    #[test]
    fn functions_are_no_fields() {
        let source = "pub struct A {\n    pub a_b: u8,\n    c: u8,\n}\nimpl A {\n    pub fn d(e: u8) {}\n}\n";
        assert_eq!(fields(source), ["a_b"]);
    }
}
