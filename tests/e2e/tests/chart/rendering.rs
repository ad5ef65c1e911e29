//! Rendering without a cluster: everything that belongs there, nothing else, and nothing before hooks have computed it.

use std::collections::BTreeSet;
use std::fs;

use anyhow::{Context as _, Result, ensure};
use istio_federation::exporter::Inlet;
use istio_federation::exporter::access::permissions;
use istio_federation_demo::chart::ModuleChart;
use istio_federation_e2e::{Helm, parse_yaml};
use istio_federation_sim::operator::Chart as _;
use serde_json::{Value, json};

use crate::module::{OPERATOR, chart, decoded, find, key, render, root};
use crate::situations::Situation;
use crate::world::{ALL, Made, make};

/// Policies that stay when federation is off: they refuse objects that would have no effect, or do harm once it is on.
const POLICIES: [&str; 2] = ["ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"];

fn made(name: &str) -> &'static Made {
    ALL.iter().find(|made| made.name() == name).unwrap_or_else(|| panic!("no situation {name}"))
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// The mesh configuration for istiod.
fn mesh(objects: &[Value]) -> Value {
    let config_map = find(objects, "ConfigMap", "istio-federation-mesh").unwrap();
    serde_saphyr::from_str(text(config_map, "/data/mesh")).unwrap()
}

#[tokio::test]
async fn helm_lint_finds_no_fault() -> Result<()> {
    for made in &*ALL {
        Helm::offline()?.lint(OPERATOR, chart(), &made.values).await?;
    }
    Ok(())
}

#[tokio::test]
async fn off_renders_only_policies() -> Result<()> {
    for values in [made("off").values.clone(), json!({})] {
        let others: Vec<String> =
            render(&values).await?.iter().filter(|o| !POLICIES.contains(&text(o, "/kind"))).map(key).collect();
        ensure!(others.is_empty(), "{others:?}");
    }
    Ok(())
}

#[tokio::test]
async fn every_object_is_ours() -> Result<()> {
    for made in &*ALL {
        let objects = render(&made.values).await?;
        let keys: BTreeSet<String> = objects.iter().map(key).collect();
        ensure!(keys.len() == objects.len(), "{}: an object twice: {keys:?}", made.name());
        for object in &objects {
            let labels = &object["metadata"]["labels"];
            ensure!(labels["module"] == "istio" && labels["heritage"] == "deckhouse", "{}: {labels}", key(object));
            let foreign = ["Namespace", "PeerAuthentication", "VerticalPodAutoscaler", "CustomResourceDefinition"];
            ensure!(!foreign.contains(&text(object, "/kind")), "{}", key(object));
        }
    }
    Ok(())
}

#[tokio::test]
async fn pods_have_no_rights_that_they_do_not_need() -> Result<()> {
    for made in ALL.iter().skip(1) {
        let objects = render(&made.values).await?;
        let pods: Vec<&Value> = objects.iter().filter_map(|object| object.pointer("/spec/template/spec")).collect();
        ensure!(pods.len() == 2, "{}: {} kinds of Pods", made.name(), pods.len());
        for pod in pods {
            let security = &pod["securityContext"];
            ensure!(
                security["runAsNonRoot"] == true && security["seccompProfile"]["type"] == "RuntimeDefault",
                "{pod}"
            );
            for container in pod["containers"].as_array().into_iter().flatten() {
                let security = &container["securityContext"];
                ensure!(
                    security["readOnlyRootFilesystem"] == true
                        && security["allowPrivilegeEscalation"] == false
                        && security["capabilities"]["drop"] == json!(["ALL"]),
                    "{container}"
                );
                ensure!(container["resources"]["requests"]["ephemeral-storage"].is_string(), "{container}");
            }
        }
        for service in objects.iter().filter(|object| object["kind"] == "Service") {
            for port in service["spec"]["ports"].as_array().into_iter().flatten() {
                ensure!(port["targetPort"].is_string(), "{}: {port}", key(service));
            }
        }
    }
    Ok(())
}

/// A permission: verb, resource, and the namespace and name that limit it.
type Permission = (String, &'static str, Option<&'static str>);

fn needed(inlet: Inlet) -> BTreeSet<Permission> {
    let needed = permissions(inlet).into_iter();
    needed.map(|one| (one.resource.to_owned(), one.namespace.unwrap_or_default(), one.name)).collect()
}

fn granted(objects: &[Value]) -> BTreeSet<Permission> {
    let mut granted = BTreeSet::new();
    for role in objects.iter().filter(|object| ["Role", "ClusterRole"].contains(&text(object, "/kind"))) {
        let namespace = text(role, "/metadata/namespace").to_owned().leak();
        for rule in role["rules"].as_array().unwrap() {
            assert_eq!(
                (&rule["verbs"], &rule["apiGroups"]),
                (&json!(["list", "watch"]), &json!([""])),
                "{}",
                key(role)
            );
            for resource in rule["resources"].as_array().unwrap() {
                let resource = resource.as_str().unwrap().to_owned();
                match rule["resourceNames"].as_array() {
                    None => drop(granted.insert((resource, &*namespace, None))),
                    Some(names) => granted.extend(names.iter().map(|name| {
                        let name: &'static str = name.as_str().unwrap().to_owned().leak();
                        (resource.clone(), &*namespace, Some(name))
                    })),
                }
            }
        }
    }
    granted
}

#[tokio::test]
async fn the_exporter_has_exactly_the_rights_that_it_needs() -> Result<()> {
    for (name, inlet) in [("alone", Inlet::LoadBalancer), ("node-port", Inlet::NodePort)] {
        let objects: Vec<Value> = render(&made(name).values).await?;
        let ours: Vec<Value> =
            objects.into_iter().filter(|o| o["metadata"]["labels"]["app"] == "metadata-exporter").collect();
        assert_eq!(granted(&ours), needed(inlet), "{name}: (granted, needed)");
    }
    Ok(())
}

/// An object for comparing two renderings: embedded documents are parsed.
fn read(mut object: Value) -> Value {
    if let Some(mesh) = object.pointer_mut("/data/mesh") {
        *mesh = serde_saphyr::from_str(mesh.as_str().unwrap()).unwrap();
    }
    if let Some(peers) = object.pointer_mut("/data/remote-public-metadata.json") {
        *peers = serde_json::from_str(&decoded(peers.as_str().unwrap()).unwrap()).unwrap();
    }
    object
}

#[tokio::test]
async fn the_demos_stand_in_renders_the_same_as_the_chart() -> Result<()> {
    let mut compared = BTreeSet::new();
    for made in &*ALL {
        let real = render(&made.values).await?;
        for stand_in in ModuleChart.render(&made.values).map_err(anyhow::Error::msg)? {
            let same = real.iter().find(|object| key(object) == key(&stand_in)).cloned();
            ensure!(same.is_some(), "{}: the chart has no {}", made.name(), key(&stand_in));
            compared.insert(text(&stand_in, "/metadata/name").to_owned());
            assert_eq!(read(stand_in), read(same.unwrap_or_default()), "{}: (stand-in, chart)", made.name());
        }
    }
    let names = [
        "d8-remote-authn-keypair",
        "d8-remote-clusters-public-metadata",
        "istio-federation-mesh",
        "istio-federation-owner-a",
        "istio-federation-owner-b",
    ];
    assert_eq!(compared.iter().map(String::as_str).collect::<Vec<_>>(), names);
    Ok(())
}

#[tokio::test]
async fn the_owners_name_the_identity_in_use() -> Result<()> {
    let mut values = made("one-peer").values.clone();
    values["istio"]["internal"]["clusterUUID"] = json!("prod:eu");
    let in_use = |objects: &[Value]| -> Result<bool> {
        let owners: Vec<_> = objects
            .iter()
            .filter(|object| text(object, "/metadata/name").starts_with("istio-federation-owner-"))
            .map(|owner| owner["metadata"]["annotations"]["federation.istio.deckhouse.io/cluster-uuid"].clone())
            .collect();
        ensure!(owners == [json!("prod:eu"), json!("prod:eu")], "{owners:?}");
        let exporter = objects.iter().find(|object| object["kind"] == "Deployment").context("no exporter")?;
        let env = exporter.pointer("/spec/template/spec/containers/0/env").and_then(Value::as_array);
        Ok(env.into_iter().flatten().any(|one| one == &json!({"name": "IDENTITY_IN_USE", "value": "true"})))
    };
    ensure!(!in_use(&render(&values).await?)?, "the exporter starts with any identity");
    values["istio"]["internal"]["ownIdentityInUse"] = json!(true);
    ensure!(in_use(&render(&values).await?)?, "the exporter refuses the identity in use");
    Ok(())
}

#[tokio::test]
async fn nothing_is_rendered_before_hooks_have_computed_it() -> Result<()> {
    let values = &made("one-peer").values;
    for name in ["clusterUUID", "remoteAuthnKeypair", "federations", "remotePublicMetadata", "federationTrustAnchors"] {
        let mut values = values.clone();
        ensure!(values["istio"]["internal"].as_object_mut().unwrap().remove(name).is_some(), "no hook writes {name}");
        let refusal = format!("{:#}", render(&values).await.expect_err(name));
        ensure!(refusal.contains(&format!("istio.internal.{name} is not computed yet")), "{refusal}");
    }
    // An empty list is rendered.
    let mut values = values.clone();
    values["istio"]["internal"]["federationTrustAnchors"] = json!([]);
    assert_eq!(mesh(&render(&values).await?)["caCertificates"], json!([]));
    Ok(())
}

#[tokio::test]
async fn a_missing_setting_is_named() -> Result<()> {
    let platform = |pointer: &'static str, value: Value| ("platform", vec![(pointer, value)]);
    for ((name, changes), asked_for) in [
        (("alone", vec![("/istio/federation/clusterDomain", Value::Null)]), "istio.federation.clusterDomain"),
        (("alone", vec![("/istio/federation/metadataExporter/image", Value::Null)]), "metadataExporter.image"),
        (platform("/global/modulesImages/digests", json!({})), "istio.federation.metadataExporter.image"),
        (platform("/global/modules/https/mode", json!("Disabled")), "HTTPS"),
        (platform("/global/modules/https", json!({})), "istio.https.mode"),
        (platform("/global/modules/https/mode", json!("CustomCertificate")), "customCertificate.secretName"),
        (platform("/global/modules/https/certManager", json!({})), "certManager.clusterIssuerName"),
    ] {
        let mut values = made(name).values.clone();
        for (pointer, value) in changes {
            *values.pointer_mut(pointer).unwrap_or_else(|| panic!("{name} has no {pointer}")) = value;
        }
        let refusal = format!("{:#}", render(&values).await.expect_err(asked_for));
        ensure!(refusal.contains(asked_for), "{asked_for} is not in: {refusal}");
    }
    Ok(())
}

#[tokio::test]
async fn peers_are_rendered_and_one_never_reached_costs_the_others_nothing() -> Result<()> {
    let objects = render(&made("three-peers-one-never-reached").values).await?;
    let mesh = mesh(&objects);
    let domains: BTreeSet<&str> =
        mesh["caCertificates"].as_array().unwrap().iter().map(|anchor| text(anchor, "/trustDomains/0")).collect();
    assert_eq!(domains, BTreeSet::from(["c.example", "cluster-b.local"]));
    let hosts: BTreeSet<&str> =
        objects.iter().filter(|o| o["kind"] == "DestinationRule").map(|rule| text(rule, "/spec/host")).collect();
    assert_eq!(hosts, BTreeSet::from(["*.svc.c.example", "*.svc.cluster-b.local"]));
    let paths = denied_paths(&objects);
    assert_eq!(paths, [("c.example/*", "c.example/ns/*"), ("cluster-b.local/*", "cluster-b.local/ns/*")]);

    let pair = render(&made("a-pair-with-one-trust-domain").values).await?;
    assert_eq!(pair.iter().filter(|object| object["kind"] == "DestinationRule").count(), 1);
    assert_eq!(denied_paths(&pair).len(), 1);
    Ok(())
}

/// Identities that the mesh refuses by their prefix, and exceptions from that.
fn denied_paths(objects: &[Value]) -> Vec<(&str, &str)> {
    let policies = objects.iter().filter(|object| object["kind"] == "AuthorizationPolicy");
    let from = policies.flat_map(|policy| policy["spec"]["rules"][0]["from"].as_array().into_iter().flatten());
    let sources = from.map(|from| &from["source"]).filter(|source| source.get("principals").is_some());
    let mut paths: Vec<_> =
        sources.map(|source| (text(source, "/principals/0"), text(source, "/notPrincipals/0"))).collect();
    paths.sort_unstable();
    paths
}

#[tokio::test]
async fn on_stock_istio_everything_of_the_mesh_is_in_its_namespace() -> Result<()> {
    let objects = render(&made("stock-istio").values).await?;
    let elsewhere: BTreeSet<String> =
        objects.iter().filter(|o| text(o, "/metadata/namespace") == "istio-system").map(key).collect();
    let expected = [
        "AuthorizationPolicy istio-system/istio-federation-ambiguous-identities",
        "ConfigMap istio-system/istio-federation-mesh",
    ];
    assert_eq!(elsewhere.iter().map(String::as_str).collect::<Vec<_>>(), expected);
    let mesh = mesh(&objects);
    assert_eq!((text(&mesh, "/trustDomain"), text(&mesh, "/rootNamespace")), ("a.example", "istio-system"));
    let published = |objects: &[Value]| {
        let map = find(objects, "ConfigMap", "metadata-exporter-intermediate-cas")?;
        Some(text(map, "/data/intermediate-cas.pem").to_owned())
    };
    let intermediates = published(&objects).context("no intermediates are published")?;
    assert_eq!(
        intermediates.matches("-----BEGIN ").count(),
        intermediates.matches("-----BEGIN CERTIFICATE-----").count()
    );
    assert!(intermediates.contains("-----BEGIN CERTIFICATE-----"));
    assert_eq!(
        published(&render(&made("one-peer").values).await?),
        None,
        "a CA in another namespace is not the mesh's"
    );
    Ok(())
}

#[tokio::test]
async fn peers_reach_the_exporter_by_https_alone() -> Result<()> {
    for (name, kind, host, secret) in [
        ("own-certificate", "Ingress", "istio-metadata.a.example", "istio-metadata"),
        ("platform", "Ingress", "istio-metadata.a.example", "metadata-exporter-tls"),
        ("front-of-their-own", "Ingress", "istio-metadata.a.example", ""),
        ("gateway-api", "HTTPRoute", "istio-metadata.a.example", ""),
    ] {
        let objects = render(&made(name).values).await?;
        let kinds: Vec<&str> =
            objects.iter().map(|o| text(o, "/kind")).filter(|k| ["Ingress", "HTTPRoute"].contains(k)).collect();
        assert_eq!(kinds, [kind], "{name}");
        let front = find(&objects, kind, "metadata-exporter").unwrap();
        let rendered_host =
            if kind == "Ingress" { text(front, "/spec/rules/0/host") } else { text(front, "/spec/hostnames/0") };
        assert_eq!(rendered_host, host, "{name}");
        assert_eq!(text(front, "/spec/tls/0/secretName"), secret, "{name}");
    }
    let exporter = render(&made("own-certificate").values).await?;
    let exporter = find(&exporter, "Deployment", "metadata-exporter").unwrap();
    let environment = exporter.pointer("/spec/template/spec/containers/0/env").unwrap().as_array().unwrap();
    // Tokens contain the host as peers write it, with the port.
    ensure!(environment.contains(&json!({"name": "PUBLIC_HOSTS", "value": "istio-metadata.a.example:8443"})));
    Ok(())
}

/// Settings in a document's YAML blocks that switch federation on, directly or in an operator's ConfigMap.
fn settings_in(text: &str) -> Vec<Value> {
    let mut blocks: Vec<Vec<&str>> = Vec::new();
    let mut inside = None;
    for line in text.lines() {
        match (line.trim(), inside) {
            ("```yaml", None) => {
                inside = Some(line.len() - line.trim_start().len());
                blocks.push(Vec::new());
            }
            ("```", Some(_)) => inside = None,
            (_, Some(indent)) => blocks.last_mut().unwrap().push(line.get(indent..).unwrap_or_default()),
            (_, None) => {}
        }
    }
    let blocks = blocks.iter().flat_map(|block| parse_yaml(&block.join("\n")).unwrap());
    let settings = blocks.map(|block| match block.pointer("/data/istio").and_then(Value::as_str) {
        Some(text) => serde_saphyr::from_str(text).unwrap(),
        None => block,
    });
    settings.filter(|settings| settings.pointer("/federation/enabled") == Some(&json!(true))).collect()
}

#[tokio::test]
async fn settings_in_documents_work() -> Result<()> {
    for name in ["docs/INSTALL.md", "docs/USAGE.md", "docs/USAGE.ru.md"] {
        let shown = settings_in(&fs::read_to_string(root().join(name))?);
        ensure!(!shown.is_empty() || name != "docs/INSTALL.md", "{name} shows no settings");
        for settings in shown {
            let situation =
                Situation { name: "shown", global: Value::Null, settings, peers: Vec::new(), exported: Vec::new() };
            let objects = render(&make(situation).await?.values).await.with_context(|| name.to_owned())?;
            ensure!(find(&objects, "Ingress", "metadata-exporter").is_some(), "{name}: no Ingress to the exporter");
        }
    }
    Ok(())
}

#[test]
fn every_template_begins_with_its_purpose() -> Result<()> {
    let mut folders = vec![chart().join("templates")];
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()? {
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = fs::read_to_string(&path)?;
            ensure!(text.starts_with("{{- /* "), "{}: no comment in the first line", path.display());
            let may_name_it = path.iter().any(|step| step == "validations");
            ensure!(may_name_it || !text.contains("cluster.local"), "{} names cluster.local", path.display());
        }
    }
    Ok(())
}
