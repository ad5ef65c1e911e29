//! Makes binding contexts like an operator's: compact, with sorted members, and the output of each binding's filter.

use std::collections::BTreeMap;
use std::error::Error;

use istio_federation::api::istio_federation::IstioFederation;
use istio_federation::api::kubernetes::{ObjectMeta, OwnerReference, Service};
use istio_federation::federation::export::gateways;
use istio_federation::federation::import::{Plan, PlanInput, Routes};
use istio_federation::federation::ourselves::Ourselves;
use istio_federation::federation::roster::Roster;
use istio_federation_testkit::{self as testkit, private_document};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

/// The hooks of the executable.
pub(crate) const HOOKS: [&str; 6] = [
    "authn_keypair",
    "federation_discovery",
    "federation_merge",
    "trust_anchors",
    "imported_services",
    "exported_services",
];

const OWN_ROOT: &str = include_str!("../../tests/replay/fixtures/own-root.pem");
const PEER_ROOT: &str = include_str!("../../tests/replay/fixtures/b-root.pem");
const PEER_KEY: &str = include_str!("../../tests/replay/fixtures/peer-b.pub.pem");
const KEYPAIR: [&str; 2] =
    [include_str!("../../tests/replay/fixtures/own.pub.pem"), include_str!("../../tests/replay/fixtures/own.key.pem")];

/// An operator's files for the hooks.
pub(crate) struct World {
    /// `BINDING_CONTEXT_PATH` by hook.
    pub(crate) contexts: BTreeMap<&'static str, String>,
    /// `VALUES_PATH`.
    pub(crate) values: String,
}

impl World {
    /// Size of the largest context.
    pub(crate) fn context_kb(&self) -> usize {
        self.contexts.values().map(String::len).max().unwrap_or_default() / 1000
    }
}

/// Our own cluster, with enough addresses for all imported hosts.
pub(crate) fn ourselves() -> Result<Ourselves, Box<dyn Error>> {
    Ok(Ourselves::from_values(&serde_json::from_value(values())?, None)?)
}

fn values() -> Value {
    let [public, private] = KEYPAIR;
    json!({
        "global": {"discovery": {"clusterDomain": "cluster-a.local", "clusterUUID": "uuid-a"}},
        "istio": {"federation": {"enabled": true, "serviceAddressRange": "240.0.0.0/8"},
                  "internal": {"remoteAuthnKeypair": {"pub": public, "priv": private}}}
    })
}

/// A peer with `services` services of two ports. Its last exchange failed, so that it is not due now.
pub(crate) fn federation(peer: usize, services: usize) -> Result<IstioFederation, Box<dyn Error>> {
    let domain = format!("peer-{peer:03}.example");
    let endpoint = format!("https://127.0.0.1:{}/metadata", 1 + peer);
    let services: Vec<Value> = (0..services)
        .map(|service| {
            json!({"hostname": format!("service-{service:04}.ns.svc.{domain}"),
                   "ports": [{"name": "http", "port": 80, "protocol": "HTTP"}, {"name": "tcp", "port": 90, "protocol": "TCP"}]})
        })
        .collect();
    let since = Timestamp::now().checked_sub(SignedDuration::from_secs(16 * 15))?.to_string();
    let cache = json!({
        "public": {"clusterUUID": format!("uuid-{peer}"), "authnKeyPub": PEER_KEY, "rootCA": PEER_ROOT},
        "anchors": [{"certificate": PEER_ROOT, "role": "Root"}],
        "private": private_document(&format!("203.0.113.{}", 1 + peer % 200), &services),
    });
    Ok(testkit::federation(&format!("peer-{peer:03}"))
        .domain(&domain)
        .endpoint(&endpoint)
        .status(&json!({"importedServices": services.len()}))
        .cached(&cache)
        .condition("PublicMetadataExchangeReady", "False", "FetchFailed", &since)
        .condition("PrivateMetadataExchangeReady", "Unknown", "FetchFailed", &since)
        .read())
}

pub(crate) fn owners() -> Vec<OwnerReference> {
    let owner = |name: &str| OwnerReference {
        api_version: "v1".to_owned(),
        kind: "ConfigMap".to_owned(),
        name: name.to_owned(),
        uid: format!("uid-{name}"),
    };
    vec![owner("owner-a"), owner("owner-b")]
}

/// The ServiceEntries of these federations, as in a snapshot.
pub(crate) fn service_entries(federations: &[IstioFederation]) -> Result<Vec<Value>, Box<dyn Error>> {
    let ours = ourselves()?;
    let roster = Roster::new(federations, &ours);
    let routes = Routes::new(federations, &roster, &ours);
    let world = PlanInput {
        federations,
        all_read: true,
        roster: &roster,
        existing: &[],
        owners: &owners(),
        range: ours.service_range,
    };
    let plan = Plan::new(&routes, &world)?;
    Ok(plan.changes.create.iter().map(|entry| shown(&entry.metadata, &entry.spec)).collect())
}

/// The Gateways of these Services, as in a snapshot.
fn gateways(services: &[Value]) -> Result<Vec<Value>, Box<dyn Error>> {
    let services: Vec<Service> = services.iter().cloned().map(serde_json::from_value).collect::<Result<_, _>>()?;
    let changes = gateways::plan(&services, &[], &ourselves()?.trust_domain, Vec::new(), &owners());
    Ok(changes.create.iter().map(|gateway| shown(&gateway.metadata, &gateway.spec)).collect())
}

fn shown(metadata: &ObjectMeta, spec: &impl serde::Serialize) -> Value {
    json!({"metadata": {"name": metadata.name, "labels": metadata.labels, "annotations": metadata.annotations,
                        "ownerReferences": metadata.owner_references},
           "spec": spec})
}

fn filtered<T: serde::Serialize>(items: &[T]) -> Value {
    items.iter().map(|item| json!({ "filterResult": item })).collect()
}

/// Every hook's context with all its snapshots, for these federations and ServiceEntries.
fn contexts(
    federations: &[IstioFederation],
    entries: &[Value],
) -> Result<BTreeMap<&'static str, Value>, Box<dyn Error>> {
    let [public, private] = KEYPAIR;
    let shaped = |members: &[&str]| -> Result<Value, Box<dyn Error>> {
        let mut shaped = Vec::new();
        for federation in federations {
            let mut federation = serde_json::to_value(federation)?;
            if !members.is_empty()
                && let Some(status) = federation["status"].as_object_mut()
            {
                status.retain(|member, _| member == "metadataCache");
                if let Some(cache) = status["metadataCache"].as_object_mut() {
                    cache.retain(|member, _| members.contains(&member.as_str()));
                }
            }
            shaped.push(federation);
        }
        Ok(filtered(&shaped))
    };
    let owners: Vec<Value> =
        owners().iter().map(|owner| json!({"name": owner.name, "uid": owner.uid, "deleted": null})).collect();
    let services: Vec<Value> = (0..200)
        .map(|service| {
            json!({"metadata": {"name": format!("service-{service}"), "namespace": format!("ns-{}", service % 10),
                                "labels": {"federation.istio.deckhouse.io/public-service": ""}},
                   "spec": {"type": "ClusterIP", "ports": [{"name": "http", "port": 80, "protocol": "TCP", "appProtocol": null}]}})
        })
        .collect();
    let kube_system = filtered(&[json!({"uid": "uuid-a"})]);
    let keypair = filtered(&[json!({"pub": public, "priv": private})]);
    let own_root = filtered(&[json!({"pem": [OWN_ROOT]})]);
    let none = json!([]);
    let context = |snapshots: Value| json!([{"binding": "federations", "type": "Group", "groupName": "main", "snapshots": snapshots}]);
    Ok(BTreeMap::from([
        ("authn_keypair", context(json!({"keypair": keypair}))),
        (
            "federation_discovery",
            context(json!({"specs": none, "federations": shaped(&[])?, "kube_system": kube_system, "keypair": keypair,
                           "own_root": own_root, "own_intermediates": none})),
        ),
        (
            "federation_merge",
            context(json!({"federations": shaped(&["source", "public"])?, "kube_system": kube_system})),
        ),
        (
            "trust_anchors",
            context(json!({"federations": shaped(&["source", "anchors"])?, "kube_system": kube_system,
                           "own_root": own_root, "own_intermediates": none})),
        ),
        (
            "imported_services",
            context(json!({"federations": shaped(&["source", "private"])?, "kube_system": kube_system,
                           "owners": filtered(&owners), "service_entries": filtered(entries)})),
        ),
        (
            "exported_services",
            context(json!({"services": filtered(&services), "kube_system": kube_system, "owners": filtered(&owners),
                       "gateways": filtered(&gateways(&services)?)})),
        ),
    ]))
}

/// About 60 KB for each hook that reads peers: 12 peers with 6 services each.
pub(crate) fn small() -> Result<World, Box<dyn Error>> {
    let federations = (0..12).map(|peer| federation(peer, 6)).collect::<Result<Vec<_>, _>>()?;
    let contexts = contexts(&federations, &service_entries(&federations)?)?;
    let contexts = contexts.into_iter().map(|(hook, context)| (hook, context.to_string())).collect();
    Ok(World { contexts, values: values().to_string() })
}

/// Peers with 1 000 services each and their ServiceEntries, one of which is outdated.
pub(crate) fn large(peers: usize) -> Result<World, Box<dyn Error>> {
    let mut federations = (0..peers).map(|peer| federation(peer, 1000)).collect::<Result<Vec<_>, _>>()?;
    let entries = service_entries(&federations)?;
    let cache = federations[4].status.as_mut().and_then(|status| status.metadata_cache.as_mut());
    let document = cache.and_then(|cache| cache.private.as_mut()).ok_or("a federation without cache")?;
    document.public_services[500].ports[0].port = 81;
    let contexts = contexts(&federations, &entries)?;
    let readers = ["federation_discovery", "federation_merge", "imported_services", "trust_anchors"];
    let large = readers.map(|hook| (hook, contexts[hook].to_string()));
    Ok(World { contexts: BTreeMap::from(large), values: values().to_string() })
}

/// The same context, indented.
pub(crate) fn spaced(world: &World) -> Result<World, Box<dyn Error>> {
    let context: Value = serde_json::from_str(&world.contexts["imported_services"])?;
    let contexts = BTreeMap::from([("imported_services", serde_json::to_string_pretty(&context)?)]);
    Ok(World { contexts, values: world.values.clone() })
}
