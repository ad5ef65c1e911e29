//! Tests of the module's script `enabled`, called like an operator, without a cluster.

#![allow(clippy::unwrap_used, reason = "clippy does not count helpers of tests as tests")]

mod common;

use std::fs;
use std::process::{Command, Output};

use serde_json::Value;

fn run(answer: Option<&str>) -> Output {
    let mut command = Command::new(common::hook_executable());
    command.arg("enabled").env_clear();
    command.envs(answer.map(|file| ("MODULE_ENABLED_RESULT", file)));
    command.output().unwrap()
}

#[test]
fn without_a_cluster_the_module_stays_on() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("answer");
    let output = run(file.to_str());
    assert!(output.status.success() && output.stderr.is_empty() && output.stdout.is_empty(), "{output:?}");
    assert_eq!(fs::read_to_string(file).unwrap(), "true");
}

#[test]
fn a_failure_to_answer_is_one_line_and_a_bad_exit_code() {
    for (answer, expected) in [
        (None, "enabled: MODULE_ENABLED_RESULT is not set: addon-operator sets it"),
        (
            Some("/nowhere/answer"),
            "enabled: MODULE_ENABLED_RESULT (/nowhere/answer): No such file or directory (os error 2)",
        ),
    ] {
        let output = run(answer);
        let line = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && output.stdout.is_empty());
        assert_eq!(
            (line.lines().count(), serde_json::from_str::<Value>(&line).unwrap()["message"].as_str()),
            (1, Some(expected))
        );
    }
}
