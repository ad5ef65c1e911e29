//! Tests of lists of objects.

use serde_json::json;

use super::*;

fn items(list: &Value) -> Items {
    serde_json::from_str(&list.to_string()).unwrap()
}

#[test]
fn the_result_of_the_filter_comes_before_the_object() {
    let list = items(&json!([
        {"object": 1},
        {"object": 1, "filterResult": 2},
        {"filterResult": 3, "more": "members"},
        {"object": null, "filterResult": 4}
    ]));
    assert_eq!(list.parse::<u8>().unwrap(), [1, 2, 3, 4]);
    assert_eq!(list.texts().unwrap(), ["1", "2", "3", "4"]);
}

#[test]
fn a_null_result_is_a_result() {
    let list = items(&json!([{"object": 1, "filterResult": null}, {"filterResult": null}]));
    assert_eq!(list.parse::<Option<u8>>().unwrap(), [None, None]);
    assert!(list.parse::<u8>().is_err());
}

#[test]
fn an_item_that_does_not_parse_is_named_without_its_content() {
    let object = ObjectName { namespace: Some("ns".into()), name: "key".into() };
    let secret = |reason: &str| ItemError { index: 1, object: Some(object.clone()), reason: reason.into() };
    let rows = [
        json!([{"object": 1}, {"object": {"metadata": {"name": "key", "namespace": "ns"}, "data": "hush"}}]),
        json!([{"object": 1}, {"filterResult": {"name": "key", "namespace": "ns", "data": "hush"}}]),
        json!([{"object": 1},
            {"object": {"metadata": {"name": "key", "namespace": "ns"}}, "filterResult": {"data": "hush"}}]),
    ];
    for row in rows {
        let reason = "invalid type: map, expected u8 at line 1 column 0";
        let list = items(&row);
        assert_eq!(list.parse::<u8>().unwrap_err(), secret(reason));
        assert_eq!(list.parse_lossy::<u8>(), (vec![1], vec![secret(reason)]));
        assert!(!format!("{list:?}").contains("hush"));
    }
    let said = items(&json!([{"object": "hush"}])).parse::<u8>().unwrap_err().to_string();
    assert!(said.starts_with("item 0: invalid type: string, expected u8"), "{said}");
}

#[test]
fn an_empty_item_is_an_error_of_its_own() {
    let list = items(&json!([{}, {"object": 7}, {"object": null}]));
    assert!(list.parse::<u8>().unwrap_err().to_string().starts_with("item 0: carries neither"));
    let (good, bad) = list.parse_lossy::<u8>();
    assert_eq!((good, bad.len()), (vec![7], 2));
}

#[test]
fn other_json_than_a_list_is_an_error_and_null_is_unknown() {
    for list in [json!({}), json!("x"), json!([1])] {
        assert!(serde_json::from_str::<Items>(&list.to_string()).is_err(), "{list}");
    }
    let snapshots: Snapshots = serde_json::from_str(r#"{"b": [], "a": [], "unknown": null}"#).unwrap();
    assert!(snapshots.get("a").is_some() && snapshots.get("b").is_some());
    assert!(snapshots.get("unknown").is_none());
}
