//! Renders the chart's objects from values, as far as hooks and exporter read them back.
//!
//! The demo has no Helm: it writes these objects itself, and says so.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use istio_federation::api::kubernetes::NAMESPACE;
use istio_federation::api::values::{TrustAnchorEntry, Values};
use istio_federation::federation::managed::{LABELS, OWNER_APP};
use istio_federation_sim::operator::Chart;

/// ConfigMap with the peers' anchors, which istiod reads in addition to its own mesh configuration.
pub(crate) const MESH_CONFIG: &str = "istio-federation-mesh";
/// Secret with our key pair towards other exporters.
pub(crate) const KEYPAIR_SECRET: &str = "d8-remote-authn-keypair";
/// Secret with the public documents of the peers that may read our private one.
const PEERS_SECRET: &str = "d8-remote-clusters-public-metadata";
/// Owners of the objects that hooks write. Two: an owner that is deleted by accident must not take everything along.
const OWNERS: [&str; 2] = ["istio-federation-owner-a", "istio-federation-owner-b"];

/// The stand-in for the chart.
#[derive(Clone, Copy, Debug)]
pub struct ModuleChart;

impl Chart for ModuleChart {
    fn render(&self, values: &Value) -> Result<Vec<Value>, String> {
        let values: Values = serde_json::from_value(values.clone()).map_err(|why| why.to_string())?;
        let istio = values.istio.unwrap_or_default();
        let settings = istio.federation.unwrap_or_default();
        if settings.enabled != Some(true) {
            return Ok(Vec::new());
        }
        let internal = istio.internal.unwrap_or_default();
        let discovery = values.global.and_then(|global| global.discovery).unwrap_or_default();
        let trust_domain = discovery.cluster_domain.or(settings.cluster_domain).unwrap_or_default();
        let identity = json!({
            "federation.istio.deckhouse.io/cluster-uuid": internal.cluster_uuid,
            "federation.istio.deckhouse.io/trust-domain": trust_domain,
        });
        let mut objects: Vec<Value> = OWNERS.iter().map(|name| owner(name, &identity)).collect();
        if let Some(pair) = internal.remote_authn_keypair {
            let data = json!({"pub.pem": STANDARD.encode(pair.public), "priv.pem": STANDARD.encode(pair.private)});
            // Keys outlive a release that is removed by mistake.
            let keep = json!({"metadata": {"annotations": {"helm.sh/resource-policy": "keep"}}});
            objects.push(secret(KEYPAIR_SECRET, &data, &keep));
        }
        if let Some(peers) = internal.remote_public_metadata {
            // The members that the exporter reads.
            let keys = peers.into_iter().map(|(uuid, document)| {
                let key = json!({"clusterUUID": document.cluster_uuid, "authnKeyPub": document.authn_key_pub});
                (uuid, key)
            });
            let keys = Value::Object(keys.collect()).to_string();
            objects.push(secret(
                PEERS_SECRET,
                &json!({"remote-public-metadata.json": STANDARD.encode(keys)}),
                &json!({}),
            ));
        }
        if let Some(anchors) = internal.federation_trust_anchors {
            let namespace = settings.mesh_namespace.unwrap_or_else(|| NAMESPACE.to_owned());
            objects.push(mesh_config(&trust_domain, &namespace, &anchors)?);
        }
        Ok(objects)
    }
}

fn object(kind: &str, name: &str, app: &str, more: &Value) -> Value {
    let labels: serde_json::Map<_, _> =
        LABELS.iter().chain([&("app", app)]).map(|(key, value)| ((*key).to_owned(), json!(value))).collect();
    let mut object = json!({
        "apiVersion": "v1", "kind": kind, "metadata": {"name": name, "namespace": NAMESPACE, "labels": labels},
    });
    json_patch::merge(&mut object, more);
    object
}

fn owner(name: &str, identity: &Value) -> Value {
    object("ConfigMap", name, OWNER_APP, &json!({"metadata": {"annotations": identity}}))
}

fn secret(name: &str, data: &Value, more: &Value) -> Value {
    let mut secret = object("Secret", name, "metadata-exporter", &json!({"type": "Opaque", "data": data}));
    json_patch::merge(&mut secret, more);
    secret
}

fn mesh_config(trust_domain: &str, namespace: &str, anchors: &[TrustAnchorEntry]) -> Result<Value, String> {
    let certificates: Vec<Value> =
        anchors.iter().map(|anchor| json!({"pem": anchor.pem, "trustDomains": anchor.trust_domains})).collect();
    let mesh = json!({"trustDomain": trust_domain, "rootNamespace": namespace, "caCertificates": certificates});
    let mesh = serde_saphyr::to_string(&mesh).map_err(|why| why.to_string())?;
    Ok(object(
        "ConfigMap",
        MESH_CONFIG,
        "trust",
        &json!({"metadata": {"namespace": namespace}, "data": {"mesh": mesh}}),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(values: &Value) -> Vec<String> {
        let objects = ModuleChart.render(values).unwrap();
        objects.iter().map(|object| object["metadata"]["name"].as_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn values_become_the_objects_that_hooks_read_back() {
        assert_eq!(names(&json!({"istio": null})), [""; 0]);
        assert_eq!(
            names(&json!({"istio": {"federation": {"enabled": false}, "internal": {"remotePublicMetadata": {}}}})),
            [""; 0]
        );
        assert_eq!(names(&json!({"istio": {"federation": {"enabled": true}}})), OWNERS);
        let values = json!({"global": {"discovery": {"clusterDomain": "a.local"}}, "istio": {"federation": {"enabled": true}, "internal": {
            "remoteAuthnKeypair": {"pub": "PUB\n", "priv": "PRIV\n"}, "remotePublicMetadata": {},
            "federationTrustAnchors": [{"pem": "PEM\nB\n", "trustDomains": ["b.local"], "federations": ["b"]}],
        }}});
        let objects = ModuleChart.render(&values).unwrap();
        assert_eq!(objects[2]["data"], json!({"pub.pem": "UFVCCg==", "priv.pem": "UFJJVgo="}));
        assert_eq!(objects[3]["data"], json!({"remote-public-metadata.json": "e30="}));
        let mesh: Value = serde_saphyr::from_str(objects[4]["data"]["mesh"].as_str().unwrap()).unwrap();
        assert_eq!(mesh["caCertificates"], json!([{"pem": "PEM\nB\n", "trustDomains": ["b.local"]}]));
        assert_eq!((&mesh["trustDomain"], &mesh["rootNamespace"]), (&json!("a.local"), &json!("d8-istio")));
    }
}
