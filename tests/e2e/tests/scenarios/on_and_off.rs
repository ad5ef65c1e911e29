//! Module and federation are switched on and off, also while the operator is down: everything is created, and everything is deleted except
//! the CRD, the key pair and, with federation off, the policies.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use istio_federation_e2e::bench::{
    Bench, Cluster, MESH_CONFIG, MODULE_NAMESPACE, OPERATOR_NAMESPACE, PATIENCE, scenario,
};
use istio_federation_e2e::until;
use serde_json::json;

use crate::given::{OF_B, federated};

const CRD: (&str, &str, &str, &str) =
    ("apiextensions.k8s.io/v1", "CustomResourceDefinition", "", "istiofederations.deckhouse.io");
const KEY: (&str, &str, &str, &str) = ("v1", "Secret", MODULE_NAMESPACE, "d8-remote-authn-keypair");
const POLICY: (&str, &str, &str, &str) =
    ("admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicy", "", "switched-off.federation.istio.deckhouse.io");
/// Objects that exist while the module is on, some of each kind.
const PARTS: [(&str, &str, &str, &str); 9] = [
    ("apps/v1", "Deployment", MODULE_NAMESPACE, "metadata-exporter"),
    ("apps/v1", "DaemonSet", MODULE_NAMESPACE, "ingressgateway"),
    ("v1", "Service", MODULE_NAMESPACE, "ingressgateway"),
    ("networking.k8s.io/v1", "Ingress", MODULE_NAMESPACE, "metadata-exporter"),
    ("rbac.authorization.k8s.io/v1", "ClusterRole", "", "d8:istio:metadata-exporter"),
    ("security.istio.io/v1", "AuthorizationPolicy", MODULE_NAMESPACE, "istio-federation-ambiguous-identities"),
    MESH_CONFIG,
    ("v1", "ConfigMap", MODULE_NAMESPACE, "istio-federation-owner-a"),
    ("v1", "ConfigMap", MODULE_NAMESPACE, "istio-federation-owner-b"),
];

#[tokio::test]
async fn everything_is_created_and_deleted() -> Result<()> {
    scenario("on-and-off", async |bench| {
        federated(bench).await?;
        let Bench { a, timeline, .. } = bench;
        hooks_are_loaded(a)?;
        a.exists(CRD, true).await?;
        for part in PARTS {
            a.exists(part, true).await?;
        }
        let key = a.get(KEY).await?.context("no key pair")?;
        timeline.seen("CRD, keys, exporter, gateway, RBAC, policies and mesh configuration exist");

        timeline.cause("federation is switched off, and the module stays on");
        a.operator.configure(true, &a.settings(&json!({"federation": {"enabled": false}}))).await?;
        is_off(a).await?;
        a.exists(POLICY, true).await?;
        timeline.seen("everything is gone except CRD, key pair and admission policies");
        ensure!(a.get(KEY).await?.context("the key pair is gone")?["data"] == key["data"], "another key pair");
        timeline.cause("and on again");
        a.operator.configure(true, &a.settings(&json!({}))).await?;
        a.imports(&OF_B, PATIENCE).await?;
        timeline.seen("everything is imported again");

        timeline.cause("the module is switched off");
        a.operator.configure(false, &json!({})).await?;
        is_off(a).await?;
        is_uninstalled(a).await?;
        timeline.seen("everything is gone except CRD and key pair");
        ensure!(a.get(KEY).await?.context("the key pair is gone")?["data"] == key["data"], "another key pair");

        timeline.cause("and on again");
        a.operator.configure(true, &a.settings(&json!({}))).await?;
        a.imports(&OF_B, PATIENCE).await?;
        timeline.seen("everything is imported again");
        ensure!(a.get(KEY).await?.context("the key pair is gone")?["data"] == key["data"], "another key pair");

        timeline.cause("it is switched off while the operator is down");
        a.operator.kill();
        a.operator.configure(false, &json!({})).await?;
        a.operator.start()?;
        is_off(a).await?;
        is_uninstalled(a).await?;
        timeline.seen("everything is gone except CRD and key pair");
        ensure!(a.get(KEY).await?.context("the key pair is gone")?["data"] == key["data"], "another key pair");
        Ok(())
    })
    .await
}

/// Checks that the operator's log names all hooks that the executable lists.
fn hooks_are_loaded(cluster: &Cluster) -> Result<()> {
    let log = cluster.operator.log()?;
    for hook in [
        "authn_keypair",
        "federation_discovery",
        "federation_merge",
        "trust_anchors",
        "imported_services",
        "exported_services",
    ] {
        ensure!(log.contains(hook), "the operator's log does not name the hook {hook}");
    }
    Ok(())
}

/// Waits until nothing of the module is left except the CRD, the key pair and users' objects.
async fn is_off(cluster: &Cluster) -> Result<()> {
    for part in PARTS {
        cluster.exists(part, false).await?;
    }
    cluster.imports(&[], PATIENCE).await?;
    until("the hooks' objects are garbage-collected", PATIENCE, async || {
        let gateways = cluster.list("networking.istio.io/v1", "Gateway", MODULE_NAMESPACE).await?;
        ensure!(gateways.is_empty(), "{:?}", gateways.keys());
        Ok::<_, anyhow::Error>(())
    })
    .await?;
    cluster.exists(CRD, true).await?;
    cluster.exists(KEY, true).await?;
    cluster.federation("cluster-b").await?;
    cluster.exists(("v1", "Service", "shop", "cart"), true).await
}

/// Waits until Helm no longer has the release.
async fn is_uninstalled(cluster: &Cluster) -> Result<()> {
    until("the release is gone", PATIENCE, async || {
        let secrets = cluster.list("v1", "Secret", OPERATOR_NAMESPACE).await?;
        let releases: BTreeSet<_> = secrets.keys().filter(|name| name.starts_with("sh.helm.release")).collect();
        ensure!(releases.is_empty(), "{releases:?}");
        Ok::<_, anyhow::Error>(())
    })
    .await
}
