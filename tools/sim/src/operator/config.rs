//! Reads the bindings of hooks from the answer of `hook config`, like addon-operator.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::Value;

use super::OperatorError;
use crate::cluster::Selector;
use crate::jq::Filter;

/// Queue of a binding without one: all modules share it.
pub const MAIN: &str = "main";

/// A hook of the executable.
#[derive(Debug)]
pub struct Hook {
    /// Index for `hook run`.
    pub index: usize,
    pub name: String,
    /// Orders of its lifecycle bindings.
    pub lifecycle: Lifecycle,
    /// Its schedule bindings.
    pub schedules: Vec<Schedule>,
    /// Its kubernetes bindings.
    pub bindings: Vec<Binding>,
}

/// Orders of lifecycle bindings; absent ones are not bound.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Lifecycle {
    /// Once, before everything else.
    pub on_startup: Option<u32>,
    /// Before every rendering.
    pub before_helm: Option<u32>,
    /// After every rendering.
    pub after_helm: Option<u32>,
    /// Before the module is removed.
    pub before_delete_helm: Option<u32>,
    /// After the module was removed.
    pub after_delete_helm: Option<u32>,
}

/// A schedule binding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    pub name: String,
    /// When it fires: five fields, or six with seconds in front.
    pub crontab: String,
    pub queue: String,
}

/// A kubernetes binding.
#[expect(clippy::struct_excessive_bools, reason = "the protocol has them side by side, each with a name of its own")]
#[derive(Debug)]
pub struct Binding {
    pub name: String,
    pub queue: String,
    /// Whether the module waits for its first run.
    pub waited_for: bool,
    /// Its objects.
    pub selector: Selector,
    /// The part of each object that the hook sees.
    pub filter: Option<Filter>,
    /// Whether the hook also sees the whole object.
    pub full_objects: bool,
    /// Whether changes start the hook.
    pub on_event: bool,
    /// Whether the first listing starts the hook.
    pub on_synchronization: bool,
}

#[derive(Deserialize)]
struct RawConfig {
    version: String,
    hooks: Vec<RawHook>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawHook {
    config_version: String,
    metadata: RawMetadata,
    #[serde(flatten)]
    lifecycle: Lifecycle,
    #[serde(default)]
    schedule: Vec<RawSchedule>,
    #[serde(default)]
    kubernetes: Vec<RawBinding>,
}

#[derive(Deserialize)]
struct RawMetadata {
    name: String,
    #[expect(dead_code, reason = "required by the protocol, unused by operators")]
    path: String,
}

#[derive(Deserialize)]
struct RawSchedule {
    #[serde(default)]
    name: String,
    crontab: String,
    #[serde(default)]
    queue: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawBinding {
    name: String,
    #[serde(flatten)]
    selector: Selector,
    jq_filter: Option<String>,
    #[serde(default)]
    keep_full_objects_in_memory: bool,
    execute_hook_on_event: Option<bool>,
    execute_hook_on_synchronization: Option<bool>,
    wait_for_synchronization: Option<bool>,
    #[serde(default)]
    queue: String,
    #[serde(default)]
    include_snapshots_from: Vec<String>,
}

/// Number of hooks that `hook list` announces; operators look for `Found N items` anywhere on stdout.
#[must_use]
pub fn parse_list(stdout: &str) -> Option<usize> {
    let (_, rest) = stdout.split_once("Found ")?;
    let (number, _) = rest.split_once(" items")?;
    number.parse().ok().filter(|count| (1..=9999).contains(count))
}

/// Hooks that `hook config` announces: the first JSON value on stdout counts.
pub fn parse_config(stdout: &str) -> Result<Vec<Hook>, OperatorError> {
    let error = |why: String| OperatorError::Config { why };
    let value = serde_json::Deserializer::from_str(stdout)
        .into_iter::<Value>()
        .next()
        .ok_or_else(|| error("nothing on stdout".to_owned()))?
        .map_err(|why| error(why.to_string()))?;
    let config: RawConfig = serde_json::from_value(value).map_err(|why| error(why.to_string()))?;
    if config.version != "v1" {
        return Err(error(format!("version {:?} instead of \"v1\"", config.version)));
    }
    config.hooks.into_iter().enumerate().map(|(index, raw)| hook(index, raw)).collect()
}

fn hook(index: usize, raw: RawHook) -> Result<Hook, OperatorError> {
    let name = raw.metadata.name;
    let error = |why: String| OperatorError::Config { why: format!("hook {name}: {why}") };
    if raw.config_version != "v1" {
        return Err(error(format!("configVersion {:?} instead of \"v1\"", raw.config_version)));
    }
    let names: BTreeSet<&str> = raw.kubernetes.iter().map(|binding| binding.name.as_str()).collect();
    if names.len() != raw.kubernetes.len() {
        return Err(error("two kubernetes bindings have one name".to_owned()));
    }
    for included in raw.kubernetes.iter().flat_map(|binding| &binding.include_snapshots_from) {
        if !names.contains(included.as_str()) {
            return Err(error(format!("includeSnapshotsFrom names {included:?}, which is not a kubernetes binding")));
        }
    }
    for RawSchedule { crontab, .. } in &raw.schedule {
        if !crontab.starts_with('@') && !(5..=6).contains(&crontab.split_whitespace().count()) {
            return Err(error(format!("crontab {crontab:?} has neither 5 nor 6 fields")));
        }
    }
    let bindings = raw
        .kubernetes
        .into_iter()
        .map(|binding| {
            let filter = binding.jq_filter.as_deref().map(Filter::compile).transpose();
            Ok(Binding {
                filter: filter.map_err(|why| error(format!("binding {}: {why}", binding.name)))?,
                name: binding.name,
                // Only with its own queue, the module does not wait.
                waited_for: binding.queue.is_empty() || binding.wait_for_synchronization.unwrap_or(true),
                queue: or(binding.queue, MAIN),
                selector: binding.selector,
                full_objects: binding.keep_full_objects_in_memory,
                on_event: binding.execute_hook_on_event.unwrap_or(true),
                on_synchronization: binding.execute_hook_on_synchronization.unwrap_or(true),
            })
        })
        .collect::<Result<_, OperatorError>>()?;
    let schedule = |raw: RawSchedule| Schedule {
        name: or(raw.name, "schedule"),
        crontab: raw.crontab,
        queue: or(raw.queue, MAIN),
    };
    Ok(Hook {
        index,
        lifecycle: raw.lifecycle,
        schedules: raw.schedule.into_iter().map(schedule).collect(),
        bindings,
        name,
    })
}

fn or(text: String, default: &str) -> String {
    if text.is_empty() { default.to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn lists() {
        assert_eq!(parse_list("Found 2 items:\n0 - a\n1 - b\n"), Some(2));
        for bad in ["", "Found 0 items:", "Found 10000 items", "Found two items", "2 items"] {
            assert_eq!(parse_list(bad), None, "{bad}");
        }
    }

    fn config(hook: &Value) -> Result<Vec<Hook>, OperatorError> {
        parse_config(&json!({"version": "v1", "hooks": [hook]}).to_string())
    }

    #[test]
    fn defaults_are_those_of_the_batch_protocol() {
        let hooks = config(&json!({
            "configVersion": "v1", "metadata": {"name": "a", "path": ""}, "beforeHelm": 10, "unknown": 1,
            "schedule": [{"crontab": "*/15 * * * * *"}],
            "kubernetes": [
                {"name": "k", "kind": "Pod", "jqFilter": ".metadata", "waitForSynchronization": false},
                {"name": "l", "kind": "Node", "executeHookOnEvent": false, "queue": "q", "waitForSynchronization": false},
            ],
        }))
        .unwrap();
        let [hook] = hooks.as_slice() else { panic!("{hooks:?}") };
        assert_eq!((hook.index, hook.name.as_str(), hook.lifecycle.before_helm), (0, "a", Some(10)));
        let schedule =
            Schedule { name: "schedule".to_owned(), crontab: "*/15 * * * * *".to_owned(), queue: MAIN.to_owned() };
        assert_eq!(hook.schedules, [schedule]);
        let queues: Vec<_> = hook.bindings.iter().map(|one| (one.queue.as_str(), one.waited_for)).collect();
        assert_eq!(queues, [(MAIN, true), ("q", false)]);
        let shapes: Vec<_> = hook
            .bindings
            .iter()
            .map(|one| (one.filter.is_some(), one.full_objects, one.on_event, one.on_synchronization))
            .collect();
        assert_eq!(shapes, [(true, false, true, true), (false, false, false, true)]);
    }

    #[test]
    fn configurations_that_operators_refuse_are_refused() {
        for (change, why) in [
            (json!({"configVersion": "v0"}), "configVersion"),
            (json!({"beforeHelm": -1}), "-1"),
            (json!({"beforeHelm": "10"}), "u32"),
            (json!({"schedule": [{"crontab": "* * *"}]}), "crontab"),
            (json!({"kubernetes": [{"name": "k", "kind": "Pod"}, {"name": "k", "kind": "Pod"}]}), "one name"),
            (json!({"kubernetes": [{"name": "k", "kind": "Pod", "includeSnapshotsFrom": ["l"]}]}), "\"l\""),
            (json!({"kubernetes": [{"name": "k", "kind": "Pod", "jqFilter": "{"}]}), "binding k"),
            (json!({"kubernetes": [{"name": "k", "kind": "Pod", "executeHookOnEvent": ["Added"]}]}), "bool"),
        ] {
            let mut hook = json!({"configVersion": "v1", "metadata": {"name": "a", "path": ""}});
            json_patch::merge(&mut hook, &change);
            let error = config(&hook).unwrap_err().to_string();
            assert!(error.contains(why), "{change}: {error}");
        }
        let array = parse_config("[]").unwrap_err().to_string();
        assert!(array.contains("hook config"), "{array}");
        assert!(parse_config("").is_err() && parse_config("{\"version\":\"v2\",\"hooks\":[]}").is_err());
        assert!(parse_config("{\"version\":\"v1\",\"hooks\":[]}\ntrailing text").is_ok());
    }
}
