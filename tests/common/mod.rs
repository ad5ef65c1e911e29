//! Shared by integration tests: the two shipped executables.
#![allow(dead_code, reason = "every test crate compiles this file, and each uses its part of it")]

mod hook_build;

use std::path::PathBuf;

#[allow(unused_imports, reason = "not every test crate needs it")]
pub(crate) use hook_build::{hook_build, hook_executable};

/// The program `istio-federation`, built by the `cargo test` that runs us.
pub(crate) fn program() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_istio-federation"))
}
