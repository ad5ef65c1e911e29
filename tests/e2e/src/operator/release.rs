//! The Helm release of the module, by real Helm: rendered in every run of the module, applied if it differs.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, bail, ensure};
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, DeleteParams, DynamicObject, ListParams};
use kube::core::GroupVersionKind;
use kube::{Client, ResourceExt, discovery};
use serde_json::Value;
use sha2::{Digest, Sha256};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use super::log;
use crate::Tools;
use crate::objects::parse_yaml;

/// Label that the operator sets on every rendered object.
const HERITAGE: (&str, &str) = ("heritage", "addon-operator");
/// Label of the release with the checksum of the rendered manifests.
const CHECKSUM: &str = "moduleChecksum";

/// A release.
pub(super) struct Release {
    program: PathBuf,
    client: Client,
    name: String,
    namespace: String,
}

impl Release {
    /// The release `name` in `namespace`, of the cluster of `KUBECONFIG`.
    pub(super) fn new(client: Client, name: &str, namespace: &str) -> anyhow::Result<Self> {
        let program = Tools::find()?.helm;
        Ok(Self { program, client, name: name.to_owned(), namespace: namespace.to_owned() })
    }

    /// Whether the release exists, in any state.
    pub(super) async fn exists(&self) -> anyhow::Result<bool> {
        Ok(self.last().await?.is_some())
    }

    /// Renders, and applies the result if it differs from the last release.
    pub(super) async fn upgrade(&self, chart: &Path, values: &Value) -> anyhow::Result<()> {
        let upgrade = ["upgrade", &self.name, "--install", "--take-ownership", "--skip-crds"];
        let dry = [&upgrade[..], &["--dry-run=server", "--output", "json"]].concat();
        let rendered: Value = serde_json::from_str(&self.helm(&dry, Some((chart, values))).await?)?;
        let manifest = rendered["manifest"].as_str().context("helm rendered no manifest")?;
        let checksum = checksum(manifest);
        if let Some(last) = self.last().await? {
            let label = |name: &str| last.labels().get(name).map(String::as_str).unwrap_or_default();
            if label("status") == "deployed" && label(CHECKSUM) == checksum {
                let missing = self.missing(manifest).await?;
                if missing.is_empty() {
                    return Ok(());
                }
                log::info("helm", format!("missing: {}", missing.join(", ")));
            }
            if label("status").starts_with("pending") {
                log::info("helm", format!("{} was left {}: removing it", last.name_any(), label("status")));
                self.secrets().delete(&last.name_any(), &DeleteParams::default()).await?;
            }
        }
        let label = format!("{CHECKSUM}={checksum}");
        let apply = [&upgrade[..], &["--history-max", "10", "--timeout", "20m", "--labels", &label]].concat();
        self.helm(&apply, Some((chart, values))).await?;
        log::info("helm", format!("applied {} objects", parse_yaml(manifest)?.len()));
        Ok(())
    }

    /// Removes it.
    pub(super) async fn uninstall(&self) -> anyhow::Result<()> {
        self.helm(&["uninstall", &self.name], None).await?;
        log::info("helm", "uninstalled");
        Ok(())
    }

    /// Objects of a manifest that are missing in the API server.
    async fn missing(&self, manifest: &str) -> anyhow::Result<Vec<String>> {
        let mut missing = Vec::new();
        for object in parse_yaml(manifest)? {
            let object: DynamicObject = serde_json::from_value(object)?;
            let types = object.types.as_ref().context("a rendered object has no kind")?;
            let kind = GroupVersionKind::try_from(types)?;
            let (resource, capabilities) = discovery::pinned_kind(&self.client, &kind).await?;
            let api: Api<DynamicObject> = match capabilities.scope {
                discovery::Scope::Cluster => Api::all_with(self.client.clone(), &resource),
                discovery::Scope::Namespaced => {
                    let namespace = object.namespace().unwrap_or_else(|| self.namespace.clone());
                    Api::namespaced_with(self.client.clone(), &namespace, &resource)
                }
            };
            if api.get_opt(&object.name_any()).await?.is_none() {
                missing.push(format!("{} {}", kind.kind, object.name_any()));
            }
        }
        Ok(missing)
    }

    fn secrets(&self) -> Api<Secret> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// The Secret of the last revision.
    async fn last(&self) -> anyhow::Result<Option<Secret>> {
        let mine = ListParams::default().labels(&format!("owner=helm,name={}", self.name));
        let revision = |secret: &Secret| secret.labels().get("version").and_then(|text| text.parse::<u64>().ok());
        Ok(self.secrets().list(&mine).await?.items.into_iter().max_by_key(revision))
    }

    async fn helm(&self, arguments: &[&str], chart: Option<(&Path, &Value)>) -> anyhow::Result<String> {
        let mut command = Command::new(&self.program);
        command.args(arguments).args(["--namespace", &self.namespace]);
        if let Some((chart, _)) = chart {
            command.arg(chart).args(["--values", "-"]);
            command.arg("--post-renderer").arg(std::env::current_exe()?).args(["--post-renderer-args", "post-render"]);
        }
        for folder in ["HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME"] {
            command.env(folder, "/nonexistent");
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().with_context(|| format!("cannot start {}", self.program.display()))?;
        let mut stdin = child.stdin.take().context("helm has no stdin")?;
        if let Some((_, values)) = chart {
            stdin.write_all(values.to_string().as_bytes()).await?;
        }
        drop(stdin);
        let output = child.wait_with_output().await?;
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        ensure!(output.status.success(), "helm {}: {}: {}", arguments[0], output.status, stderr.trim());
        Ok(String::from_utf8(output.stdout)?)
    }
}

/// Checksum that fits into a label.
fn checksum(text: &str) -> String {
    let hash = Sha256::digest(text);
    let start = hash.iter().take(16).fold(0_u128, |number, byte| number << 8 | u128::from(*byte));
    format!("{start:032x}")
}

/// Sets the operator's label on all rendered objects; Helm runs it as its post-renderer.
pub(super) fn post_render(manifests: &str) -> anyhow::Result<String> {
    let mut text = String::new();
    for mut object in parse_yaml(manifests)? {
        let Some(metadata) = object["metadata"].as_object_mut() else {
            bail!("an object without metadata was rendered: {object}");
        };
        let labels = metadata.entry("labels").or_insert_with(|| serde_json::json!({}));
        labels[HERITAGE.0] = Value::from(HERITAGE.1);
        text.push_str("---\n");
        text.push_str(&object.to_string());
        text.push('\n');
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_label_is_overwritten() {
        let rendered =
            "kind: A\nmetadata: {name: a, labels: {heritage: deckhouse, app: x}}\n---\nkind: B\nmetadata: {name: b}\n";
        let labelled = parse_yaml(&post_render(rendered).unwrap()).unwrap();
        let labels: Vec<_> = labelled.iter().map(|object| object["metadata"]["labels"].to_string()).collect();
        assert_eq!(labels, [r#"{"app":"x","heritage":"addon-operator"}"#, r#"{"heritage":"addon-operator"}"#]);
    }
}
