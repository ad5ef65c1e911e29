//! Checks for harm: deleted or recreated objects.

use std::collections::BTreeMap;

use anyhow::ensure;
use serde_json::Value;

use super::{Cluster, MODULE_NAMESPACE};
use crate::AuditEvent;

/// Whether the write deleted an object of ours.
#[must_use]
pub fn is_loss(write: &AuditEvent) -> bool {
    // Helm removes the Secrets of its old revisions.
    write.verb.starts_with("delete") && !write.name.starts_with("sh.helm.release")
}

/// UIDs of the objects of hooks and chart.
pub async fn identities(cluster: &Cluster) -> anyhow::Result<BTreeMap<String, Value>> {
    let mut found = BTreeMap::new();
    for (version, kind) in [
        ("networking.istio.io/v1", "ServiceEntry"),
        ("networking.istio.io/v1", "Gateway"),
        ("networking.istio.io/v1", "DestinationRule"),
        ("v1", "Secret"),
        ("v1", "ConfigMap"),
        ("apps/v1", "Deployment"),
    ] {
        for (name, object) in cluster.list(version, kind, MODULE_NAMESPACE).await? {
            found.insert(format!("{kind} {name}"), object["metadata"]["uid"].clone());
        }
    }
    Ok(found)
}

/// Checks that all objects of `before` are the same, and that the operator deleted nothing since `mark`.
pub async fn unharmed(cluster: &Cluster, before: &BTreeMap<String, Value>, mark: usize) -> anyhow::Result<()> {
    let now = identities(cluster).await?;
    for (object, uid) in before {
        ensure!(now.get(object) == Some(uid), "{object} was recreated or is gone");
    }
    let lost: Vec<_> = cluster.writes_since(mark)?.into_iter().filter(is_loss).collect();
    ensure!(lost.is_empty(), "something was deleted: {lost:?}");
    Ok(())
}
