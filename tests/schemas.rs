//! Checks the schemas in `openapi/`: they match the Rust types, are as strict as the readers, complete and translated.
#![allow(clippy::panic, clippy::unwrap_used, reason = "clippy does not count helpers of tests as tests")]

#[path = "schemas/openapi.rs"]
mod openapi;
#[path = "schemas/settings.rs"]
mod settings;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use istio_federation::api::metadata::{IngressGateway, PublicMetadata};
use istio_federation::api::values::{
    Alliance, AllianceIngressGateway, AuthnKeypair, Federation, FederationEntry, Internal, Istio, TrustAnchorEntry,
};
use openapi::Schemas;
use serde_json::{Map, Value, json};

/// Paths that no hook reads: settings and facts for templates only.
const OF_TEMPLATES: [&str; 28] = [
    "federation.operators[]",
    "federation.metadataExporter.image",
    "federation.metadataExporter.imagePullSecrets[]",
    "alliance.ingressGateway.inlet",
    "alliance.ingressGateway.nodePort.port",
    "alliance.ingressGateway.serviceAnnotations.*",
    "alliance.ingressGateway.loadBalancerClass",
    "alliance.ingressGateway.nodeSelector.*",
    "alliance.ingressGateway.tolerations[].key",
    "alliance.ingressGateway.tolerations[].operator",
    "alliance.ingressGateway.tolerations[].value",
    "alliance.ingressGateway.tolerations[].effect",
    "alliance.ingressGateway.tolerations[].tolerationSeconds",
    "alliance.ingressGateway.gatewayPodAnnotations.*",
    "https.mode",
    "https.certManager.clusterIssuerName",
    "https.customCertificate.secretName",
    "ingressClass",
    "gatewayAPIGateway.name",
    "gatewayAPIGateway.namespace",
    "gatewayAPIGateway.listener",
    "highAvailability",
    "nodeSelector.*",
    "tolerations[].key",
    "tolerations[].operator",
    "tolerations[].value",
    "tolerations[].effect",
    "tolerations[].tolerationSeconds",
];
/// Paths that the platform writes.
const OF_THE_PLATFORM: [&str; 4] = ["registry.base", "registry.dockercfg", "registry.scheme", "registry.ca"];

static SCHEMAS: LazyLock<Schemas> = LazyLock::new(|| Schemas::read(&root()).unwrap());

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn yaml(path: &Path) -> Value {
    serde_saphyr::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

/// Validation errors of a value, each with its path.
fn problems(schema: &Value, value: &Value) -> Vec<String> {
    let validator = jsonschema::options().should_validate_formats(true).build(schema).unwrap();
    validator.iter_errors(value).map(|error| format!("{}: {error}", error.instance_path())).collect()
}

/// Values with every member set. Without `..`, so that a new member cannot be forgotten.
fn full() -> Istio {
    let text = || "a.example".to_owned();
    Istio {
        federation: Some(Federation {
            enabled: Some(true),
            cluster_domain: Some(text()),
            cluster_uuid: Some(text()),
            mesh_namespace: Some("d8-istio".to_owned()),
            metadata_host: Some(text()),
            trust_domain_aliases: Some(vec![text()]),
            service_address_range: Some("240.241.0.0/16".to_owned()),
        }),
        alliance: Some(Alliance {
            ingress_gateway: Some(AllianceIngressGateway {
                advertise: Some(vec![IngressGateway { address: "203.0.113.7".to_owned(), port: 1 }]),
            }),
        }),
        internal: Some(Internal {
            own_identity_in_use: Some(true),
            cluster_uuid: Some(text()),
            remote_authn_keypair: Some(AuthnKeypair { public: text(), private: text() }),
            federations: Some(vec![FederationEntry { name: text(), cluster_uuid: text(), trust_domain: text() }]),
            federation_names: Some(vec![text()]),
            remote_public_metadata: Some(BTreeMap::from([(
                "uuid".to_owned(),
                PublicMetadata {
                    cluster_uuid: text(),
                    authn_key_pub: text(),
                    root_ca: text(),
                    intermediate_cas: Some(text()),
                },
            )])),
            intermediate_cas: Some(text()),
            federation_trust_anchors: Some(vec![TrustAnchorEntry {
                pem: text(),
                trust_domains: vec![text()],
                federations: vec![text()],
            }]),
        }),
    }
}

/// Calls `visit` with every schema, its path, and whether it is a leaf.
fn each_node(schema: &Value, path: &str, visit: &mut impl FnMut(&str, &Map<String, Value>, bool)) {
    let node = schema.as_object().unwrap_or_else(|| panic!("{path} is not a schema"));
    let properties = node.get("properties").and_then(Value::as_object);
    let items = node.get("items");
    let others = node.get("additionalProperties").filter(|others| others.is_object());
    visit(path, node, properties.is_none() && items.is_none() && others.is_none());
    for (name, member) in properties.into_iter().flatten() {
        each_node(member, &if path.is_empty() { name.clone() } else { format!("{path}.{name}") }, visit);
    }
    for (below, sign) in [(items, "[]"), (others, ".*")] {
        if let Some(below) = below {
            each_node(below, &format!("{path}{sign}"), visit);
        }
    }
}

fn leaves(schema: &Value) -> BTreeSet<String> {
    let mut leaves = BTreeSet::new();
    each_node(schema, "", &mut |path, _, is_end| {
        if is_end {
            leaves.insert(path.to_owned());
        }
    });
    leaves
}

/// The leaves of a value.
fn leaves_of(value: &Value, path: &str) -> BTreeSet<String> {
    match value {
        Value::Object(members) => members
            .iter()
            .flat_map(|(name, member)| {
                let name = if path.ends_with("remotePublicMetadata") { "*" } else { name };
                leaves_of(member, format!("{path}.{name}").trim_start_matches('.'))
            })
            .collect(),
        Value::Array(items) => items.iter().flat_map(|item| leaves_of(item, &format!("{path}[]"))).collect(),
        _ => BTreeSet::from([path.to_owned()]),
    }
}

#[test]
fn types_and_schemas_match() {
    let full = serde_json::to_value(full()).unwrap();
    assert_eq!(problems(&SCHEMAS.values, &full), [""; 0], "the schemas refuse values of the types");
    let others: BTreeSet<String> = OF_TEMPLATES.into_iter().chain(OF_THE_PLATFORM).map(str::to_owned).collect();
    let schema = leaves(&SCHEMAS.values);
    let unread: Vec<&String> = schema.iter().filter(|path| !others.contains(*path)).collect();
    assert_eq!(unread, leaves_of(&full, "").iter().collect::<Vec<_>>(), "(schemas, types)");
    let gone: Vec<&String> = others.iter().filter(|path| !schema.contains(*path)).collect();
    assert_eq!(gone, [""; 0], "no longer in the schemas");
}

#[test]
fn templates_read_every_path_that_no_hook_reads() {
    let mut text = String::new();
    let mut folders = vec![root().join("templates")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if entry.is_dir() { folders.push(entry) } else { text += &fs::read_to_string(entry).unwrap() }
        }
    }
    for path in OF_TEMPLATES {
        let name = path.split(['[', '*']).next().unwrap().trim_end_matches('.').rsplit('.').next().unwrap();
        assert!(
            text.contains(&format!(".{name}")) || text.contains(&format!("\"{name}\"")),
            "no template reads {path}"
        );
    }
}

/// An operation on values in a case, or its short form (`tests/replay/README.md`): `{add PATH: value}` or `remove PATH`.
fn operation(operation: &Value) -> Value {
    if let Some(path) = operation.as_str().and_then(|short| short.strip_prefix("remove ")) {
        return json!({"op": "remove", "path": path});
    }
    let mut members = operation.as_object().into_iter().flatten();
    let added = members.find_map(|(name, value)| Some((name.strip_prefix("add ")?, value)));
    added.map_or_else(|| operation.clone(), |(path, value)| {
        // A new key pair differs in every run; cases have a placeholder.
        let is_placeholder = value == "a new key pair";
        json!({"op": "add", "path": path, "value": if is_placeholder { json!({"pub": "PEM", "priv": "PEM"}) } else { value.clone() }})
    })
}

#[test]
fn hooks_write_valid_values_to_existing_paths() {
    let mut written = 0;
    let folders = fs::read_dir(root().join("tests/replay")).unwrap().map(|folder| folder.unwrap().path());
    let cases = folders.filter(|path| path.is_dir()).flat_map(|folder| fs::read_dir(folder).unwrap());
    let cases = cases.map(|case| case.unwrap().path());
    for case in cases.filter(|path| path.extension().is_some_and(|extension| extension == "yaml")) {
        let patch: Vec<Value> =
            yaml(&case)["expect"]["values"].as_array().into_iter().flatten().map(operation).collect();
        written += patch.len();
        let patch: json_patch::Patch = serde_json::from_value(patch.into()).unwrap();
        // Only the switch is configured: the parents of every path exist by default.
        let mut values = json!({"istio": SCHEMAS.filled(json!({"federation": {"enabled": true}}))});
        json_patch::patch(&mut values, &patch).unwrap_or_else(|why| panic!("{}: {why}", case.display()));
        assert_eq!(problems(&SCHEMAS.values, &values["istio"]), [""; 0], "{}", case.display());
    }
    assert!(written > 20, "only {written} operations in tests/replay");
}

#[test]
fn uncomputed_values_are_absent() {
    let internal = SCHEMAS.filled(json!({}))["internal"].take();
    assert_eq!(internal, json!({}), "an empty list would mean that there are no peers");
}

#[test]
fn defaults_and_examples_are_valid() {
    assert_eq!(problems(&SCHEMAS.values, &SCHEMAS.filled(json!({}))), [""; 0]);
    assert_eq!(problems(&SCHEMAS.config, &json!({})), [""; 0]);
    let mut examples = 0;
    each_node(&SCHEMAS.config, "", &mut |path, node, _| {
        let schema = Value::Object(node.clone());
        for example in node.get("x-examples").and_then(Value::as_array).into_iter().flatten() {
            assert_eq!(problems(&schema, example), [""; 0], "{path}");
            examples += 1;
        }
    });
    assert!(examples > 15, "{examples}");
}

/// addon-operator knows the keywords of `OpenAPI` 2, Deckhouse's tools those of `OpenAPI` 3.0.
#[test]
fn only_keywords_that_operators_know_are_used() {
    let known = [
        "additionalProperties",
        "anyOf",
        "default",
        "description",
        "enum",
        "format",
        "items",
        "maxLength",
        "maximum",
        "minLength",
        "minimum",
        "pattern",
        "properties",
        "required",
        "type",
        "x-examples",
        "x-extend",
    ];
    for schema in [&SCHEMAS.config, &SCHEMAS.values] {
        each_node(schema, "", &mut |path, node, _| {
            let unknown: Vec<&String> = node.keys().filter(|name| !known.contains(&name.as_str())).collect();
            assert_eq!(unknown, [""; 0], "{path}");
            assert!(node.get("type").is_some_and(Value::is_string), "{path} has no type");
        });
    }
}

/// Paths with a description.
fn described(node: &Value, path: &str) -> BTreeSet<String> {
    let Some(members) = node.as_object() else { return BTreeSet::new() };
    let own = members.get("description").and_then(Value::as_str).filter(|text| !text.trim().is_empty());
    let properties = members.get("properties").and_then(Value::as_object).into_iter().flatten();
    let below = properties.flat_map(|(name, member)| described(member, &format!("{path}.{name}")));
    let items = members.get("items").into_iter().flat_map(|items| described(items, &format!("{path}[]")));
    below.chain(items).chain(own.map(|_| path.to_owned())).collect()
}

#[test]
fn every_setting_is_described_in_both_languages() {
    let russian = yaml(&root().join("openapi/doc-ru-config-values.yaml"));
    assert_eq!(described(&SCHEMAS.config, ""), described(&russian, ""), "(English, Russian)");
    // Kubernetes defines the members of a toleration.
    let settings = |path: &str| !path.contains("tolerations") && !path.ends_with(['*', ']']) && !path.is_empty();
    let english = described(&SCHEMAS.config, "");
    each_node(&SCHEMAS.config, "", &mut |path, _, _| {
        assert!(!settings(path) || english.contains(&format!(".{path}")), "{path} is not described");
    });
}
