//! Changes of objects as patches: what goes makes room first, then what differs, then what is new.

use std::error::Error;

use istio_federation::api::istio::API_VERSION;
use istio_federation::api::kubernetes::NAMESPACE;
use istio_federation::federation::objects::Changes;
use istio_federation::hook::{Effects, ObjectPatch, ObjectRef, diff};
use serde::Serialize;

/// The patches for objects of an Istio kind in our namespace.
pub(crate) fn emit<T: Serialize>(kind: &str, changes: Changes<T>) -> Result<Effects, Box<dyn Error + Send + Sync>> {
    let target = |name: &str| ObjectRef::new(API_VERSION, kind, Some(NAMESPACE), name);
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
        // The snapshot may be behind our own patches: one that is there already is no failure.
        effects.objects.push(ObjectPatch::create_if_not_exists(object)?);
    }
    Ok(effects)
}
