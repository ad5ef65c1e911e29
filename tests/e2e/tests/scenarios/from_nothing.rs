//! From nothing: an IstioFederation on one side waits and reports why. With one on the other side too, both clusters are joined.

use anyhow::{Context, Result, ensure};
use istio_federation_e2e::bench::{Bench, Cluster, MODULE_NAMESPACE, PATIENCE, scenario};
use istio_federation_e2e::until;
use serde_json::json;

use crate::given::{OF_A, OF_B, modules_on};

const CONDITIONS: [&str; 6] = [
    "TrustDomainAccepted",
    "MetadataEndpointVerified",
    "PublicMetadataExchangeReady",
    "PrivateMetadataExchangeReady",
    "TrustAnchorsReady",
    "IngressGatewaysReady",
];

#[tokio::test]
async fn one_side_waits_and_both_are_joined() -> Result<()> {
    scenario("from-nothing", async |bench| {
        modules_on(bench).await?;
        let Bench { a, b, timeline, .. } = bench;

        timeline.cause("IstioFederation cluster-b in A alone");
        a.apply(&[a.federation_with(b, "cluster-b", &json!({}))]).await?;
        a.condition("cluster-b", ("PublicMetadataExchangeReady", "True", None)).await?;
        timeline.seen("A has B's public document");
        let why = a.condition("cluster-b", ("PrivateMetadataExchangeReady", "False", Some("NonOKResponse"))).await?;
        timeline.seen(format!("A waits: {why}"));
        ensure!(
            why.contains("401") && why.contains("no IstioFederation"),
            "the message does not say what to do: {why}"
        );
        ensure!(a.service_entries().await?.is_empty(), "A imports before B agreed");

        timeline.cause("IstioFederation cluster-a in B");
        b.apply(&[b.federation_with(a, "cluster-a", &json!({}))]).await?;
        for (cluster, name, peer, hosts) in [(&*a, "cluster-b", &*b, &OF_B[..]), (&*b, "cluster-a", &*a, &OF_A[..])] {
            for condition in CONDITIONS {
                cluster.condition(name, (condition, "True", None)).await?;
            }
            timeline.seen(format!("all conditions of {} are True", cluster.name));
            let entries = cluster.imports(hosts, PATIENCE).await?;
            for entry in entries.values() {
                let address = &entry["spec"]["endpoints"][0]["address"];
                ensure!(address == gateway_of(peer), "{entry}");
            }
            timeline.seen(format!("{} imports {}", cluster.name, hosts.join(", ")));
            trusts(cluster, peer).await?;
            timeline.seen(format!("{} trusts the root of {}", cluster.name, peer.name));
        }
        Ok(())
    })
    .await
}

fn gateway_of(cluster: &Cluster) -> &'static str {
    if cluster.name == "a" { "203.0.113.10" } else { "198.51.100.10" }
}

/// Waits until the mesh of `cluster` has a confined anchor for `peer`, and calls its hosts with mutual TLS.
async fn trusts(cluster: &Cluster, peer: &Cluster) -> Result<()> {
    until("the anchor is in the mesh's configuration", PATIENCE, async || {
        let mesh = cluster.mesh_config().await?.to_string();
        ensure!(mesh.contains("BEGIN CERTIFICATE") && mesh.contains(&peer.domain), "{mesh}");
        let rule = ("networking.istio.io/v1", "DestinationRule", MODULE_NAMESPACE, &*peer.domain);
        let rule = cluster.get(rule).await?.context("no DestinationRule")?;
        ensure!(rule["spec"]["trafficPolicy"]["tls"]["mode"] == "ISTIO_MUTUAL", "{rule}");
        Ok(())
    })
    .await
}
