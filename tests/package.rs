//! Checks that the output of `make package` is complete and has nothing else. `make package` runs this.
#![allow(clippy::panic, clippy::unwrap_used, reason = "clippy does not count helpers of tests as tests")]

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// Parts of the repository that belong to the module.
const SHIPPED: [&str; 10] = [
    ".helmignore",
    "Chart.yaml",
    "LICENSE",
    "crds",
    "docs",
    "enabled",
    "module.yaml",
    "monitoring",
    "openapi",
    "templates",
];
const HOOKS: &str = "hooks/istio-federation-hooks";
/// Files that an operator runs.
const EXECUTABLE: [&str; 2] = ["enabled", HOOKS];
/// Sources that are not hooks.
const NO_HOOK: [&str; 2] = ["hooks/enabled.rs", "hooks/main.rs"];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn package() -> PathBuf {
    root().join("target/package")
}

/// Every file below a folder, by relative path.
fn files(folder: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(&next).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
            } else {
                found.insert(entry.path().strip_prefix(folder).unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    found
}

/// Files in version control.
fn tracked(paths: &[&str]) -> BTreeSet<String> {
    let listed = Command::new("git").current_dir(root()).args(["ls-files", "--"]).args(paths).output().unwrap();
    assert!(listed.status.success(), "{}", String::from_utf8_lossy(&listed.stderr));
    String::from_utf8(listed.stdout).unwrap().lines().map(str::to_owned).collect()
}

/// Whether an ELF executable (64 bits, little endian) has no interpreter, which would load libraries.
fn is_static(executable: &Path) -> bool {
    const INTERPRETER: usize = 3;
    let bytes = fs::read(executable).unwrap();
    assert_eq!(&bytes[..6], b"\x7fELF\x02\x01", "{}", executable.display());
    let number = |at: usize, size: usize| {
        bytes[at..at + size].iter().rev().fold(0_usize, |number, &byte| (number << 8) | usize::from(byte))
    };
    let (first, size, count) = (number(32, 8), number(54, 2), number(56, 2));
    assert!(count > 0, "{} has no segments", executable.display());
    (0..count).all(|index| number(first + index * size, 4) != INTERPRETER)
}

fn runs(executable: &Path, args: &[&str]) -> String {
    // No environment, as in an empty image.
    let output = Command::new(executable).args(args).env_clear().current_dir("/").output().unwrap();
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
#[ignore = "checks the output of make package, which runs it"]
fn the_module_is_complete() {
    let module = package().join("istio");
    let mut expected = tracked(&SHIPPED);
    expected.insert(HOOKS.to_owned());
    assert_eq!(files(&module), expected);
    for file in &expected {
        let mode = fs::symlink_metadata(module.join(file)).unwrap().permissions().mode();
        let wanted = if EXECUTABLE.contains(&file.as_str()) { 0o100_755 } else { 0o100_644 };
        assert_eq!(mode, wanted, "{file}: an operator reads all files, and runs those with an execute bit: {mode:o}");
    }
}

#[test]
#[ignore = "checks the output of make package, which runs it"]
fn an_operator_can_run_the_hooks() {
    let hooks = package().join("istio").join(HOOKS);
    assert!(is_static(&hooks));
    let sources = tracked(&["hooks/*.rs"]);
    let count =
        sources.iter().filter(|file| file.matches('/').count() == 1 && !NO_HOOK.contains(&file.as_str())).count();
    let output = runs(&hooks, &["hook", "list"]);
    assert!(count > 0 && output.contains(&format!("Found {count} items")), "{count} hooks; the output is {output}");
    let config: Value = serde_json::from_str(&runs(&hooks, &["hook", "config"])).unwrap();
    assert_eq!(config["hooks"].as_array().unwrap().len(), count);
}

#[test]
#[ignore = "checks the output of make package, which runs it"]
fn the_image_has_one_static_executable() {
    let context = package().join("images/metadata-exporter");
    assert_eq!(files(&context), ["Dockerfile", "istio-federation"].map(str::to_owned).into());
    let program = context.join("istio-federation");
    assert!(is_static(&program) && !is_static(Path::new(env!("CARGO_BIN_EXE_istio-federation"))));
    assert!(runs(&program, &["--version"]).starts_with("istio-federation "));

    let recipe = fs::read_to_string(context.join("Dockerfile")).unwrap();
    let steps: Vec<&str> = recipe.lines().filter(|line| !line.starts_with('#')).collect();
    // A numeric user without rights, so that Kubernetes can check that it is not root.
    let expected = [
        "FROM scratch",
        "COPY --chmod=0555 istio-federation /istio-federation",
        "USER 64535:64535",
        "ENTRYPOINT [\"/istio-federation\"]",
    ];
    assert_eq!(steps, expected);
}
