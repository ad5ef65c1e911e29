//! The script `enabled` of the module, as an operator calls it where there is no cluster to ask.

#![allow(clippy::unwrap_used, reason = "clippy knows tests, but not what they call")]

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
fn what_cannot_be_found_out_switches_nothing_off() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("answer");
    let output = run(file.to_str());
    assert!(output.status.success() && output.stderr.is_empty() && output.stdout.is_empty(), "{output:?}");
    assert_eq!(fs::read_to_string(file).unwrap(), "true");
}

#[test]
fn an_answer_that_cannot_be_given_is_one_line_and_a_failure() {
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
