//! Peers whose roots are bad, all at once: istiod keeps running, and starts again; our own and the other peer's traffic is untouched.

mod roots;

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use istio_federation_e2e::bench::{Cluster, MODULE_NAMESPACE, Manner, Peer, Reader};
use istio_federation_e2e::mesh::{Mesh, scenario};
use istio_federation_e2e::until;
use serde_json::{Value, json};

use self::roots::{Expected, Root};
use crate::given::{PATIENCE, answers, federated, service, unharmed};

const CART: &str = "cart.shop.svc.cluster-a.local:80";
const BAR: &str = "bar.xyz.svc.cluster-b.local:80";

#[tokio::test]
async fn bad_roots_harm_nobody() -> Result<()> {
    scenario("bad-anchors", async |mesh| {
        let apps = federated(mesh).await?;
        let Mesh { a, b, timeline } = mesh;
        let till = a.run("shop", "till").await?;
        a.cluster.apply(&[service("shop", "till", false)]).await?;
        for (from, to) in [(&till, CART), (&apps.cart, BAR), (&apps.bar, CART)] {
            answers(from, &["get", to], "200 ").await?;
        }
        let mut loads = [till.load(CART)?, apps.cart.load(BAR)?, apps.bar.load(CART)?];
        unharmed(&mut loads).await?;

        let roots = roots::by_name(roots::all(&a.root, &b.root)?);
        timeline.cause(format!("{} peers with bad roots", roots.len()));
        let reader = Reader::of(a.cluster).await?;
        let mut peers = Vec::new();
        for (number, (name, root)) in roots.iter().enumerate() {
            let peer = Peer::start(a.cluster, &reader, number, 1).await?;
            ensure!(peer.name == *name, "{} is not {name}", peer.name);
            let pem = root.pem.clone();
            peer.front.set(Manner::Changes(Arc::new(move |path, document| {
                if path.ends_with("public.json") {
                    document["rootCA"] = json!(pem);
                }
            })));
            a.cluster.apply(&[peer.federation()]).await?;
            peers.push(peer);
        }
        let told = judged(a.cluster, &roots).await?;
        for (title, what) in told {
            timeline.seen(format!("{title:55} {what}"));
        }
        timeline.seen(unharmed(&mut loads).await?);
        a.istiod.check()?;
        let log = a.istiod.log()?;
        ensure!(!log.contains("failed to update meshConfig PEM trustAnchors"), "istiod refuses the list of anchors");

        timeline.cause("istiod of A is started again");
        a.istiod.kill();
        a.istiod.start_again().await?;
        timeline.seen(unharmed(&mut loads).await?);
        let late = a.run("shop", "late").await?;
        for to in [CART, BAR] {
            answers(&late, &["get", to], "200 ").await?;
        }
        timeline.seen("a new app of A calls A's and B's");

        timeline
            .cause("negative control: garbage is put into the mesh configuration by hand, and istiod started again");
        a.cluster.operator.kill();
        let id = ("v1", "ConfigMap", MODULE_NAMESPACE, "istio-federation-mesh");
        let config_map = a.cluster.get(id).await?.context("no mesh configuration")?;
        let mut mesh: Value = serde_json::from_str(config_map["data"]["mesh"].as_str().context("no mesh")?)?;
        let garbage = json!({"pem": "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"});
        mesh["caCertificates"].as_array_mut().context("no anchors")?.push(garbage);
        a.cluster.patch(id, &json!({"data": {"mesh": mesh.to_string()}})).await?;
        a.istiod.kill();
        ensure!(a.istiod.start_again().await.is_err(), "istiod starts with garbage: nothing was shown");
        timeline.seen("istiod does not start");
        Ok(())
    })
    .await
}

/// Waits until every root has come to what it should, and says of each to what.
async fn judged(a: &Cluster, roots: &BTreeMap<String, Root>) -> Result<Vec<(String, String)>> {
    let mut told = Vec::new();
    for (name, root) in roots {
        let what = until(&format!("{} is {:?}", root.title, root.expected), PATIENCE, async || {
            let status = a.federation(name).await?.status.context("no status")?;
            let condition = |type_: &str| status.conditions.iter().find(|condition| condition.type_ == type_);
            let document = condition("PublicMetadataExchangeReady").context("no condition on the document")?;
            // A document that is refused as a whole brings no root.
            let anchors = if document.status == "False" { Some(document) } else { condition("TrustAnchorsReady") };
            let anchors = anchors.context("no condition TrustAnchorsReady")?;
            let is_anchored = anchors.status == "True";
            ensure!(is_anchored == (root.expected == Expected::Anchored), "{}: {}", anchors.reason, anchors.message);
            Ok::<_, anyhow::Error>(format!("{}: {}", anchors.reason, anchors.message))
        })
        .await?;
        told.push((root.title.clone(), what));
    }
    Ok(told)
}
