//! Tests of the merge patch.

use proptest::prelude::*;
use serde_json::json;

use super::*;

/// Any JSON without null members, which have no form in a merge patch.
fn world() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        any::<bool>().prop_map(Value::from),
        (0..3_i64).prop_map(Value::from),
        "[ab]?".prop_map(Value::from)
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::btree_map("[a-d]", inner, 0..4).prop_map(|map| map.into_iter().collect::<Value>()),
        ]
    })
}

proptest! {
    #[test]
    fn applying_the_patch_gives_the_target(from in world(), to in world()) {
        let patch = diff(&from, &to);
        prop_assert_eq!(patch.is_none(), from == to);
        let mut result = from;
        if let Some(patch) = patch {
            json_patch::merge(&mut result, &patch);
        }
        prop_assert_eq!(&result, &to);
        prop_assert_eq!(diff(&result, &to), None);
    }
}

#[test]
fn the_patch_has_only_the_difference() {
    for (from, to, patch) in [
        (json!({"a": 1, "b": {"c": 2, "d": 3}}), json!({"a": 1, "b": {"c": 4, "d": 3}}), json!({"b": {"c": 4}})),
        (json!({"a": 1, "b": 2}), json!({"b": 2}), json!({"a": null})),
        (json!({"a": {"b": 1}}), json!({"a": {}}), json!({"a": {"b": null}})),
        (json!({"a": [1, 2]}), json!({"a": [1]}), json!({"a": [1]})),
        (json!({"a": 1}), json!({"a": {}}), json!({"a": {}})),
        (json!({}), json!({"a": {}}), json!({"a": {}})),
        (json!({"a": null}), json!({}), json!({"a": null})),
    ] {
        assert_eq!(diff(&from, &to), Some(patch), "{from} -> {to}");
    }
    assert_eq!(diff(&json!({"a": [{"b": null}]}), &json!({"a": [{"b": null}]})), None);
}
