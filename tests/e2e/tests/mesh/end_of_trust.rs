//! Deleting the IstioFederation, or switching federation off, ends trust: the next handshake from B is refused. A's own traffic goes on.

use std::net::SocketAddr;

use anyhow::{Context, Result, bail, ensure};
use istio_federation_e2e::mesh::{Client, Host, Mesh, scenario};
use istio_federation_e2e::until;
use istio_federation_testkit::{CertifiedKey, Name};
use serde_json::json;

use crate::given::{PATIENCE, answers, federated, service, unharmed};

const CART: &str = "outbound_.80_._.cart.shop.svc.cluster-a.local";

#[tokio::test]
async fn trust_ends_with_its_federation() -> Result<()> {
    scenario("end-of-trust", async |mesh| {
        let apps = federated(mesh).await?;
        let Mesh { a, b, timeline } = mesh;
        let till = a.run("shop", "till").await?;
        a.cluster.apply(&[service("shop", "till", false)]).await?;
        answers(&till, &["get", "cart.shop.svc.cluster-a.local:80"], "200 ").await?;
        let mut inside = [till.load("cart.shop.svc.cluster-a.local:80")?];
        answers(&apps.bar, &["get", "cart.shop.svc.cluster-a.local:80"], "200 ").await?;
        let bar = b.root.sign(&[Name::Uri("spiffe://cluster-b.local/ns/xyz/sa/bar".to_owned())], None);
        let (host, sidecar) = (b.host()?, SocketAddr::from((apps.cart.host.address, 8080)));
        ask(&host, sidecar, &bar).await.context("B is not trusted at the beginning")?;

        timeline.cause("A's IstioFederation for B is deleted");
        a.cluster.delete(("deckhouse.io/v1alpha1", "IstioFederation", "", "cluster-b")).await?;
        let why = refused(&host, sidecar, &bar).await?;
        timeline.seen(format!("B's certificates are refused: {why}"));
        timeline.seen(unharmed(&mut inside).await?);

        timeline.cause("it is created again");
        a.cluster.apply(&[a.cluster.federation_with(b.cluster, "cluster-b", &json!({}))]).await?;
        until("B is trusted again", PATIENCE, async || ask(&host, sidecar, &bar).await).await?;
        timeline.seen("B is trusted again");

        timeline.cause("federation is switched off in A");
        a.cluster.operator.configure(true, &a.cluster.settings(&json!({"federation": {"enabled": false}}))).await?;
        let why = refused(&host, sidecar, &bar).await?;
        timeline.seen(format!("B's certificates are refused: {why}"));
        timeline.seen(unharmed(&mut inside).await?);

        timeline.cause("istiod of A is restarted");
        a.istiod.kill();
        a.istiod.start_again().await?;
        timeline.seen(unharmed(&mut inside).await?);
        refused(&host, sidecar, &bar).await?;
        Ok(())
    })
    .await
}

async fn ask(host: &Host, to: SocketAddr, identity: &CertifiedKey) -> Result<()> {
    let (status, body) = Client::connect(host, to, CART, identity).await?.get("/").await?;
    ensure!(status == 200, "HTTP status {status}: {body}");
    Ok(())
}

async fn refused(host: &Host, to: SocketAddr, identity: &CertifiedKey) -> Result<String> {
    until("B's certificates are refused", PATIENCE, async || match ask(host, to, identity).await {
        Ok(()) => bail!("they are accepted"),
        Err(why) if format!("{why:#}").contains("alert") => Ok(format!("{why:#}")),
        Err(why) => Err(why),
    })
    .await
}
