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
    let step = JsonPatchStep::Add("/a".into(), json!(1));
    let rows = [
        (ObjectPatch::create(&manifest()), json!({"operation": "Create", "object": manifest()})),
        (
            ObjectPatch::create_if_not_exists(&manifest()),
            json!({"operation": "CreateIfNotExists", "object": manifest()}),
        ),
        (ObjectPatch::create_or_update(&manifest()), json!({"operation": "CreateOrUpdate", "object": manifest()})),
        (ObjectPatch::delete(node()), json!({"operation": "Delete", "apiVersion": "v1", "kind": "Node", "name": "n1"})),
        (
            ObjectPatch::delete_in_background(namespaced()),
            json!({"operation": "DeleteInBackground", "apiVersion": "apps/v1", "kind": "Deployment",
                "namespace": "x", "name": "d.1"}),
        ),
        (
            ObjectPatch::delete_non_cascading(node()),
            json!({"operation": "DeleteNonCascading", "apiVersion": "v1", "kind": "Node", "name": "n1"}),
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
        (
            ObjectPatch::json_patch(node(), &[step]),
            json!({"operation": "JSONPatch", "apiVersion": "v1", "kind": "Node", "name": "n1",
                "jsonPatch": [{"op": "add", "path": "/a", "value": 1}]}),
        ),
    ];
    for (patch, expected) in rows {
        assert_eq!(json!(patch.unwrap()), expected);
    }
}

#[test]
fn options_are_for_patches_only() {
    let patches = [
        ObjectPatch::jq_patch(node(), "."),
        ObjectPatch::merge_patch(node(), json!({"a": 1})),
        ObjectPatch::json_patch(node(), &[JsonPatchStep::Remove("/a".into())]),
    ];
    for patch in patches {
        let patch = json!(patch.unwrap().subresource("/status").ignore_missing_object());
        assert_eq!((&patch["subresource"], &patch["ignoreMissingObject"]), (&json!("/status"), &json!(true)));
    }
    let others = [
        ObjectPatch::create(&manifest()),
        ObjectPatch::create_if_not_exists(&manifest()),
        ObjectPatch::create_or_update(&manifest()),
        ObjectPatch::delete(node()),
        ObjectPatch::delete_in_background(node()),
        ObjectPatch::delete_non_cascading(node()),
    ];
    for other in others {
        let other = other.unwrap();
        assert_eq!(other.clone().subresource("/status").ignore_missing_object(), other);
    }
    let patch = ObjectPatch::merge_patch(node(), json!({"a": 1})).unwrap();
    assert_eq!(json!(patch.clone().subresource("status"))["subresource"], json!("/status"));
    assert_eq!(patch.clone().subresource(""), patch);
}

#[test]
fn every_step_of_a_json_patch_carries_a_value() {
    let (a, b) = (|| "/a".to_owned(), || "/b~1c".to_owned());
    let steps = [
        JsonPatchStep::Remove(a()),
        JsonPatchStep::Move(a(), b()),
        JsonPatchStep::Copy(a(), b()),
        JsonPatchStep::Test(a(), Value::Null),
        JsonPatchStep::Replace(a(), json!([1])),
        JsonPatchStep::Add(b(), json!({})),
    ];
    let patch = ObjectPatch::json_patch(node(), &steps).unwrap();
    let expected = json!([
        {"op": "remove", "path": "/a", "value": ""},
        {"op": "move", "from": "/a", "path": "/b~1c", "value": ""},
        {"op": "copy", "from": "/a", "path": "/b~1c", "value": ""},
        {"op": "test", "path": "/a", "value": null},
        {"op": "replace", "path": "/a", "value": [1]},
        {"op": "add", "path": "/b~1c", "value": {}}
    ]);
    assert_eq!(patch.body(), Some(&expected));
}

#[test]
fn a_patch_that_the_operator_would_refuse_cannot_be_made() {
    for patch in [json!({}), json!(null), json!([]), json!("a: 1")] {
        assert!(ObjectPatch::merge_patch(node(), patch).is_err());
    }
    assert!(ObjectPatch::json_patch(node(), &[]).is_err());
    for path in ["", "a", "/a~", "/a~2", "/~/b"] {
        let good = JsonPatchStep::Remove("/a".into());
        assert!(ObjectPatch::json_patch(node(), &[good.clone(), JsonPatchStep::Remove(path.into())]).is_err());
        assert!(ObjectPatch::json_patch(node(), &[good, JsonPatchStep::Move("/a".into(), path.into())]).is_err());
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
            ObjectPatch::delete(target.clone()),
            ObjectPatch::delete_in_background(target.clone()),
            ObjectPatch::delete_non_cascading(target.clone()),
            ObjectPatch::jq_patch(target.clone(), "."),
            ObjectPatch::merge_patch(target.clone(), json!({"a": 1})),
            ObjectPatch::json_patch(target.clone(), &[JsonPatchStep::Remove("/a".into())]),
        ] {
            let error = made.unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        }
    }
    for missing in ["/apiVersion", "/kind", "/metadata/name", "/metadata"] {
        let mut object = manifest();
        *object.pointer_mut(missing).unwrap() = Value::Null;
        for made in [
            ObjectPatch::create(&object),
            ObjectPatch::create_if_not_exists(&object),
            ObjectPatch::create_or_update(&object),
        ] {
            assert!(matches!(made, Err(ObjectPatchError::Target { .. })), "{missing}");
        }
    }
}

#[test]
fn debug_shows_no_body() {
    let object =
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "k", "namespace": "x"}, "data": "hush"});
    assert_eq!(format!("{:?}", ObjectPatch::create(&object).unwrap()), "Create v1 Secret x/k");
    let patch = ObjectPatch::merge_patch(node(), json!({"data": "hush"})).unwrap().subresource("/status");
    assert_eq!(format!("{patch:?}"), "MergePatch v1 Node n1/status");
}
