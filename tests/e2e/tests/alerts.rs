//! The alerts of `monitoring/`, checked with Prometheus' promtool.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn promtool(command: &str, files: &[PathBuf]) -> Result<()> {
    let output = Command::new("promtool").args([command, "rules"]).args(files).output();
    let output = output.context("promtool is missing: make e2e-tools")?;
    let report = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    ensure!(output.status.success(), "{report}");
    Ok(())
}

#[test]
fn the_rules_are_well_formed() -> Result<()> {
    let folder = std::fs::read_dir(root().join("monitoring/prometheus-rules"))?;
    let files = folder.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    ensure!(!files.is_empty(), "no rules");
    promtool("check", &files)
}

#[test]
fn alerts_fire_when_they_should_and_only_then() -> Result<()> {
    promtool("test", &[root().join("tests/monitoring/rules.yaml")])
}
