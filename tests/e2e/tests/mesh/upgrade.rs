//! The module is upgraded in A and then in B, and downgraded in A and then in B, while apps of both call each other all the time: no call
//! fails, and no object is deleted or recreated. With every pair of versions, A calls a new export of B. The other version is the one before
//! the last change of the module, or that of `PREVIOUS=commit`; its exporter runs with it.

use std::time::Duration;

use anyhow::{Result, ensure};
use istio_federation_e2e::bench::{Cluster, Module, identities, unharmed as objects_unharmed};
use istio_federation_e2e::mesh::{Mesh, scenario};
use istio_federation_e2e::until;

use crate::given::{BAR, CART, PATIENCE, answers, federated, service, unharmed};

/// Longer than the timeout of a call.
const LONGEST_CALL: Duration = Duration::from_secs(20);

#[tokio::test]
async fn there_and_back_no_call_fails() -> Result<()> {
    scenario("upgrade", async |mesh| {
        let Some(previous) = tokio::task::spawn_blocking(Module::previous).await?? else {
            mesh.timeline.seen("NOT RUN: this clone has no earlier commit of the module (PREVIOUS=commit names one)");
            return Ok(());
        };
        let current = Module::current()?;
        mesh.timeline.seen(format!("the other version is that of commit {}", previous.version));
        for side in [&mut mesh.a, &mut mesh.b] {
            side.cluster.install(&previous)?;
        }
        let apps = federated(mesh).await?;
        let Mesh { a, b, timeline } = mesh;
        let (http, grpc, tcp) = (format!("{BAR}:80"), format!("{BAR}:9000"), format!("{BAR}:5000"));
        let back = format!("{CART}:5000");
        answers(&apps.cart, &["get", &http], "200 ").await?;
        answers(&apps.cart, &["grpc", &grpc], "grpc-status 0").await?;
        answers(&apps.cart, &["tcp", &tcp, "hello"], "bar heard hello").await?;
        answers(&apps.bar, &["tcp", &back, "hello"], "cart heard hello").await?;
        let mut loads =
            [apps.cart.load(&http)?, apps.cart.load_grpc(&grpc)?, apps.cart.load_tcp(&tcp)?, apps.bar.load_tcp(&back)?];
        timeline.seen(unharmed(&mut loads).await?);
        let before = [identities(a.cluster).await?, identities(b.cluster).await?];
        let marks = [a.cluster.mark()?, b.cluster.mark()?];

        for (number, (what, is_a, module)) in [
            ("A is upgraded", true, &current),
            ("B is upgraded", false, &current),
            ("A is downgraded", true, &previous),
            ("B is downgraded", false, &previous),
        ]
        .into_iter()
        .enumerate()
        {
            timeline.cause(what);
            let cluster = if is_a { &mut *a.cluster } else { &mut *b.cluster };
            cluster.change_to(module).await?;
            timeline.seen("converged");
            runs_exporter_of(cluster, module).await?;
            timeline.seen(unharmed(&mut loads).await?);

            let name = format!("new-{number}");
            let mut added = service("xyz", &name, true);
            added["spec"]["selector"]["app"] = "bar".into();
            b.cluster.apply(&[added]).await?;
            answers(&apps.cart, &["get", &format!("{name}.xyz.svc.cluster-b.local:80")], "\"app\":\"bar\"").await?;
            timeline.seen(format!("B exports {name}, and A calls it"));
            for (cluster, (before, mark)) in [&*a.cluster, &*b.cluster].into_iter().zip(before.iter().zip(marks)) {
                objects_unharmed(cluster, before, mark).await?;
            }
            timeline.seen(unharmed(&mut loads).await?);
        }
        tokio::time::sleep(LONGEST_CALL).await;
        timeline.seen(unharmed(&mut loads).await?);
        a.istiod.check()?;
        b.istiod.check()
    })
    .await
}

async fn runs_exporter_of(cluster: &Cluster, module: &Module) -> Result<()> {
    until("the exporter of this version runs", PATIENCE, async || {
        let image = cluster.kubelet.image().unwrap_or_default();
        ensure!(image.ends_with(&format!(":{}", module.version)), "{image:?}");
        Ok::<_, anyhow::Error>(())
    })
    .await
}
