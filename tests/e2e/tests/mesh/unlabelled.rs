//! A Service that is not exported cannot be reached directly through B's gateway, even with an accepted certificate and the right SNI.

use std::net::SocketAddr;

use anyhow::{Result, bail, ensure};
use istio_federation_e2e::mesh::{Client, Host, Mesh, scenario};
use istio_federation_e2e::until;
use istio_federation_testkit::{CertifiedKey, Name};
use serde_json::json;

use crate::given::{LABEL, PATIENCE, answers, federated, service};

const BAR: &str = "outbound_.80_._.bar.xyz.svc.cluster-b.local";
const SECRET: &str = "outbound_.80_._.secret.xyz.svc.cluster-b.local";

#[tokio::test]
async fn a_service_that_is_not_exported_cannot_be_reached() -> Result<()> {
    scenario("unlabelled", async |mesh| {
        let apps = federated(mesh).await?;
        let Mesh { a, b, timeline } = mesh;
        let _secret = b.run("xyz", "secret").await?;
        b.cluster.apply(&[service("xyz", "secret", false)]).await?;
        answers(&apps.bar, &["get", "secret.xyz.svc.cluster-b.local:80"], "\"app\":\"secret\"").await?;
        timeline.seen("inside B, secret answers");
        answers(&apps.cart, &["get", "bar.xyz.svc.cluster-b.local:80"], "200 ").await?;

        let identity = a.root.sign(&[Name::Uri("spiffe://cluster-a.local/ns/shop/sa/cart".to_owned())], None);
        let (host, gateway) = (a.host()?, SocketAddr::from((b.gateways[0].host.address, 15443)));
        timeline.cause("a client of A, with a certificate of A's mesh, goes straight to B's gateway");
        let answer = ask(&host, gateway, BAR, &identity).await?;
        ensure!(answer.contains("\"app\":\"bar\""), "bar, which is exported, does not answer: {answer}");
        timeline.seen("bar, which is exported, answers");
        for sni in [
            SECRET,
            "secret.xyz.svc.cluster-b.local",
            "outbound_.80_._.secret.xyz",
            "outbound_.15010_._.istiod.d8-istio.svc.cluster-b.local",
            "outbound_.8080_._.metadata-exporter.d8-istio.svc.cluster-b.local",
            "outbound_.443_._.kubernetes.default.svc.cluster-b.local",
            "outbound_.80_._.cart.shop.svc.cluster-a.local",
        ] {
            match ask(&host, gateway, sni, &identity).await {
                Ok(answer) => bail!("{sni} is answered: {answer}"),
                Err(why) => timeline.seen(format!("{sni}: {why:#}")),
            };
        }

        timeline.cause("bar loses its label");
        b.cluster.patch(("v1", "Service", "xyz", "bar"), &json!({"metadata": {"labels": {LABEL: null}}})).await?;
        let why = until("bar is refused", PATIENCE, async || match ask(&host, gateway, BAR, &identity).await {
            Ok(_) => bail!("it answers"),
            Err(why) => Ok(why),
        })
        .await?;
        timeline.seen(format!("{BAR}: {why:#}"));
        answers(&apps.bar, &["get", "bar.xyz.svc.cluster-b.local:80"], "200 ").await?;
        timeline.seen("inside B, it still answers");
        Ok(())
    })
    .await
}

async fn ask(host: &Host, gateway: SocketAddr, sni: &str, identity: &CertifiedKey) -> Result<String> {
    let (status, body) = Client::connect(host, gateway, sni, identity).await?.get("/").await?;
    ensure!(status == 200, "HTTP status {status}: {body}");
    Ok(body)
}
