//! Circles between the files of a room: two files that use each other can only be understood together.

use std::collections::{BTreeMap, BTreeSet};

use crate::files::SourceFile;
use crate::paths::named;

/// Which files of a room use which, by module path.
type Graph = BTreeMap<String, BTreeSet<String>>;

/// The circles in `files` (all of one room): groups of files that reach each other, sorted.
pub(crate) fn circles(files: &[SourceFile]) -> Vec<Vec<String>> {
    let graph = graph(files);
    let reached: BTreeMap<&String, BTreeSet<&String>> =
        graph.keys().map(|module| (module, reach(&graph, module))).collect();
    let mut found: BTreeSet<Vec<String>> = BTreeSet::new();
    for (module, others) in &reached {
        if others.contains(module) {
            let is_mutual = |other: &&&String| reached[**other].contains(module);
            found.insert(others.iter().filter(is_mutual).map(|other| (**other).clone()).collect());
        }
    }
    found.into_iter().collect()
}

fn reach<'a>(graph: &'a Graph, from: &String) -> BTreeSet<&'a String> {
    let mut reached = BTreeSet::new();
    let mut open: Vec<&String> = graph[from].iter().collect();
    while let Some(next) = open.pop() {
        if reached.insert(next) {
            open.extend(&graph[next]);
        }
    }
    reached
}

fn graph(files: &[SourceFile]) -> Graph {
    let modules: BTreeMap<String, &SourceFile> = files.iter().map(|file| (file.module().join("::"), file)).collect();
    // What a file brings out of the modules below it: `trust::OwnChain` is `trust::own::OwnChain`.
    let mut exports: BTreeMap<String, String> = BTreeMap::new();
    for (module, file) in &modules {
        for path in named(&file.text, &file.module()) {
            let inner = format!("{module}::{}", path.path);
            if let Some(target) = module_of(&inner, &modules).filter(|target| target != module)
                && let Some(name) = path.path.rsplit("::").next()
            {
                exports.insert(format!("{module}::{name}"), target);
            }
        }
    }
    let mut graph = Graph::new();
    for (module, file) in &modules {
        let used = named(&file.text, &file.module()).into_iter().filter_map(|path| {
            let exported =
                exports.iter().find(|(name, _)| path.path == **name || path.path.starts_with(&format!("{name}::")));
            let below = format!("{module}::{}", path.path);
            let target = exported
                .map(|(_, target)| target.clone())
                .or_else(|| module_of(&path.path, &modules))
                .or_else(|| module_of(&below, &modules))?;
            (target != *module && !is_door(modules[&target])).then_some(target)
        });
        graph.insert(module.clone(), used.collect());
    }
    graph
}

/// The innermost module that a path leads into.
fn module_of(path: &str, modules: &BTreeMap<String, &SourceFile>) -> Option<String> {
    let is_prefix = |module: &&String| path.strip_prefix(module.as_str()).is_some_and(|rest| rest.starts_with("::"));
    modules.keys().filter(is_prefix).max_by_key(|module| module.len()).cloned()
}

/// Whether a file is a `mod.rs` that only declares modules and passes on what is in them.
fn is_door(file: &SourceFile) -> bool {
    file.path.ends_with("/mod.rs") && declares_only(&file.text)
}

fn declares_only(source: &str) -> bool {
    let mut in_use = false;
    source.lines().map(str::trim).all(|line| {
        let starts = ["//", "mod ", "pub mod ", "pub(crate) mod ", "pub(super) mod ", "#[", "#!["];
        let starts_use = in_use
            || ["use ", "pub use ", "pub(crate) use ", "pub(super) use "].iter().any(|start| line.starts_with(start));
        in_use = starts_use && !line.ends_with(';');
        line.is_empty() || starts_use || starts.iter().any(|start| line.starts_with(start))
    })
}

#[test]
fn two_files_that_use_each_other_are_a_circle() {
    let room = |sources: &[(&str, &str)]| {
        circles(&sources.iter().map(|(path, text)| SourceFile::new(path, text)).collect::<Vec<_>>())
    };
    let head = ("src/peer/mod.rs", "//! Room.\nmod a;\nmod b;\npub use a::{A, Other};\npub use b::B;\n");
    assert_eq!(room(&[head, ("src/peer/a.rs", "use super::b::B;"), ("src/peer/b.rs", "fn f() {}")]), [[""; 0]; 0]);
    for (a, b) in [
        ("use super::b::B;", "use super::a::A;"),
        ("use super::B;", "use crate::peer::A;"),
        ("fn f() { super::b::g() }", "use crate::peer::a;\nfn g() { a::f() }"),
    ] {
        let found = room(&[head, ("src/peer/a.rs", a), ("src/peer/b.rs", b)]);
        assert_eq!(found, [["crate::peer::a", "crate::peer::b"]], "{a} {b}");
    }
    let defines = ("src/peer/mod.rs", "mod a;\npub use a::A;\npub const LIMIT: usize = 1;\n");
    let found = room(&[defines, ("src/peer/a.rs", "use super::LIMIT;")]);
    assert_eq!(found, [["crate::peer", "crate::peer::a"]]);
    let tests = "use super::b::B;\n#[cfg(test)]\nmod tests { use super::*; }";
    assert_eq!(
        room(&[head, ("src/peer/a.rs", tests), ("src/peer/b.rs", "#[cfg(test)]\nuse super::a::A;")]),
        [[""; 0]; 0]
    );
}
