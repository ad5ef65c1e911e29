//! Prints one line with the tests that `cargo test` does not run on this machine, and how to run them.

use std::io::Write;
use std::process::Command;

#[test]
fn tests_that_do_not_run_are_named() {
    let installed = |program: &str| Command::new(program).arg("version").output().is_ok();
    let mut not_run = vec![
        "chart, policies and exporter on real API servers (make test-module)",
        "the package (make package)",
        "operators (make e2e)",
    ];
    if !installed("openssl") {
        not_run.push("anchors verified by OpenSSL (install openssl)");
    }
    if !installed("go") {
        not_run.push("anchors verified by Go's crypto/x509 (install Go)");
    }
    let line = format!("not run: {}; lints and licences (make lint)\n", not_run.join("; "));
    // Not `eprintln!`, which the test harness captures.
    std::io::stderr().write_all(line.as_bytes()).unwrap();
}
