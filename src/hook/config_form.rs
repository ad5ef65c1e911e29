//! The two forms in which an operator asks for a hook's bindings: batch (`hook config`, addon-operator) and plain (`--config`, shell-operator).

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::config::{Events, HookConfig, KubernetesBinding, Schedule};

/// The group of every kubernetes and schedule binding. Addon-operator puts batch hooks into it by itself; the plain form
/// says it, so that a hook gets its full snapshots from either operator.
const GROUP: &str = "main";

/// A configuration that the operator would refuse, and not start at all.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("hook {hook}: {problem}")]
pub(super) struct ConfigError {
    hook: String,
    problem: String,
}

/// The answer to `hook config`: one JSON object about all hooks, in the order of their indices.
pub(super) fn batch_config(hooks: &[(&str, HookConfig)]) -> Result<Value, ConfigError> {
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
        insert_some(&mut hook, "beforeHelm", config.before_helm);
        described.push(Value::Object(hook));
    }
    Ok(json!({"version": "v1", "hooks": described}))
}

/// The answer to `--config`. Bindings that only addon-operator knows are left out: shell-operator refuses unknown keys.
pub(super) fn plain_config(name: &str, config: &HookConfig) -> Result<Value, ConfigError> {
    check(name, config)?;
    let hook = bindings(config, Form::Plain);
    if config.schedule.is_empty() && config.kubernetes.is_empty() {
        return Err(refuse(name, "it has no binding that shell-operator knows (schedule, kubernetes)"));
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
        if binding.kind.is_empty() || binding.api_version.is_empty() {
            let problem = format!("kubernetes binding {}: apiVersion and kind are needed", binding.name);
            return Err(refuse(hook, problem));
        }
    }
    for schedule in &config.schedule {
        if schedule.name.is_empty() || schedule.crontab.is_empty() {
            return Err(refuse(hook, "every schedule needs a name and a crontab"));
        }
    }
    Ok(())
}

fn bindings(config: &HookConfig, form: Form) -> Map<String, Value> {
    let mut hook = Map::new();
    hook.insert("configVersion".into(), "v1".into());
    insert_list(&mut hook, "schedule", config.schedule.iter().map(|s| schedule(s, form)).collect());
    insert_list(&mut hook, "kubernetes", config.kubernetes.iter().map(|b| kubernetes(b, form)).collect());
    hook
}

fn schedule(schedule: &Schedule, form: Form) -> Value {
    let mut out = Map::new();
    out.insert("name".into(), schedule.name.as_str().into());
    out.insert("crontab".into(), schedule.crontab.as_str().into());
    insert_some(&mut out, "queue", schedule.queue.as_deref());
    if form == Form::Plain {
        out.insert("allowFailure".into(), false.into());
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
    let namespaces = name_selector(&binding.namespaces).map(|names| json!({"nameSelector": names}));
    insert_some(&mut out, "namespace", namespaces);
    insert_some(&mut out, "labelSelector", label_selector(&binding.labels));
    out.insert("executeHookOnEvent".into(), events(binding.events, form));
    // Always written: the meaning of an absent key differs between the operators.
    out.insert("executeHookOnSynchronization".into(), true.into());
    out.insert("waitForSynchronization".into(), true.into());
    out.insert("keepFullObjectsInMemory".into(), binding.jq_filter.is_none().into());
    insert_some(&mut out, "jqFilter", binding.jq_filter.as_deref());
    out.insert("allowFailure".into(), false.into());
    insert_some(&mut out, "queue", binding.queue.as_deref());
    if form == Form::Plain {
        out.insert("group".into(), GROUP.into());
    }
    Value::Object(out)
}

/// The batch form has all or none.
fn events(events: Events, form: Form) -> Value {
    match (form, events) {
        (Form::Batch, _) => (events == Events::All).into(),
        (Form::Plain, Events::All) => json!(["Added", "Modified", "Deleted"]),
        (Form::Plain, Events::None) => json!([]),
    }
}

fn name_selector(names: &[String]) -> Option<Value> {
    (!names.is_empty()).then(|| json!({"matchNames": names}))
}

fn label_selector(labels: &[(String, String)]) -> Option<Value> {
    let labels: Map<_, _> = labels.iter().map(|(key, value)| (key.clone(), value.as_str().into())).collect();
    (!labels.is_empty()).then(|| json!({"matchLabels": labels}))
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

#[cfg(test)]
mod tests;
