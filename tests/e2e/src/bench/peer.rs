//! A peer without a cluster: the real exporter reads a folder of manifests, behind a front. A test can have hundreds of them.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

use anyhow::Context;
use istio_federation::peer::SigningKey;
use istio_federation_testkit::Authority;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{Namespace, Secret};
use kube::api::{Api, ObjectMeta};
use serde_json::{Value, json};

use super::cluster::{Cluster, MODULE_NAMESPACE, federation};
use super::front::Front;
use super::room::Room;
use super::{cloud, module};
use crate::Component;

const HTTP: u16 = 8080;
/// Namespace of its Services.
const NAMESPACE: &str = "crowd";

/// A running peer.
pub struct Peer {
    /// Name, also that of the IstioFederation for it.
    pub name: String,
    /// Its trust domain.
    pub domain: String,
    /// Its ingress.
    pub front: Front,
    services: usize,
    exporter: Component,
}

/// The cluster that may read the peers' private documents.
pub struct Reader {
    uuid: String,
    key: String,
}

impl Reader {
    /// Reads UUID and key of a cluster whose module has made its key.
    pub async fn of(cluster: &Cluster) -> anyhow::Result<Self> {
        let namespaces: Api<Namespace> = Api::all(cluster.client.clone());
        let uuid = namespaces.get("kube-system").await?.metadata.uid.context("kube-system has no UID")?;
        let secrets: Api<Secret> = Api::namespaced(cluster.client.clone(), MODULE_NAMESPACE);
        let secret = secrets.get("d8-remote-authn-keypair").await?;
        let key = secret.data.and_then(|mut data| data.remove("pub.pem")).context("no public key")?;
        Ok(Self { uuid, key: String::from_utf8(key.0)? })
    }
}

impl Peer {
    /// Starts peer `number`, which exports `services` Services to `reader`. Its files are next to those of `cluster`.
    pub async fn start(cluster: &Cluster, reader: &Reader, number: usize, services: usize) -> anyhow::Result<Self> {
        let (name, domain) = (format!("peer-{number:03}"), format!("peer-{number:03}.example"));
        let folder = cluster.server.scratch().data().join(&name);
        let manifests = folder.join("manifests");
        fs::create_dir_all(&manifests)?;
        let documents: Vec<String> = objects(reader, number, services)?.iter().map(Value::to_string).collect();
        fs::write(manifests.join("all.yaml"), documents.join("\n---\n"))?;

        let room = Room::new()?;
        let front = Front::start(room.clone(), HTTP).await?;
        let mut command = Command::new("nsenter");
        command.arg(format!("--net={}", room.file().display())).arg("--");
        command.arg(module::program("istio-federation", &folder)?).arg("exporter");
        command.args(["--listen", &format!("127.0.0.1:{HTTP}"), "--public-host", &front.host()]);
        command.args(["--log-level", "debug"]);
        command.args(["--cluster-domain", &domain, "--cluster-uuid", &name]);
        command.arg("--manifests").arg(&manifests);
        let exporter = Component::start(&name, &cluster.server.scratch().logs(), command)?;
        Ok(Self { name, domain, front, services, exporter })
    }

    /// The IstioFederation for it.
    #[must_use]
    pub fn federation(&self) -> Value {
        federation(&self.name, &self.domain, &self.front, &json!({}))
    }

    /// The hosts that it exports.
    pub fn hosts(&self) -> impl Iterator<Item = String> {
        (0..self.services).map(|service| format!("{}.{NAMESPACE}.svc.{}", service_name(service), self.domain))
    }

    /// SIGKILL for its exporter.
    pub fn kill(&mut self) {
        self.exporter.kill();
    }

    /// Process ID of its exporter, for measurements.
    #[must_use]
    pub fn process(&self) -> u32 {
        self.exporter.id()
    }
}

fn service_name(number: usize) -> String {
    format!("service-{number:05}")
}

/// Manifests for its exporter.
fn objects(reader: &Reader, number: usize, services: usize) -> anyhow::Result<Vec<Value>> {
    let readers = json!({&reader.uuid: {"clusterUUID": reader.uuid, "authnKeyPub": reader.key}}).to_string();
    let gateway = json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"name": "ingressgateway", "namespace": MODULE_NAMESPACE, "labels": {"app": "ingressgateway"}},
        "spec": {"type": "LoadBalancer", "ports": [{"name": "tls", "port": 15443}]},
        "status": {"loadBalancer": {"ingress": [{"ip": format!("203.0.113.{}", 1 + number % 250)}]}},
    });
    let mut objects = vec![
        gateway,
        cloud::root_config_map(MODULE_NAMESPACE, &Authority::root(&format!("mesh of peer {number}")).pem()),
        secret("d8-remote-authn-keypair", "pub.pem", SigningKey::generate()?.to_pem().public)?,
        secret("d8-remote-clusters-public-metadata", "remote-public-metadata.json", readers)?,
    ];
    objects.extend((0..services).map(|service| {
        json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": {
                "name": service_name(service), "namespace": NAMESPACE,
                "labels": {"federation.istio.deckhouse.io/public-service": ""},
            },
            "spec": {"ports": [{"name": "http", "port": 80}, {"name": "grpc", "port": 81}]},
        })
    }));
    Ok(objects)
}

fn secret(name: &str, member: &str, text: String) -> anyhow::Result<Value> {
    let metadata = ObjectMeta {
        name: Some(name.to_owned()),
        namespace: Some(MODULE_NAMESPACE.to_owned()),
        ..ObjectMeta::default()
    };
    let data = BTreeMap::from([(member.to_owned(), ByteString(text.into_bytes()))]);
    Ok(serde_json::to_value(Secret { metadata, data: Some(data), ..Secret::default() })?)
}
