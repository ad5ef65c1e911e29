//! The module's folder for Helm, and values with an operator's defaults.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use anyhow::{Context, Result};
use istio_federation_e2e::Helm;
use k8s_openapi::ByteString;
use serde_json::Value;
use tempfile::TempDir;

use crate::openapi::Schemas;

/// Name of the release: the module's.
pub(crate) const RELEASE: &str = "istio";
/// Namespace of the operator, which is the release's.
pub(crate) const OPERATOR: &str = "operator";

static CHART: LazyLock<TempDir> = LazyLock::new(|| {
    let folder = tempfile::tempdir().unwrap();
    for part in ["Chart.yaml", ".helmignore", "templates", "monitoring"] {
        copy(&root().join(part), &folder.path().join(part)).unwrap();
    }
    folder
});

pub(crate) static SCHEMAS: LazyLock<Schemas> = LazyLock::new(|| Schemas::read(&root()).unwrap());

/// Root of the project.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// A folder with the module's chart, without the sources.
pub(crate) fn chart() -> &'static Path {
    CHART.path()
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    if from.is_dir() {
        fs::create_dir(to)?;
        for entry in fs::read_dir(from)? {
            let entry = entry?;
            copy(&entry.path(), &to.join(entry.file_name()))?;
        }
    } else if from.exists() {
        fs::copy(from, to).with_context(|| from.display().to_string())?;
    }
    Ok(())
}

/// Renders the chart with real Helm.
pub(crate) async fn render(values: &Value) -> Result<Vec<Value>> {
    Helm::offline()?.template(RELEASE, OPERATOR, chart(), values, &API_VERSIONS).await
}

/// Kinds of the test's API server in addition to Kubernetes' own.
pub(crate) const API_VERSIONS: [&str; 5] = [
    "networking.istio.io/v1",
    "security.istio.io/v1",
    "gateway.networking.k8s.io/v1/HTTPRoute",
    "monitoring.coreos.com/v1/ServiceMonitor",
    "monitoring.coreos.com/v1/PrometheusRule",
];

/// A key that distinguishes an object: kind, namespace, name.
pub(crate) fn key(object: &Value) -> String {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    format!("{} {}/{}", text("/kind"), text("/metadata/namespace"), text("/metadata/name"))
}

/// The object of a kind and name.
pub(crate) fn find<'a>(objects: &'a [Value], kind: &str, name: &str) -> Option<&'a Value> {
    objects.iter().find(|object| object["kind"] == kind && object["metadata"]["name"] == name)
}

/// Decodes base64 text.
pub(crate) fn decoded(text: &str) -> Option<String> {
    let bytes: ByteString = serde_json::from_value(text.into()).ok()?;
    String::from_utf8(bytes.0).ok()
}
