//! An imported TCP port takes nothing but its own host's traffic.

use anyhow::{Result, ensure};
use istio_federation_e2e::bench::MODULE_NAMESPACE;
use istio_federation_e2e::mesh::{Mesh, scenario};
use serde_json::json;

use crate::given::{answers, federated, service};

#[tokio::test]
async fn an_imported_port_takes_its_own_hosts_traffic_alone() -> Result<()> {
    scenario("ports", async |mesh| {
        let apps = federated(mesh).await?;
        let Mesh { a, b, timeline } = mesh;
        let _tea = b.run("xyz", "tea").await?;
        // HTTP's number for TCP, as bar has it for HTTP.
        let mut tea = service("xyz", "tea", true);
        tea["spec"]["ports"] = json!([
            {"name": "tcp", "port": 80, "targetPort": 5000}, {"name": "tcp-too", "port": 5000, "targetPort": 5000},
        ]);
        b.cluster.apply(&[tea]).await?;
        let (outside, _app) = a.run_outside("outside")?;
        let outside = outside.address;
        for (call, wanted) in [
            (["get", "bar.xyz.svc.cluster-b.local:80", "/"], "\"app\":\"bar\""),
            (["tcp", "bar.xyz.svc.cluster-b.local:5000", "hello"], "bar heard hello"),
            (["tcp", "tea.xyz.svc.cluster-b.local:80", "hello"], "tea heard hello"),
            (["tcp", "tea.xyz.svc.cluster-b.local:5000", "hello"], "tea heard hello"),
        ] {
            let answer = answers(&apps.cart, &call, wanted).await?;
            timeline.seen(format!("{}: {answer}", call.join(" ")));
        }
        timeline.cause("the app in A calls something outside of the mesh, on the same ports");
        for (call, wanted) in [
            (["tcp", &format!("{outside}:5000"), "hello"], "outside heard hello"),
            (["get", &format!("{outside}:9000"), "/"], "\"app\":\"outside\""),
            (["get", &format!("{outside}:8080"), "/"], "\"app\":\"outside\""),
        ] {
            let answer = apps.cart.call(&call).await?;
            timeline.seen(format!("{}: {answer}", call.join(" ")));
            ensure!(answer.contains(wanted), "{}: {answer}", call.join(" "));
        }

        timeline.cause("negative control: somebody takes the address of bar away, with nobody there to repair it");
        a.cluster.operator.kill();
        let id = ("networking.istio.io/v1", "ServiceEntry", MODULE_NAMESPACE, "bar.xyz.svc.cluster-b.local");
        // Newer istiods give one of their own, unless they are told not to.
        let labels = json!({"networking.istio.io/enable-autoallocate-ip": "false"});
        a.cluster.patch(id, &json!({"metadata": {"labels": labels}, "spec": {"addresses": null}})).await?;
        let answer = answers(&apps.cart, &["tcp", &format!("{outside}:5000"), "hello"], "bar heard hello").await?;
        timeline.seen(format!("tcp {outside}:5000 hello: {answer}"));
        Ok(())
    })
    .await
}
