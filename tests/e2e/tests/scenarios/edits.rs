//! An IstioFederation is edited, renamed and deleted: only its own routes and anchors change.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use istio_federation_e2e::bench::{Bench, Cluster, MODULE_NAMESPACE, PATIENCE, scenario};
use istio_federation_e2e::until;
use serde_json::json;

use crate::given::{OF_A, OF_B, federated};

const CLUSTER_B: (&str, &str, &str, &str) = ("deckhouse.io/v1alpha1", "IstioFederation", "", "cluster-b");

#[tokio::test]
async fn edits_change_only_their_own_routes_and_anchors() -> Result<()> {
    scenario("edits", async |bench| {
        federated(bench).await?;
        let Bench { a, b, timeline, .. } = bench;
        let of_b = b.service_entries().await?;

        timeline.cause("another endpoint, where nobody listens");
        let endpoint = format!("https://{}/metadata", b.front.host());
        let nowhere = json!({"spec": {"metadataEndpoint": "https://localhost:1/metadata"}});
        a.patch(CLUSTER_B, &nowhere).await?;
        a.condition("cluster-b", ("PublicMetadataExchangeReady", "False", None)).await?;
        a.imports(&OF_B, Duration::from_secs(5)).await?;
        timeline.seen("a condition reports it; the routes stay");
        a.patch(CLUSTER_B, &json!({"spec": {"metadataEndpoint": endpoint}})).await?;
        a.condition("cluster-b", ("PrivateMetadataExchangeReady", "True", None)).await?;

        timeline.cause("another trust domain, which B does not have");
        a.patch(CLUSTER_B, &json!({"spec": {"trustDomain": "cluster-c.local"}})).await?;
        a.imports(&[], PATIENCE).await?;
        anchors(a, &[]).await?;
        timeline.seen("routes and anchor are gone, and no anchor of B is for the new trust domain");
        a.patch(CLUSTER_B, &json!({"spec": {"trustDomain": "cluster-b.local"}})).await?;
        a.imports(&OF_B, PATIENCE * 2).await?;
        anchors(a, &["cluster-b.local"]).await?;
        timeline.seen("and back again");

        timeline.cause("it is renamed: a new one is created, and the old one is deleted");
        let uids = uids(a).await?;
        a.apply(&[a.federation_with(b, "renamed", &json!({}))]).await?;
        a.delete(CLUSTER_B).await?;
        a.condition("renamed", ("PrivateMetadataExchangeReady", "True", None)).await?;
        a.imports(&OF_B, PATIENCE).await?;
        timeline.seen(format!("the new one imports everything; same objects: {}", self::uids(a).await? == uids));

        timeline.cause("it is deleted");
        a.delete(("deckhouse.io/v1alpha1", "IstioFederation", "", "renamed")).await?;
        a.imports(&[], PATIENCE).await?;
        anchors(a, &[]).await?;
        a.exists(("networking.istio.io/v1", "DestinationRule", MODULE_NAMESPACE, "cluster-b.local"), false).await?;
        timeline.seen("routes, anchor and rule are gone");

        ensure!(b.service_entries().await?.keys().eq(OF_A), "B lost something");
        ensure!(b.service_entries().await? == of_b, "something of B was written");
        Ok(())
    })
    .await
}

async fn uids(cluster: &Cluster) -> Result<Vec<String>> {
    Ok(cluster.service_entries().await?.values().map(|entry| entry["metadata"]["uid"].to_string()).collect())
}

/// Waits until the mesh has anchors for exactly these trust domains.
async fn anchors(cluster: &Cluster, wanted: &[&str]) -> Result<()> {
    until(&format!("anchors for {wanted:?}"), PATIENCE, async || {
        let mesh = cluster.mesh_config().await?;
        let anchors = mesh["caCertificates"].as_array().context("no anchors")?;
        let domains: Vec<_> = anchors.iter().filter_map(|anchor| anchor["trustDomains"].as_array()).flatten().collect();
        ensure!(domains == wanted, "{domains:?}");
        Ok::<_, anyhow::Error>(())
    })
    .await
}
