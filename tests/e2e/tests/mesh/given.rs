//! Common beginnings of scenarios.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use istio_federation_e2e::mesh::{Load, Mesh, Workload};
use istio_federation_e2e::until;
use serde_json::{Value, json};

/// The label that exports a Service.
pub(crate) const LABEL: &str = "federation.istio.deckhouse.io/public-service";
/// Time limit from a change in one cluster to its effect in the other's proxies.
pub(crate) const PATIENCE: Duration = Duration::from_mins(2);

/// Number of calls between two disturbances.
pub(crate) const CALLS: usize = 50;
/// Host of B that A calls.
pub(crate) const BAR: &str = "bar.xyz.svc.cluster-b.local";
/// Host of A that B calls.
pub(crate) const CART: &str = "cart.shop.svc.cluster-a.local";

/// A Service with the ports of the app.
pub(crate) fn service(namespace: &str, name: &str, is_exported: bool) -> Value {
    let port = |name, port, target| json!({"name": name, "port": port, "targetPort": target});
    json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {
            "name": name, "namespace": namespace,
            "labels": if is_exported { json!({LABEL: ""}) } else { json!({}) },
        },
        "spec": {
            "selector": {"app": name},
            "ports": [port("http", 80, 8080), port("grpc", 9000, 9000), port("tcp", 5000, 5000)],
        },
    })
}

/// The apps, one in each cluster, which call each other.
pub(crate) struct Apps {
    /// `shop/cart` in A.
    pub(crate) cart: Rc<Workload>,
    /// `xyz/bar` in B.
    pub(crate) bar: Rc<Workload>,
}

/// Two federated clusters, each with one exported app and one gateway: B's `xyz/bar` and A's `shop/cart`.
pub(crate) async fn federated(mesh: &mut Mesh<'_>) -> Result<Apps> {
    let Mesh { a, b, timeline, .. } = mesh;
    timeline.cause("one app in each cluster, with a sidecar");
    let (cart, bar) = tokio::try_join!(a.run("shop", "cart"), b.run("xyz", "bar"))?;
    a.cluster.apply(&[service("shop", "cart", true)]).await?;
    b.cluster.apply(&[service("xyz", "bar", true)]).await?;
    timeline.seen("both are ready");
    timeline.cause("both modules are switched on, and each cluster gets an IstioFederation for the other");
    for side in [&mut *a, &mut *b] {
        side.cluster.operator.set("ISTIO_FEDERATION_PACE", "eager");
    }
    tokio::try_join!(a.cluster.switch_on(), b.cluster.switch_on())?;
    timeline.seen("both operators have converged");
    a.cluster.apply(&[a.cluster.federation_with(b.cluster, "cluster-b", &json!({}))]).await?;
    b.cluster.apply(&[b.cluster.federation_with(a.cluster, "cluster-a", &json!({}))]).await?;
    tokio::try_join!(a.run_gateway(), b.run_gateway())?;
    timeline.seen("both gateways are ready");
    Ok(Apps { cart, bar })
}

/// Waits until an app gets an answer that contains `what`.
pub(crate) async fn answers(from: &Workload, call: &[&str], what: &str) -> Result<String> {
    until(&format!("{} is answered with {what}", call.join(" ")), PATIENCE, async || {
        let answer = from.call(call).await?;
        if !answer.contains(what) {
            bail!("{answer}");
        }
        Ok::<_, anyhow::Error>(answer)
    })
    .await
}

/// Waits for [`CALLS`] more calls of each load, of which none may fail. Returns a line with their number.
pub(crate) async fn unharmed(loads: &mut [Load]) -> Result<String> {
    let mut all = 0;
    for load in loads {
        let (ended, failed) = load.next(CALLS).await?;
        ensure!(failed.is_empty(), "{} of {ended} calls failed: {}", failed.len(), tally(&failed));
        all += ended;
    }
    Ok(format!("{all} calls, all answered"))
}

/// CA certificates that the app's proxy accepts, from Envoy's admin interface.
pub(crate) async fn anchors(app: &Workload) -> Result<Vec<Value>> {
    let dump: Value = serde_json::from_str(&app.sidecar.admin("/certs").await?)?;
    let used = dump["certificates"].as_array().into_iter().flatten();
    Ok(used.filter_map(|used| used["ca_cert"].as_array()).max_by_key(|list| list.len()).cloned().unwrap_or_default())
}

/// Errors of failed calls, each with its count.
pub(crate) fn tally(failed: &[String]) -> String {
    let mut counts = BTreeMap::new();
    for why in failed {
        *counts.entry(why).or_insert(0) += 1;
    }
    let lines: Vec<_> = counts.iter().map(|(why, count)| format!("{count} x {why}")).collect();
    lines.join(", ")
}
