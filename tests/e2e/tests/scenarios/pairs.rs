//! Two IstioFederations with one trust domain: their gateways are merged per host, and deleting one leaves the hosts of the other. And
//! deleting one of the two owner ConfigMaps by hand deletes nothing else.

use anyhow::{Context, Result, bail, ensure};
use istio_federation_e2e::bench::{Bench, Cluster, MODULE_NAMESPACE, PATIENCE, scenario};
use istio_federation_e2e::until;
use serde_json::json;

use crate::given::{OF_B, eager, federated, modules_on, namespace, service, service_on};

#[tokio::test]
async fn two_clusters_with_one_trust_domain_are_merged() -> Result<()> {
    scenario("one-trust-domain", async |bench| {
        eager(bench);
        bench.add("cluster-b.local").await?;
        modules_on(bench).await?;
        let Bench { a, b, c: Some(c), timeline, .. } = bench else { bail!("no cluster C") };
        timeline.cause(
            "C, with B's trust domain, exports one host like B, one with another port, and one that B does not have",
        );
        let services = [service("xyz", "bar"), service_on(5432, "data", "database"), service("xyz", "only-c")];
        c.apply(&[namespace("xyz"), namespace("data")]).await?;
        c.apply(&services).await?;
        c.switch_on().await?;
        let shared = json!({"sharedTrustDomain": true});
        a.apply(&[a.federation_with(b, "cluster-b", &shared), a.federation_with(c, "cluster-c", &shared)]).await?;
        for peer in [&*b, &*c] {
            peer.apply(&[peer.federation_with(a, "cluster-a", &json!({}))]).await?;
        }
        let both = ["192.0.2.10", "198.51.100.10"];
        endpoints(a, OF_B[0], &both).await?;
        endpoints(a, OF_B[1], &both[1..]).await?;
        endpoints(a, "only-c.xyz.svc.cluster-b.local", &both[..1]).await?;
        timeline.seen("hosts with the same ports are merged; of the others, the first by name wins");
        let refused = until("the status of cluster-c has the refusal", PATIENCE, async || {
            let status = a.federation("cluster-c").await?.status.context("no status")?;
            let refused = status.refused.into_iter().find(|refusal| refusal.name == OF_B[1]);
            refused.map(|refusal| refusal.reason).context("no refusal of it")
        })
        .await?;
        timeline.seen(format!("the conflict is reported: {refused}"));

        timeline.cause("C's IstioFederation is deleted");
        let before = a.service_entries().await?;
        a.delete(("deckhouse.io/v1alpha1", "IstioFederation", "", "cluster-c")).await?;
        let after = a.imports(&OF_B, PATIENCE).await?;
        endpoints(a, OF_B[0], &both[1..]).await?;
        for host in OF_B {
            ensure!(after[host]["metadata"]["uid"] == before[host]["metadata"]["uid"], "{host} was recreated");
        }
        timeline.seen("B's hosts stay, in the same objects");
        Ok(())
    })
    .await
}

/// Waits until a host has exactly these endpoints.
async fn endpoints(cluster: &Cluster, host: &str, addresses: &[&str]) -> Result<()> {
    until(&format!("{host} leads to {addresses:?}"), PATIENCE * 2, async || {
        let entries = cluster.service_entries().await?;
        let entry = entries.get(host).context("it is not imported")?;
        let endpoints = entry["spec"]["endpoints"].as_array().context("no endpoints")?;
        let mut found: Vec<_> = endpoints.iter().filter_map(|endpoint| endpoint["address"].as_str()).collect();
        found.sort_unstable();
        ensure!(found == addresses, "{found:?}");
        Ok::<_, anyhow::Error>(())
    })
    .await
}

#[tokio::test]
async fn deleting_one_owner_by_hand_deletes_nothing_else() -> Result<()> {
    scenario("owners", async |bench| {
        federated(bench).await?;
        let Bench { a, timeline, .. } = bench;
        let mark = a.mark()?;
        timeline.cause("one owner is deleted by hand");
        a.delete(("v1", "ConfigMap", MODULE_NAMESPACE, "istio-federation-owner-a")).await?;
        until("the ServiceEntries have only the other owner", PATIENCE, async || {
            for entry in a.service_entries().await?.values() {
                let owners = entry["metadata"]["ownerReferences"].as_array().context("no owners")?;
                ensure!(owners.len() == 1 && owners[0]["name"] == "istio-federation-owner-b", "{owners:?}");
            }
            Ok::<_, anyhow::Error>(())
        })
        .await?;
        let entries = a.service_entries().await?;
        ensure!(entries.keys().eq(OF_B), "{:?}", entries.keys());
        let deleted: Vec<_> = a.server.audit()?.into_iter().skip(mark).filter(|write| write.verb == "delete").collect();
        ensure!(deleted.iter().all(|write| write.resource == "configmaps"), "{deleted:?}");
        timeline.seen("nothing else is gone");

        timeline.cause("a change of settings makes Helm run");
        a.operator.configure(true, &a.settings(&json!({"highAvailability": true}))).await?;
        a.exists(("v1", "ConfigMap", MODULE_NAMESPACE, "istio-federation-owner-a"), true).await?;
        timeline.seen("the owner is back");
        Ok(())
    })
    .await
}
