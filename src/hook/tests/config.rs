//! Tests of the two forms of a hook's configuration.

use std::time::Duration;

use serde_json::json;

use super::super::config::WatchEvent;
use super::*;
use crate::hook::FieldSelector;

fn full() -> HookConfig {
    HookConfig {
        on_startup: Some(1),
        before_helm: Some(2),
        after_helm: Some(3),
        before_delete_helm: Some(4),
        after_delete_helm: Some(5),
        schedule: vec![Schedule {
            name: "tick".into(),
            crontab: "*/15 * * * * *".into(),
            queue: Some("/q".into()),
            allow_failure: true,
            include_snapshots_from: vec!["nodes".into()],
        }],
        kubernetes: vec![KubernetesBinding {
            name: "nodes".into(),
            api_version: "v1".into(),
            kind: "Node".into(),
            match_names: vec!["n".into()],
            namespaces: vec!["x".into()],
            namespace_labels: vec![("a".into(), "b".into())],
            labels: vec![("c".into(), "d".into())],
            label_expressions: vec![
                LabelExpression::In("k".into(), vec!["v".into()]),
                LabelExpression::NotIn("k".into(), vec!["w".into()]),
                LabelExpression::Exists("e".into()),
                LabelExpression::DoesNotExist("f".into()),
            ],
            fields: vec![
                FieldSelector { field: "a.b".into(), operator: FieldOperator::Equals, value: "1".into() },
                FieldSelector { field: "a.c".into(), operator: FieldOperator::NotEquals, value: "2".into() },
            ],
            jq_filter: Some(".metadata.name".into()),
            events: Events::Only(vec![WatchEvent::Added, WatchEvent::Deleted]),
            on_synchronization: false,
            wait_for_synchronization: false,
            queue: Some("/q".into()),
            allow_failure: true,
            include_snapshots_from: vec!["nodes".into()],
        }],
        settings: Some(Settings { execution_min_interval: Duration::from_millis(1500), execution_burst: 3 }),
    }
}

#[test]
fn the_batch_form_has_what_addon_operator_decodes() {
    let config = batch_config(&[("first", full()), ("second", HookConfig::default())]).unwrap();
    let expected = json!({"version": "v1", "hooks": [
        {
            "configVersion": "v1",
            "metadata": {"name": "first", "path": "hooks/"},
            "onStartup": 1, "beforeHelm": 2, "afterHelm": 3, "beforeDeleteHelm": 4, "afterDeleteHelm": 5,
            "schedule": [{
                "name": "tick", "crontab": "*/15 * * * * *", "queue": "/q", "includeSnapshotsFrom": ["nodes"]
            }],
            "kubernetes": [{
                "name": "nodes", "apiVersion": "v1", "kind": "Node",
                "nameSelector": {"matchNames": ["n"]},
                "namespace": {
                    "nameSelector": {"matchNames": ["x"]}, "labelSelector": {"matchLabels": {"a": "b"}}
                },
                "labelSelector": {"matchLabels": {"c": "d"}, "matchExpressions": [
                    {"key": "k", "operator": "In", "values": ["v"]},
                    {"key": "k", "operator": "NotIn", "values": ["w"]},
                    {"key": "e", "operator": "Exists"},
                    {"key": "f", "operator": "DoesNotExist"}
                ]},
                "fieldSelector": {"matchExpressions": [
                    {"field": "a.b", "operator": "Equals", "value": "1"},
                    {"field": "a.c", "operator": "NotEquals", "value": "2"}
                ]},
                "executeHookOnEvent": true,
                "executeHookOnSynchronization": false,
                "waitForSynchronization": false,
                "keepFullObjectsInMemory": false,
                "jqFilter": ".metadata.name",
                "allowFailure": true,
                "includeSnapshotsFrom": ["nodes"],
                "queue": "/q"
            }],
            "settings": {"executionMinInterval": 1_500_000_000, "executionBurst": 3}
        },
        {"configVersion": "v1", "metadata": {"name": "second", "path": "hooks/"}}
    ]});
    assert_eq!(config, expected);
}

#[test]
fn the_plain_form_differs_where_shell_operator_does() {
    let mut expected = batch_config(&[("first", full())]).unwrap()["hooks"][0].clone();
    let hook = expected.as_object_mut().unwrap();
    for unknown in ["metadata", "beforeHelm", "afterHelm", "beforeDeleteHelm", "afterDeleteHelm"] {
        hook.remove(unknown).unwrap();
    }
    expected["schedule"][0]["allowFailure"] = json!(true);
    expected["schedule"][0]["group"] = json!("main");
    expected["kubernetes"][0]["group"] = json!("main");
    expected["kubernetes"][0]["executeHookOnEvent"] = json!(["Added", "Deleted"]);
    expected["settings"]["executionMinInterval"] = json!("1500000000ns");
    assert_eq!(plain_config("first", &full()).unwrap(), expected);
}

#[test]
fn a_binding_says_its_defaults() {
    let binding =
        KubernetesBinding { name: "a".into(), api_version: "v1".into(), kind: "Pod".into(), ..Default::default() };
    let config = HookConfig { kubernetes: vec![binding], ..Default::default() };
    let mut expected = json!({
        "name": "a", "apiVersion": "v1", "kind": "Pod", "group": "main",
        "executeHookOnEvent": ["Added", "Modified", "Deleted"],
        "executeHookOnSynchronization": true, "waitForSynchronization": true,
        "keepFullObjectsInMemory": true, "allowFailure": false
    });
    assert_eq!(plain_config("h", &config).unwrap(), json!({"configVersion": "v1", "kubernetes": [expected]}));
    expected.as_object_mut().unwrap().remove("group");
    expected["executeHookOnEvent"] = json!(true);
    assert_eq!(batch_config(&[("h", config)]).unwrap()["hooks"][0]["kubernetes"], json!([expected]));
}

#[test]
fn events_in_both_forms() {
    for (kind, batch, plain) in [
        (Events::All, json!(true), json!(["Added", "Modified", "Deleted"])),
        (Events::None, json!(false), json!([])),
        (Events::Only(vec![]), json!(false), json!([])),
        (Events::Only(vec![WatchEvent::Modified]), json!(true), json!(["Modified"])),
    ] {
        assert_eq!(events(&kind, Form::Batch), batch, "{kind:?}");
        assert_eq!(events(&kind, Form::Plain), plain, "{kind:?}");
    }
}

#[test]
fn settings_fit_gos_integer() {
    let endless = Settings { execution_min_interval: Duration::MAX, execution_burst: 1 };
    assert_eq!(settings(endless, Form::Batch)["executionMinInterval"], json!(i64::MAX));
}

#[test]
fn what_an_operator_would_refuse_is_refused_here() {
    type Spoil = fn(&mut HookConfig);
    let rows: [(&str, Spoil); 9] = [
        ("every kubernetes binding needs a name", |c| c.kubernetes[0].name.clear()),
        ("every kubernetes binding needs a name", |c| c.kubernetes.push(c.kubernetes[0].clone())),
        ("apiVersion and kind are needed", |c| c.kubernetes[0].kind.clear()),
        ("apiVersion and kind are needed", |c| c.kubernetes[0].api_version.clear()),
        ("exclude each other", |c| c.kubernetes[0].fields[0].field = "metadata.name".into()),
        ("works only in a queue", |c| c.kubernetes[0].queue = None),
        ("every schedule needs a name and a crontab", |c| c.schedule[0].crontab.clear()),
        ("there is no such kubernetes binding", |c| c.schedule[0].include_snapshots_from = vec!["x".into()]),
        ("there is no such kubernetes binding", |c| c.kubernetes[0].include_snapshots_from = vec!["x".into()]),
    ];
    for (said, spoil) in rows {
        let mut config = full();
        spoil(&mut config);
        for error in [plain_config("h", &config).unwrap_err(), batch_config(&[("h", config)]).unwrap_err()] {
            assert!(error.to_string().starts_with("hook h: ") && error.to_string().contains(said), "{error}");
        }
    }
    assert!(batch_config(&[("h", full()), ("h", full())]).is_err());
    assert!(batch_config(&[("", full())]).is_err());
}

#[test]
fn a_hook_without_plain_bindings_has_no_plain_form() {
    let config = HookConfig { before_helm: Some(1), ..Default::default() };
    assert!(plain_config("h", &config).unwrap_err().to_string().contains("no binding that shell-operator knows"));
    assert!(batch_config(&[("h", config)]).is_ok());
}
