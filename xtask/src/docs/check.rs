//! Checks the Markdown files: each link and anchor leads somewhere, each page is in the book, each
//! named file is there, each block of code is tested, no line is too wide.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Component, Path, PathBuf};

use super::blocks;
use super::page::Page;

/// The book's folder and its list of pages.
const BOOK: &str = "docs";
const SUMMARY: &str = "docs/SUMMARY.md";

/// Files outside the book that are checked too; `*` is any folder.
const OTHERS: [&str; 6] = [
    "README.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "CHANGELOG.md",
    "crates/*/README.md",
    "lab/*/README.md",
];

/// Folders of the repository: a text between back quotes that begins with one is a file's path.
const FOLDERS: [&str; 6] = ["crates/", "docs/", "xtask/", "lab/", "fuzz/", "deploy/"];

/// The width of a line in the book.
const MAX_COLUMNS: usize = 100;

type Pages = BTreeMap<PathBuf, Page>;

/// Checks all files, and reports every fault at once.
pub(super) fn all(root: &Path) -> Result<(), String> {
    let mut files = Vec::new();
    markdown_below(root, Path::new(BOOK), &mut files)?;
    for pattern in OTHERS {
        files.extend(matching(root, pattern)?);
    }
    let mut pages = Pages::new();
    let mut faults = Vec::new();
    for file in files {
        let text = fs::read_to_string(root.join(&file))
            .map_err(|error| format!("{}: {error}", file.display()))?;
        if file.starts_with(BOOK) {
            faults.extend(wide_lines(&file, &text));
        }
        pages.insert(file, Page::parse(&text));
    }
    let compiled = fs::read_to_string(root.join(blocks::COMPILED)).unwrap_or_default();
    for (file, page) in &pages {
        let shown = file.display();
        for link in &page.links {
            if let Err(why) = check_link(root, &pages, file, link) {
                faults.push(format!("{shown}: link to `{link}`: {why}"));
            }
        }
        faults.extend(blocks::faults(file, page, &compiled));
        for path in page.code.iter().filter(|text| is_path(text)) {
            if file != Path::new("CHANGELOG.md") && !root.join(path).exists() {
                faults.push(format!("{shown}: there is no file `{path}`"));
            }
        }
    }
    faults.extend(pages_without_place(&pages));
    if faults.is_empty() { Ok(()) } else { Err(faults.join("\n")) }
}

/// Adds the Markdown files of a folder and of the folders below it, as paths from `root`.
fn markdown_below(root: &Path, folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), String> {
    for name in names(&root.join(folder))? {
        let path = folder.join(name);
        if root.join(&path).is_dir() {
            markdown_below(root, &path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "md") {
            files.push(path);
        }
    }
    Ok(())
}

/// The files of one pattern of [`OTHERS`] that exist.
fn matching(root: &Path, pattern: &str) -> Result<Vec<PathBuf>, String> {
    let files = match pattern.split_once("/*/") {
        None => vec![PathBuf::from(pattern)],
        Some((folder, file)) if root.join(folder).is_dir() => names(&root.join(folder))?
            .into_iter()
            .map(|name| Path::new(folder).join(name).join(file))
            .collect(),
        Some(_) => Vec::new(),
    };
    Ok(files.into_iter().filter(|file| root.join(file).is_file()).collect())
}

fn names(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let failed = |error: std::io::Error| format!("{}: {error}", folder.display());
    let entries = fs::read_dir(folder).map_err(failed)?;
    let mut names = Vec::new();
    for entry in entries {
        names.push(entry.map_err(failed)?.file_name().into());
    }
    names.sort();
    Ok(names)
}

fn check_link(root: &Path, pages: &Pages, from: &Path, link: &str) -> Result<(), String> {
    let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
    if path.contains("://") || path.starts_with("mailto:") {
        return Ok(());
    }
    let target = match path {
        "" => from.to_owned(),
        path => normalized(&from.with_file_name(path)),
    };
    if !root.join(&target).exists() {
        return Err("there is no such file".into());
    }
    if from.starts_with(BOOK) && !target.starts_with(BOOK) {
        return Err("leads out of the book, so it is dead in HTML: name the path instead".into());
    }
    if anchor.is_empty() {
        return Ok(());
    }
    match pages.get(&target) {
        Some(page) if page.anchors.contains(anchor) => Ok(()),
        _ => Err(format!("{} has no heading for it", target.display())),
    }
}

/// Lines of more than [`MAX_COLUMNS`], but for tables and lines with a link.
fn wide_lines(file: &Path, text: &str) -> Vec<String> {
    let is_wide = |line: &str| {
        line.chars().count() > MAX_COLUMNS && !line.starts_with('|') && !line.contains("](")
    };
    let wide = text.lines().enumerate().filter(|(_, line)| is_wide(line));
    wide.map(|(index, _)| format!("{}:{}: a line too wide", file.display(), index + 1)).collect()
}

/// The path without `.` and `..`.
fn normalized(path: &Path) -> PathBuf {
    let mut clean = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                clean.pop();
            }
            part => clean.push(part),
        }
    }
    clean
}

fn is_path(text: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
    FOLDERS.iter().any(|folder| text.starts_with(folder)) && text.chars().all(is_plain)
}

/// Pages of the book that its summary does not list.
fn pages_without_place(pages: &Pages) -> Vec<String> {
    let summary = Path::new(SUMMARY);
    let listed = |file: &Path| {
        let links = pages.get(summary).map_or(&[][..], |page| &page.links);
        links.iter().any(|link| normalized(&summary.with_file_name(link)) == file)
    };
    let in_book = pages.keys().filter(|file| file.starts_with(BOOK) && *file != summary);
    let without_place = in_book.filter(|file| !listed(file));
    without_place.map(|file| format!("{SUMMARY} does not list {}", file.display())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use xtask::run;

    #[test]
    fn every_link_anchor_and_path_in_the_docs_leads_somewhere() {
        all(&run::root()).unwrap();
    }

    #[test]
    fn each_fault_of_a_book_is_reported() {
        let folder = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("README.md", "[a](docs/a.md#one)\n");
        write("docs/SUMMARY.md", "- [A](a.md)\n");
        write("docs/a.md", "# One\n[b](../docs/./b.md#two) <https://example.org/#x>\n");
        write("docs/b.md", &format!("# Two\n|{0}|\n{0}\n", "w".repeat(101)));
        let faults = all(folder.path()).unwrap_err();
        assert_eq!(faults, "docs/b.md:3: a line too wide\ndocs/SUMMARY.md does not list docs/b.md");

        write("docs/b.md", "[1](#three) [2](c.md) [3](../README.md) `docs/d.md` [4](a.md#x)\n");
        write("docs/SUMMARY.md", "- [A](a.md)\n- [B](b.md)\n");
        let faults = all(folder.path()).unwrap_err();
        let starts = [
            "docs/a.md: link to `../docs/./b.md#two`: docs/b.md has no heading",
            "docs/b.md: link to `#three`: docs/b.md has no heading",
            "docs/b.md: link to `c.md`: there is no such file",
            "docs/b.md: link to `../README.md`: leads out of the book",
            "docs/b.md: link to `a.md#x`: docs/a.md has no heading",
            "docs/b.md: there is no file `docs/d.md`",
        ];
        for (fault, start) in faults.lines().zip(starts) {
            assert!(fault.starts_with(start), "{fault}");
        }
        assert_eq!(faults.lines().count(), starts.len(), "{faults}");
    }
}
