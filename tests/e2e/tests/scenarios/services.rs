//! Services come, change and go: what was imported is updated in place, withdrawn when it is no longer offered, and repaired when
//! somebody else changes it.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use istio_federation_e2e::bench::{Bench, Cluster, MODULE_NAMESPACE, PATIENCE, scenario};
use istio_federation_e2e::until;
use serde_json::{Value, json};

use crate::given::{OF_B, eager, federated, is_long, service};

const BAR: &str = OF_B[0];
const SERVICE_ENTRY: (&str, &str, &str, &str) = ("networking.istio.io/v1", "ServiceEntry", MODULE_NAMESPACE, BAR);
/// A hand-made change is repaired by the event that it causes, not by the next tick of a schedule.
const AT_ONCE: Duration = Duration::from_secs(5);

#[tokio::test]
async fn services_come_change_and_go() -> Result<()> {
    scenario("services", async |bench| {
        eager(bench);
        federated(bench).await?;
        let Bench { a, b, timeline, .. } = bench;
        let before = entry(a).await?;
        let mark = a.mark()?;

        // Each tick of discovery brings a new one, and takes the one before away.
        let mut wanted = Vec::new();
        for round in 0..=rounds() {
            timeline.cause(format!("round {round}: one Service of B gets the label, another loses it"));
            if round < rounds() {
                b.apply(&[service("xyz", &name(round))]).await?;
            }
            if let Some(before) = round.checked_sub(1) {
                let label = json!({"metadata": {"labels": {"federation.istio.deckhouse.io/public-service": null}}});
                b.patch(("v1", "Service", "xyz", &name(before)), &label).await?;
            }
            let new = format!("{}.xyz.svc.cluster-b.local", name(round));
            let hosts = [BAR, OF_B[1], &new];
            a.imports(if round < rounds() { &hosts } else { &OF_B }, PATIENCE).await?;
            timeline.seen("A imports the one, and has withdrawn the other");
            wanted.extend((round > 0).then_some("delete serviceentries"));
            wanted.extend((round < rounds()).then_some("create serviceentries"));
            // The log has it a moment after the object can be seen. All since the first round, so that one too many is not missed.
            until("a change costs what changed", AT_ONCE, async || costs(a, mark, &wanted)).await?;
        }

        timeline.cause("a port of bar is renamed, and one is added");
        let ports = json!([{"name": "grpc", "port": 80}, {"name": "http-admin", "port": 8081}]);
        b.patch(("v1", "Service", "xyz", "bar"), &json!({"spec": {"ports": ports}})).await?;
        changed(a, "both ports", PATIENCE, |entry| {
            let ports: Vec<_> = entry["spec"]["ports"].as_array().into_iter().flatten().collect();
            ports.len() == 2 && ports[0]["protocol"] == "GRPC" && ports[1]["number"] == 8081
        })
        .await?;
        timeline.seen("A has both, in place");

        timeline.cause("B's gateway moves");
        let status = json!({"status": {"loadBalancer": {"ingress": [{"ip": "198.51.100.77"}]}}});
        let gateway = b.server.client().await?;
        let services: kube::Api<k8s_openapi::api::core::v1::Service> = kube::Api::namespaced(gateway, MODULE_NAMESPACE);
        services
            .patch_status("ingressgateway", &kube::api::PatchParams::default(), &kube::api::Patch::Merge(&status))
            .await?;
        let moved = changed(a, "the new address", PATIENCE, |entry| {
            entry["spec"]["endpoints"][0]["address"] == "198.51.100.77"
        })
        .await?;
        timeline.seen("A has the new address, in place");
        ensure!(moved["metadata"]["uid"] == before["metadata"]["uid"], "the ServiceEntry was made anew");
        ensure!(moved["spec"]["addresses"] == before["spec"]["addresses"], "the host has another address now");
        let removed: Vec<_> = a.writes_since(mark)?.into_iter().filter(|write| write.verb == "delete").collect();
        ensure!(
            removed.len() == rounds() && removed.iter().all(|write| write.name.starts_with("new-")),
            "not exactly the withdrawn ones were deleted: {removed:?}"
        );

        timeline.cause("somebody edits the ServiceEntry");
        let edit = json!({"spec": {"endpoints": [{"address": "192.0.2.66", "ports": {"grpc": 1}}]}});
        a.patch(SERVICE_ENTRY, &edit).await?;
        let repaired = changed(a, "what was there", AT_ONCE, |entry| entry["spec"] == moved["spec"]).await?;
        timeline.seen("it is repaired");
        ensure!(repaired["metadata"]["uid"] == moved["metadata"]["uid"], "by making it anew");

        timeline.cause("somebody deletes it");
        a.delete(SERVICE_ENTRY).await?;
        changed(a, "what was there", AT_ONCE, |entry| {
            entry["spec"] == moved["spec"] && entry["metadata"]["uid"] != moved["metadata"]["uid"]
        })
        .await
        .context("or the host's address was not kept")?;
        timeline.seen("it is back");
        Ok(())
    })
    .await
}

/// What the operator wrote since `mark` is these, and the status once for each or for several of them.
fn costs(cluster: &Cluster, mark: usize, wanted: &[&str]) -> Result<()> {
    let writes = cluster.writes_since(mark)?;
    let writes: Vec<_> = writes.iter().map(|write| format!("{} {}", write.verb, write.resource)).collect();
    let (status, mut others): (Vec<_>, Vec<_>) =
        writes.iter().map(String::as_str).partition(|write| *write == "patch istiofederations/status");
    let mut wanted = wanted.to_vec();
    wanted.sort_unstable();
    others.sort_unstable();
    let last = writes.rchunks(5).next();
    ensure!(others == wanted, "{} and not {}, the last of them {last:?}", others.len(), wanted.len());
    ensure!(!status.is_empty() && status.len() <= wanted.len(), "{} times the status", status.len());
    Ok(())
}

/// After "database", so that the order of imports is known.
fn name(round: usize) -> String {
    format!("new-{round:02}")
}

fn rounds() -> usize {
    if is_long() { 50 } else { 10 }
}

async fn entry(cluster: &Cluster) -> Result<Value> {
    cluster.get(SERVICE_ENTRY).await?.context("no ServiceEntry")
}

async fn changed(cluster: &Cluster, to: &str, within: Duration, fits: impl Fn(&Value) -> bool) -> Result<Value> {
    until(&format!("{BAR} has {to}"), within, async || {
        let entry = entry(cluster).await?;
        ensure!(fits(&entry), "{}", entry["spec"]);
        Ok::<_, anyhow::Error>(entry)
    })
    .await
}
