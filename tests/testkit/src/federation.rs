//! Builds IstioFederations and documents of peers.

use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// A builder of an IstioFederation, as JSON.
#[derive(Clone, Debug)]
pub struct Federation(Value);

/// An IstioFederation named `name` for the trust domain `<name>.local`, without status.
#[must_use]
pub fn federation(name: &str) -> Federation {
    Federation(json!({
        "apiVersion": "deckhouse.io/v1alpha1", "kind": "IstioFederation",
        "metadata": {"name": name, "generation": 1, "creationTimestamp": "2026-01-01T00:00:00Z"},
        "spec": {"trustDomain": format!("{name}.local"), "metadataEndpoint": format!("https://{name}.example/metadata")},
    }))
}

/// The public document of a peer with this UUID; its key and root are placeholders.
#[must_use]
pub fn public_document(uuid: &str) -> Value {
    json!({"clusterUUID": uuid, "authnKeyPub": "key", "rootCA": "root"})
}

/// The private document of a peer with one gateway.
#[must_use]
pub fn private_document(gateway: &str, services: &[Value]) -> Value {
    json!({"ingressGateways": [{"address": gateway, "port": 15443}], "publicServices": services})
}

/// A service in a private document, with its ports.
#[must_use]
pub fn service(hostname: &str, ports: &[(&str, u32)]) -> Value {
    let ports: Vec<Value> = ports.iter().map(|(name, port)| json!({"name": name, "port": port})).collect();
    json!({"hostname": hostname, "ports": ports})
}

impl Federation {
    /// The trust domain.
    #[must_use]
    pub fn domain(self, domain: &str) -> Self {
        self.spec(&json!({"trustDomain": domain}))
    }

    /// The metadata endpoint.
    #[must_use]
    pub fn endpoint(self, url: &str) -> Self {
        self.spec(&json!({"metadataEndpoint": url}))
    }

    /// Time of creation, RFC 3339.
    #[must_use]
    pub fn created(self, time: &str) -> Self {
        self.merged(&json!({"metadata": {"creationTimestamp": time}}))
    }

    /// The spec with `more` merged over it (JSON Merge Patch).
    #[must_use]
    pub fn spec(self, more: &Value) -> Self {
        self.merged(&json!({"spec": more}))
    }

    /// The status with `more` merged over it (JSON Merge Patch).
    #[must_use]
    pub fn status(self, more: &Value) -> Self {
        self.merged(&json!({"status": more}))
    }

    /// The cache with `more` merged over it (JSON Merge Patch), fetched for the current spec.
    #[must_use]
    pub fn cached(self, more: &Value) -> Self {
        let spec = &self.0["spec"];
        let source = json!({"trustDomain": spec["trustDomain"], "metadataEndpoint": spec["metadataEndpoint"]});
        self.status(&json!({"metadataCache": {"source": source}})).status(&json!({"metadataCache": more}))
    }

    /// Adds a condition of the current generation. `since` is RFC 3339.
    #[must_use]
    pub fn condition(mut self, type_: &str, status: &str, reason: &str, since: &str) -> Self {
        let condition = json!({
            "type": type_, "status": status, "reason": reason, "message": "", "lastTransitionTime": since,
            "observedGeneration": self.0["metadata"]["generation"],
        });
        match &mut self.0["status"]["conditions"] {
            Value::Array(conditions) => conditions.push(condition),
            none => *none = json!([condition]),
        }
        self
    }

    /// The object as JSON.
    #[must_use]
    pub fn json(self) -> Value {
        self.0
    }

    /// The object as a type that reads it.
    #[must_use]
    pub fn read<T: DeserializeOwned>(self) -> T {
        serde_json::from_value(self.0).unwrap()
    }

    fn merged(mut self, more: &Value) -> Self {
        json_patch::merge(&mut self.0, more);
        self
    }
}
