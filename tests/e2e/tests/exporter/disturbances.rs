//! Failures of the API server, and the documents that peers read meanwhile: a witness requests them all the time, and every answer
//! must be good.

use std::sync::Arc;

use anyhow::{Result, bail, ensure};
use istio_federation_e2e::{ApiServer, Part, until};
use k8s_openapi::api::rbac::v1::{ClusterRoleBinding, RoleBinding};
use kube::Client;
use kube::api::{Api, DeleteParams};
use serde_json::json;

use crate::objects::put;
use crate::process::{DEADLINE, Documents, Exporter, Objects};
use crate::rbac::rendered;
use crate::witness::Witness;
use crate::world::World;

/// Log message of a watch that cannot be resumed.
const RELIST: &str = "a watch cannot be resumed";

/// A served cluster.
struct Served {
    server: ApiServer,
    client: Client,
    world: World,
    exporter: Arc<Exporter>,
    /// The documents before any failure.
    good: Documents,
}

impl Served {
    /// Starts it with the rights of the chart.
    async fn start(name: &str) -> Result<Self> {
        let server = ApiServer::start(name).await?;
        let client = server.client().await?;
        let world = World::new()?;
        put(&client, &world.objects).await?;
        put(&client, &rendered("NodePort").await?).await?;
        let kubeconfig = server.kubeconfig_of("d8-istio", "metadata-exporter").await?;
        let objects = Objects::Cluster(&kubeconfig);
        let mut exporter = Exporter::start("exporter", server.scratch(), objects, "NodePort", &world.peer).await?;
        exporter.ready().await?;
        let good =
            exporter.until("a complete document", |documents| Ok(documents.offer()?["complete"] == true)).await?;
        Ok(Self { server, client, world, exporter: Arc::new(exporter), good })
    }

    /// Changes the port of `foo`, and returns the documents with it.
    async fn changed(&self, port: u16) -> Result<Documents> {
        let mut service = self.world.get("Service", "foo")?;
        service["metadata"]["labels"] = json!({"federation.istio.deckhouse.io/public-service": ""});
        service["spec"]["ports"] = json!([{"name": "http", "port": port}]);
        put(&self.client, &[service]).await?;
        self.exporter
            .until(&format!("port {port} is served"), |documents| {
                let offer = documents.offer()?;
                Ok(offer.to_string().contains(&format!(r#""port":{port},"#)) && offer["complete"] == true)
            })
            .await
    }

    async fn readyz(&self, what: &str, wanted: impl Fn(&str) -> bool) -> Result<String> {
        until(what, DEADLINE, async || {
            let reply = self.exporter.readiness().await?;
            ensure!(reply.status == 200, "not ready: {}", reply.body);
            if wanted(&reply.body) { Ok(reply.body) } else { bail!("{}", reply.body) }
        })
        .await
    }
}

fn complete(documents: &Documents) -> Result<bool> {
    Ok(documents.offer()?["complete"] == true)
}

/// Short and long restarts, and a lost history.
#[tokio::test]
async fn an_api_server_goes_and_comes_back() -> Result<()> {
    let mut served = Served::start("exporter-restart").await?;
    let witness = Witness::of(&served.exporter);

    served.server.restart_api_server().await?;
    let after_restart = served.changed(81).await?;

    // Down for longer than a document may be marked complete: the mark goes, and the document is still served.
    served.server.kill(Part::Server);
    let stale = served.exporter.until("a stale document", |documents| Ok(!complete(documents)?)).await?;
    ensure!(stale.public == after_restart.public, "{stale:#?}");
    let report = served.readyz("the failure is reported", |body| body.contains("stale: ")).await?;
    ensure!(report.contains("Secret d8-istio/d8-remote-authn-keypair: the API server cannot be reached"), "{report}");
    ensure!(served.exporter.metric(r#"watch_failing{watch="nodes"}"#).await? == 1, "{report}");
    ensure!(served.exporter.metric(r#"watch_failing_since_timestamp_seconds{watch="nodes"}"#).await? > 0, "{report}");
    served.server.start_again(Part::Server).await?;
    let back = served.exporter.until("a complete document", complete).await?;
    ensure!(back == after_restart, "{back:#?}\n{after_restart:#?}");
    served.readyz("all is well", |body| body == "ok\n").await?;
    ensure!(served.exporter.metric(r#"watch_failing{watch="nodes"}"#).await? == 0, "it still fails");

    let after_death = served.changed(82).await?;
    let answers = witness.finish().await?.only(&[&served.good, &after_restart, &after_death])?;
    ensure!(answers > 100, "only {answers} answers");
    served.server.stop();
    Ok(())
}

/// The API server answers a watch that is resumed from before its start with 410.
#[tokio::test]
async fn a_watch_that_cannot_be_resumed_starts_again() -> Result<()> {
    let mut served = Served::start("exporter-expired").await?;
    let witness = Witness::of(&served.exporter);
    let mut known = vec![served.good.clone()];
    let mut relisted = false;
    // If the API server comes back too late for a resumed watch, the attempt tests nothing: try again.
    for port in 81..91 {
        // Other kinds change, so that watches fall behind.
        known.push(served.changed(port).await?);
        served.server.kill(Part::Server);
        served.server.start_again(Part::Server).await?;
        known.push(served.exporter.until("a complete document", complete).await?);
        served.readyz("all is well", |body| body == "ok\n").await?;
        relisted = served.exporter.log()?.contains(RELIST);
        if relisted {
            break;
        }
    }
    ensure!(relisted, "no watch was answered with 410");
    known.push(served.changed(99).await?);
    witness.finish().await?.only(&known.iter().collect::<Vec<_>>())?;
    served.server.stop();
    Ok(())
}

/// Role bindings are removed and restored.
#[tokio::test]
async fn rights_are_removed_and_restored() -> Result<()> {
    let mut served = Served::start("exporter-rights").await?;
    let witness = Witness::of(&served.exporter);
    let roles = Api::<RoleBinding>::namespaced(served.client.clone(), "d8-istio");
    let cluster_roles = Api::<ClusterRoleBinding>::all(served.client.clone());
    roles.delete("metadata-exporter", &DeleteParams::default()).await?;
    cluster_roles.delete("d8:istio:metadata-exporter", &DeleteParams::default()).await?;
    // The API server checks rights when a watch starts.
    served.server.restart_api_server().await?;

    let report = served
        .readyz("forbidden reads are reported", |body| {
            body.matches("forbidden: the ").count() == 9 && body.contains("stale: ")
        })
        .await?;
    for part in [
        "Secret d8-istio/d8-remote-authn-keypair: forbidden: the Role in namespace d8-istio that allows it is missing",
        "Nodes: forbidden: the ClusterRole that allows it is missing, or not bound to our ServiceAccount",
    ] {
        ensure!(report.contains(part), "{report}");
    }
    // Changes by others are not seen meanwhile, and nothing is lost.
    let stale = served.exporter.documents().await?;
    ensure!(stale.private.body == served.good.private.body.replace(r#","complete":true"#, ""), "{stale:#?}");

    put(&served.client, &rendered("NodePort").await?).await?;
    let back = served.exporter.until("a complete document", complete).await?;
    ensure!(back == served.good, "{back:#?}");
    served.readyz("all is well", |body| body == "ok\n").await?;
    let changed = served.changed(81).await?;
    witness.finish().await?.only(&[&served.good, &changed])?;
    served.server.stop();
    Ok(())
}

/// An exporter that starts without rights is not ready and reports why. It becomes ready by itself once it has them.
#[tokio::test]
async fn before_the_first_reading_nothing_is_served() -> Result<()> {
    let server = ApiServer::start("exporter-early").await?;
    let client = server.client().await?;
    let world = World::new()?;
    put(&client, &world.objects).await?;
    let account = json!({"apiVersion": "v1", "kind": "ServiceAccount",
        "metadata": {"name": "metadata-exporter", "namespace": "d8-istio"}});
    put(&client, &[account]).await?;
    let kubeconfig = server.kubeconfig_of("d8-istio", "metadata-exporter").await?;
    let objects = Objects::Cluster(&kubeconfig);
    let mut exporter = Exporter::start("exporter", server.scratch(), objects, "LoadBalancer", &world.peer).await?;
    until("it reports forbidden reads", DEADLINE, async || {
        let reply = exporter.readiness().await?;
        ensure!(reply.status == 503, "{reply:?}");
        ensure!(reply.body.starts_with("not read yet: exported_services, gateway_services, roots, "), "{reply:?}");
        ensure!(reply.body.matches("forbidden: the ").count() == 7, "{reply:?}");
        Ok::<_, anyhow::Error>(())
    })
    .await?;
    for reply in [exporter.documents().await?.public, exporter.private().await?] {
        ensure!(reply.status == 503, "{reply:?}");
    }
    put(&client, &rendered("LoadBalancer").await?).await?;
    exporter.ready().await?;
    // Objects that are not needed with a load balancer are not requested.
    let log = exporter.log()?;
    ensure!(!log.contains("cannot list Nodes") && !log.contains("cannot list Pods"), "{log}");
    let public = exporter.documents().await?.public;
    ensure!(public.status == 200, "{public:?}");
    server.stop();
    Ok(())
}
