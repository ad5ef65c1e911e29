//! Binding contexts: what a hook is told about why it runs, and the snapshots it decides from.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::OperatorError;
use super::config::{Binding, Hook};
use crate::cli::demo::cluster::{Cluster, Key};

/// The group that every binding of a batch hook is in.
const GROUP: &str = "main";

/// What a hook sees of each object of one binding; a change of it is an event.
pub(super) type View = BTreeMap<Key, String>;

/// The context of a kubernetes or schedule binding: a group context with all snapshots.
pub(super) fn group(hook: &Hook, binding: &str, cluster: &Cluster) -> Result<Value, OperatorError> {
    let mut context = json!({"binding": binding, "type": "Group", "groupName": GROUP});
    if let (false, Some(members)) = (hook.bindings.is_empty(), context.as_object_mut()) {
        members.insert("snapshots".to_owned(), snapshots(hook, cluster)?);
    }
    Ok(json!([context]))
}

/// The context of a lifecycle binding: it has no type, and always snapshots.
pub(super) fn lifecycle(hook: &Hook, binding: &str, cluster: &Cluster) -> Result<Value, OperatorError> {
    Ok(json!([{"binding": binding, "snapshots": snapshots(hook, cluster)?}]))
}

/// The context of onStartup, which never has snapshots.
pub(super) fn on_startup() -> Value {
    json!([{"binding": "onStartup"}])
}

fn snapshots(hook: &Hook, cluster: &Cluster) -> Result<Value, OperatorError> {
    let mut snapshots = Map::new();
    for binding in &hook.bindings {
        let items = cluster.list(&binding.selector).into_iter().map(|(_, object)| item(hook, binding, object));
        snapshots.insert(binding.name.clone(), Value::Array(items.collect::<Result<_, _>>()?));
    }
    Ok(Value::Object(snapshots))
}

fn item(hook: &Hook, binding: &Binding, object: &Value) -> Result<Value, OperatorError> {
    let mut item = Map::new();
    if binding.full_objects {
        item.insert("object".to_owned(), object.clone());
    }
    if let Some(result) = filtered(hook, binding, object)? {
        item.insert("filterResult".to_owned(), result);
    }
    Ok(Value::Object(item))
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

/// What `hook` sees through `binding`: the filtered object, or the whole one where there is no filter.
pub(super) fn view(hook: &Hook, binding: &Binding, cluster: &Cluster) -> Result<View, OperatorError> {
    let objects = cluster.list(&binding.selector).into_iter();
    objects
        .map(|(key, object)| {
            let seen = filtered(hook, binding, object)?.map_or_else(|| object.to_string(), |result| result.to_string());
            Ok((key.clone(), seen))
        })
        .collect()
}
