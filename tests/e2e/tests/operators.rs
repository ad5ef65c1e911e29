//! Real operators. Needs shell-operator: `make e2e-tools-operators`.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use istio_federation_e2e::{ApiServer, ShellOperator, create};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use serde_json::json;

const DEADLINE: Duration = Duration::from_mins(1);

/// Mirrors each labelled ConfigMap.
const HOOK: &str = r#"#!/bin/sh
if [ "$1" = --config ]; then
  echo '{"configVersion": "v1", "kubernetes": [{"name": "originals", "apiVersion": "v1", "kind": "ConfigMap", "group": "main",
    "labelSelector": {"matchLabels": {"mirror": "yes"}}, "jqFilter": ".data.key"}]}'
  exit
fi
jq '.[0].snapshots.originals[] | {operation: "CreateOrUpdate", object: {apiVersion: "v1", kind: "ConfigMap",
  metadata: {name: ("mirror-of-" + .object.metadata.name), namespace: "default"}, data: {key: .filterResult}}}' "$BINDING_CONTEXT_PATH" >"$KUBERNETES_PATCH_PATH"
"#;

#[tokio::test]
async fn shell_operator_runs_a_hook_on_an_event_and_applies_its_patch() -> Result<()> {
    let server = ApiServer::start("operators-shell").await?;
    let client = server.client().await?;
    let hooks = server.scratch().data().join("hooks");
    fs::create_dir(&hooks)?;
    let hook = hooks.join("mirror");
    fs::write(&hook, HOOK)?;
    fs::set_permissions(&hook, fs::Permissions::from_mode(0o755))?;
    let mut operator = ShellOperator::start(&server, &hooks)?;

    let config_maps: Api<ConfigMap> = Api::namespaced(client.clone(), "default");
    for (name, value) in [("first", "one"), ("second", "two")] {
        let original = json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"key": value},
            "metadata": {"name": name, "namespace": "default", "labels": {"mirror": "yes"}}});
        create(&client, &original).await?;
        let mirror =
            operator.component().ready(DEADLINE, async || Ok(config_maps.get(&format!("mirror-of-{name}")).await?));
        let data = mirror.await?.data.context("no data")?;
        ensure!(data["key"] == value, "{data:?}");
    }
    let writes = server.audit()?;
    ensure!(writes.iter().any(|event| event.name == "mirror-of-second" && event.code == 201), "{writes:?}");
    drop(operator);
    server.stop();
    Ok(())
}
