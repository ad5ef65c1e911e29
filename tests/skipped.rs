//! Prints one line with the tests that `cargo test` skips on this machine, and how to run them.

use std::io::Write;
use std::process::Command;

#[test]
fn skipped_tests_are_named() {
    let installed = |program: &str| Command::new(program).arg("version").output().is_ok();
    let mut skipped = vec![
        "chart, policies and exporter on real API servers (make test-module)",
        "the package (make package)",
        "operators (make e2e)",
    ];
    if !installed("openssl") {
        skipped.push("anchors verified by OpenSSL (install openssl)");
    }
    if !installed("go") {
        skipped.push("anchors verified by Go's crypto/x509 (install Go)");
    }
    let line = format!("not run: {}; lints and licences (make lint)\n", skipped.join("; "));
    // Not `eprintln!`, which the test harness captures.
    std::io::stderr().write_all(line.as_bytes()).unwrap();
}
