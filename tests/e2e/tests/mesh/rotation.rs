//! B changes its root: old and new, then the new one signs, then the new one alone. Under constant new connections no call fails.

use std::net::SocketAddr;

use anyhow::{Result, ensure};
use istio_federation_e2e::bench::MODULE_NAMESPACE;
use istio_federation_e2e::mesh::{Authority, Client, Key, Mesh, Name, Side, Workload, scenario};
use istio_federation_e2e::until;
use serde_json::Value;

use crate::given::{BAR, CART, PATIENCE, answers, federated, unharmed};

/// Organization of the new root, which stands as issuer in what it signs.
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
        let new = Authority::root(NEW, Key::Ec)?;
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
        let cart = a.root.sign(&[Name::Uri("spiffe://cluster-a.local/ns/shop/sa/cart".to_owned())], None)?;
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
