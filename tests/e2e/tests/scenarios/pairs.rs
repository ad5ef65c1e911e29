//! Two IstioFederations with one trust domain: their hosts are united; one that goes leaves the other's. And one of the two owners
//! that is deleted by hand takes nothing along.

use anyhow::{Context, Result, ensure};
use istio_federation_e2e::bench::{Bench, MODULE_NAMESPACE, PATIENCE, scenario};
use istio_federation_e2e::until;
use serde_json::json;

use crate::given::{OF_B, federated};

#[tokio::test]
async fn one_owner_deleted_by_hand_takes_nothing_along() -> Result<()> {
    scenario("owners", async |bench| {
        federated(bench).await?;
        let Bench { a, timeline, .. } = bench;
        let mark = a.mark()?;
        timeline.cause("one owner is deleted by hand");
        a.delete(("v1", "ConfigMap", MODULE_NAMESPACE, "istio-federation-owner-a")).await?;
        until("the ServiceEntries name the other one alone", PATIENCE, async || {
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
