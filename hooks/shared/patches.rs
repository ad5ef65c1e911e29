//! Changes of objects as patches. Order: delete, update, create.

use istio_federation::api::istio;
use istio_federation::api::istio_federation::{API_VERSION, IstioFederation, IstioFederationStatus, KIND};
use istio_federation::api::kubernetes::{Condition, NAMESPACE};
use istio_federation::federation::conditions::{self, OWNED};
use istio_federation::federation::managed::Changes;
use istio_federation::hook::{Effects, ObjectPatch, ObjectRef, diff};
use serde::Serialize;
use serde_json::{Value, json};

use super::steps::Failure;

/// The patches for objects of an Istio kind in our namespace.
pub(crate) fn effects_of<T: Serialize>(kind: &str, changes: Changes<T>) -> Result<Effects, Failure> {
    let target = |name: &str| ObjectRef::new(istio::API_VERSION, kind, Some(NAMESPACE), name);
    let mut effects = Effects::default();
    for name in &changes.delete {
        effects.objects.push(ObjectPatch::delete_in_background(target(name))?);
    }
    for update in changes.update {
        if let Some(patch) = diff(&update.from, &update.to) {
            effects.objects.push(ObjectPatch::merge_patch(target(&update.name), patch)?.ignore_missing_object());
        }
    }
    for object in &changes.create {
        // The snapshot may be older than our last patches: an object that exists already is not a failure.
        effects.objects.push(ObjectPatch::create_if_not_exists(object)?);
    }
    Ok(effects)
}

/// Patches of a federation's status: one for the data, one for the conditions; none if nothing changed.
pub(crate) fn status_of(was: &IstioFederation, is: &IstioFederation) -> Result<Vec<ObjectPatch>, Failure> {
    let target = ObjectRef::new(API_VERSION, KIND, None, &was.metadata.name);
    let (old, new) = (was.status.clone().unwrap_or_default(), is.status.clone().unwrap_or_default());
    let data = |status: &IstioFederationStatus| {
        serde_json::to_value(IstioFederationStatus { conditions: Vec::new(), ..status.clone() })
    };
    let mut patches = Vec::new();
    if let Some(changed) = diff(&data(&old)?, &data(&new)?) {
        patches.push(ObjectPatch::merge_patch(target.clone(), json!({ "status": changed }))?);
    }
    let [old, new] = [&old, &new].map(|status| conditions::owned(&status.conditions));
    if old != new {
        patches.push(ObjectPatch::jq_patch(target, &conditions_filter(&new)?)?);
    }
    Ok(patches.into_iter().map(|patch| patch.subresource("/status").ignore_missing_object()).collect())
}

/// Replaces our conditions and keeps those of others, also if they changed since the snapshot.
fn conditions_filter(owned: &[Condition]) -> Result<String, Failure> {
    let ours: Vec<String> = OWNED.iter().map(|type_| format!(".type != {}", Value::from(*type_))).collect();
    let others = format!("[.status.conditions[]? | select({})]", ours.join(" and "));
    // Works on an object without status in every jq, also in those that do not assign through null.
    Ok(format!(".status += {{conditions: ({} + {others})}}", serde_json::to_string(owned)?))
}
