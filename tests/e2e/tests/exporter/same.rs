//! The same objects from an API server and from a folder give the same documents, byte for byte, also after each change.

use anyhow::{Result, ensure};
use istio_federation_e2e::ApiServer;
use k8s_openapi::api::core::v1::{Pod, Service};
use kube::api::{Api, DeleteParams};
use serde_json::{Value, json};

use crate::objects::put;
use crate::process::{Documents, Exporter, Objects};
use crate::world::{World, write};

const LABEL: &str = "federation.istio.deckhouse.io/public-service";

/// An exporter of the API server and one of the folder.
struct Pair {
    cluster: Exporter,
    folder: Exporter,
}

impl Pair {
    async fn start(server: &ApiServer, folder: &std::path::Path, inlet: &str, world: &World) -> Result<Self> {
        let (scratch, kubeconfig) = (server.scratch(), server.kubeconfig());
        let start = async |of: &str, objects| {
            let mut exporter =
                Exporter::start(&format!("exporter-{inlet}-{of}"), scratch, objects, inlet, &world.peer).await?;
            exporter.ready().await?;
            anyhow::Ok(exporter)
        };
        let cluster = start("cluster", Objects::Cluster(&kubeconfig)).await?;
        Ok(Self { cluster, folder: start("folder", Objects::Folder(folder)).await? })
    }

    /// Waits until both private documents are as `wanted`, and fails if the documents differ.
    async fn agree(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> Result<Documents> {
        let as_wanted = |documents: &Documents| Ok(wanted(&documents.offer()?));
        let folder = self.folder.until(&format!("{what}, from the folder"), as_wanted).await?;
        let cluster = self.cluster.until(&format!("{what}, from the cluster"), as_wanted).await?;
        ensure!(cluster == folder, "{what}:\n{cluster:#?}\n{folder:#?}");
        for reply in [&cluster.public, &cluster.spiffe, &cluster.private] {
            ensure!(reply.status == 200 && reply.etag.len() == 34, "{what}: {reply:?}");
        }
        Ok(cluster)
    }
}

fn hosts(offer: &Value) -> Vec<&str> {
    offer["publicServices"].as_array().unwrap().iter().map(|service| service["hostname"].as_str().unwrap()).collect()
}

fn gateways(offer: &Value) -> Vec<String> {
    let gateways = offer["ingressGateways"].as_array().unwrap();
    gateways.iter().map(|one| format!("{}:{}", one["address"].as_str().unwrap(), one["port"])).collect()
}

#[tokio::test]
async fn documents_are_the_same_as_from_manifests() -> Result<()> {
    let server = ApiServer::start("exporter-same").await?;
    let client = server.client().await?;
    let world = World::new()?;
    let folder = tempfile::tempdir()?;
    world.write(folder.path())?;
    put(&client, &world.objects).await?;
    let change = async |object: &Value| -> Result<()> {
        write(folder.path(), object)?;
        put(&client, std::slice::from_ref(object)).await
    };

    let nodes = Pair::start(&server, folder.path(), "NodePort", &world).await?;
    let first = nodes.agree("the first reading", |offer| offer["complete"] == true).await?;
    let offer = first.offer()?;
    ensure!(hosts(&offer) == ["bar.xyz.svc.cluster-b.local", "database.data.svc.cluster-b.local"], "{offer}");
    ensure!(gateways(&offer) == ["198.51.100.11:30443", "198.51.100.12:30443"], "{offer}");
    ensure!(first.public.body.contains("intermediateCAs"), "{}", first.public.body);

    let mut service = world.get("Service", "foo")?;
    service["metadata"]["labels"] = json!({LABEL: ""});
    change(&service).await?;
    nodes.agree("a Service is labelled", |offer| hosts(offer).contains(&"foo.xyz.svc.cluster-b.local")).await?;
    service["spec"]["ports"] = json!([{"name": "grpc", "port": 81}, {"name": "udp", "port": 82, "protocol": "UDP"}]);
    change(&service).await?;
    nodes.agree("its ports change", |offer| offer.to_string().contains(r#""port":81,"protocol":"GRPC""#)).await?;
    service["metadata"]["labels"] = json!({});
    change(&service).await?;
    let back = nodes.agree("the label is removed", |offer| hosts(offer).len() == 2).await?;
    ensure!(back == first, "{back:#?}\n{first:#?}");

    let mut pod = world.get("Pod", "ingressgateway-2")?;
    pod["status"]["conditions"][0]["status"] = json!("False");
    change(&pod).await?;
    nodes.agree("a gateway is not ready", |offer| gateways(offer) == ["198.51.100.11:30443"]).await?;
    pod["status"]["conditions"][0]["status"] = json!("True");
    change(&pod).await?;
    nodes.agree("it is ready again", |offer| gateways(offer).len() == 2).await?;
    let mut node = world.get("Node", "front-1")?;
    node["status"]["addresses"] = json!([{"type": "InternalIP", "address": "10.0.1.11"}]);
    change(&node).await?;
    nodes.agree("a Node loses an address", |offer| gateways(offer)[0] == "10.0.1.11:30443").await?;

    // The same cluster with load balancers.
    let mut gateway = world.get("Service", "ingressgateway")?;
    gateway["spec"]["type"] = json!("LoadBalancer");
    gateway["status"] = json!({"loadBalancer": {"ingress": [{"ip": "203.0.113.10"}, {"hostname": "lb.example"}]}});
    change(&gateway).await?;
    let balanced = Pair::start(&server, folder.path(), "LoadBalancer", &world).await?;
    balanced.agree("a load balancer", |offer| gateways(offer) == ["203.0.113.10:15443", "lb.example:15443"]).await?;
    let advertised = r#"[{"address": "192.0.2.1", "port": 443}]"#;
    let named = json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"gateways.json": advertised},
        "metadata": {"name": "metadata-exporter-ingressgateway-advertise", "namespace": "d8-istio"}});
    change(&named).await?;
    for pair in [&nodes, &balanced] {
        pair.agree("an address is advertised", |offer| gateways(offer) == ["192.0.2.1:443"]).await?;
    }

    // A deleted Service goes, and comes back when it is created again.
    let (services, pods) =
        (Api::<Service>::namespaced(client.clone(), "xyz"), Api::<Pod>::namespaced(client.clone(), "d8-istio"));
    services.delete("bar", &DeleteParams::default()).await?;
    pods.delete("ingressgateway-2", &DeleteParams::default().grace_period(0)).await?;
    std::fs::remove_file(folder.path().join("Service_bar.json"))?;
    std::fs::remove_file(folder.path().join("Pod_ingressgateway-2.json"))?;
    nodes.agree("a Service is deleted", |offer| hosts(offer) == ["database.data.svc.cluster-b.local"]).await?;
    change(&world.get("Service", "bar")?).await?;
    nodes.agree("it is created again", |offer| hosts(offer).len() == 2).await?;
    for exporter in [&nodes.cluster, &nodes.folder, &balanced.cluster, &balanced.folder] {
        let log = exporter.log()?;
        ensure!(!log.contains("s3cr3t") && !log.contains("PRIVATE KEY"), "a secret is in the log");
        ensure!(exporter.readiness().await?.body == "ok\n", "{:?}", exporter.readiness().await?);
    }
    server.stop();
    Ok(())
}
