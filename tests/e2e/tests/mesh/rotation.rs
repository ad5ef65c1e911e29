//! B changes its root: it publishes old and new, then signs with the new one, then publishes only the new one. Then it renews that root
//! with the same key. No call fails, with constant new connections.

use std::net::SocketAddr;

use anyhow::{Context, Result, ensure};
use istio_federation::federation::pem::encode_certificate as to_pem;
use istio_federation_e2e::bench::MODULE_NAMESPACE;
use istio_federation_e2e::mesh::{Client, Mesh, RENEWED, Side, Workload, scenario};
use istio_federation_e2e::until;
use istio_federation_testkit::{Authority, Name};
use serde_json::Value;

use crate::given::{BAR, CART, PATIENCE, anchors, answers, federated, unharmed};

/// Organization of the new root, and so of the issuer in its leaves.
const NEW: &str = "cluster-b.local, the new one";

#[tokio::test]
async fn a_root_is_changed_without_a_failed_request() -> Result<()> {
    scenario("rotation", async |mesh| {
        let apps = federated(mesh).await?;
        let Mesh { a, b, timeline } = mesh;
        answers(&apps.cart, &["tcp", &format!("{BAR}:5000"), "hello"], "heard").await?;
        answers(&apps.bar, &["tcp", &format!("{CART}:5000"), "hello"], "heard").await?;
        let mut loads = [apps.cart.load_tcp(&format!("{BAR}:5000"))?, apps.bar.load_tcp(&format!("{CART}:5000"))?];
        unharmed(&mut loads).await?;
        let new = Authority::root(NEW);
        let both = format!("{}{}", b.root.pem(), new.pem());

        timeline.cause("B publishes its new root in addition to the old one, which still signs");
        b.istiod.change(&b.root, &both).await?;
        published(b, &both).await?;
        bring(b, &apps.bar, &both)?;
        until("A's sidecar accepts both, and its own", PATIENCE, async || {
            let anchors = anchors(&apps.cart).await?;
            ensure!(anchors.len() == 3, "{anchors:?}");
            Ok::<_, anyhow::Error>(())
        })
        .await?;
        timeline.seen("A's sidecar accepts both");
        timeline.seen(unharmed(&mut loads).await?);

        timeline.cause("the new root signs");
        b.istiod.change(&new, &both).await?;
        let cart = a.root.sign(&[Name::Uri("spiffe://cluster-a.local/ns/shop/sa/cart".to_owned())], None);
        let (host, bar) = (a.host()?, SocketAddr::from((apps.bar.host.address, 8080)));
        until("B's app has a certificate that the new root signed", PATIENCE * 2, async || {
            let client = Client::connect(&host, bar, &format!("outbound_.80_._.{BAR}"), &cart).await?;
            let is_new = client.server.windows(NEW.len()).any(|bytes| bytes == NEW.as_bytes());
            ensure!(is_new, "not yet");
            Ok::<_, anyhow::Error>(())
        })
        .await?;
        timeline.seen("B's app has a certificate that the new root signed");
        timeline.seen(unharmed(&mut loads).await?);

        timeline.cause("B publishes only the new root");
        b.istiod.change(&new, &new.pem()).await?;
        published(b, &new.pem()).await?;
        missed(a, &b.root).await?;
        timeline.seen(unharmed(&mut loads).await?);

        let renewed = new.renewed(RENEWED);
        let both = format!("{}{}", new.pem(), renewed.pem());
        timeline.cause("B publishes that root and a renewed one: same key and subject, later end");
        b.istiod.change(&new, &both).await?;
        published(b, &both).await?;
        bring(b, &apps.bar, &both)?;
        until("A's sidecar accepts the renewed one in place of that root", PATIENCE, async || {
            let anchors = anchors(&apps.cart).await?;
            let is_renewed = |anchor: &&Value| anchor.to_string().contains(&format!("{RENEWED}-"));
            let renewed = anchors.iter().filter(is_renewed).count();
            ensure!(anchors.len() == 3 && renewed == 1, "{anchors:?}");
            Ok::<_, anyhow::Error>(())
        })
        .await?;
        timeline.seen("A's sidecar accepts the renewed one in place of that root");
        timeline.seen(unharmed(&mut loads).await?);

        timeline.cause("B publishes only the renewed root, and signs with it");
        b.istiod.change(&renewed, &renewed.pem()).await?;
        published(b, &renewed.pem()).await?;
        bring(b, &apps.bar, &renewed.pem())?;
        missed(a, &new).await?;
        timeline.seen(unharmed(&mut loads).await?);
        let anchors = anchors(&apps.cart).await?;
        ensure!(anchors.len() == 3, "{anchors:?}");
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

/// Brings the roots to B's proxies.
fn bring(b: &Side<'_>, bar: &Workload, roots: &str) -> Result<()> {
    for proxy in [&bar.sidecar, &b.gateways[0].proxy] {
        proxy.bring_roots(roots)?;
    }
    Ok(())
}

/// Waits until A's status has this root of B as missing.
async fn missed(a: &Side<'_>, root: &Authority) -> Result<()> {
    let pem = to_pem(root.issuer().der());
    until("A's status has the root as missing", PATIENCE, async || {
        let cache = a.cluster.federation("cluster-b").await?.status.and_then(|status| status.metadata_cache);
        let anchors = cache.context("no cache")?.anchors;
        ensure!(
            anchors.iter().any(|anchor| anchor.certificate == pem && anchor.missing_since.is_some()),
            "{anchors:?}"
        );
        Ok::<_, anyhow::Error>(())
    })
    .await
}
