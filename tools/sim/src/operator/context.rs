//! Makes binding contexts: the reason of a run, and the snapshots that a hook decides from.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::OperatorError;
use super::config::{Binding, Hook};
use crate::cluster::{Cluster, Key};

/// The group that every binding of a batch hook is in.
const GROUP: &str = "main";

/// The part of each object that a hook sees through one binding; a change of it is an event.
pub(super) type View = BTreeMap<Key, String>;

/// The context of a kubernetes or schedule binding: a group context with all snapshots; a hook that has none gets no such member.
#[must_use]
pub fn group(binding: &str, snapshots: Map<String, Value>) -> Value {
    let mut context = json!({"binding": binding, "type": "Group", "groupName": GROUP});
    if let (false, Some(members)) = (snapshots.is_empty(), context.as_object_mut()) {
        members.insert("snapshots".to_owned(), Value::Object(snapshots));
    }
    json!([context])
}

/// The context of a lifecycle binding: it has no type, and always snapshots.
#[must_use]
pub fn lifecycle(binding: &str, snapshots: Map<String, Value>) -> Value {
    json!([{"binding": binding, "snapshots": Value::Object(snapshots)}])
}

/// The context of onStartup, which never has snapshots.
#[must_use]
pub fn on_startup() -> Value {
    json!([{"binding": "onStartup"}])
}

/// An object as the snapshots of `binding` hold it, and the text whose change is an event.
pub fn item(hook: &Hook, binding: &Binding, object: &Value) -> Result<(Value, String), OperatorError> {
    let mut item = Map::new();
    if binding.full_objects {
        item.insert("object".to_owned(), object.clone());
    }
    let result = filtered(hook, binding, object)?;
    let seen = result.as_ref().unwrap_or(object).to_string();
    if let Some(result) = result {
        item.insert("filterResult".to_owned(), result);
    }
    Ok((Value::Object(item), seen))
}

/// All snapshots of `hook`.
pub fn snapshots(hook: &Hook, cluster: &Cluster) -> Result<Map<String, Value>, OperatorError> {
    let mut snapshots = Map::new();
    for binding in &hook.bindings {
        let items = cluster.list(&binding.selector).into_iter().map(|(_, object)| item(hook, binding, object));
        let items = items.map(|item| item.map(|(item, _)| item)).collect::<Result<_, _>>()?;
        snapshots.insert(binding.name.clone(), Value::Array(items));
    }
    Ok(snapshots)
}

/// The view of `hook` through `binding`: the filtered object, or the whole one without a filter.
pub(super) fn view(hook: &Hook, binding: &Binding, cluster: &Cluster) -> Result<View, OperatorError> {
    let objects = cluster.list(&binding.selector).into_iter();
    objects.map(|(key, object)| Ok((key.clone(), item(hook, binding, object)?.1))).collect()
}

fn filtered(hook: &Hook, binding: &Binding, object: &Value) -> Result<Option<Value>, OperatorError> {
    let result = binding.filter.as_ref().map(|filter| filter.result(object)).transpose();
    result.map_err(|why| OperatorError::Filter {
        hook: hook.name.clone(),
        binding: binding.name.clone(),
        object: Key::of(object).map(|key| key.to_string()).unwrap_or_default(),
        why,
    })
}
