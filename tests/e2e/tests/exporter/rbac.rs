//! The exporter's rights in the chart.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context as _, Error, Result, ensure};
use istio_federation::exporter::Inlet;
use istio_federation::exporter::access::{VERBS, permissions};
use istio_federation_e2e::Helm;
use serde_json::{Value, json};

use crate::openapi::Schemas;

/// Name of the exporter's service account.
const ACCOUNT: &str = "metadata-exporter";

/// The exporter's service account, roles and bindings, rendered by Helm.
pub(crate) async fn rendered(inlet: &str) -> Result<Vec<Value>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    // The module's chart, without the sources.
    let chart = tempfile::tempdir()?;
    for part in ["Chart.yaml", ".helmignore", "templates", "monitoring"] {
        std::os::unix::fs::symlink(root.join(part), chart.path().join(part))?;
    }
    let istio = Schemas::read(&root).map_err(Error::msg)?.filled(json!({
        "federation": {"enabled": true, "clusterDomain": "cluster-b.local",
            "metadataExporter": {"image": "registry.example/exporter"}},
        "alliance": {"ingressGateway": {"inlet": inlet}},
        "internal": {"clusterUUID": "uuid-b", "remoteAuthnKeypair": {"pub": "public", "priv": "private"},
            "federations": [], "remotePublicMetadata": {}, "federationTrustAnchors": []},
    }));
    let all = Helm::offline()?.template("istio", "d8-istio", chart.path(), &json!({"istio": istio}), &[]).await?;
    let of_account = |object: &Value| {
        let subjects = object["subjects"].as_array().into_iter().flatten();
        object["kind"] == "ServiceAccount" && object["metadata"]["name"] == ACCOUNT
            || subjects.clone().any(|subject| subject["kind"] == "ServiceAccount" && subject["name"] == ACCOUNT)
    };
    let bound: Vec<&Value> = all.iter().filter(|object| of_account(object)).collect();
    let roles: Vec<(&Value, &Value)> =
        bound.iter().map(|one| (&one["roleRef"]["kind"], &one["roleRef"]["name"])).collect();
    let is_role = |object: &&Value| roles.contains(&(&object["kind"], &object["metadata"]["name"]));
    let found: Vec<Value> = all.iter().filter(|object| of_account(object) || is_role(object)).cloned().collect();
    ensure!(found.len() == 5, "an account, two roles, two bindings: {found:#?}");
    Ok(found)
}

/// `<namespace> <resource> <name> <verb>` for everything that a rule allows.
fn allowed(object: &Value) -> Result<Vec<String>> {
    let namespace = object["metadata"]["namespace"].as_str().unwrap_or("-");
    let texts = |value: &Value| -> Vec<String> {
        value.as_array().into_iter().flatten().filter_map(|text| text.as_str().map(str::to_owned)).collect()
    };
    let mut all = Vec::new();
    for rule in object["rules"].as_array().context("a role without rules")? {
        ensure!(rule["apiGroups"] == json!([""]), "{rule}");
        let names = match texts(&rule["resourceNames"]) {
            none if none.is_empty() => vec!["-".to_owned()],
            names => names,
        };
        for resource in texts(&rule["resources"]) {
            for name in &names {
                all.extend(texts(&rule["verbs"]).iter().map(|verb| format!("{namespace} {resource} {name} {verb}")));
            }
        }
    }
    Ok(all)
}

/// No right is missing, and none is unnecessary.
#[tokio::test]
async fn the_chart_allows_exactly_the_exporters_reads() -> Result<()> {
    for (text, inlet) in [("LoadBalancer", Inlet::LoadBalancer), ("NodePort", Inlet::NodePort)] {
        let mut allowed_by_chart = BTreeSet::new();
        for role in
            rendered(text).await?.iter().filter(|one| ["Role", "ClusterRole"].iter().any(|kind| one["kind"] == *kind))
        {
            allowed_by_chart.extend(allowed(role)?);
        }
        let needed = permissions(inlet).into_iter().flat_map(|one| {
            let (namespace, name) = (one.namespace.unwrap_or("-"), one.name.unwrap_or("-"));
            VERBS.map(|verb| format!("{namespace} {} {name} {verb}", one.resource))
        });
        let needed: BTreeSet<String> = needed.collect();
        ensure!(
            allowed_by_chart == needed,
            "{text}: the chart allows\n{allowed_by_chart:#?}\nthe exporter needs\n{needed:#?}"
        );
    }
    Ok(())
}
