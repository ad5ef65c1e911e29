//! B changes its root: old and new, then the new one signs, then the new one alone. Under constant new connections no call fails.

use anyhow::{Result, ensure};
use istio_federation_e2e::bench::MODULE_NAMESPACE;
use istio_federation_e2e::mesh::{Authority, Key, Load, Mesh, Side, Workload, scenario};
use istio_federation_e2e::until;
use serde_json::Value;

use crate::given::{PATIENCE, answers, federated};

const CART: &str = "cart.shop.svc.cluster-a.local:80";
const BAR: &str = "bar.xyz.svc.cluster-b.local:80";

#[tokio::test]
async fn a_root_is_changed_without_a_failed_request() -> Result<()> {
    scenario("rotation", async |mesh| {
        let apps = federated(mesh).await?;
        let Mesh { a, b, timeline } = mesh;
        answers(&apps.cart, &["get", BAR], "200 ").await?;
        answers(&apps.bar, &["get", CART], "200 ").await?;
        let mut loads = [apps.cart.load(BAR)?, apps.bar.load(CART)?];
        unharmed(&mut loads).await?;
        let new = Authority::root("cluster-b.local, the new one", Key::Ec)?;
        let both = format!("{}{}", b.root.pem(), new.pem());

        timeline.cause("B publishes its new root beside the old one, which still signs");
        b.istiod.change(&b.root, &both).await?;
        published(b, &both).await?;
        for proxy in [&apps.bar.sidecar, &b.gateways[0].proxy] {
            proxy.bring_roots(&both)?;
        }
        until("A's sidecar accepts both, and its own", PATIENCE, async || {
            let anchors = anchors(&apps.cart).await?;
            ensure!(anchors == 3, "{anchors} anchors");
            Ok::<_, anyhow::Error>(())
        })
        .await?;
        timeline.seen("A's sidecar accepts both");
        timeline.seen(unharmed(&mut loads).await?);

        timeline.cause("the new root signs");
        b.istiod.change(&new, &both).await?;
        let old = client(&apps.bar).await?;
        until("B's app has a new certificate", PATIENCE * 2, async || {
            let now = client(&apps.bar).await?;
            ensure!(now != old, "still {now}");
            Ok::<_, anyhow::Error>(())
        })
        .await?;
        timeline.seen("B's app has a certificate that the new root signed");
        timeline.seen(unharmed(&mut loads).await?);

        timeline.cause("B publishes the new root alone");
        b.istiod.change(&new, &new.pem()).await?;
        published(b, &new.pem()).await?;
        timeline.seen(unharmed(&mut loads).await?);
        a.istiod.check()
    })
    .await
}

async fn published(b: &Side<'_>, roots: &str) -> Result<()> {
    until("istiod publishes the roots", PATIENCE, async || {
        let config_map = b.cluster.get(("v1", "ConfigMap", MODULE_NAMESPACE, "istio-ca-root-cert")).await?;
        let found = config_map.unwrap_or_default()["data"]["root-cert.pem"].as_str().unwrap_or_default().to_owned();
        ensure!(found.matches("BEGIN").count() == roots.matches("BEGIN").count(), "{found}");
        Ok::<_, anyhow::Error>(())
    })
    .await
}

/// How many roots the app's proxy accepts of its callers and of whom it calls.
async fn anchors(app: &Workload) -> Result<usize> {
    let said: Value = serde_json::from_str(&app.sidecar.admin("/certs").await?)?;
    let used = said["certificates"].as_array().into_iter().flatten();
    Ok(used.map(|used| used["ca_cert"].as_array().map_or(0, Vec::len)).max().unwrap_or(0))
}

/// Whom A's app sees: the certificate's hash is part of it.
async fn client(app: &Workload) -> Result<String> {
    app.get(CART).await
}

async fn unharmed(loads: &mut [Load]) -> Result<String> {
    let mut all = 0;
    for load in loads {
        let (ended, failed) = load.next(100).await?;
        ensure!(failed.is_empty(), "{} of {ended} calls failed: {failed:?}", failed.len());
        all += ended;
    }
    Ok(format!("{all} calls in both directions, all answered"))
}
