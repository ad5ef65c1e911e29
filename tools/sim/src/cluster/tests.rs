//! Tests of the objects in memory and in a folder.

use std::fs;

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn clock() -> Timestamp {
    "2026-01-02T03:04:05Z".parse().unwrap()
}

fn cluster() -> Cluster {
    let mut cluster = Cluster::new("test", clock);
    for name in ["xyz", "d8-istio"] {
        cluster
            .put(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": {"is": name}}}))
            .unwrap();
    }
    cluster.take_changes();
    cluster
}

fn config_map(name: &str, owners: &[(&str, &str)]) -> Value {
    let owners: Vec<Value> = owners
        .iter()
        .map(|(name, uid)| json!({"apiVersion": "v1", "kind": "ConfigMap", "name": name, "uid": uid}))
        .collect();
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "xyz", "ownerReferences": owners}})
}

fn entry(name: &str) -> Value {
    json!({
        "apiVersion": "networking.istio.io/v1", "kind": "ServiceEntry",
        "metadata": {"name": name, "namespace": "xyz", "labels": {"app": name}}, "spec": {"hosts": [name]},
    })
}

#[test]
fn a_new_object_gets_the_members_of_the_server() {
    let mut cluster = cluster();
    let mut object = entry("a");
    object["status"] = json!({"ready": true});
    let key = cluster.create(object.clone()).unwrap();
    assert_eq!(key.to_string(), "ServiceEntry xyz/a");
    let stored = cluster.get(&key).unwrap();
    assert_eq!(stored["metadata"]["generation"], json!(1));
    assert_eq!(stored["metadata"]["creationTimestamp"], json!("2026-01-02T03:04:05Z"));
    assert_eq!(stored["metadata"]["resourceVersion"], json!("3"));
    assert_eq!(stored["metadata"]["uid"].as_str().unwrap().len(), 36);
    assert_eq!(stored.get("status"), None, "a POST cannot set the status");
    assert_eq!(cluster.create(object), Err(ApiError::AlreadyExists(key)));
    assert!(matches!(cluster.create(entry("Not A Name")), Err(ApiError::Invalid { .. })));
    let mut stray = entry("b");
    stray["metadata"]["namespace"] = json!("nowhere");
    assert_eq!(cluster.create(stray), Err(ApiError::NotFound("Namespace nowhere".to_owned())));
}

#[test]
fn main_and_status_are_written_separately() {
    let mut cluster = cluster();
    let key = cluster.create(entry("a")).unwrap();
    let before = cluster.get(&key).unwrap().clone();

    let mut both = before.clone();
    both["spec"]["hosts"] = json!(["changed"]);
    both["metadata"]["labels"] = json!({});
    both["status"] = json!({"ready": true});
    assert!(cluster.update(&key, both.clone(), Part::Status).unwrap());
    let after = cluster.get(&key).unwrap().clone();
    assert_eq!((&after["spec"], &after["metadata"]["labels"]), (&before["spec"], &before["metadata"]["labels"]));
    assert_eq!((&after["status"], &after["metadata"]["generation"]), (&json!({"ready": true}), &json!(1)));
    assert_ne!(after["metadata"]["resourceVersion"], before["metadata"]["resourceVersion"]);

    both["status"] = json!(null);
    both["metadata"]["uid"] = json!("stolen");
    assert!(cluster.update(&key, both.clone(), Part::Main).unwrap());
    let after = cluster.get(&key).unwrap().clone();
    assert_eq!((&after["status"], &after["metadata"]["generation"]), (&json!({"ready": true}), &json!(2)));
    assert_eq!(after["metadata"]["uid"], before["metadata"]["uid"]);
    assert!(!cluster.update(&key, both, Part::Main).unwrap(), "writing the same again changes nothing");
    assert_eq!(*cluster.get(&key).unwrap(), after);

    let mut labelled = after;
    labelled["metadata"]["labels"] = json!({"x": "y"});
    cluster.update(&key, labelled, Part::Main).unwrap();
    assert_eq!(cluster.get(&key).unwrap()["metadata"]["generation"], json!(2), "metadata has no generation");
    let verbs: Vec<Verb> = cluster.take_changes().iter().map(|change| change.verb).collect();
    assert_eq!(
        verbs,
        [Verb::Created, Verb::Updated(Part::Status), Verb::Updated(Part::Main), Verb::Updated(Part::Main)]
    );
}

#[test]
fn an_object_ends_with_the_last_of_its_owners() {
    let mut cluster = cluster();
    let owner = |cluster: &mut Cluster, name: &str| {
        let key = cluster.create(config_map(name, &[])).unwrap();
        (key.clone(), cluster.get(&key).unwrap()["metadata"]["uid"].as_str().unwrap().to_owned())
    };
    let ((a, uid_a), (b, uid_b)) = (owner(&mut cluster, "a"), owner(&mut cluster, "b"));
    let dependent = cluster.create(config_map("owned", &[("a", &uid_a), ("b", &uid_b)])).unwrap();
    let kept = cluster.create(config_map("kept", &[("a", &uid_a)])).unwrap();
    cluster.create(config_map("stranger", &[("a", "the uid of another")])).unwrap();
    cluster.take_changes();

    cluster.delete_orphaning(&a).unwrap();
    cluster.collect_garbage();
    assert!(cluster.get(&dependent).is_some(), "one owner is left");
    assert!(cluster.get(&kept).is_some(), "orphaned, so nobody's");
    cluster.delete(&b);
    cluster.collect_garbage();
    assert!(cluster.get(&dependent).is_none());
    let collected: Vec<String> = cluster
        .take_changes()
        .into_iter()
        .filter(|change| change.verb == Verb::Collected)
        .map(|change| change.key.name)
        .collect();
    assert_eq!(collected, ["stranger", "owned"]);

    let (again, uid_again) = owner(&mut cluster, "a");
    assert_eq!(again, a);
    assert_ne!(uid_again, uid_a, "an object made again is another one");
}

#[test]
fn selectors_select() {
    let mut cluster = cluster();
    for (namespace, name) in [("xyz", "b"), ("xyz", "a"), ("d8-istio", "z")] {
        let mut object = entry(name);
        object["metadata"]["namespace"] = json!(namespace);
        cluster.create(object).unwrap();
    }
    for (selector, names) in [
        (json!({"kind": "ServiceEntry"}), "z a b"),
        (json!({"kind": "serviceentries", "apiVersion": "networking.istio.io/v1beta1"}), "z a b"),
        (json!({"kind": "ServiceEntry", "apiVersion": "v1"}), ""),
        (json!({"kind": "ServiceEntry", "nameSelector": {"matchNames": ["a", "z"]}}), "z a"),
        (json!({"kind": "ServiceEntry", "namespace": {"nameSelector": {"matchNames": ["xyz"]}}}), "a b"),
        (json!({"kind": "ServiceEntry", "namespace": {"labelSelector": {"matchLabels": {"is": "d8-istio"}}}}), "z"),
        (json!({"kind": "ServiceEntry", "labelSelector": {"matchLabels": {"app": "a"}}}), "a"),
        (json!({"kind": "ServiceEntry", "labelSelector": {"matchLabels": {"other": ""}}}), ""),
        (
            json!({"kind": "ServiceEntry", "labelSelector": {"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["a"]}]}}),
            "z b",
        ),
        (
            json!({"kind": "ServiceEntry", "labelSelector": {"matchExpressions": [{"key": "no", "operator": "Exists"}]}}),
            "",
        ),
        (
            json!({"kind": "ServiceEntry", "fieldSelector": {"matchExpressions": [{"field": "metadata.name", "operator": "=", "value": "b"}]}}),
            "b",
        ),
        (
            json!({"kind": "ServiceEntry", "fieldSelector": {"matchExpressions": [{"field": "metadata.name", "operator": "NotEquals", "value": "b"}]}}),
            "z a",
        ),
    ] {
        let parsed: Selector = serde_json::from_value(selector.clone()).unwrap();
        let found: Vec<&str> = cluster.list(&parsed).into_iter().map(|(key, _)| key.name.as_str()).collect();
        assert_eq!(found.join(" "), names, "{selector}");
    }
}

#[test]
fn a_folder_holds_what_hooks_and_people_write() {
    let temporary = tempfile::tempdir().unwrap();
    let mut cluster = cluster();
    let mut folder = Folder::new(&temporary.path().join("objects")).unwrap();
    let all: Vec<Change> = cluster.objects().map(|(key, _)| Change { verb: Verb::Created, key: key.clone() }).collect();
    folder.save(&cluster, &all).unwrap();
    let key = cluster.create(entry("a")).unwrap();
    let changes = cluster.take_changes();
    folder.save(&cluster, &changes).unwrap();
    let file = folder.file(&key);
    assert_eq!(file.file_name().unwrap(), "serviceentry_xyz_a.yaml");

    folder.read_edits(&mut cluster).unwrap();
    assert_eq!(cluster.take_changes(), [], "a file is read back as it was written");

    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replace("app: a", "app: edited\n    more: 'yes'")).unwrap();
    fs::write(folder.path().join("mine.yml"), "apiVersion: v1\nkind: Pod\nmetadata: {name: p, namespace: xyz}\n---\n---\napiVersion: v1\nkind: Pod\nmetadata: {name: q, namespace: xyz}\n").unwrap();
    folder.read_edits(&mut cluster).unwrap();
    let shown: Vec<String> = cluster.take_changes().iter().map(Change::to_string).collect();
    assert_eq!(shown, ["created Pod xyz/p", "created Pod xyz/q", "changed ServiceEntry xyz/a"]);
    assert_eq!(cluster.get(&key).unwrap()["metadata"]["labels"], json!({"app": "edited", "more": "yes"}));
    assert_eq!(cluster.get(&key).unwrap()["metadata"]["generation"], json!(1));
    assert!(!folder.path().join("mine.yml").exists() && folder.path().join("pod_xyz_q.yaml").exists());
    folder.read_edits(&mut cluster).unwrap();
    assert_eq!(cluster.take_changes(), []);

    fs::remove_file(&file).unwrap();
    folder.read_edits(&mut cluster).unwrap();
    assert_eq!(cluster.take_changes(), [Change { verb: Verb::Deleted, key }]);
    fs::write(folder.path().join("broken.yaml"), "a: [").unwrap();
    let error = folder.read_edits(&mut cluster).unwrap_err().to_string();
    assert!(error.contains("broken.yaml"), "{error}");
}

proptest! {
    #[test]
    fn every_value_survives_its_file(text in "\\PC*|[ -~\n\t]{0,60}|(true|no|~|null|1e3|0x1F|12:30|2026-01-01|- a|\\? b|#c|-----BEGIN X-----\nAA==\n)", number in any::<i64>(), flag: bool) {
        let value = json!({"data": {"text": text, text.clone(): [number, flag, null, {}, []]}});
        let yaml = serde_saphyr::to_string(&value).unwrap();
        let back: Vec<Value> = serde_saphyr::from_multiple(&yaml).unwrap();
        prop_assert_eq!(back, vec![value], "{}", yaml);
    }
}
