//! Services come, change and go: imports are updated in place, withdrawn when the peer no longer offers them, and repaired after others
//! change them.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use istio_federation_e2e::bench::{Bench, Cluster, MODULE_NAMESPACE, PATIENCE, scenario};
use istio_federation_e2e::until;
use serde_json::{Value, json};

use crate::given::{OF_B, eager, federated, is_long, service};

const BAR: &str = OF_B[0];
const SERVICE_ENTRY: (&str, &str, &str, &str) = ("networking.istio.io/v1", "ServiceEntry", MODULE_NAMESPACE, BAR);
/// Time limit for a repair: the event of the change causes it, not the next tick of a schedule.
const AT_ONCE: Duration = Duration::from_secs(5);

#[tokio::test]
async fn services_come_change_and_go() -> Result<()> {
    scenario("services", async |bench| {
        eager(bench);
        federated(bench).await?;
        let Bench { a, b, timeline, .. } = bench;
        let before = entry(a).await?;
        let mark = a.mark()?;

        // In each tick of discovery, a new Service comes and the one before goes.
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
            timeline.seen("A imports the new one, and has withdrawn the old one");
            wanted.extend((round > 0).then_some("delete serviceentries"));
            wanted.extend((round < rounds()).then_some("create serviceentries"));
            // The audit log is a moment behind. All writes since the first round are compared, so that no extra write is missed.
            until("a change causes only its own writes", AT_ONCE, async || costs(a, mark, &wanted)).await?;
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
        ensure!(moved["metadata"]["uid"] == before["metadata"]["uid"], "the ServiceEntry was recreated");
        ensure!(moved["spec"]["addresses"] == before["spec"]["addresses"], "the address of the host changed");
        let removed: Vec<_> = a.writes_since(mark)?.into_iter().filter(|write| write.verb == "delete").collect();
        ensure!(
            removed.len() == rounds() && removed.iter().all(|write| write.name.starts_with("new-")),
            "other ServiceEntries than the withdrawn ones were deleted: {removed:?}"
        );

        timeline.cause("a user edits the ServiceEntry");
        let edit = json!({"spec": {"endpoints": [{"address": "192.0.2.66", "ports": {"grpc": 1}}]}});
        a.patch(SERVICE_ENTRY, &edit).await?;
        let repaired = changed(a, "the former state", AT_ONCE, |entry| entry["spec"] == moved["spec"]).await?;
        timeline.seen("it is repaired");
        ensure!(repaired["metadata"]["uid"] == moved["metadata"]["uid"], "the ServiceEntry was recreated");

        timeline.cause("a user deletes it");
        a.delete(SERVICE_ENTRY).await?;
        changed(a, "the former state", AT_ONCE, |entry| {
            entry["spec"] == moved["spec"] && entry["metadata"]["uid"] != moved["metadata"]["uid"]
        })
        .await
        .context("not back, or with another address")?;
        timeline.seen("it is back");
        Ok(())
    })
    .await
}

/// Checks that the operator's writes since `mark` are `wanted`, plus one status write for one or several of them.
fn costs(cluster: &Cluster, mark: usize, wanted: &[&str]) -> Result<()> {
    let writes = cluster.writes_since(mark)?;
    let writes: Vec<_> = writes.iter().map(|write| format!("{} {}", write.verb, write.resource)).collect();
    let (status, mut others): (Vec<_>, Vec<_>) =
        writes.iter().map(String::as_str).partition(|write| *write == "patch istiofederations/status");
    let mut wanted = wanted.to_vec();
    wanted.sort_unstable();
    others.sort_unstable();
    let last = writes.rchunks(5).next();
    ensure!(others == wanted, "{} writes instead of {}, the last ones {last:?}", others.len(), wanted.len());
    ensure!(!status.is_empty() && status.len() <= wanted.len(), "{} status writes", status.len());
    Ok(())
}

/// Sorts after "database", so that the order of imports is fixed.
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
