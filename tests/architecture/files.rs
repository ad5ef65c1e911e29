//! The project's files, for the rules.

use std::path::{Path, PathBuf};
use std::process::Command;

/// A Rust file.
pub(crate) struct SourceFile {
    /// From the root of the project, with slashes.
    pub(crate) path: String,
    /// Its content.
    pub(crate) text: String,
}

impl SourceFile {
    pub(crate) fn new(path: &str, text: &str) -> Self {
        Self { path: path.to_owned(), text: text.to_owned() }
    }

    /// Its module: `src/hook/input.rs` is `["crate", "hook", "input"]`.
    pub(crate) fn module(&self) -> Vec<&str> {
        let inner = self.path.split_once("src/").map_or(self.path.as_str(), |(_, inner)| inner);
        let inner = inner.trim_start_matches("hooks/").trim_end_matches(".rs");
        let steps = inner.split('/').filter(|step| !["mod", "lib", "main"].contains(step));
        std::iter::once("crate").chain(steps).collect()
    }
}

pub(crate) fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// All Rust files of the project.
pub(crate) fn sources() -> Vec<SourceFile> {
    let sources: Vec<SourceFile> = tracked()
        .into_iter()
        .filter(|path| Path::new(path).extension().is_some_and(|extension| extension == "rs"))
        .filter_map(|path| Some(SourceFile { text: std::fs::read_to_string(root().join(&path)).ok()?, path }))
        .collect();
    assert!(sources.iter().any(|file| file.path == "src/lib.rs"), "the project's files were not found");
    sources
}

/// Files without tests: neither in `tests/` nor `tests.rs`, `x_tests.rs`, `test_x.rs` next to the code.
pub(crate) fn production_sources() -> Vec<SourceFile> {
    let test = |step: &str| {
        let name = step.trim_end_matches(".rs");
        name == "tests" || name.ends_with("_tests") || name.starts_with("test_")
    };
    let rooms = ["hooks/", "src/", "tools/"];
    let works = |path: &str| rooms.iter().any(|room| path.starts_with(room)) && !path.split('/').any(test);
    sources().into_iter().filter(|file| works(&file.path)).collect()
}

/// All files in version control, or about to be added; without git, all files.
pub(crate) fn tracked() -> Vec<String> {
    let listed = Command::new("git")
        .current_dir(root())
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .output();
    match listed {
        Ok(output) if output.status.success() => {
            String::from_utf8_lossy(&output.stdout).split_terminator('\0').map(str::to_owned).collect()
        }
        _ => below(&root(), ""),
    }
}

fn below(folder: &Path, prefix: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.path().is_file() {
            found.push(format!("{prefix}{name}"));
        } else if name != "target" && name != ".git" {
            found.extend(below(&entry.path(), &format!("{prefix}{name}/")));
        }
    }
    found
}

/// Whether an absolute path in `line` starts with `home`; in `a/b`, `/b` is not absolute.
pub(crate) fn starts_a_path(line: &str, home: &str) -> bool {
    line.match_indices(home).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        before.is_none_or(|c| !(c.is_alphanumeric() || "._-/}".contains(c)))
    })
}

#[test]
fn absolute_and_relative_paths_are_distinguished() {
    for (line, expected) in [
        ("/home/a", true),
        ("see \"/home/a\"", true),
        ("A=/home/a", true),
        ("x/home/a", false),
        ("https://b/home/a", false),
    ] {
        assert_eq!(starts_a_path(line, "/home/"), expected, "{line}");
    }
}
