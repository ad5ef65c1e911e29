//! Hooks under the real shell-operator, without values: they work from snapshots and environment variables. The test itself gives Helm the
//! keys and the peers' public documents, which other hooks would write into values.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use istio_federation::peer::SigningKey;
use istio_federation_e2e::bench::{Bench, Cluster, MODULE_NAMESPACE, PATIENCE, scenario};
use istio_federation_e2e::{install_crds, until};
use serde_json::{Value, json};

use crate::given::{OF_A, OF_B, namespace, service};

const HOOKS: [&str; 3] = ["federation_discovery", "imported_services", "exported_services"];

#[tokio::test]
async fn discovery_imports_and_exports_work_without_values() -> Result<()> {
    scenario("plain-hooks", async |bench| {
        let Bench { a, b, timeline, .. } = bench;
        let keys = [key_pair()?, key_pair()?];
        for (cluster, key) in [&*a, &*b].into_iter().zip(&keys) {
            install_crds(&cluster.client).await?;
            cluster.apply_chart(&internal(cluster, key, &json!({})).await?).await?;
        }
        b.apply(&[namespace("xyz"), namespace("data"), service("xyz", "bar"), service("data", "database")]).await?;
        a.apply(&[namespace("shop"), service("shop", "cart")]).await?;

        timeline.cause("shell-operator is started in both, and each gets an IstioFederation");
        let mut operators = [a.start_shell_operator(&HOOKS)?, b.start_shell_operator(&HOOKS)?];
        a.apply(&[a.federation_with(b, "cluster-b", &json!({}))]).await?;
        b.apply(&[b.federation_with(a, "cluster-a", &json!({}))]).await?;
        for (cluster, name, key) in [(&*a, "cluster-b", &keys[0]), (&*b, "cluster-a", &keys[1])] {
            cluster.condition(name, ("PublicMetadataExchangeReady", "True", None)).await?;
            let federation = cluster.federation(name).await?;
            let cache = federation.status.and_then(|status| status.metadata_cache).context("no metadata cache")?;
            let public = cache.public.context("no public document")?;
            let peers = json!({&public.cluster_uuid: public});
            cluster.apply_chart(&internal(cluster, key, &peers).await?).await?;
        }
        timeline.seen("each has the other's public document, and accepts its tokens");
        a.imports(&OF_B, PATIENCE * 2).await?;
        b.imports(&OF_A, PATIENCE * 2).await?;
        b.exists(("networking.istio.io/v1", "Gateway", MODULE_NAMESPACE, "xyz"), true).await?;
        timeline.seen("each imports the other's exports");

        timeline.cause("a user deletes a ServiceEntry");
        a.delete(("networking.istio.io/v1", "ServiceEntry", MODULE_NAMESPACE, OF_B[0])).await?;
        until("it is back", Duration::from_secs(15), async || {
            ensure!(a.service_entries().await?.contains_key(OF_B[0]), "not yet");
            Ok::<_, anyhow::Error>(())
        })
        .await?;
        timeline.seen("it is back");

        timeline.cause("shell-operator is killed and started again");
        let uids = uids(a).await?;
        operators[0].component().kill();
        operators[0].component().start_again()?;
        b.apply(&[service("xyz", "late")]).await?;
        a.imports(&[OF_B[0], OF_B[1], "late.xyz.svc.cluster-b.local"], PATIENCE).await?;
        ensure!(self::uids(a).await?.starts_with(&uids), "ServiceEntries were recreated");
        timeline.seen("a new Service is imported, and the others are unchanged");
        for operator in &mut operators {
            operator.component().stop(Duration::from_secs(10)).await?;
        }
        Ok(())
    })
    .await
}

fn key_pair() -> Result<Value> {
    let pair = SigningKey::generate()?.to_pem();
    Ok(json!({"pub": pair.public, "priv": pair.private}))
}

/// `istio.internal` values that hooks would compute.
async fn internal(cluster: &Cluster, key: &Value, peers: &Value) -> Result<Value> {
    let kube_system = cluster.get(("v1", "Namespace", "", "kube-system")).await?.context("no kube-system")?;
    Ok(json!({
        "clusterUUID": kube_system["metadata"]["uid"], "remoteAuthnKeypair": key, "remotePublicMetadata": peers,
        "federations": [], "federationNames": [], "federationTrustAnchors": [],
    }))
}

async fn uids(cluster: &Cluster) -> Result<Vec<String>> {
    Ok(cluster.service_entries().await?.values().map(|entry| entry["metadata"]["uid"].to_string()).collect())
}
