//! Common beginnings of scenarios.

use anyhow::Result;
use istio_federation_e2e::bench::Bench;
pub(crate) use istio_federation_e2e::bench::is_long;
use serde_json::{Value, json};

/// A namespace.
pub(crate) fn namespace(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
}

/// An exported Service with one port.
pub(crate) fn service(namespace: &str, name: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {
            "name": name, "namespace": namespace, "labels": {"federation.istio.deckhouse.io/public-service": ""},
        },
        "spec": {"selector": {"app": name}, "ports": [{"name": "http", "port": 80}]},
    })
}

/// An exported Service with port `port`.
pub(crate) fn service_on(port: u16, namespace: &str, name: &str) -> Value {
    let mut service = service(namespace, name);
    service["spec"]["ports"][0]["port"] = json!(port);
    service
}

/// Switches both modules on; B exports `xyz/bar` and `data/database`, A exports `shop/cart`.
pub(crate) async fn modules_on(bench: &mut Bench) -> Result<()> {
    let Bench { a, b, timeline, .. } = bench;
    timeline.cause("both modules are switched on");
    b.apply(&[namespace("xyz"), namespace("data"), service("xyz", "bar"), service("data", "database")]).await?;
    a.apply(&[namespace("shop"), service("shop", "cart")]).await?;
    tokio::try_join!(a.switch_on(), b.switch_on())?;
    timeline.seen("both operators have converged");
    Ok(())
}

/// Hosts that B exports.
pub(crate) const OF_B: [&str; 2] = ["bar.xyz.svc.cluster-b.local", "database.data.svc.cluster-b.local"];
/// Hosts that A exports.
pub(crate) const OF_A: [&str; 1] = ["cart.shop.svc.cluster-a.local"];

/// Makes discovery write every change at once, for scenarios with many changes. As shipped, it waits half a minute after the last.
pub(crate) fn eager(bench: &mut Bench) {
    for cluster in [&mut bench.a, &mut bench.b] {
        cluster.operator.set("ISTIO_FEDERATION_PACE", "eager");
    }
}

/// Two federated clusters, each of which has imported the other's exports.
pub(crate) async fn federated(bench: &mut Bench) -> Result<()> {
    modules_on(bench).await?;
    let Bench { a, b, timeline, .. } = bench;
    timeline.cause("each gets an IstioFederation for the other");
    a.apply(&[a.federation_with(b, "cluster-b", &json!({}))]).await?;
    b.apply(&[b.federation_with(a, "cluster-a", &json!({}))]).await?;
    a.imports(&OF_B, PATIENT).await?;
    b.imports(&OF_A, PATIENT).await?;
    timeline.seen("each imports the other's exports");
    Ok(())
}

const PATIENT: std::time::Duration = std::time::Duration::from_mins(3);
