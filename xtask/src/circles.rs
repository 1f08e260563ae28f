//! Files of one crate must not use each other in a circle: a reader then has no file to begin with,
//! and none can be tested or moved alone.
//!
//! An arrow leads from a file to the file that defines an item which the first names by a path
//! (`use crate::a::B`, `super::b::f()`). Re-exports are followed, and are no arrows themselves.
//! A use of the modules above a module is no arrow either: in Rust a module is a part of
//! those, and their private items are there for it. Method calls are not seen: they need no path.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use syn::visit::{self, Visit};
use syn::{Attribute, Item, ItemMod, ItemUse, UseTree, Visibility};

use xtask::run::root;

/// A module's path from the root of its crate.
type ModulePath = Vec<String>;

/// Where a name of a module leads.
#[derive(Debug, Clone)]
enum Target {
    /// An item of the module's own file.
    Item,
    Module(ModulePath),
    /// Imported by a path from the root of the crate.
    Import(ModulePath),
}

#[derive(Debug, Default)]
struct Module {
    file: PathBuf,
    names: BTreeMap<String, Target>,
    /// Paths from the root of the crate, of globs.
    globs: Vec<ModulePath>,
    /// Paths that the module names, from the root of the crate.
    uses: Vec<ModulePath>,
}

type Modules = BTreeMap<ModulePath, Module>;
type Arrows = BTreeMap<PathBuf, BTreeSet<PathBuf>>;

/// Checks every crate of the workspace.
///
/// # Errors
/// If files use each other in a circle; the text names each circle.
pub(crate) fn run() -> Result<(), String> {
    let mut found = Vec::new();
    for top in crate_roots()? {
        found.extend(circles(&arrows(&read_crate(&top)?)));
    }
    if found.is_empty() {
        println!("no circles among the files of a crate");
        return Ok(());
    }
    let shown = |file: &PathBuf| file.strip_prefix(root()).unwrap_or(file).display().to_string();
    let lines: Vec<String> = found
        .iter()
        .map(|circle| circle.iter().map(shown).collect::<Vec<_>>().join(", "))
        .collect();
    Err(format!(
        "files use each other in a circle; move what both use to a file of its own:\n{}",
        lines.join("\n")
    ))
}

/// The root files of every library and program.
fn crate_roots() -> Result<Vec<PathBuf>, String> {
    let mut folders = vec![root().join("xtask"), root().join("benches")];
    for parent in ["crates", "lab"] {
        let Ok(entries) = fs::read_dir(root().join(parent)) else { continue };
        for entry in entries {
            folders.push(entry.map_err(|error| format!("{parent}: {error}"))?.path());
        }
    }
    let tops = folders.iter().flat_map(|f| ["src/lib.rs", "src/main.rs"].map(|top| f.join(top)));
    Ok(tops.filter(|top| top.exists()).collect())
}

fn read_crate(top: &Path) -> Result<Modules, String> {
    let mut modules = Modules::new();
    read_file(top, &top.with_file_name(""), &Vec::new(), &mut modules)?;
    Ok(modules)
}

/// Reads a file as the module `path`; its child modules are in `folder`.
fn read_file(
    file: &Path,
    folder: &Path,
    path: &ModulePath,
    modules: &mut Modules,
) -> Result<(), String> {
    let text = fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
    let parsed = syn::parse_file(&text).map_err(|error| format!("{}: {error}", file.display()))?;
    read_items(&parsed.items, file, folder, path, modules)
}

fn read_items(
    items: &[Item],
    file: &Path,
    folder: &Path,
    path: &ModulePath,
    modules: &mut Modules,
) -> Result<(), String> {
    let mut reader = Reader { path, module: Module { file: file.to_owned(), ..Module::default() } };
    let mut children = Vec::new();
    for item in items.iter().filter(|item| !is_for_tests(attributes(item))) {
        match item {
            Item::Mod(child) => {
                let name = child.ident.to_string();
                let inner: ModulePath = path.iter().cloned().chain([name.clone()]).collect();
                reader.module.names.insert(name, Target::Module(inner.clone()));
                children.push((child, inner));
            }
            Item::Use(import) => reader.import(import),
            other => {
                if let Some(name) = name(other) {
                    reader.module.names.insert(name, Target::Item);
                }
                reader.visit_item(other);
            }
        }
    }
    modules.insert(path.clone(), reader.module);
    for (child, inner) in children {
        read_child(child, &inner, file, folder, modules)?;
    }
    Ok(())
}

fn read_child(
    child: &ItemMod,
    path: &ModulePath,
    file: &Path,
    folder: &Path,
    modules: &mut Modules,
) -> Result<(), String> {
    let below = folder.join(child.ident.to_string());
    if let Some((_, items)) = &child.content {
        return read_items(items, file, &below, path, modules);
    }
    let candidates = [below.with_extension("rs"), below.join("mod.rs")];
    match candidates.iter().find(|file| file.exists()) {
        Some(file) => read_file(file, &below, path, modules),
        None => Err(format!("{}: no file of `mod {}`", file.display(), child.ident)),
    }
}

/// Collects what one module names.
struct Reader<'a> {
    path: &'a ModulePath,
    module: Module,
}

impl Reader<'_> {
    fn import(&mut self, import: &ItemUse) {
        let is_re_export = !matches!(import.vis, Visibility::Inherited);
        let mut leaves = Vec::new();
        flatten(&import.tree, &mut Vec::new(), &mut leaves);
        for (segments, name) in leaves {
            let Some(path) = self.absolute(&segments) else { continue };
            match name {
                Some(name) => {
                    self.module.names.insert(name, Target::Import(path.clone()));
                }
                None => self.module.globs.push(path.clone()),
            }
            if !is_re_export {
                self.module.uses.push(path);
            }
        }
    }

    /// The path from the root of the crate; `None` for a path into another crate.
    fn absolute(&self, segments: &[String]) -> Option<ModulePath> {
        let (first, rest) = segments.split_first()?;
        let base: ModulePath = match first.as_str() {
            "crate" => Vec::new(),
            "self" => self.path.clone(),
            "super" => {
                let ups = 1 + rest.iter().take_while(|segment| *segment == "super").count();
                let base = self.path.get(..self.path.len().checked_sub(ups)?)?.to_vec();
                return Some(base.into_iter().chain(rest[ups - 1..].iter().cloned()).collect());
            }
            // A child module, or another crate: told apart once all modules are read.
            _ => {
                return Some(self.path.iter().chain(segments).cloned().collect());
            }
        };
        Some(base.into_iter().chain(rest.iter().cloned()).collect())
    }
}

impl<'ast> Visit<'ast> for Reader<'_> {
    fn visit_path(&mut self, path: &'ast syn::Path) {
        if path.segments.len() > 1 && path.leading_colon.is_none() {
            let segments: Vec<String> =
                path.segments.iter().map(|segment| segment.ident.to_string()).collect();
            self.module.uses.extend(self.absolute(&segments));
        }
        visit::visit_path(self, path);
    }

    fn visit_item_use(&mut self, import: &'ast ItemUse) {
        self.import(import);
    }

    fn visit_item_mod(&mut self, _: &'ast ItemMod) {}
}

/// The leaves of a `use`: the segments, and the name that each gets (`None` of a glob).
fn flatten(
    tree: &UseTree,
    before: &mut Vec<String>,
    leaves: &mut Vec<(Vec<String>, Option<String>)>,
) {
    match tree {
        UseTree::Path(path) => {
            before.push(path.ident.to_string());
            flatten(&path.tree, before, leaves);
            before.pop();
        }
        UseTree::Name(name) if name.ident == "self" => {
            leaves.push((before.clone(), before.last().cloned()));
        }
        UseTree::Name(name) => {
            let name = name.ident.to_string();
            leaves.push((before.iter().cloned().chain([name.clone()]).collect(), Some(name)));
        }
        UseTree::Rename(rename) => {
            let segments = before.iter().cloned().chain([rename.ident.to_string()]).collect();
            leaves.push((segments, Some(rename.rename.to_string())));
        }
        UseTree::Glob(_) => leaves.push((before.clone(), None)),
        UseTree::Group(group) => {
            group.items.iter().for_each(|tree| flatten(tree, before, leaves));
        }
    }
}

/// The file that defines what a path leads to; re-exports are followed.
fn resolve(modules: &Modules, path: &[String], depth: usize) -> Option<PathBuf> {
    // Imports that lead to each other end here.
    if depth > 16 {
        return None;
    }
    let mut at = Vec::new();
    for (index, segment) in path.iter().enumerate() {
        let module = modules.get(&at)?;
        match module.names.get(segment) {
            Some(Target::Module(inner)) => at.clone_from(inner),
            Some(Target::Item) => return Some(module.file.clone()),
            Some(Target::Import(import)) => {
                let full: Vec<String> = import.iter().chain(&path[index + 1..]).cloned().collect();
                return resolve(modules, &full, depth + 1);
            }
            None => {
                let below = |glob: &ModulePath| -> Option<PathBuf> {
                    let full: Vec<String> = glob.iter().chain(&path[index..]).cloned().collect();
                    resolve(modules, &full, depth + 1)
                };
                return module.globs.iter().find_map(below);
            }
        }
    }
    Some(modules.get(&at)?.file.clone())
}

fn arrows(modules: &Modules) -> Arrows {
    let files: BTreeMap<&PathBuf, &ModulePath> =
        modules.iter().rev().map(|(path, module)| (&module.file, path)).collect();
    let mut arrows = Arrows::new();
    for (path, module) in modules {
        for used in &module.uses {
            let Some(target) = resolve(modules, used, 0) else { continue };
            let is_above = files.get(&target).is_some_and(|above| path.starts_with(above));
            if target != module.file && !is_above {
                arrows.entry(module.file.clone()).or_default().insert(target);
            }
        }
    }
    arrows
}

/// Each set of files that reach each other, in order.
fn circles(arrows: &Arrows) -> Vec<BTreeSet<PathBuf>> {
    let reached: BTreeMap<&PathBuf, BTreeSet<&PathBuf>> = arrows
        .keys()
        .map(|file| {
            let (mut seen, mut open) = (BTreeSet::new(), vec![file]);
            while let Some(next) = open.pop() {
                open.extend(arrows.get(next).into_iter().flatten().filter(|to| seen.insert(*to)));
            }
            (file, seen)
        })
        .collect();
    let of = |file: &PathBuf| -> BTreeSet<PathBuf> {
        let back = |to: &&&PathBuf| reached.get(**to).is_some_and(|r| r.contains(file));
        reached[file].iter().filter(back).map(|to| (*to).clone()).collect()
    };
    let all: BTreeSet<BTreeSet<PathBuf>> = reached.keys().map(|file| of(file)).collect();
    all.into_iter().filter(|circle| circle.len() > 1).collect()
}

fn name(item: &Item) -> Option<String> {
    Some(match item {
        Item::Const(item) => item.ident.to_string(),
        Item::Enum(item) => item.ident.to_string(),
        Item::Fn(item) => item.sig.ident.to_string(),
        Item::Macro(item) => item.ident.as_ref()?.to_string(),
        Item::Static(item) => item.ident.to_string(),
        Item::Struct(item) => item.ident.to_string(),
        Item::Trait(item) => item.ident.to_string(),
        Item::Type(item) => item.ident.to_string(),
        Item::Union(item) => item.ident.to_string(),
        _ => return None,
    })
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

fn is_for_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute.parse_args::<syn::Ident>().is_ok_and(|cfg| cfg == "test")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The circles of a crate of these files, by their names.
    fn found(files: &[(&str, &str)]) -> Vec<Vec<String>> {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let file = dir.path().join(name);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        }
        let modules = read_crate(&dir.path().join("lib.rs")).unwrap();
        let name = |file: &PathBuf| file.strip_prefix(dir.path()).unwrap().display().to_string();
        let circles = circles(&arrows(&modules));
        circles.iter().map(|circle| circle.iter().map(name).collect()).collect()
    }

    #[test]
    fn the_workspace_has_no_circle() {
        run().unwrap();
    }

    #[test]
    fn a_circle_of_two_files_is_found() {
        let lib = ("lib.rs", "mod a; mod b;");
        let a = ("a.rs", "use crate::b::B; pub struct A(B);");
        let back = ("b.rs", "pub struct B; fn f(_: &super::a::A) {}");
        assert_eq!(found(&[lib, a, back]), [["a.rs", "b.rs"]]);
        assert_eq!(found(&[lib, a, ("b.rs", "pub struct B;")]), [[""; 0]; 0]);
    }

    #[test]
    fn a_circle_through_a_re_export_is_found() {
        let lib = ("lib.rs", "mod a; mod b; mod c; pub use a::A;");
        let a = ("a.rs", "use crate::b::g; pub struct A; fn f() { g() }");
        let b = ("b.rs", "pub fn g() { crate::c::h() }");
        let c = ("c.rs", "use crate::A; pub fn h() {}");
        assert_eq!(found(&[lib, a, b, c]), [["a.rs", "b.rs", "c.rs"]]);
    }

    #[test]
    fn a_module_may_use_those_above_it_and_tests_may_use_all() {
        let lib = ("lib.rs", "mod a; mod b;");
        let a = ("a/mod.rs", "mod inner; use inner::I; pub struct A(I);");
        let inner = ("a/inner.rs", "pub struct I; fn f(_: super::A) {}");
        let b = ("b.rs", "use crate::a::A;");
        assert_eq!(found(&[lib, a, inner, b]), [[""; 0]; 0]);
        let tests = ("a/inner.rs", "pub struct I; #[cfg(test)] mod tests { use crate::b::*; }");
        assert_eq!(found(&[lib, a, tests, b]), [[""; 0]; 0]);
    }
}
