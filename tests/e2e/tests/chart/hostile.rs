//! No string changes the YAML around it: hostile strings in every value are rendered unchanged, and add no objects.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};
use serde_json::{Map, Value, json};

use crate::module::{SCHEMAS, decoded, key, render};
use crate::peers::{Peer, public};
use crate::situations::Situation;
use crate::world::make;

/// Strings that break YAML, Helm, shells or readers.
const HOSTILE: [&str; 22] = [
    "\n---\nkind: Namespace\n",
    "\"}}\n{{ fail \"x\" }}",
    "{{ .Values }}",
    "'\"`\\",
    "a: b # c",
    "- d\n- e",
    "!!binary x",
    "&a *a",
    "null",
    "true",
    "1e3",
    "0x10",
    "~",
    "\t\r\n",
    "\u{0}\u{1b}[2J",
    "\u{7f}\u{80}\u{9f}",
    "\u{85}",
    "\u{2028}\u{2029}",
    "\u{feff}",
    "\u{fffe}\u{ffff}",
    "\u{1f600}é",
    "|\n  x\n %TAG",
];

/// Values with a distinct string at every path of the schema, and those strings.
struct Filled {
    values: Value,
    strings: Vec<(String, String)>,
}

/// Whether a value decides which objects are rendered; such values are not replaced.
fn is_a_choice(path: &str, schema: &Value) -> bool {
    schema.get("enum").is_some() || ["registry.scheme", "registry.ca"].contains(&path)
}

fn fill(schema: &Value, path: &str, hostile: &str, strings: &mut Vec<(String, String)>) -> Value {
    let below = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    match schema["type"].as_str() {
        Some("object") => {
            let mut members = Map::new();
            for (name, member) in schema["properties"].as_object().into_iter().flatten() {
                let path = below(name);
                if !is_a_choice(&path, member) {
                    members.insert(name.clone(), fill(member, &path, hostile, strings));
                }
            }
            if schema["additionalProperties"].is_object() {
                let name = unique(&below("<key>"), hostile, strings);
                members.insert(name, fill(&schema["additionalProperties"], &below("*"), hostile, strings));
            }
            members.into()
        }
        Some("array") => json!([fill(&schema["items"], &below("[]"), hostile, strings)]),
        Some("string") => unique(path, hostile, strings).into(),
        Some("boolean") => json!(true),
        _ => json!(30443),
    }
}

/// A string that contains its path, with the hostile part first and last.
fn unique(path: &str, hostile: &str, strings: &mut Vec<(String, String)>) -> String {
    let text = format!("{hostile}{}{hostile}", strings.len());
    strings.push((path.to_owned(), text.clone()));
    text
}

fn filled(hostile: &str) -> Filled {
    let mut strings = Vec::new();
    let mut istio = fill(&SCHEMAS.values, "", hostile, &mut strings);
    for (pointer, choice) in [("/https/mode", "CertManager"), ("/alliance/ingressGateway/inlet", "LoadBalancer")] {
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        istio.pointer_mut(parent).unwrap()[name] = json!(choice);
    }
    Filled { values: json!({"istio": istio}), strings }
}

/// Every string in an object, also in embedded documents.
fn strings_of(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => members.iter().for_each(|(name, member)| {
            found.insert(name.clone());
            strings_of(member, found);
        }),
        Value::Array(items) => items.iter().for_each(|item| strings_of(item, found)),
        Value::String(text) => {
            found.insert(text.clone());
            if let Some(inner) = decoded(text) {
                strings_of_text(&inner, found);
            }
            strings_of_text(text, found);
        }
        _ => {}
    }
}

fn strings_of_text(text: &str, found: &mut BTreeSet<String>) {
    found.insert(text.to_owned());
    let is_document = text.starts_with(['[', '{']);
    if is_document && let Ok(inner @ (Value::Object(_) | Value::Array(_))) = serde_saphyr::from_str::<Value>(text) {
        strings_of(&inner, found);
    }
}

/// Variants of the values, each with the settings of `istio` that another one replaces there.
fn variants(values: &Value) -> Vec<(Value, Vec<&'static str>)> {
    let changed = |change: &dyn Fn(&mut Value)| {
        let mut values = values.clone();
        change(&mut values["istio"]);
        values
    };
    let remove = |from: &mut Value, name: &str| drop(from.as_object_mut().unwrap().remove(name));
    let by_ingress = |istio: &mut Value| remove(istio, "gatewayAPIGateway");
    let with_certificate = changed(&|istio| {
        by_ingress(istio);
        istio["https"]["mode"] = json!("CustomCertificate");
    });
    let mut of_the_platform = changed(&|istio| {
        by_ingress(istio);
        remove(&mut istio["federation"]["metadataExporter"], "image");
    });
    of_the_platform["global"] = json!({"modulesImages": {"digests": {"istio": {"metadataExporter": "sha256:1"}}}});
    let read_elsewhere = |names: &[&'static str]| names.to_vec();
    vec![
        (values.clone(), read_elsewhere(&["https.", "ingressClass", "registry.base"])),
        (with_certificate, read_elsewhere(&["gatewayAPIGateway.", "https.certManager.", "registry.base"])),
        (
            of_the_platform,
            read_elsewhere(&["gatewayAPIGateway.", "https.customCertificate.", "federation.metadataExporter.image"]),
        ),
    ]
}

/// Paths that no template renders.
const NOT_RENDERED: [&str; 9] = [
    // Only hooks read these.
    "federation.clusterUUID",
    "federation.trustDomainAliases.[]",
    "federation.serviceAddressRange",
    "internal.federationNames.[]",
    // The exporter needs a peer's key, not its CAs.
    "internal.remotePublicMetadata.*.rootCA",
    "internal.remotePublicMetadata.*.intermediateCAs",
    // A peer's name and UUID come from its document; names of federations of an anchor are for people.
    "internal.federations.[].name",
    "internal.federations.[].clusterUUID",
    "internal.federationTrustAnchors.[].federations.[]",
];

#[tokio::test]
async fn every_string_is_rendered_unchanged() -> Result<()> {
    let benign = filled("x");
    let expected: Vec<Vec<String>> = {
        let mut kinds = Vec::new();
        for (values, _) in variants(&benign.values) {
            kinds.push(render(&values).await?.iter().map(|object| object["kind"].to_string()).collect());
        }
        kinds
    };
    for hostile in HOSTILE {
        let filled = filled(hostile);
        for ((values, elsewhere), expected) in variants(&filled.values).into_iter().zip(&expected) {
            let objects = render(&values).await?;
            let kinds: Vec<String> = objects.iter().map(|object| object["kind"].to_string()).collect();
            ensure!(kinds == *expected, "{hostile:?}: rendered {kinds:?} instead of {expected:?}");
            let mut found = BTreeSet::new();
            for object in &objects {
                strings_of(object, &mut found);
            }
            for (path, text) in &filled.strings {
                let not_here = |part: &&str| path.starts_with(*part);
                if !NOT_RENDERED.contains(&path.as_str()) && !elsewhere.iter().any(not_here) {
                    ensure!(found.iter().any(|found| found.contains(text)), "{hostile:?} of {path} is lost");
                }
            }
        }
    }
    Ok(())
}

/// The same for a peer's strings: its documents in the status of an IstioFederation.
#[tokio::test]
async fn strings_of_a_peer_pass_hooks_and_helm_and_add_nothing() -> Result<()> {
    let peer = |hostile: &str| {
        let peer =
            Peer { name: "peer", domain: "peer.example", services: &[("bar.xyz", &[("http", 80)])], shared: false };
        let mut federation = peer.federation();
        let cache = &mut federation["status"]["metadataCache"];
        let mut document = serde_json::to_value(public(&format!("uuid{hostile}"))).unwrap();
        document["rootCA"] = json!(format!("{hostile}{}{hostile}", text(&document["rootCA"])));
        document["intermediateCAs"] = json!(hostile);
        cache["anchors"][0]["certificate"] = document["rootCA"].clone();
        cache["public"] = document;
        cache["private"]["publicServices"][0]["ports"][0]["name"] = json!(format!("http{hostile}"));
        cache["private"]["ingressGateways"][0]["address"] = json!(format!("198.51.100.1{hostile}"));
        federation
    };
    let mut kinds = BTreeSet::new();
    for hostile in HOSTILE.into_iter().chain([""]) {
        let situation = Situation {
            name: "hostile-peer",
            global: Value::Null,
            settings: json!({"federation": {"enabled": true, "clusterDomain": "a.local",
                "metadataExporter": {"image": "registry.example.com/istio-federation:v0.1.0"}}}),
            peers: vec![peer(hostile)],
            exported: Vec::new(),
        };
        let made = make(situation).await?;
        let objects = render(&made.values).await?;
        let rendered: Vec<String> = objects.iter().map(key).filter(|key| !key.starts_with("DestinationRule")).collect();
        kinds.insert(rendered.clone());
        ensure!(kinds.len() == 1, "{hostile:?}: {rendered:?} differs from {:?}", kinds.first());
        if hostile.is_empty() {
            ensure!(
                objects.iter().any(|object| object["kind"] == "DestinationRule"),
                "the honest peer is not rendered"
            );
        }
    }
    Ok(())
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
