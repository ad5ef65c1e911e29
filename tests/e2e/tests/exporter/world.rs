//! A cluster for the exporter: the objects of an example and the Secrets of hooks and chart, in an API server and in a folder.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use istio_federation::peer::SigningKey;
use istio_federation_testkit::Authority;
use serde_json::{Value, json};

use crate::objects::{example, name};
use crate::process::PEER_UUID;

/// The objects, in an order that an API server accepts.
pub(crate) struct World {
    pub(crate) objects: Vec<Value>,
    /// Key of the peer.
    pub(crate) peer: SigningKey,
}

impl World {
    /// Cluster B of the examples, with a peer, a key pair and a CA with an intermediate.
    pub(crate) fn new() -> Result<Self> {
        let mut objects = example("cluster-b")?;
        objects.retain(|object| object["kind"] != "IstioFederation");
        let (own, peer) = (SigningKey::generate()?, SigningKey::generate()?);
        let (own, peer_pem) = (own.to_pem(), peer.to_pem());
        let peers = json!({PEER_UUID: {"clusterUUID": PEER_UUID, "authnKeyPub": peer_pem.public, "rootCA": ""}});
        objects.extend([
            secret("d8-remote-authn-keypair", &json!({"pub.pem": own.public, "priv.pem": own.private})),
            secret("d8-remote-clusters-public-metadata", &json!({"remote-public-metadata.json": peers.to_string()})),
            json!({"apiVersion": "v1", "kind": "ConfigMap",
                   "metadata": {"name": "metadata-exporter-intermediate-cas", "namespace": "d8-istio"},
                   "data": {"intermediate-cas.pem": Authority::root("root").intermediate("intermediate").pem()}}),
            // Not exported.
            secret("other", &json!({"password": "s3cr3t"})),
        ]);
        Ok(Self { objects, peer })
    }

    /// The object of a kind and name.
    pub(crate) fn get(&self, kind: &str, name: &str) -> Result<Value> {
        let found = self.objects.iter().find(|object| object["kind"] == kind && object["metadata"]["name"] == name);
        Ok(found.with_context(|| format!("there is no {kind} {name}"))?.clone())
    }

    /// Writes a manifest for each object.
    pub(crate) fn write(&self, folder: &Path) -> Result<()> {
        self.objects.iter().try_for_each(|object| write(folder, object))
    }
}

fn secret(name: &str, members: &Value) -> Value {
    json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": "d8-istio"}, "stringData": members})
}

/// Writes the manifest of an object, in one step.
pub(crate) fn write(folder: &Path, object: &Value) -> Result<()> {
    let file = folder.join(format!("{}_{}.json", object["kind"].as_str().context("kind")?, name(object)?));
    let new = file.with_extension("new");
    fs::write(&new, object.to_string())?;
    Ok(fs::rename(new, file)?)
}
