//! Outcomes of bad roots: in status, in the mesh configuration, and in the proxies.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, ensure};
use istio_federation_e2e::bench::Cluster;
use istio_federation_e2e::mesh::Workload;
use istio_federation_e2e::until;
use serde_json::Value;

use super::roots::{Expected, Root};
use crate::given::{PATIENCE, anchors};

/// Waits until every root has the expected outcome. Returns title and outcome of each.
pub(super) async fn outcomes(a: &Cluster, roots: &BTreeMap<String, Root>) -> Result<Vec<(String, String)>> {
    let mut outcomes = Vec::new();
    for (name, root) in roots {
        let what = until(&format!("{} is {:?}", root.title, root.expected), PATIENCE, async || {
            let status = a.federation(name).await?.status.context("no status")?;
            let condition = |type_: &str| status.conditions.iter().find(|condition| condition.type_ == type_);
            let document = condition("PublicMetadataExchangeReady").context("no condition on the document")?;
            // A refused document has no roots.
            let anchors = if document.status == "False" { Some(document) } else { condition("TrustAnchorsReady") };
            let anchors = anchors.context("no condition TrustAnchorsReady")?;
            let is_as_expected = match root.expected {
                Expected::Anchored => anchors.status == "True",
                Expected::Refused(why) => anchors.status == "False" && anchors.message.contains(why),
            };
            let what = format!("{}: {}", anchors.reason, anchors.message);
            ensure!(is_as_expected, "{what}");
            Ok::<_, anyhow::Error>(what)
        })
        .await?;
        outcomes.push((root.title.clone(), what));
    }
    Ok(outcomes)
}

/// Waits until the mesh has anchors for exactly the expected peers, and these proxies have all of them.
pub(super) async fn delivered(a: &Cluster, roots: &BTreeMap<String, Root>, apps: &[&Workload]) -> Result<String> {
    let anchored = roots.iter().filter(|(_, root)| root.expected == Expected::Anchored);
    let mut expected: BTreeSet<String> = anchored.map(|(name, _)| format!("{name}.example")).collect();
    expected.insert("cluster-b.local".to_owned());
    let count = until("the mesh has an anchor for each of these peers", PATIENCE, async || {
        let mesh = a.mesh_config().await?;
        let entries = mesh["caCertificates"].as_array().context("no anchors")?;
        let domains = entries.iter().filter_map(|entry| entry["trustDomains"].as_array()).flatten();
        let domains: BTreeSet<_> = domains.filter_map(Value::as_str).map(str::to_owned).collect();
        ensure!(domains == expected, "{:?}", domains.symmetric_difference(&expected));
        Ok::<_, anyhow::Error>(entries.len())
    })
    .await?;
    for app in apps {
        until("the proxy has these anchors and its own root", PATIENCE, async || {
            let anchors = anchors(app).await?.len();
            ensure!(anchors == count + 1, "{anchors} of {}", count + 1);
            Ok::<_, anyhow::Error>(())
        })
        .await?;
    }
    Ok(format!("{count} anchors for {} trust domains, in every proxy of A", expected.len()))
}
