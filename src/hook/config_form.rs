//! The two forms in which a hook's bindings are told: batch (`hook config`, addon-operator) and plain (`--config`, shell-operator).

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::config::{Events, FieldOperator, HookConfig, KubernetesBinding, LabelExpression, Schedule, Settings};

/// The group of every kubernetes and schedule binding. Addon-operator puts batch hooks into it by itself; the plain form
/// says it, so that a hook gets its full snapshots from either operator.
const GROUP: &str = "main";

/// A configuration that the operator would refuse. It is better refused here: a bad one keeps the whole operator from starting.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("hook {hook}: {problem}")]
pub struct ConfigError {
    hook: String,
    problem: String,
}

/// The answer to `hook config`: one JSON object about all hooks, in the order of their indices.
pub fn batch_config(hooks: &[(&str, HookConfig)]) -> Result<Value, ConfigError> {
    let mut names = BTreeSet::new();
    let mut described = Vec::new();
    for (name, config) in hooks {
        if name.is_empty() || !names.insert(*name) {
            return Err(refuse(name, "every hook needs a name of its own"));
        }
        check(name, config)?;
        let mut hook = bindings(config, Form::Batch);
        // The path is required and used by nobody.
        hook.insert("metadata".into(), json!({"name": name, "path": "hooks/"}));
        for (key, order) in [
            ("beforeHelm", config.before_helm),
            ("afterHelm", config.after_helm),
            ("beforeDeleteHelm", config.before_delete_helm),
            ("afterDeleteHelm", config.after_delete_helm),
        ] {
            insert_some(&mut hook, key, order);
        }
        described.push(Value::Object(hook));
    }
    Ok(json!({"version": "v1", "hooks": described}))
}

/// The answer to `--config`. Bindings that only addon-operator knows are left out: shell-operator refuses unknown keys.
pub fn plain_config(name: &str, config: &HookConfig) -> Result<Value, ConfigError> {
    check(name, config)?;
    let hook = bindings(config, Form::Plain);
    if config.on_startup.is_none() && config.schedule.is_empty() && config.kubernetes.is_empty() {
        return Err(refuse(name, "it has no binding that shell-operator knows (onStartup, schedule, kubernetes)"));
    }
    Ok(Value::Object(hook))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Batch,
    Plain,
}

fn refuse(hook: &str, problem: impl Into<String>) -> ConfigError {
    ConfigError { hook: hook.into(), problem: problem.into() }
}

/// The rules that both operators check when they load a hook, or that make them misunderstand it.
fn check(hook: &str, config: &HookConfig) -> Result<(), ConfigError> {
    let mut names = BTreeSet::new();
    for binding in &config.kubernetes {
        if binding.name.is_empty() || !names.insert(binding.name.as_str()) {
            return Err(refuse(hook, "every kubernetes binding needs a name of its own"));
        }
        let say = |problem: &str| refuse(hook, format!("kubernetes binding {}: {problem}", binding.name));
        if binding.kind.is_empty() || binding.api_version.is_empty() {
            return Err(say("apiVersion and kind are needed"));
        }
        if !binding.match_names.is_empty() && binding.fields.iter().any(|f| f.field == "metadata.name") {
            return Err(say("names and a field selector on metadata.name exclude each other"));
        }
        if !binding.wait_for_synchronization && binding.queue.is_none() {
            return Err(say("not to wait for the first run works only in a queue of its own"));
        }
    }
    for schedule in &config.schedule {
        if schedule.name.is_empty() || schedule.crontab.is_empty() {
            return Err(refuse(hook, "every schedule needs a name and a crontab"));
        }
    }
    let includes = config.kubernetes.iter().flat_map(|b| &b.include_snapshots_from);
    for included in includes.chain(config.schedule.iter().flat_map(|s| &s.include_snapshots_from)) {
        if !names.contains(included.as_str()) {
            return Err(refuse(hook, format!("snapshots from {included}: there is no such kubernetes binding")));
        }
    }
    Ok(())
}

fn bindings(config: &HookConfig, form: Form) -> Map<String, Value> {
    let mut hook = Map::new();
    hook.insert("configVersion".into(), "v1".into());
    insert_some(&mut hook, "onStartup", config.on_startup);
    insert_list(&mut hook, "schedule", config.schedule.iter().map(|s| schedule(s, form)).collect());
    insert_list(&mut hook, "kubernetes", config.kubernetes.iter().map(|b| kubernetes(b, form)).collect());
    insert_some(&mut hook, "settings", config.settings.map(|s| settings(s, form)));
    hook
}

fn schedule(schedule: &Schedule, form: Form) -> Value {
    let mut out = Map::new();
    out.insert("name".into(), schedule.name.as_str().into());
    out.insert("crontab".into(), schedule.crontab.as_str().into());
    insert_some(&mut out, "queue", schedule.queue.as_deref());
    insert_list(&mut out, "includeSnapshotsFrom", strings(&schedule.include_snapshots_from));
    if form == Form::Plain {
        out.insert("allowFailure".into(), schedule.allow_failure.into());
        out.insert("group".into(), GROUP.into());
    }
    Value::Object(out)
}

fn kubernetes(binding: &KubernetesBinding, form: Form) -> Value {
    let mut out = Map::new();
    out.insert("name".into(), binding.name.as_str().into());
    out.insert("apiVersion".into(), binding.api_version.as_str().into());
    out.insert("kind".into(), binding.kind.as_str().into());
    insert_some(&mut out, "nameSelector", name_selector(&binding.match_names));
    let mut namespace = Map::new();
    insert_some(&mut namespace, "nameSelector", name_selector(&binding.namespaces));
    insert_some(&mut namespace, "labelSelector", label_selector(&binding.namespace_labels, &[]));
    insert_map(&mut out, "namespace", namespace);
    insert_some(&mut out, "labelSelector", label_selector(&binding.labels, &binding.label_expressions));
    insert_some(&mut out, "fieldSelector", field_selector(binding));
    out.insert("executeHookOnEvent".into(), events(&binding.events, form));
    out.insert("executeHookOnSynchronization".into(), binding.on_synchronization.into());
    out.insert("waitForSynchronization".into(), binding.wait_for_synchronization.into());
    // Always said: what an absent key means differs between the operators.
    out.insert("keepFullObjectsInMemory".into(), binding.jq_filter.is_none().into());
    insert_some(&mut out, "jqFilter", binding.jq_filter.as_deref());
    out.insert("allowFailure".into(), binding.allow_failure.into());
    insert_list(&mut out, "includeSnapshotsFrom", strings(&binding.include_snapshots_from));
    insert_some(&mut out, "queue", binding.queue.as_deref());
    if form == Form::Plain {
        out.insert("group".into(), GROUP.into());
    }
    Value::Object(out)
}

fn events(events: &Events, form: Form) -> Value {
    let names: &[&str] = match events {
        Events::All => &["Added", "Modified", "Deleted"],
        Events::None => &[],
        Events::Only(only) => &only.iter().map(|event| event.as_str()).collect::<Vec<_>>(),
    };
    match form {
        Form::Batch => (!names.is_empty()).into(),
        Form::Plain => json!(names),
    }
}

fn name_selector(names: &[String]) -> Option<Value> {
    (!names.is_empty()).then(|| json!({"matchNames": names}))
}

fn label_selector(labels: &[(String, String)], expressions: &[LabelExpression]) -> Option<Value> {
    let mut selector = Map::new();
    insert_map(&mut selector, "matchLabels", labels.iter().map(|(k, v)| (k.clone(), v.as_str().into())).collect());
    let expressions = expressions.iter().map(|expression| match expression {
        LabelExpression::In(key, values) => json!({"key": key, "operator": "In", "values": values}),
        LabelExpression::NotIn(key, values) => json!({"key": key, "operator": "NotIn", "values": values}),
        LabelExpression::Exists(key) => json!({"key": key, "operator": "Exists"}),
        LabelExpression::DoesNotExist(key) => json!({"key": key, "operator": "DoesNotExist"}),
    });
    insert_list(&mut selector, "matchExpressions", expressions.collect());
    (!selector.is_empty()).then_some(Value::Object(selector))
}

fn field_selector(binding: &KubernetesBinding) -> Option<Value> {
    let expressions = binding.fields.iter().map(|selector| {
        let operator = match selector.operator {
            FieldOperator::Equals => "Equals",
            FieldOperator::NotEquals => "NotEquals",
        };
        json!({"field": selector.field, "operator": operator, "value": selector.value})
    });
    let expressions: Vec<Value> = expressions.collect();
    (!expressions.is_empty()).then(|| json!({"matchExpressions": expressions}))
}

/// Batch: whole nanoseconds (Go's integer); plain: a Go duration string.
fn settings(settings: Settings, form: Form) -> Value {
    let nanoseconds = i64::try_from(settings.execution_min_interval.as_nanos()).unwrap_or(i64::MAX);
    let interval = match form {
        Form::Batch => nanoseconds.into(),
        Form::Plain => Value::String(format!("{nanoseconds}ns")),
    };
    json!({"executionMinInterval": interval, "executionBurst": settings.execution_burst})
}

fn strings(list: &[String]) -> Vec<Value> {
    list.iter().map(|s| s.as_str().into()).collect()
}

fn insert_some(map: &mut Map<String, Value>, key: &str, value: Option<impl Into<Value>>) {
    if let Some(value) = value {
        map.insert(key.into(), value.into());
    }
}

fn insert_list(map: &mut Map<String, Value>, key: &str, list: Vec<Value>) {
    if !list.is_empty() {
        map.insert(key.into(), Value::Array(list));
    }
}

fn insert_map(map: &mut Map<String, Value>, key: &str, inner: Map<String, Value>) {
    if !inner.is_empty() {
        map.insert(key.into(), Value::Object(inner));
    }
}

#[cfg(test)]
#[path = "tests/config.rs"]
mod tests;
