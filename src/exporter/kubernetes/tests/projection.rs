//! The members that are kept of an object: the same as from a manifest, and no others.

use serde_json::{Value, json};

use super::super::decode;
use super::fake::service;
use crate::exporter::index::Event;
use crate::exporter::object::Object;
use crate::exporter::selection::Selection;

fn read(selection: Selection, object: &Value) -> Result<Object, String> {
    let list = json!({"metadata": {"resourceVersion": "1"}, "items": [object]}).to_string();
    let mut page = decode::page(selection, list.as_bytes()).map_err(|error| error.to_string())?;
    assert_eq!((page.objects.len(), page.version.as_str(), page.next), (1, "1", None));
    Ok(page.objects.remove(0))
}

fn secret(data: &Value) -> Value {
    json!({"metadata": {"name": "d8-remote-authn-keypair", "namespace": "d8-istio", "resourceVersion": "5",
        "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "cHJpdg=="}}, "data": data})
}

#[test]
fn a_private_key_is_never_read() {
    let object = read(Selection::KeyPair, &secret(&json!({"priv.pem": "cHJpdg==", "pub.pem": "cHVi"}))).unwrap();
    let Object::Data(data) = &object else { panic!("{object:?}") };
    assert_eq!(data.entries, [("pub.pem".to_owned(), "pub".to_owned())].into());
    assert!(!format!("{object:?}").contains("pub\""), "{object:?}");
    // Unnamed members are not even parsed.
    assert!(read(Selection::KeyPair, &secret(&json!({"priv.pem": {"not": "text"}, "pub.pem": "cHVi"}))).is_ok());
    let bad = read(Selection::KeyPair, &secret(&json!({"pub.pem": "s3cr3t!"}))).unwrap_err();
    assert_eq!(bad, "Secret d8-istio/d8-remote-authn-keypair: member \"pub.pem\" of data is not base64 of text");
    let bad = read(Selection::KeyPair, &secret(&json!("s3cr3t"))).unwrap_err();
    assert!(bad.contains("cannot be read (type error") && !bad.contains("s3cr3t"), "{bad}");
    assert!(
        matches!(read(Selection::KeyPair, &secret(&Value::Null)).unwrap(), Object::Data(data) if data.entries.is_empty())
    );
}

#[test]
fn only_exported_members_of_a_service_are_kept() {
    let object = read(Selection::ExportedServices, &service("bar", 80, "7")).unwrap();
    let expected = Object::read(json!({"apiVersion": "v1", "kind": "Service",
        "metadata": {"name": "bar", "namespace": "xyz", "labels": {"federation.istio.deckhouse.io/public-service": ""}},
        "spec": {"ports": [{"name": "http", "port": 80}]}}));
    assert_eq!(Some(object), expected.unwrap());
}

#[test]
fn a_heartbeat_is_not_a_change() {
    let node = |second: u8, reason: &str| {
        let time = format!("2026-01-01T00:00:{second:02}Z");
        json!({"metadata": {"name": "n", "resourceVersion": second.to_string(), "labels": {"beat": time}},
            "spec": {"taints": [{"key": "a", "effect": "NoSchedule", "timeAdded": time}]},
            "status": {"addresses": [{"type": "InternalIP", "address": "10.0.0.1"}], "images": [{"names": ["x"]}],
                "conditions": [{"type": "DiskPressure", "status": "False", "lastHeartbeatTime": time},
                    {"type": "Ready", "status": "True", "reason": reason, "lastTransitionTime": time}]}})
    };
    let one = read(Selection::Nodes, &node(1, "KubeletReady")).unwrap();
    assert_eq!(read(Selection::Nodes, &node(2, "Other")).unwrap(), one);
    let Object::Node(node) = one else { panic!("{one:?}") };
    assert_eq!((node.status.conditions.len(), node.status.conditions[0].status.as_str()), (1, "True"));
    assert_eq!((node.status.addresses[0].address.as_str(), node.spec.taints[0].key.as_str()), ("10.0.0.1", "a"));
}

#[test]
fn pods_have_null_times_and_that_is_fine() {
    let pod = json!({"metadata": {"name": "p", "namespace": "d8-istio", "resourceVersion": "1", "creationTimestamp": null,
            "labels": {"app": "ingressgateway"}}, "spec": {"nodeName": "n", "containers": [{"name": "c"}]},
        "status": {"phase": "Running", "conditions": [
            {"type": "Ready", "status": "True", "lastProbeTime": null, "lastTransitionTime": "2026-01-01T00:00:00Z"}]}});
    let Object::Pod(pod) = read(Selection::GatewayPods, &pod).unwrap() else { panic!() };
    assert_eq!((pod.spec.node_name.as_str(), pod.status.phase.as_str()), ("n", "Running"));
    assert_eq!(pod.metadata.labels["app"], "ingressgateway");
}

#[test]
fn the_end_of_an_object_is_read_from_its_key_alone() {
    let gone = json!({"type": "DELETED", "object": secret(&json!({"pub.pem": "s3cr3t!"}))}).to_string();
    let Ok(decode::Line::Change(Event::Delete(selection, key), version)) =
        decode::line(Selection::KeyPair, gone.as_bytes())
    else {
        panic!()
    };
    assert_eq!((selection, key.to_string().as_str()), (Selection::KeyPair, "Secret d8-istio/d8-remote-authn-keypair"));
    assert_eq!(version, "5");
}
