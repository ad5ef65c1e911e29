//! Many peers with bad roots at once: istiod keeps running and restarts, and traffic of ours and of a good peer is not affected.

mod alike;
mod make;
mod outcome;
mod roots;

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use istio_federation_e2e::bench::{MODULE_NAMESPACE, Manner, Peer, Reader};
use istio_federation_e2e::mesh::{Mesh, Side, scenario};
use istio_federation_testkit::Authority;
use serde_json::json;

use self::alike::Chain;
use self::outcome::{delivered, outcomes};
use crate::given::{answers, federated, service, unharmed};

const CART: &str = "cart.shop.svc.cluster-a.local:5000";
const BAR: &str = "bar.xyz.svc.cluster-b.local:5000";
/// Organizations of the intermediates that istiod signs with.
const BELOW: [&str; 2] = ["cluster-a.local, intermediate", "cluster-b.local, intermediate"];
/// Time until one of B's roots expires.
const END: Duration = Duration::from_mins(2);

#[tokio::test]
async fn bad_roots_do_no_harm() -> Result<()> {
    scenario("bad-anchors", async |mesh| {
        let [below_a, below_b] = [mesh.a.root.intermediate(BELOW[0]), mesh.b.root.intermediate(BELOW[1])];
        plug_in(&mut mesh.a, &below_a).await?;
        plug_in(&mut mesh.b, &below_b).await?;
        let apps = federated(mesh).await?;
        let Mesh { a, b, timeline } = mesh;
        let till = a.run("shop", "till").await?;
        a.cluster.apply(&[service("shop", "till", false)]).await?;
        for (from, to) in [(&till, CART), (&apps.cart, BAR), (&apps.bar, CART)] {
            answers(from, &["tcp", to, "hello"], "heard").await?;
        }
        let mut loads = [till.load_tcp(CART)?, apps.cart.load_tcp(BAR)?, apps.bar.load_tcp(CART)?];
        unharmed(&mut loads).await?;

        let ours = Chain { root: &a.root, intermediate: &below_a };
        let theirs = Chain { root: &b.root, intermediate: &below_b };
        let begin = Instant::now();
        let roots = roots::all(&ours, &theirs, END)?;
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
        for (title, what) in outcomes(a.cluster, &roots).await? {
            timeline.seen(format!("{title:55} {what}"));
        }
        timeline.seen(delivered(a.cluster, &roots, &[&till, &apps.cart]).await?);
        timeline.seen(unharmed(&mut loads).await?);
        a.istiod.check()?;
        let log = a.istiod.log()?;
        ensure!(!log.contains("failed to update meshConfig PEM trustAnchors"), "istiod refuses the list of anchors");

        timeline.cause("one of B's roots, in the form that another peer publishes, expires");
        tokio::time::sleep(END.saturating_sub(begin.elapsed())).await;
        timeline.seen(unharmed(&mut loads).await?);

        timeline.cause("istiod of A is restarted");
        a.istiod.kill();
        a.istiod.start_again().await?;
        timeline.seen(unharmed(&mut loads).await?);
        let late = a.run("shop", "late").await?;
        for to in [CART, BAR] {
            answers(&late, &["tcp", to, "hello"], "heard").await?;
        }
        timeline.seen("a new app of A calls A's and B's");

        timeline.cause("negative control: garbage is written into the mesh configuration, and istiod restarted");
        a.cluster.operator.kill();
        let mut mesh = a.cluster.mesh_config().await?;
        let garbage = json!({"pem": "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"});
        mesh["caCertificates"].as_array_mut().context("no anchors")?.push(garbage);
        a.cluster.set_mesh_config(&mesh).await?;
        a.istiod.kill();
        ensure!(a.istiod.start_again().await.is_err(), "istiod starts with garbage, so the test proves nothing");
        timeline.seen("istiod does not start");
        Ok(())
    })
    .await
}

/// Lets istiod sign with an intermediate below its root, as in Istio's documentation.
async fn plug_in(side: &mut Side<'_>, intermediate: &Authority) -> Result<()> {
    let (root, pem) = (side.root.pem(), intermediate.pem());
    side.istiod.change(intermediate, &root).await?;
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "cacerts", "namespace": MODULE_NAMESPACE},
        "stringData": {"ca-cert.pem": pem, "cert-chain.pem": pem, "root-cert.pem": root},
    });
    side.cluster.apply(&[secret]).await
}
