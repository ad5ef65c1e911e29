//! What must not happen, and how it would show: objects lost or made anew, and writes at rest.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use istio_federation_e2e::bench::{Cluster, MODULE_NAMESPACE};
use istio_federation_e2e::{AuditEvent, until};
use serde_json::Value;

/// Whether something of ours was deleted.
pub(crate) fn is_loss(write: &AuditEvent) -> bool {
    // Helm removes the Secrets of its old revisions.
    write.verb.starts_with("delete") && !write.name.starts_with("sh.helm.release")
}

/// UIDs of what hooks and chart made.
pub(crate) async fn identities(cluster: &Cluster) -> Result<BTreeMap<String, Value>> {
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

/// All of `before` is what it was, and the operator deleted nothing since `mark`.
pub(crate) async fn unharmed(cluster: &Cluster, before: &BTreeMap<String, Value>, mark: usize) -> Result<()> {
    let now = identities(cluster).await?;
    for (object, uid) in before {
        ensure!(now.get(object) == Some(uid), "{object} is not what it was");
    }
    let lost: Vec<_> = cluster.writes_since(mark)?.into_iter().filter(is_loss).collect();
    ensure!(lost.is_empty(), "something was deleted: {lost:?}");
    Ok(())
}

/// Waits until nothing was written for two ticks of discovery.
pub(crate) async fn settles(cluster: &Cluster) -> Result<()> {
    settles_but_for(cluster, |_| false).await
}

/// As [`settles`], where some writes do not count.
pub(crate) async fn settles_but_for(cluster: &Cluster, passes: impl Fn(&AuditEvent) -> bool) -> Result<()> {
    let rest = Duration::from_secs(31);
    let mut last = (cluster.mark()?, Instant::now());
    until("a pause of 31 s between writes", Duration::from_mins(5), async || {
        let mut writes = cluster.writes_since(last.0)?;
        writes.retain(|write| !passes(write));
        if !writes.is_empty() {
            last = (cluster.mark()?, Instant::now());
        }
        ensure!(last.1.elapsed() >= rest, "last written: {:?}", writes.last());
        Ok::<_, anyhow::Error>(())
    })
    .await
}
