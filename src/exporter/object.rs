//! The Kubernetes objects that the exporter reads, reduced to the members that it needs.
//!
//! Of a Secret only the members named here are kept, so no private key is ever in memory.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use thiserror::Error;

use crate::api::kubernetes::{NAMESPACE, Node, ObjectMeta, PUBLIC_SERVICE_LABEL, Pod, Service};

/// ConfigMap of the mesh's root certificates, and its member.
pub(super) const ROOT_CONFIG_MAP: (&str, &str) = ("istio-ca-root-cert", "root-cert.pem");
/// ConfigMap with the gateway addresses that an operator set.
pub(super) const ADVERTISE_CONFIG_MAP: &str = "metadata-exporter-ingressgateway-advertise";
/// Members of [`ADVERTISE_CONFIG_MAP`], the preferred one first.
pub(super) const ADVERTISE_KEYS: [&str; 2] = ["gateways.json", "ingressgateways-array.json"];
/// Secret of the peers' public documents, and its member.
pub(super) const PEERS_SECRET: (&str, &str) = ("d8-remote-clusters-public-metadata", "remote-public-metadata.json");
/// Secret of our own key pair, and the member with the public half.
pub(super) const KEYPAIR_SECRET: (&str, &str) = ("d8-remote-authn-keypair", "pub.pem");
/// `ConfigMap` of the mesh's own intermediates, and its member. The chart renders it, so that the exporter needs no right
/// to read the Secret with the CA's key.
pub(super) const INTERMEDIATES_CONFIG_MAP: (&str, &str) =
    ("metadata-exporter-intermediate-cas", "intermediate-cas.pem");
/// Label of the east-west gateway's Service and Pods.
pub(super) const GATEWAY_LABEL: (&str, &str) = ("app", "ingressgateway");

/// The kinds that the exporter reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Kind {
    Service,
    Pod,
    Node,
    ConfigMap,
    Secret,
}

impl Kind {
    pub(super) const ALL: [Self; 5] = [Self::Service, Self::Pod, Self::Node, Self::ConfigMap, Self::Secret];

    /// As `kind` of a manifest.
    #[must_use]
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Service => "Service",
            Self::Pod => "Pod",
            Self::Node => "Node",
            Self::ConfigMap => "ConfigMap",
            Self::Secret => "Secret",
        }
    }

    fn is_namespaced(self) -> bool {
        self != Self::Node
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct ObjectKey {
    pub(super) kind: Kind,
    /// Namespace; empty for a Node.
    pub(super) namespace: String,
    pub(super) name: String,
}

impl ObjectKey {
    fn of(kind: Kind, meta: &ObjectMeta) -> Self {
        Self { kind, namespace: meta.namespace.clone().unwrap_or_default(), name: meta.name.clone() }
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.namespace.as_str() {
            "" => write!(f, "{} {}", self.kind, self.name),
            namespace => write!(f, "{} {namespace}/{}", self.kind, self.name),
        }
    }
}

/// A ConfigMap or Secret: text by member. Its `Debug` shows no text.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Data {
    pub(super) key: ObjectKey,
    /// The members that the exporter reads.
    pub(super) entries: BTreeMap<String, String>,
}

impl fmt::Debug for Data {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Data").field("key", &self.key).finish_non_exhaustive()
    }
}

/// An object that the exporter reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Object {
    /// An exported Service or the gateway's.
    Service(Service),
    /// A Pod of the gateway.
    Pod(Pod),
    Node(Node),
    /// A ConfigMap or Secret, read by name.
    Data(Data),
}

/// Why a manifest is not an object of its kind.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(super) enum ObjectError {
    #[error("{0}: metadata.name is missing")]
    Name(Kind),
    /// A member has the wrong type.
    #[error("{key}: {problem}")]
    Shape { key: ObjectKey, problem: String },
    #[error("{key}: member {member:?} of data is not base64 of text")]
    Member { key: ObjectKey, member: &'static str },
}

impl Object {
    #[must_use]
    pub(super) fn kind(&self) -> Kind {
        match self {
            Self::Service(_) => Kind::Service,
            Self::Pod(_) => Kind::Pod,
            Self::Node(_) => Kind::Node,
            Self::Data(data) => data.key.kind,
        }
    }

    /// Which object this is.
    #[must_use]
    pub(super) fn key(&self) -> ObjectKey {
        match self {
            Self::Service(service) => ObjectKey::of(Kind::Service, &service.metadata),
            Self::Pod(pod) => ObjectKey::of(Kind::Pod, &pod.metadata),
            Self::Node(node) => ObjectKey::of(Kind::Node, &node.metadata),
            Self::Data(data) => data.key.clone(),
        }
    }

    /// Reads a manifest. `None` for an object that the exporter does not use, whatever its shape.
    pub(super) fn read(manifest: Value) -> Result<Option<Self>, ObjectError> {
        let Value::Object(mut manifest) = manifest else { return Ok(None) };
        let of_core = manifest.get("apiVersion").and_then(Value::as_str) == Some("v1");
        let kind = manifest.get("kind").and_then(Value::as_str);
        let Some(kind) = Kind::ALL.into_iter().find(|known| of_core && kind == Some(known.as_str())) else {
            return Ok(None);
        };
        normalise(&mut manifest);
        let key = key_of(kind, &mut manifest)?;
        match kind {
            Kind::Service => typed(&key, manifest).map(|s: Service| is_wanted(&s).then_some(Self::Service(s))),
            Kind::Pod => typed(&key, manifest).map(|p: Pod| is_gateway(&p.metadata).then_some(Self::Pod(p))),
            Kind::Node => typed(&key, manifest).map(|node| Some(Self::Node(node))),
            Kind::ConfigMap | Kind::Secret => data(key, &manifest),
        }
    }
}

/// Whether the object belongs to the east-west gateway.
#[must_use]
pub(super) fn is_gateway(meta: &ObjectMeta) -> bool {
    meta.namespace.as_deref() == Some(NAMESPACE)
        && meta.labels.get(GATEWAY_LABEL.0).is_some_and(|value| value == GATEWAY_LABEL.1)
}

fn is_wanted(service: &Service) -> bool {
    is_gateway(&service.metadata) || service.metadata.labels.contains_key(PUBLIC_SERVICE_LABEL)
}

/// Kubernetes treats a null member as absent, and a null label as empty.
fn normalise(manifest: &mut Map<String, Value>) {
    let labels = manifest.get_mut("metadata").and_then(|meta| meta.get_mut("labels")).and_then(Value::as_object_mut);
    for value in labels.into_iter().flat_map(Map::values_mut).filter(|value| value.is_null()) {
        *value = Value::String(String::new());
    }
    drop_nulls(manifest);
}

fn drop_nulls(members: &mut Map<String, Value>) {
    members.retain(|_, value| !value.is_null());
    let mut open: Vec<&mut Value> = members.values_mut().collect();
    while let Some(value) = open.pop() {
        match value {
            Value::Object(members) => {
                members.retain(|_, value| !value.is_null());
                open.extend(members.values_mut());
            }
            Value::Array(items) => open.extend(items),
            _ => {}
        }
    }
}

fn key_of(kind: Kind, manifest: &mut Map<String, Value>) -> Result<ObjectKey, ObjectError> {
    let meta = manifest.get_mut("metadata").and_then(Value::as_object_mut).ok_or(ObjectError::Name(kind))?;
    let name = meta.get("name").and_then(Value::as_str).filter(|name| !name.is_empty());
    let name = name.ok_or(ObjectError::Name(kind))?.to_owned();
    if !kind.is_namespaced() {
        meta.remove("namespace");
        return Ok(ObjectKey { kind, namespace: String::new(), name });
    }
    let namespace = meta.entry("namespace").or_insert_with(|| Value::String("default".to_owned()));
    let namespace = namespace.as_str().unwrap_or_default().to_owned();
    Ok(ObjectKey { kind, namespace, name })
}

fn typed<T: DeserializeOwned>(key: &ObjectKey, manifest: Map<String, Value>) -> Result<T, ObjectError> {
    serde_json::from_value(Value::Object(manifest))
        .map_err(|error| ObjectError::Shape { key: key.clone(), problem: error.to_string() })
}

/// The members to read of a ConfigMap or Secret; empty for objects that the exporter does not use.
pub(super) fn wanted_members(key: &ObjectKey) -> &'static [&'static str] {
    if key.namespace != NAMESPACE {
        return &[];
    }
    match (key.kind, key.name.as_str()) {
        (Kind::ConfigMap, name) if name == ROOT_CONFIG_MAP.0 => &[ROOT_CONFIG_MAP.1],
        (Kind::ConfigMap, name) if name == INTERMEDIATES_CONFIG_MAP.0 => &[INTERMEDIATES_CONFIG_MAP.1],
        (Kind::ConfigMap, ADVERTISE_CONFIG_MAP) => &ADVERTISE_KEYS,
        (Kind::Secret, name) if name == PEERS_SECRET.0 => &[PEERS_SECRET.1],
        (Kind::Secret, name) if name == KEYPAIR_SECRET.0 => &[KEYPAIR_SECRET.1],
        _ => &[],
    }
}

fn data(key: ObjectKey, manifest: &Map<String, Value>) -> Result<Option<Object>, ObjectError> {
    let members = wanted_members(&key);
    if members.is_empty() {
        return Ok(None);
    }
    let text = |section: &str, member: &str| manifest.get(section)?.get(member)?.as_str();
    let mut entries = BTreeMap::new();
    for &member in members {
        let encoded = text("data", member);
        let value = match (key.kind, text("stringData", member)) {
            // As in the API server: `stringData` wins.
            (Kind::Secret, Some(plain)) => Some(plain.to_owned()),
            (Kind::Secret, None) => match encoded.map(decoded) {
                Some(None) => return Err(ObjectError::Member { key, member }),
                decoded => decoded.flatten(),
            },
            _ => encoded.map(str::to_owned),
        };
        entries.extend(value.map(|value| (member.to_owned(), value)));
    }
    Ok(Some(Object::Data(Data { key, entries })))
}

/// Decodes a value of `data` of a Secret.
pub(super) fn decoded(text: &str) -> Option<String> {
    let compact: String = text.split_ascii_whitespace().collect();
    String::from_utf8(STANDARD.decode(compact).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn entries(manifest: Value) -> BTreeMap<String, String> {
        match Object::read(manifest).unwrap() {
            Some(Object::Data(data)) => data.entries,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn unused_objects_are_left_out() {
        for unused in [
            json!("text"),
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "a"}}),
            json!({"apiVersion": "serving.knative.dev/v1", "kind": "Service", "metadata": {"name": "a"}}),
            json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a", "namespace": "b"}}),
            json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "namespace": "b",
                "labels": {"app": "ingressgateway"}}}),
            json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "other", "namespace": "d8-istio"}}),
            json!({"apiVersion": "v1", "kind": "ConfigMap",
                "metadata": {"name": "istio-ca-root-cert", "namespace": "other"}}),
        ] {
            assert_eq!(Object::read(unused.clone()).unwrap(), None, "{unused}");
        }
    }

    #[test]
    fn a_private_key_is_never_read() {
        let secret = json!({"apiVersion": "v1", "kind": "Secret",
            "metadata": {"name": "d8-remote-authn-keypair", "namespace": "d8-istio"},
            "data": {"pub.pem": "cHVi", "priv.pem": "cHJpdg=="}, "stringData": {"priv.pem": "priv"}});
        assert_eq!(entries(secret), [("pub.pem".to_owned(), "pub".to_owned())].into());
        let ca = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "cacerts", "namespace": "d8-istio"},
            "stringData": {"ca-cert.pem": "a", "ca-key.pem": "b", "cert-chain.pem": "c", "root-cert.pem": "d"}});
        assert_eq!(Object::read(ca).unwrap(), None, "the exporter does not use it");
    }

    #[test]
    fn plain_members_of_a_secret_win_over_encoded_ones() {
        let secret = |data: Value, plain: Value| {
            json!({"apiVersion": "v1", "kind": "Secret", "data": data, "stringData": plain,
                "metadata": {"name": "d8-remote-authn-keypair", "namespace": "d8-istio"}})
        };
        assert_eq!(entries(secret(json!({"pub.pem": "YQ=="}), json!({"pub.pem": "b"})))["pub.pem"], "b");
        assert_eq!(entries(secret(json!({"pub.pem": "YWFh\n YWFh"}), Value::Null))["pub.pem"], "aaaaaa");
        let bad = Object::read(secret(json!({"pub.pem": "s3cr3t!"}), Value::Null)).unwrap_err().to_string();
        assert_eq!(bad, "Secret d8-istio/d8-remote-authn-keypair: member \"pub.pem\" of data is not base64 of text");
    }

    #[test]
    fn nulls_are_read_as_kubernetes_reads_them() {
        let service = json!({"apiVersion": "v1", "kind": "Service", "status": null, "spec": {"ports": null},
            "metadata": {"name": "a", "creationTimestamp": null, "labels": {PUBLIC_SERVICE_LABEL: null}}});
        match Object::read(service).unwrap() {
            Some(Object::Service(service)) => {
                assert_eq!(service.metadata.labels[PUBLIC_SERVICE_LABEL], "");
                assert_eq!(service.metadata.namespace.as_deref(), Some("default"));
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_bad_shape_is_reported_with_its_object() {
        let text = |manifest| Object::read(manifest).unwrap_err().to_string();
        assert_eq!(text(json!({"apiVersion": "v1", "kind": "Node"})), "Node: metadata.name is missing");
        let bad = json!({"apiVersion": "v1", "kind": "Service", "spec": {"ports": [{"port": "80"}]},
            "metadata": {"name": "a", "namespace": "b", "labels": {"app": "x"}}});
        assert!(text(bad).starts_with("Service b/a: invalid type: string"));
    }
}
