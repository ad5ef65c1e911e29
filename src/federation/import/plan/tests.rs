//! What a plan creates, changes and deletes, and what it leaves alone.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::federation::objects::Update;
use crate::federation::ourselves::Ourselves;

fn ours() -> Ourselves {
    let values = json!({"istio": {"federation": {"clusterDomain": "a.local", "clusterUUID": "a"}}});
    Ourselves::from_values(&serde_json::from_value(values).unwrap(), None).unwrap()
}

/// A federation for `domain` that offers those services (letters) on TCP port 90 and HTTP port 80; `None`: no cache.
fn federation(name: &str, domain: &str, services: Option<&str>) -> IstioFederation {
    let endpoint = format!("https://{name}.example");
    let mut object = json!({
        "metadata": {"name": name}, "spec": {"trustDomain": domain, "metadataEndpoint": endpoint}
    });
    if let Some(services) = services {
        let services: Vec<_> = services
            .chars()
            .map(|c| {
                json!({"hostname": format!("{c}.ns.svc.{domain}"),
                       "ports": [{"name": "http", "port": 80}, {"name": "tcp", "port": 90}]})
            })
            .collect();
        object["status"] = json!({"metadataCache": {
            "source": {"trustDomain": domain, "metadataEndpoint": endpoint},
            "private": {"ingressGateways": [{"address": "203.0.113.1", "port": 15443}], "publicServices": services}}});
    }
    serde_json::from_value(object).unwrap()
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

fn raw(value: &impl serde::Serialize) -> Box<RawValue> {
    RawValue::from_string(serde_json::to_string(value).unwrap()).unwrap()
}

fn edit(stored: &mut Stored, change: impl FnOnce(&mut ObjectMeta)) {
    let mut metadata = stored.metadata();
    change(&mut metadata);
    stored.metadata = raw(&metadata);
}

struct Case {
    federations: Vec<IstioFederation>,
    all_read: bool,
    existing: Vec<Stored>,
    owners: Vec<OwnerReference>,
    range: &'static str,
}

impl Case {
    fn new(federations: Vec<IstioFederation>) -> Self {
        Self { federations, all_read: true, existing: Vec::new(), owners: owners(), range: "240.241.0.0/16" }
    }

    fn plan(&self) -> Plan {
        let roster = Roster::new(&self.federations, &ours());
        let routes = Routes::new(&self.federations, &roster, &ours());
        let world = World {
            federations: &self.federations,
            all_read: self.all_read,
            roster: &roster,
            existing: &self.existing,
            owners: &self.owners,
            range: self.range.parse().unwrap(),
        };
        Plan::new(&routes, &world)
    }

    /// The case after its plan was carried out as an API server does.
    fn applied(mut self) -> Self {
        let plan = self.plan().changes;
        self.existing.retain(|stored| !plan.delete.contains(&stored.name().into_owned()));
        for update in plan.update {
            let stored = self.existing.iter_mut().find(|stored| stored.name() == update.name).unwrap();
            stored.spec = RawValue::from_string(update.to["spec"].to_string()).unwrap();
            let metadata = update.to["metadata"].clone();
            edit(stored, |was| {
                was.labels = serde_json::from_value(metadata["labels"].clone()).unwrap();
                was.annotations = serde_json::from_value(metadata["annotations"].clone()).unwrap();
                was.owner_references = serde_json::from_value(metadata["ownerReferences"].clone()).unwrap();
            });
        }
        for entry in plan.create {
            self.existing.push(Stored { metadata: raw(&entry.metadata), spec: raw(&entry.spec) });
        }
        self
    }

    fn names(&self) -> Vec<String> {
        let mut names: Vec<_> = self.existing.iter().map(|stored| stored.name().into_owned()).collect();
        names.sort_unstable();
        names
    }

    fn spec(&mut self, name: &str) -> &mut Box<RawValue> {
        &mut self.existing.iter_mut().find(|stored| stored.name() == name).unwrap().spec
    }
}

#[test]
fn what_is_missing_is_created_whole() {
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
fn what_is_as_it_should_be_is_left_alone_however_it_is_written() {
    let mut case = Case::new(vec![federation("b", "b.local", Some("xy"))]).applied();
    assert_eq!(case.plan(), Plan::default());
    let spec = case.spec("x.ns.svc.b.local");
    let spaced = serde_json::to_string_pretty(&serde_json::from_str::<Value>(spec.get()).unwrap()).unwrap();
    *spec = RawValue::from_string(spaced).unwrap();
    assert_eq!(case.plan(), Plan::default());
}

#[test]
fn drift_is_repaired_and_foreign_labels_stay() {
    let mut case = Case::new(vec![federation("b", "b.local", Some("xy"))]).applied();
    let right = case.spec("x.ns.svc.b.local").clone();
    let mut wrong: Value = serde_json::from_str(right.get()).unwrap();
    wrong["exportTo"] = json!(["."]);
    wrong["ports"][0]["number"] = json!(81);
    *case.spec("x.ns.svc.b.local") = RawValue::from_string(wrong.to_string()).unwrap();
    edit(&mut case.existing[1], |metadata| {
        metadata.labels.remove("heritage");
        metadata.labels.insert("mine".to_owned(), "1".to_owned());
    });
    let plan = case.plan().changes;
    assert_eq!((plan.create.len(), plan.update.len(), plan.delete.len()), (0, 2, 0));
    let repaired = case.applied();
    assert_eq!(repaired.plan(), Plan::default());
    assert_eq!(repaired.existing[1].metadata().labels["mine"], "1");
}

#[test]
fn an_address_stays_though_the_endpoints_move() {
    let mut case = Case::new(vec![federation("b", "b.local", Some("x"))]).applied();
    let mut spec: Value = serde_json::from_str(case.spec("x.ns.svc.b.local").get()).unwrap();
    spec["addresses"] = json!(["240.241.7.7"]);
    spec["endpoints"] = json!([]);
    *case.spec("x.ns.svc.b.local") = RawValue::from_string(spec.to_string()).unwrap();
    let update = &case.plan().changes.update[0];
    assert_eq!(update.to["spec"]["addresses"], json!(["240.241.7.7"]));
    assert_ne!(update.to["spec"]["endpoints"], json!([]));
}

#[test]
fn a_service_or_a_federation_that_is_gone_takes_its_entries_along() {
    let both = || vec![federation("b", "b.local", Some("xy")), federation("c", "c.local", Some("z"))];
    let mut case = Case::new(both()).applied();
    case.federations[0] = federation("b", "b.local", Some("x"));
    assert_eq!(case.plan().changes.delete, ["y.ns.svc.b.local"]);
    case.federations.remove(1);
    assert_eq!(case.plan().changes.delete, ["y.ns.svc.b.local", "z.ns.svc.c.local"]);
    assert_eq!(case.applied().names(), ["x.ns.svc.b.local"]);
}

#[test]
fn what_is_unknown_stays() {
    let known =
        || Case::new(vec![federation("b", "b.local", Some("x")), federation("c", "c.local", Some("z"))]).applied();

    let mut lost_cache = known();
    lost_cache.federations[0] = federation("b", "b.local", None);
    assert_eq!(lost_cache.plan(), Plan::default());
    edit(&mut lost_cache.existing[0], |metadata| metadata.annotations.clear());
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
fn without_an_owner_nothing_is_done_and_one_is_enough() {
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
fn without_an_address_only_what_shares_a_listener_is_imported() {
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
fn a_cut_leaves_a_share_to_each_kind_and_moves_on() {
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
    let seen: HashSet<String> = (0..10).flat_map(|turn| cut(numbered(1000), 500, turn).delete).collect();
    assert_eq!(seen.len(), 1000, "every change has its turn");
}

proptest! {
    #[test]
    fn the_plan_reaches_the_target_and_then_rests(before in "[a-h]{0,8}", after in "[a-h]{0,8}", other in "[a-h]{0,4}") {
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
    fn no_order_of_what_comes_in_matters(services in "[a-h]{1,8}", rotation in 0usize..8) {
        let mut case = Case::new(vec![federation("b", "b.local", Some(&services)), federation("c", "c.local", Some("xyz"))]).applied();
        case.federations[1] = federation("c", "c.local", Some("y"));
        let plan = case.plan();
        case.federations.reverse();
        let length = case.existing.len();
        case.existing.rotate_left(rotation % length);
        prop_assert_eq!(case.plan(), plan);
    }
}
