//! Tests of binding contexts: one row for each shape that an operator writes.

use serde_json::{Value, json};

use super::*;

fn context(element: Value) -> BindingContext {
    serde_json::from_value(element).unwrap()
}

fn bindings(context: &BindingContext) -> Option<Vec<&str>> {
    Some(context.snapshots()?.bindings().collect())
}

#[test]
fn on_startup_and_lifecycle_have_no_type() {
    let startup = context(json!({"binding": "onStartup"}));
    assert!(matches!(startup, BindingContext::OnStartup) && startup.snapshots().is_none());
    assert_eq!(startup.binding(), "onStartup");
    for step in Lifecycle::ALL {
        let context = context(json!({"binding": step.as_str(), "snapshots": {"nodes": []}}));
        assert!(matches!(context, BindingContext::Lifecycle { step: told, .. } if told == step), "{context:?}");
        assert_eq!((context.binding(), bindings(&context)), (step.as_str(), Some(vec!["nodes"])));
    }
}

#[test]
fn schedule_with_and_without_snapshots() {
    let bare = context(json!({"binding": "tick", "type": "Schedule"}));
    assert!(matches!(&bare, BindingContext::Schedule { binding, .. } if binding == "tick"));
    assert_eq!(bindings(&bare), Some(vec![]));
    let full = context(json!({"binding": "tick", "type": "Schedule", "snapshots": {"nodes": [{"filterResult": 1}]}}));
    assert_eq!(full.snapshots().unwrap().get("nodes").unwrap().parse::<u8>().unwrap(), [1]);
}

#[test]
fn synchronization_lists_objects() {
    let element = json!({"binding": "nodes", "type": "Synchronization", "objects": [{"object": 5}], "snapshots": {}});
    let BindingContext::Synchronization { binding, objects, .. } = context(element) else { panic!() };
    assert_eq!((binding.as_str(), objects.parse::<u8>().unwrap()), ("nodes", vec![5]));
}

#[test]
fn event_tells_what_happened_to_which_object() {
    for told in [WatchEvent::Added, WatchEvent::Modified, WatchEvent::Deleted] {
        let element = json!({"binding": "nodes", "type": "Event", "watchEvent": told.as_str(),
            "object": 1, "filterResult": 2, "snapshots": {"cm": []}});
        let BindingContext::Event { binding, watch_event, item, snapshots } = context(element) else { panic!() };
        assert_eq!((binding.as_str(), watch_event, item.parse::<u8>()), ("nodes", told, Ok(2)));
        assert!(snapshots.get("cm").is_some());
    }
    // What a re-targeted monitor sends.
    let empty = json!({"binding": "nodes", "type": "Event", "watchEvent": "Added", "object": null, "filterResult": ""});
    let BindingContext::Event { item, .. } = context(empty) else { panic!() };
    assert_eq!(item.parse::<String>(), Ok(String::new()));
    let object_only = json!({"binding": "n", "type": "Event", "watchEvent": "Deleted", "object": 9});
    let BindingContext::Event { item, .. } = context(object_only) else { panic!() };
    assert_eq!(item.parse::<u8>(), Ok(9));
}

#[test]
fn group_has_a_name_beside_the_bindings() {
    let element =
        json!({"binding": "nodes", "type": "Group", "groupName": "main", "snapshots": {"nodes": [], "cm": []}});
    let group = context(element);
    assert!(matches!(&group, BindingContext::Group { binding, group, .. } if binding == "nodes" && group == "main"));
    assert_eq!(bindings(&group), Some(vec!["cm", "nodes"]));
    // A group without kubernetes bindings.
    assert_eq!(bindings(&context(json!({"binding": "t", "type": "Group", "groupName": "main"}))), Some(vec![]));
}

#[test]
fn admission_and_conversion_carry_a_review() {
    let conversion = ReviewKind::Conversion { from: "g/v1a".into(), to: "g/v1".into() };
    for (element, expected) in [
        (json!({"binding": "p", "type": "Validating", "snapshots": {}}), ReviewKind::Validating),
        (json!({"binding": "p", "type": "Mutating"}), ReviewKind::Mutating),
        (json!({"binding": "p", "type": "Conversion", "fromVersion": "g/v1a", "toVersion": "g/v1"}), conversion),
    ] {
        let mut element = element;
        element["review"] = json!({"request": {"uid": "u"}});
        let BindingContext::Review { binding, kind, review, .. } = context(element) else { panic!() };
        assert_eq!((binding.as_str(), kind), ("p", expected));
        assert_eq!(review.parse::<Value>(), Ok(json!({"request": {"uid": "u"}})));
    }
}

#[test]
fn what_is_unknown_keeps_its_snapshots() {
    for element in [
        json!({}),
        json!({"binding": null, "type": null, "snapshots": null, "objects": null}),
        json!({"binding": "x"}),
        json!({"binding": "x", "type": "Tomorrow", "more": {"members": 1}}),
        json!({"binding": "x", "type": "Event", "watchEvent": "Renamed", "object": 1}),
        json!({"binding": "x", "type": "Event"}),
        json!({"binding": "x", "type": "Synchronization"}),
        json!({"binding": "x", "type": "Validating"}),
    ] {
        assert!(matches!(context(element.clone()), BindingContext::Unknown { .. }), "{element}");
    }
    let known = context(json!({"binding": "x", "type": "Tomorrow", "snapshots": {"nodes": []}}));
    assert_eq!((known.binding(), bindings(&known)), ("x", Some(vec!["nodes"])));
}

#[test]
fn debug_shows_no_object() {
    let secret = json!({"data": "hush"});
    for element in [
        json!({"type": "Group", "snapshots": {"s": [{"object": secret}]}}),
        json!({"type": "Event", "watchEvent": "Added", "object": secret, "filterResult": secret}),
        json!({"type": "Synchronization", "objects": [{"object": secret}]}),
        json!({"type": "Validating", "review": secret}),
    ] {
        let shown = format!("{:?}", context(element));
        assert!(!shown.contains("hush"), "{shown}");
    }
}
