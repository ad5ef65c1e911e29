//! Tests of values patches.

use proptest::prelude::*;

use super::*;

fn patch(build: impl FnOnce(&mut ValuesPatch) -> Result<(), ValuesPatchError>) -> Value {
    let mut patch = ValuesPatch::default();
    build(&mut patch).unwrap();
    patch.to_json()
}

#[test]
fn operations_are_sorted_and_their_paths_escaped() {
    let operations = patch(|p| {
        p.set(&["m", "z"], [1, 2])?;
        p.set(&["m", "b/c~1"], 0)?;
        p.set(&["m", "a.b"], "x")
    });
    let expected = json!([
        {"op": "add", "path": "/m/a.b", "value": "x"},
        {"op": "add", "path": "/m/b~1c~01", "value": 0},
        {"op": "add", "path": "/m/z", "value": [1, 2]}
    ]);
    assert_eq!(operations, expected);
}

#[test]
fn the_last_operation_of_a_path_wins() {
    let set = json!([{"op": "add", "path": "/m/a", "value": 2}]);
    assert_eq!(patch(|p| p.set(&["m", "a"], 1).and_then(|()| p.set(&["m", "a"], 2))), set);
}

#[test]
fn an_operation_on_a_parent_replaces_those_below_it() {
    let set = patch(|p| {
        p.set(&["m", "a", "b"], 1)?;
        p.set(&["m", "ab"], 1)?;
        p.set(&["m", "a"], json!({}))
    });
    let expected = json!([{"op": "add", "path": "/m/a", "value": {}}, {"op": "add", "path": "/m/ab", "value": 1}]);
    assert_eq!(set, expected);
}

#[test]
fn an_operation_below_a_set_parent_goes_into_its_value() {
    let operations = patch(|p| {
        p.set(&["m"], json!({"a": {"y": 1}}))?;
        p.set(&["m", "a", "z"], 2)
    });
    assert_eq!(operations, json!([{"op": "add", "path": "/m", "value": {"a": {"y": 1, "z": 2}}}]));
}

#[test]
fn a_path_that_the_operator_would_refuse_is_refused() {
    let mut patch = ValuesPatch::default();
    for path in [&[][..], &[""], &["m", ""], &["m", "list", "-"]] {
        assert!(matches!(patch.set(path, 1), Err(ValuesPatchError::Path(_))), "{path:?}");
    }
    assert!(patch.is_empty());
    patch.set(&["m", "list"], [1]).unwrap();
    patch.set(&["m", "number"], 1).unwrap();
    for path in [["m", "number", "x"], ["m", "list", "0"]] {
        assert!(matches!(patch.set(&path, 1), Err(ValuesPatchError::NoParent(_))), "{path:?}");
    }
    let unspeakable = std::collections::BTreeMap::from([((1, 2), 3)]);
    assert!(matches!(patch.set(&["m", "a"], unspeakable), Err(ValuesPatchError::Value { .. })));
}

#[test]
fn debug_shows_no_value() {
    let mut patch = ValuesPatch::default();
    patch.set(&["m", "priv"], "hush").unwrap();
    assert_eq!(format!("{patch:?}"), r#"[("add", "/m/priv")]"#);
}

proptest! {
    /// Applied at once or one by one, the operations mean the same; and none lies at or below another one.
    #[test]
    fn the_patch_means_what_its_operations_meant(steps in prop::collection::vec((0..13_usize, 0..9_u8), 0..8)) {
        let paths: Vec<Vec<&str>> = vec![
            vec!["m"], vec!["m", "a"], vec!["m", "b"], vec!["m", "a", "c"], vec!["m", "a", "d"], vec!["m", "b", "c"],
            vec!["m", "b", "d"], vec!["m", "a", "c", "e"], vec!["m", "a", "d", "e"], vec!["m", "b", "c", "e"],
            vec!["m", "b", "d", "e"], vec!["m", "a", "c", "f"], vec!["m", "b", "d", "f"],
        ];
        let leaf = || json!({"e": 0, "f": 0});
        let branch = || json!({"c": leaf(), "d": leaf()});
        let start = json!({"m": {"a": branch(), "b": branch()}});
        let (mut patch, mut expected) = (ValuesPatch::default(), start.clone());
        for (index, number) in steps {
            let path = &paths[index];
            let step = json!([{"op": "add", "path": pointer(&checked(path).unwrap()), "value": {"n": number}}]);
            let step: json_patch::Patch = serde_json::from_value(step).unwrap();
            // A step that the operator would refuse is left out.
            if json_patch::patch(&mut expected, &step).is_ok() {
                patch.set(path, json!({"n": number})).unwrap();
            }
        }
        let operations = patch.to_json();
        let written: Vec<&str> = operations.as_array().unwrap().iter().map(|o| o["path"].as_str().unwrap()).collect();
        for (a, b) in written.iter().flat_map(|a| written.iter().map(move |b| (a, b))) {
            let below = a.strip_prefix(b).is_some_and(|rest| rest.starts_with('/'));
            prop_assert!(!below, "{} lies below {}", a, b);
        }
        let operations: json_patch::Patch = serde_json::from_value(operations).unwrap();
        let mut result = start;
        json_patch::patch(&mut result, &operations).unwrap();
        prop_assert_eq!(result, expected);
    }
}
