//! Checks that the files, functions, links and headings named in documents exist, and that the first page is short.
#![allow(clippy::panic, clippy::unwrap_used, reason = "clippy does not count helpers of tests as tests")]

use std::fs;
use std::path::{Path, PathBuf};

/// Documents for people, whose links and paths are checked.
const PAGES: [&str; 11] = [
    "README.md",
    "ARCHITECTURE.md",
    "STYLE.md",
    "docs/FAQ.md",
    "docs/INSTALL.md",
    "docs/README.md",
    "docs/SECURITY.md",
    "docs/SETTINGS.md",
    "docs/USAGE.md",
    "tests/e2e/README.md",
    "tests/e2e/tests/mesh/RESULTS.md",
];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|why| panic!("{path}: {why}"))
}

/// Text in backticks, outside of code blocks.
fn code_spans(text: &str) -> Vec<&str> {
    let outside = text.split("```").step_by(2);
    outside.flat_map(|part| part.split('`').skip(1).step_by(2)).collect()
}

/// `file.rs: function` or `file.rs: Type::function`.
fn code_places(text: &str) -> Vec<(&str, &str)> {
    let spans = code_spans(text).into_iter();
    spans.filter_map(|span| span.split_once(".rs: ").map(|(stem, name)| (&span[..stem.len() + 3], name))).collect()
}

/// Paths of the repository.
fn paths(text: &str) -> Vec<&str> {
    const FOLDERS: [&str; 12] = [
        "benches/",
        "crds/",
        "docs/",
        "examples/",
        "hooks/",
        "images/",
        "monitoring/",
        "openapi/",
        "src/",
        "templates/",
        "tests/",
        "tools/",
    ];
    let is_path =
        |span: &&str| FOLDERS.iter().any(|folder| span.starts_with(folder)) && !span.contains([' ', '*', '<', '…']);
    code_spans(text).into_iter().filter(is_path).collect()
}

/// Targets of relative links.
fn links(text: &str) -> Vec<&str> {
    let outside = text.split("```").step_by(2);
    let targets = outside.flat_map(|part| part.split("](").skip(1)).filter_map(|rest| rest.split(')').next());
    targets.filter(|target| !target.contains("://")).collect()
}

/// The anchors of a page's headings, as GitHub makes them.
fn anchors(text: &str) -> Vec<String> {
    let headings =
        text.lines().filter_map(|line| line.strip_prefix('#')).map(|line| line.trim_start_matches('#').trim());
    let kept = |c: &char| c.is_alphanumeric() || [' ', '-', '_'].contains(c);
    headings.map(|heading| heading.chars().filter(kept).collect::<String>().to_lowercase().replace(' ', "-")).collect()
}

#[test]
fn functions_that_the_architecture_names_exist() {
    let text = read("ARCHITECTURE.md");
    let places = code_places(&text);
    assert!(places.len() > 20, "only {} places", places.len());
    let mut missing = Vec::new();
    for (file, name) in places {
        let source = fs::read_to_string(root().join(file)).unwrap_or_default();
        let (kind, function) = name.split_once("::").unwrap_or(("", name));
        let is_there = ["(", "<"].iter().any(|next| source.contains(&format!("fn {function}{next}")));
        if !is_there || !source.contains(kind) {
            missing.push(format!("{file}: {name}"));
        }
    }
    assert!(missing.is_empty(), "ARCHITECTURE.md names missing functions:\n{}", missing.join("\n"));
}

#[test]
fn paths_and_links_exist() {
    let mut broken = Vec::new();
    for page in PAGES {
        let text = read(page);
        for path in paths(&text) {
            let path = path.split([':', '#']).next().unwrap();
            if !root().join(path).exists() && !root().join(Path::new(page).parent().unwrap()).join(path).exists() {
                broken.push(format!("{page}: `{path}`"));
            }
        }
        for link in links(&text) {
            let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target =
                if path.is_empty() { root().join(page) } else { root().join(page).parent().unwrap().join(path) };
            let is_there = target.exists()
                && (anchor.is_empty()
                    || anchors(&fs::read_to_string(&target).unwrap()).iter().any(|known| known == anchor));
            if !is_there {
                broken.push(format!("{page}: ({link})"));
            }
        }
    }
    assert!(broken.is_empty(), "these lead nowhere:\n{}", broken.join("\n"));
}

#[test]
fn the_first_page_stays_short() {
    for (page, limit) in [("README.md", 150), ("ARCHITECTURE.md", 190)] {
        let lines = read(page).lines().count();
        assert!(lines <= limit, "{page} has {lines} lines, more than {limit}");
    }
}

#[test]
fn places_paths_links_and_anchors_are_found() {
    let text = "See `src/a.rs: Type::new`, `src/b`, [c](docs/c.md#one-two).\n```\n`src/no`\n```\n## One, two\n";
    assert_eq!(code_places(text), [("src/a.rs", "Type::new")]);
    assert_eq!(paths(text), ["src/b"]);
    assert_eq!(links(text), ["docs/c.md#one-two"]);
    assert_eq!(anchors(text), ["one-two"]);
}
