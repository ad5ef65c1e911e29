//! Tests of the two forms of a hook's configuration.

use serde_json::json;

use super::*;

fn full() -> HookConfig {
    HookConfig {
        before_helm: Some(2),
        schedule: vec![Schedule { name: "tick".into(), crontab: "*/15 * * * * *".into(), queue: Some("/q".into()) }],
        kubernetes: vec![KubernetesBinding {
            name: "nodes".into(),
            api_version: "v1".into(),
            kind: "Node".into(),
            match_names: vec!["n".into()],
            namespaces: vec!["x".into()],
            labels: vec![("c".into(), "d".into())],
            jq_filter: Some(".metadata.name".into()),
            events: Events::All,
            queue: Some("/q".into()),
        }],
    }
}

#[test]
fn the_batch_form_has_what_addon_operator_decodes() {
    let config = batch_config(&[("first", full()), ("second", HookConfig::default())]).unwrap();
    let expected = json!({"version": "v1", "hooks": [
        {
            "configVersion": "v1",
            "metadata": {"name": "first", "path": "hooks/"},
            "beforeHelm": 2,
            "schedule": [{"name": "tick", "crontab": "*/15 * * * * *", "queue": "/q"}],
            "kubernetes": [{
                "name": "nodes", "apiVersion": "v1", "kind": "Node",
                "nameSelector": {"matchNames": ["n"]},
                "namespace": {"nameSelector": {"matchNames": ["x"]}},
                "labelSelector": {"matchLabels": {"c": "d"}},
                "executeHookOnEvent": true,
                "executeHookOnSynchronization": true,
                "waitForSynchronization": true,
                "keepFullObjectsInMemory": false,
                "jqFilter": ".metadata.name",
                "allowFailure": false,
                "queue": "/q"
            }],
        },
        {"configVersion": "v1", "metadata": {"name": "second", "path": "hooks/"}}
    ]});
    assert_eq!(config, expected);
}

#[test]
fn the_plain_form_differs_where_shell_operator_does() {
    let mut expected = batch_config(&[("first", full())]).unwrap()["hooks"][0].clone();
    let hook = expected.as_object_mut().unwrap();
    for unknown in ["metadata", "beforeHelm"] {
        hook.remove(unknown).unwrap();
    }
    expected["schedule"][0]["allowFailure"] = json!(false);
    expected["schedule"][0]["group"] = json!("main");
    expected["kubernetes"][0]["group"] = json!("main");
    expected["kubernetes"][0]["executeHookOnEvent"] = json!(["Added", "Modified", "Deleted"]);
    assert_eq!(plain_config("first", &full()).unwrap(), expected);
}

#[test]
fn a_binding_writes_its_defaults() {
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
    for (kind, batch, plain) in
        [(Events::All, json!(true), json!(["Added", "Modified", "Deleted"])), (Events::None, json!(false), json!([]))]
    {
        assert_eq!(events(kind, Form::Batch), batch, "{kind:?}");
        assert_eq!(events(kind, Form::Plain), plain, "{kind:?}");
    }
}

#[test]
fn a_config_that_an_operator_would_refuse_is_refused_here() {
    type Spoil = fn(&mut HookConfig);
    let rows: [(&str, Spoil); 5] = [
        ("every kubernetes binding needs a name", |c| c.kubernetes[0].name.clear()),
        ("every kubernetes binding needs a name", |c| c.kubernetes.push(c.kubernetes[0].clone())),
        ("apiVersion and kind are needed", |c| c.kubernetes[0].kind.clear()),
        ("apiVersion and kind are needed", |c| c.kubernetes[0].api_version.clear()),
        ("every schedule needs a name and a crontab", |c| c.schedule[0].crontab.clear()),
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
