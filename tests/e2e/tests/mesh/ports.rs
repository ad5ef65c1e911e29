//! An imported TCP port captures only its own host's traffic.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use istio_federation_e2e::bench::{MODULE_NAMESPACE, Manner, Peer, Reader};
use istio_federation_e2e::mesh::{Mesh, Workload, scenario};
use istio_federation_e2e::until;
use serde_json::json;

use crate::given::{PATIENCE, answers, federated, service};

#[tokio::test]
async fn an_imported_port_captures_only_its_own_hosts_traffic() -> Result<()> {
    scenario("ports", async |mesh| {
        let apps = federated(mesh).await?;
        let Mesh { a, b, timeline } = mesh;
        let _tea = b.run("xyz", "tea").await?;
        // Port 80 is TCP here and HTTP for bar.
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
        timeline.cause("a third cluster exports a host with the same port of TCP, and A federates with it");
        let (gateway, _nobody) = a.run_outside("gateway-of-c")?;
        let gateway = gateway.address.to_string();
        let reader = Reader::of(a.cluster).await?;
        let c = Peer::start(a.cluster, &reader, 0, 1).await?;
        let address = gateway.clone();
        c.front.set(Manner::Changes(Arc::new(move |path, document| {
            if path.ends_with("federation.json") {
                document["ingressGateways"] = json!([{"address": address, "port": 15443}]);
                document["publicServices"][0]["ports"] = json!([{"name": "tcp", "port": 5000}]);
            }
        })));
        a.cluster.apply(&[c.federation()]).await?;
        let of_c = c.hosts().next().context("no host")?;
        until("the app's proxy has the host of C", PATIENCE, async || {
            connections(&apps.cart, &of_c, &gateway).await?.context("not yet")
        })
        .await?;
        // Nothing there speaks TLS: only the connection attempt counts.
        let theirs = apps.cart.call(&["tcp", &format!("{of_c}:5000"), "hello"]).await;
        ensure!(theirs.is_err(), "C's host is answered: {theirs:?}");
        let asked = connections(&apps.cart, &of_c, &gateway).await?;
        ensure!(asked.is_some_and(|count| count > 0), "no connection to C's gateway: {asked:?}");
        timeline.seen(format!("tcp {of_c}:5000 hello: connects only to C's gateway"));
        let answer =
            answers(&apps.cart, &["tcp", "bar.xyz.svc.cluster-b.local:5000", "hello"], "bar heard hello").await?;
        timeline.seen(format!("tcp bar.xyz.svc.cluster-b.local:5000 hello: {answer}"));
        let after = connections(&apps.cart, &of_c, &gateway).await?;
        ensure!(after == asked, "a call of B's host connected to C's gateway");

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

        timeline.cause("negative control: the address of bar is removed, while the operator cannot repair it");
        a.cluster.operator.kill();
        let id = ("networking.istio.io/v1", "ServiceEntry", MODULE_NAMESPACE, "bar.xyz.svc.cluster-b.local");
        // Newer istiods assign an address themselves unless this is switched off.
        let labels = json!({"networking.istio.io/enable-autoallocate-ip": "false"});
        a.cluster.patch(id, &json!({"metadata": {"labels": labels}, "spec": {"addresses": null}})).await?;
        let answer = answers(&apps.cart, &["tcp", &format!("{outside}:5000"), "hello"], "bar heard hello").await?;
        timeline.seen(format!("tcp {outside}:5000 hello: {answer}"));
        Ok(())
    })
    .await
}

/// Number of connections that the app's proxy tried to a gateway for a host; `None` if it does not have the host.
async fn connections(app: &Workload, host: &str, gateway: &str) -> Result<Option<u64>> {
    let prefix = format!("outbound|5000||{host}::{gateway}:15443::cx_total::");
    let clusters = app.sidecar.admin("/clusters").await?;
    Ok(clusters.lines().find_map(|line| line.strip_prefix(&prefix)).map(str::parse).transpose()?)
}
