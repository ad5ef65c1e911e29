//! Helm, isolated from the user's own configuration.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, ensure};
use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::objects::parse_yaml;
use crate::{ApiServer, Tools};

/// Real Helm, with or without an API server.
#[derive(Debug, Clone)]
pub struct Helm {
    program: PathBuf,
    kubeconfig: PathBuf,
}

impl Helm {
    /// On a server, with all rights.
    pub fn on(server: &ApiServer) -> anyhow::Result<Self> {
        Ok(Self { program: Tools::find()?.helm, kubeconfig: server.kubeconfig() })
    }

    /// For `template` and `lint`.
    pub fn offline() -> anyhow::Result<Self> {
        Ok(Self { program: Tools::find()?.helm, kubeconfig: "/dev/null".into() })
    }

    /// Renders the chart for a server with the API versions of Kubernetes and `api_versions` (`group/version` or
    /// `group/version/Kind`).
    pub async fn template(
        &self,
        release: &str,
        namespace: &str,
        chart: &Path,
        values: &Value,
        api_versions: &[&str],
    ) -> anyhow::Result<Vec<Value>> {
        let mut args = vec!["template", release, "--namespace", namespace];
        args.extend(api_versions.iter().flat_map(|version| ["--api-versions", version]));
        parse_yaml(&self.run(&args, Some((chart, values))).await?).context("Helm's output is not YAML")
    }

    /// Installs or upgrades the release. Returns Helm's output.
    pub async fn upgrade(
        &self,
        release: &str,
        namespace: &str,
        chart: &Path,
        values: &Value,
    ) -> anyhow::Result<String> {
        // The server validates; reading its schemas would take half of Helm's time.
        let args = ["upgrade", release, "--install", "--disable-openapi-validation", "--namespace", namespace];
        self.run(&args, Some((chart, values))).await
    }

    /// Uninstalls the release.
    pub async fn uninstall(&self, release: &str, namespace: &str) -> anyhow::Result<String> {
        self.run(&["uninstall", release, "--namespace", namespace], None).await
    }

    /// `helm lint`; a warning is an error.
    pub async fn lint(&self, namespace: &str, chart: &Path, values: &Value) -> anyhow::Result<String> {
        self.run(&["lint", "--strict", "--namespace", namespace], Some((chart, values))).await
    }

    async fn run(&self, args: &[impl AsRef<OsStr>], chart: Option<(&Path, &Value)>) -> anyhow::Result<String> {
        let mut command = Command::new(&self.program);
        command.args(args).env("KUBECONFIG", &self.kubeconfig);
        for (name, _) in
            std::env::vars_os().filter(|(name, _)| name.to_str().is_some_and(|name| name.starts_with("HELM_")))
        {
            command.env_remove(name);
        }
        for folder in ["HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME"] {
            command.env(folder, "/nonexistent");
        }
        if let Some((chart, _)) = chart {
            command.arg(chart).args(["--values", "-"]);
        }
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true).spawn()?;
        if let (Some((_, values)), Some(mut stdin)) = (chart, child.stdin.take()) {
            stdin.write_all(readable(values).as_bytes()).await?;
        }
        let output = child.wait_with_output().await?;
        let (stdout, stderr) =
            (String::from_utf8(output.stdout)?, String::from_utf8_lossy(&output.stderr).into_owned());
        // lint reports errors on stdout.
        ensure!(output.status.success(), "helm {}: {}\n{stderr}{stdout}", args[0].as_ref().display(), output.status);
        Ok(stdout)
    }
}

/// JSON that Helm can read as YAML: escapes characters that YAML does not allow.
fn readable(values: &Value) -> String {
    let escaped = |c: char| match u32::from(c) {
        code @ 0x7f..=0xffff => format!("\\u{code:04x}"),
        _ => c.to_string(),
    };
    values.to_string().chars().map(escaped).collect()
}
