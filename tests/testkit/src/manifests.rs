//! Makes manifests of the Kubernetes objects that the exporter reads.

use serde_json::{Value, json};

/// A ConfigMap, or a Secret with `stringData`, in the module's namespace.
#[must_use]
pub fn data(kind: &str, name: &str, member: &str, text: &str) -> Value {
    let section = if kind == "Secret" { "stringData" } else { "data" };
    json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "namespace": "d8-istio"},
        section: {member: text}})
}

/// An exported Service with one port.
#[must_use]
pub fn exported(namespace: &str, name: &str, port: &str, number: u16) -> Value {
    json!({"apiVersion": "v1", "kind": "Service", "spec": {"ports": [{"name": port, "port": number}]},
        "metadata": {"name": name, "namespace": namespace,
            "labels": {"federation.istio.deckhouse.io/public-service": ""}}})
}

/// The gateway's Service behind a load balancer that has this IP address.
#[must_use]
pub fn gateway(ip: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Service", "spec": {"ports": [{"name": "tls", "port": 15443}]},
        "metadata": {"name": "ingressgateway", "namespace": "d8-istio", "labels": {"app": "ingressgateway"}},
        "status": {"loadBalancer": {"ingress": [{"ip": ip}]}}})
}
