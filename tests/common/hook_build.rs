//! Builds the shipped executables, for tests of any package.
#![allow(dead_code, reason = "every test crate compiles this file, and each uses its part of it")]
#![allow(clippy::panic, clippy::unwrap_used, reason = "clippy does not count helpers of tests as tests")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use serde_json::Value;

/// Output of `cargo build -p <package>`.
pub(crate) struct HookBuild {
    /// The executable.
    pub(crate) executable: PathBuf,
    /// Features that our library was built with for it.
    pub(crate) library_features: Vec<String>,
}

/// The shipped hook executable.
pub(crate) fn hook_executable() -> PathBuf {
    hook_build().executable.clone()
}

/// Builds the hook executable, once per process.
///
/// A separate build, because a build of the whole workspace writes an executable with the program's features to the
/// same path. So an existing file may be the wrong one.
pub(crate) fn hook_build() -> &'static HookBuild {
    static BUILD: LazyLock<HookBuild> = LazyLock::new(|| build("istio-federation-hooks"));
    &BUILD
}

/// The program `istio-federation`, for tests of other packages than its own. Built once per process.
pub(crate) fn built_program() -> PathBuf {
    static BUILD: LazyLock<HookBuild> = LazyLock::new(|| build("istio-federation"));
    BUILD.executable.clone()
}

fn build(package: &str) -> HookBuild {
    let mut cargo = Command::new(env!("CARGO"));
    cargo
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args(["build", "--locked", "--quiet", "--package", package])
        .args(["--message-format", "json-render-diagnostics"])
        .args(same_profile());
    // Cargo's variables of this test must not reach the inner cargo: ring's build script watches some of them, so both
    // would rebuild ring and its dependents every time.
    let about_this_package = ["CARGO_MANIFEST_", "CARGO_PKG_", "CARGO_CRATE_", "CARGO_BIN_", "CARGO_PRIMARY_PACKAGE"];
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| about_this_package.iter().any(|prefix| name.starts_with(prefix))) {
            cargo.env_remove(name);
        }
    }
    let output = cargo.output().unwrap_or_else(|error| panic!("cannot start {cargo:?}: {error}"));
    assert!(output.status.success(), "{cargo:?} failed:\n{}", String::from_utf8_lossy(&output.stderr));

    let (mut executable, mut library_features) = (None, None);
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let Ok(message) = serde_json::from_str::<Value>(line) else { continue };
        match (message["target"]["kind"][0].as_str(), message["target"]["name"].as_str()) {
            (Some("bin"), Some(name)) if name == package => {
                executable = message["executable"].as_str().map(Into::into);
            }
            (Some("lib"), Some("istio_federation")) => {
                library_features = serde_json::from_value(message["features"].clone()).ok();
            }
            _ => {}
        }
    }
    match (executable, library_features) {
        (Some(executable), Some(library_features)) => HookBuild { executable, library_features },
        _ => panic!("{cargo:?} does not say where it put the executable and how it built the library"),
    }
}

/// Options for the profile and target of this test itself, read from its path:
/// `<target directory>[/<triple>]/<profile>/deps/<test>`.
fn same_profile() -> Vec<String> {
    let test = std::env::current_exe().unwrap();
    let target_directory = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    let place: Vec<&str> =
        test.strip_prefix(target_directory).unwrap().iter().map(|step| step.to_str().unwrap()).collect();
    let (triple, profile) = match place[..] {
        [profile, "deps", _] => (None, profile),
        [triple, profile, "deps", _] => (Some(triple), profile),
        _ => panic!("{} is not where cargo puts tests", test.display()),
    };
    let profile = if profile == "debug" { "dev" } else { profile };
    let mut options = vec!["--profile".to_owned(), profile.to_owned()];
    options.extend(triple.into_iter().flat_map(|triple| ["--target".to_owned(), triple.to_owned()]));
    options
}
