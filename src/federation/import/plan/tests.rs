//! Tests of a plan: objects that it creates, changes and deletes, and those that it leaves alone.

use std::collections::HashSet;

use istio_federation_testkit as testkit;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::api::istio_federation::IstioFederation;
use crate::api::kubernetes::OwnerReference;
use crate::federation::import::input::FEDERATIONS;
use crate::federation::managed::Update;
use crate::federation::ourselves::Ourselves;
use crate::federation::roster::Roster;

fn ours() -> Ourselves {
    let values = json!({"istio": {"federation": {"clusterDomain": "a.local", "clusterUUID": "a"}}});
    Ourselves::from_values(&serde_json::from_value(values).unwrap(), None).unwrap()
}

/// A federation for `domain` that offers those services (letters) on TCP port 90 and HTTP port 80; `None`: no cache.
fn federation(name: &str, domain: &str, services: Option<&str>) -> IstioFederation {
    let federation = testkit::federation(name).domain(domain);
    let Some(services) = services else { return federation.read() };
    let service = |c: char| testkit::service(&format!("{c}.ns.svc.{domain}"), &[("http", 80), ("tcp", 90)]);
    let services: Vec<_> = services.chars().map(service).collect();
    federation.cached(&json!({"private": testkit::private_document("203.0.113.1", &services)})).read()
}

fn owners() -> Vec<OwnerReference> {
    ["a", "b"]
        .map(|name| OwnerReference {
            api_version: "v1".to_owned(),
            kind: "ConfigMap".to_owned(),
            name: name.to_owned(),
            uid: format!("uid-{name}"),
        })
        .to_vec()
}

struct Case {
    federations: Vec<IstioFederation>,
    all_read: bool,
    existing: Vec<Value>,
    owners: Vec<OwnerReference>,
    range: &'static str,
    /// An object as the operator writes it.
    write: fn(&Value) -> String,
}

impl Case {
    fn new(federations: Vec<IstioFederation>) -> Self {
        let write = |entry: &Value| entry.to_string();
        Self { federations, all_read: true, existing: Vec::new(), owners: owners(), range: "240.241.0.0/16", write }
    }

    fn plan(&self) -> Plan {
        let roster = Roster::new(&self.federations, &ours());
        let routes = Routes::new(&self.federations, &roster, &ours());
        let texts: Vec<String> = self.existing.iter().map(|entry| (self.write)(entry)).collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let world = PlanInput {
            federations: &self.federations,
            all_read: self.all_read,
            roster: &roster,
            existing: &texts,
            owners: &self.owners,
            range: self.range.parse().unwrap(),
        };
        Plan::new(&routes, &world).unwrap()
    }

    /// The case after its plan was carried out as an API server does.
    fn applied(mut self) -> Self {
        let plan = self.plan().changes;
        self.existing.retain(|entry| !plan.delete.iter().any(|name| entry["metadata"]["name"] == *name));
        for update in plan.update {
            let entry = self.entry(&update.name);
            entry["spec"] = update.to["spec"].clone();
            for member in ["labels", "annotations", "ownerReferences"] {
                entry["metadata"][member] = update.to["metadata"][member].clone();
            }
        }
        for entry in plan.create {
            self.existing.push(json!({"metadata": entry.metadata, "spec": entry.spec}));
        }
        self
    }

    fn names(&self) -> Vec<String> {
        let name = |entry: &Value| entry["metadata"]["name"].as_str().unwrap().to_owned();
        let mut names: Vec<_> = self.existing.iter().map(name).collect();
        names.sort_unstable();
        names
    }

    fn entry(&mut self, name: &str) -> &mut Value {
        self.existing.iter_mut().find(|entry| entry["metadata"]["name"] == name).unwrap()
    }
}

#[test]
fn a_missing_entry_is_created_whole() {
    let plan = Case::new(vec![federation("b", "b.local", Some("x"))]).plan();
    let entry = &plan.changes.create[0];
    assert_eq!(entry.metadata.name, "x.ns.svc.b.local");
    assert_eq!(entry.metadata.owner_references, owners());
    let spec = serde_json::to_value(&entry.spec).unwrap();
    let address = spec["addresses"][0].clone();
    assert!(address.as_str().unwrap().starts_with("240.241."));
    assert_eq!(
        spec,
        json!({
            "hosts": ["x.ns.svc.b.local"], "addresses": [address], "location": "MESH_INTERNAL", "resolution": "STATIC",
            "ports": [{"name": "http", "number": 80, "protocol": "HTTP"}, {"name": "tcp", "number": 90, "protocol": "TCP"}],
            "endpoints": [{"address": "203.0.113.1", "ports": {"http": 15443, "tcp": 15443}}]
        })
    );
}

#[test]
fn a_right_entry_is_left_alone_however_it_is_written() {
    let mut case = Case::new(vec![federation("b", "b.local", Some("xy"))]).applied();
    assert_eq!(case.plan(), Plan::default());
    case.write = |entry| serde_json::to_string_pretty(entry).unwrap();
    assert_eq!(case.plan(), Plan::default());
    case.write = |entry| entry.to_string().replace('.', "\\u002e");
    assert_eq!(case.plan(), Plan::default());
}

#[test]
fn drift_is_repaired_and_foreign_labels_stay() {
    let mut case = Case::new(vec![federation("b", "b.local", Some("xy"))]).applied();
    let edits: [fn(&mut Value); 14] = [
        |entry| entry["spec"]["exportTo"] = json!(["."]),
        |entry| entry["spec"]["addresses"] = json!([]),
        |entry| entry["spec"]["addresses"].as_array_mut().unwrap().push(json!("240.241.0.1")),
        |entry| entry["spec"]["endpoints"][0]["address"] = json!("203.0.113.2"),
        |entry| entry["spec"]["endpoints"][0]["ports"]["http"] = json!(1),
        |entry| entry["spec"]["endpoints"][0]["weight"] = json!(1),
        |entry| entry["spec"]["hosts"] = json!(["google.com"]),
        |entry| entry["spec"]["location"] = json!("MESH_EXTERNAL"),
        |entry| entry["spec"]["ports"][0]["number"] = json!(81),
        |entry| entry["spec"]["ports"][0]["targetPort"] = json!(80),
        |entry| entry["spec"]["resolution"] = json!("DNS"),
        |entry| entry["spec"] = Value::Null,
        |entry| entry["metadata"]["ownerReferences"] = json!([]),
        |entry| entry["metadata"]["annotations"][FEDERATIONS] = json!("b,c"),
    ];
    for edit in edits {
        edit(case.entry("x.ns.svc.b.local"));
        let labels = case.entry("y.ns.svc.b.local")["metadata"]["labels"].as_object_mut().unwrap();
        labels.remove("heritage");
        labels.insert("mine".to_owned(), json!("1"));
        let plan = case.plan().changes;
        assert_eq!((plan.create.len(), plan.update.len(), plan.delete.len()), (0, 2, 0), "{:?}", case.existing);
        case = case.applied();
        assert_eq!(case.plan(), Plan::default());
        assert_eq!(case.entry("y.ns.svc.b.local")["metadata"]["labels"]["mine"], "1");
    }
}

#[test]
fn an_address_stays_when_endpoints_change() {
    let mut case = Case::new(vec![federation("b", "b.local", Some("x"))]).applied();
    let spec = &mut case.entry("x.ns.svc.b.local")["spec"];
    spec["addresses"] = json!(["240.241.7.7"]);
    spec["endpoints"] = json!([]);
    let update = &case.plan().changes.update[0];
    assert_eq!(update.to["spec"]["addresses"], json!(["240.241.7.7"]));
    assert_ne!(update.to["spec"]["endpoints"], json!([]));
}

#[test]
fn one_of_two_with_the_same_address_moves_and_so_does_one_out_of_range() {
    let mut case = Case::new(vec![federation("b", "b.local", Some("wxyz"))]).applied();
    for (name, address) in [("w", "240.241.7.7"), ("x", "240.241.7.7"), ("y", "10.0.0.1")] {
        case.entry(&format!("{name}.ns.svc.b.local"))["spec"]["addresses"] = json!([address]);
    }
    let moved: Vec<_> = case.plan().changes.update.into_iter().map(|update| update.name).collect();
    assert_eq!(moved, ["x.ns.svc.b.local", "y.ns.svc.b.local"]);
    let mut case = case.applied();
    assert_eq!(case.plan(), Plan::default());
    let addresses = case.existing.iter().map(|entry| entry["spec"]["addresses"].to_string());
    assert_eq!(addresses.collect::<HashSet<_>>().len(), 4);
    case.federations[0] = federation("b", "b.local", None);
    case.federations.push(federation("c", "c.local", Some("z")));
    let new = &case.plan().changes.create[0].spec.addresses[0];
    assert!(case.existing.iter().all(|entry| entry["spec"]["addresses"][0] != **new));
}

#[test]
fn a_withdrawn_service_or_deleted_federation_loses_its_entries() {
    let both = || vec![federation("b", "b.local", Some("xy")), federation("c", "c.local", Some("z"))];
    let mut case = Case::new(both()).applied();
    case.federations[0] = federation("b", "b.local", Some("x"));
    assert_eq!(case.plan().changes.delete, ["y.ns.svc.b.local"]);
    case.federations.remove(1);
    assert_eq!(case.plan().changes.delete, ["y.ns.svc.b.local", "z.ns.svc.c.local"]);
    assert_eq!(case.applied().names(), ["x.ns.svc.b.local"]);
}

#[test]
fn entries_of_unknown_services_stay() {
    let known =
        || Case::new(vec![federation("b", "b.local", Some("x")), federation("c", "c.local", Some("z"))]).applied();

    let mut lost_cache = known();
    lost_cache.federations[0] = federation("b", "b.local", None);
    assert_eq!(lost_cache.plan(), Plan::default());
    lost_cache.entry("x.ns.svc.b.local")["metadata"]["annotations"] = json!({});
    assert_eq!(lost_cache.plan().changes.delete, Vec::<String>::new(), "not even when the annotation is gone");

    let mut unreadable = known();
    unreadable.federations.remove(0);
    unreadable.all_read = false;
    assert_eq!(unreadable.plan(), Plan::default());
    unreadable.all_read = true;
    assert_eq!(unreadable.plan().changes.delete, ["x.ns.svc.b.local"], "else the case above proves nothing");

    let mut moved = known();
    moved.federations[0] = federation("b", "new.local", None);
    assert_eq!(
        moved.plan().changes.delete,
        ["x.ns.svc.b.local"],
        "the user gave it another trust domain: that is a decision"
    );
}

#[test]
fn without_an_owner_nothing_changes_and_one_owner_is_enough() {
    let mut case = Case::new(vec![federation("b", "b.local", Some("x"))]);
    case.owners.clear();
    assert_eq!(case.plan(), Plan::default());
    case.owners = owners();
    let mut case = case.applied();
    case.owners.pop();
    assert_eq!(case.plan(), Plan::default(), "the reference to the absent one stays");
    case.owners.push(OwnerReference { uid: "new".to_owned(), ..owners().remove(1) });
    assert_eq!(case.plan().changes.update[0].to["metadata"]["ownerReferences"][1]["uid"], "new");
}

#[test]
fn without_an_address_only_ports_with_a_shared_listener_are_imported() {
    let mut case = Case::new(vec![federation("b", "b.local", Some("xy"))]);
    case.range = "240.241.0.0/32";
    let plan = case.plan();
    for entry in &plan.changes.create {
        let names: Vec<_> = entry.spec.ports.iter().map(|port| port.name.as_str()).collect();
        assert_eq!((names.as_slice(), entry.spec.addresses.len()), (["http"].as_slice(), 0));
        assert_eq!(entry.spec.endpoints[0].ports.len(), 1);
    }
    assert_eq!(plan.refused.len(), 2);
    assert!(plan.refused[0].reason.starts_with("port 90 (TCP): no address is left"));
}

#[test]
fn a_cut_leaves_each_kind_of_change_its_share_and_moves_on() {
    let numbered = |count: usize| Changes {
        create: vec![ServiceEntry::default(); count],
        update: (0..count).map(|n| Update { name: n.to_string(), from: Value::Null, to: Value::Null }).collect(),
        delete: (0..count).map(|n| n.to_string()).collect(),
    };
    let first = cut(numbered(1000), 500, 0);
    assert_eq!((first.create.len(), first.update.len(), first.delete.len()), (300, 100, 100));
    assert_ne!(cut(numbered(1000), 500, 0).delete, cut(numbered(1000), 500, 1).delete);
    let mut lopsided = numbered(0);
    lopsided.delete = (0..700).map(|n| n.to_string()).collect();
    assert_eq!(cut(lopsided, 500, 0).delete.len(), 500);
    assert_eq!(cut(numbered(50), 500, 3), numbered(50));
    let shape: HashSet<String> = (0..10).flat_map(|turn| cut(numbered(1000), 500, turn).delete).collect();
    assert_eq!(shape.len(), 1000, "every change has its turn");
}

proptest! {
    #[test]
    fn a_plan_reaches_its_target_and_stays_there(before in "[a-h]{0,8}", after in "[a-h]{0,8}", other in "[a-h]{0,4}") {
        let mut case = Case::new(vec![federation("b", "b.local", Some(&before)), federation("c", "c.local", Some(&other))]).applied();
        case.federations[0] = federation("b", "b.local", Some(&after));
        let case = case.applied();
        prop_assert_eq!(case.plan(), Plan::default());
        let mut wanted: Vec<String> = after.chars().map(|c| format!("{c}.ns.svc.b.local")).collect();
        wanted.extend(other.chars().map(|c| format!("{c}.ns.svc.c.local")));
        wanted.sort_unstable();
        wanted.dedup();
        prop_assert_eq!(case.names(), wanted);
    }

    #[test]
    fn the_order_of_the_input_does_not_matter(services in "[a-h]{1,8}", rotation in 0usize..8) {
        let mut case = Case::new(vec![federation("b", "b.local", Some(&services)), federation("c", "c.local", Some("xyz"))]).applied();
        case.federations[1] = federation("c", "c.local", Some("y"));
        let plan = case.plan();
        case.federations.reverse();
        let length = case.existing.len();
        case.existing.rotate_left(rotation % length);
        prop_assert_eq!(case.plan(), plan);
    }
}
