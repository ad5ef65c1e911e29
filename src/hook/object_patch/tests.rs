//! Tests of object patches.

use serde_json::json;

use super::*;

fn node() -> ObjectRef {
    ObjectRef::new("v1", "Node", None, "n1")
}

fn namespaced() -> ObjectRef {
    ObjectRef::new("apps/v1", "Deployment", Some("x"), "d.1")
}

fn manifest() -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "x"}, "data": {"k": "v"}})
}

#[test]
fn each_operation_has_the_members_that_the_operator_requires() {
    let rows = [
        (
            ObjectPatch::create_if_not_exists(&manifest()),
            json!({"operation": "CreateIfNotExists", "object": manifest()}),
        ),
        (
            ObjectPatch::delete_in_background(namespaced()),
            json!({"operation": "DeleteInBackground", "apiVersion": "apps/v1", "kind": "Deployment",
                "namespace": "x", "name": "d.1"}),
        ),
        (
            ObjectPatch::jq_patch(node(), ".a = 1"),
            json!({"operation": "JQPatch", "apiVersion": "v1", "kind": "Node", "name": "n1", "jqFilter": ".a = 1"}),
        ),
        (
            ObjectPatch::merge_patch(namespaced(), json!({"a": null})),
            json!({"operation": "MergePatch", "apiVersion": "apps/v1", "kind": "Deployment",
                "namespace": "x", "name": "d.1", "mergePatch": {"a": null}}),
        ),
    ];
    for (patch, expected) in rows {
        assert_eq!(json!(patch.unwrap()), expected);
    }
}

#[test]
fn options_are_for_patches_only() {
    let patches = [ObjectPatch::jq_patch(node(), "."), ObjectPatch::merge_patch(node(), json!({"a": 1}))];
    for patch in patches {
        let patch = json!(patch.unwrap().subresource("/status").ignore_missing_object());
        assert_eq!((&patch["subresource"], &patch["ignoreMissingObject"]), (&json!("/status"), &json!(true)));
    }
    let others = [ObjectPatch::create_if_not_exists(&manifest()), ObjectPatch::delete_in_background(node())];
    for other in others {
        let other = other.unwrap();
        assert_eq!(other.clone().subresource("/status").ignore_missing_object(), other);
    }
    let patch = ObjectPatch::merge_patch(node(), json!({"a": 1})).unwrap();
    assert_eq!(json!(patch.clone().subresource("status"))["subresource"], json!("/status"));
    assert_eq!(patch.clone().subresource(""), patch);
}

#[test]
fn a_patch_that_the_operator_would_refuse_cannot_be_made() {
    for patch in [json!({}), json!(null), json!([]), json!("a: 1")] {
        assert!(ObjectPatch::merge_patch(node(), patch).is_err());
    }
    assert!(ObjectPatch::jq_patch(node(), " ").is_err());
    let filter = |length| ".".repeat(length);
    assert!(ObjectPatch::jq_patch(node(), &filter(128 * 1024 - 1)).is_ok());
    let said = ObjectPatch::jq_patch(node(), &filter(128 * 1024)).unwrap_err().to_string();
    assert!(said.starts_with("patch of v1 Node n1: the jq filter has 128 KiB"), "{said}");
}

#[test]
fn an_object_that_cannot_be_addressed_is_refused() {
    type Spoil = fn(&mut ObjectRef);
    let valid = namespaced();
    let rows: [(&str, Spoil); 9] = [
        ("apiVersion", |r| r.api_version.clear()),
        ("apiVersion", |r| r.api_version = "a/b/c".into()),
        ("apiVersion", |r| r.api_version = "/v1".into()),
        ("kind", |r| r.kind.clear()),
        ("metadata.name", |r| r.name.clear()),
        ("metadata.name", |r| r.name = "..".into()),
        ("metadata.name", |r| r.name = "a/b".into()),
        ("namespace", |r| r.namespace = Some(String::new())),
        ("namespace", |r| r.namespace = Some("a%2fb".into())),
    ];
    for (said, spoil) in rows {
        let mut target = valid.clone();
        spoil(&mut target);
        for made in [
            ObjectPatch::delete_in_background(target.clone()),
            ObjectPatch::jq_patch(target.clone(), "."),
            ObjectPatch::merge_patch(target.clone(), json!({"a": 1})),
        ] {
            let error = made.unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        }
    }
    for missing in ["/apiVersion", "/kind", "/metadata/name", "/metadata"] {
        let mut object = manifest();
        *object.pointer_mut(missing).unwrap() = Value::Null;
        let made = ObjectPatch::create_if_not_exists(&object);
        assert!(matches!(made, Err(ObjectPatchError::Target { .. })), "{missing}");
    }
}

#[test]
fn debug_shows_no_body() {
    let object =
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "k", "namespace": "x"}, "data": "hush"});
    assert_eq!(format!("{:?}", ObjectPatch::create_if_not_exists(&object).unwrap()), "CreateIfNotExists v1 Secret x/k");
    let patch = ObjectPatch::merge_patch(node(), json!({"data": "hush"})).unwrap().subresource("/status");
    assert_eq!(format!("{patch:?}"), "MergePatch v1 Node n1/status");
}
