//! The objects that hooks write: their labels and owners, and how differences are found.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::api::kubernetes::{NAMESPACE, ObjectMeta, OwnerReference};

/// Label of the two ConfigMaps that own these objects: `app: federation-owner`.
pub const OWNER_APP: &str = "federation-owner";

/// Labels of every object of the module.
pub const LABELS: [(&str, &str); 2] = [("heritage", "deckhouse"), ("module", "istio")];

/// An object as it exists.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Stored {
    /// Name, labels, annotations, owners.
    pub metadata: ObjectMeta,
    /// `spec`.
    pub spec: Value,
}

/// A difference: the compared parts of an object, before and after.
#[derive(Clone, Debug, PartialEq)]
pub struct Update {
    /// Name of the object.
    pub name: String,
    /// As it exists.
    pub from: Value,
    /// As it should be.
    pub to: Value,
}

/// The changes from the existing objects to the right ones.
#[derive(Clone, Debug, PartialEq)]
pub struct Changes<T> {
    /// Objects that are missing.
    pub create: Vec<T>,
    /// Those that differ.
    pub update: Vec<Update>,
    /// Names of those to delete.
    pub delete: Vec<String>,
}

impl<T> Default for Changes<T> {
    fn default() -> Self {
        Self { create: Vec::new(), update: Vec::new(), delete: Vec::new() }
    }
}

/// The metadata of a new object in our namespace.
#[must_use]
pub fn metadata(
    name: &str,
    purpose: &str,
    annotations: BTreeMap<String, String>,
    owners: &[OwnerReference],
) -> ObjectMeta {
    ObjectMeta {
        name: name.to_owned(),
        namespace: Some(NAMESPACE.to_owned()),
        labels: labels(purpose),
        annotations,
        owner_references: owners.to_vec(),
        ..ObjectMeta::default()
    }
}

impl Stored {
    /// The change that gives this object `metadata` (from [`metadata`]) and `spec`; `None` if it has them. Labels and
    /// annotations of others stay.
    #[must_use]
    pub fn update_to(self, metadata: &ObjectMeta, spec: Value) -> Option<Update> {
        let is = self.metadata;
        let (mut labels, mut annotations) = (is.labels.clone(), is.annotations.clone());
        labels.extend(metadata.labels.clone());
        annotations.extend(metadata.annotations.clone());
        let owners = owners(&is.owner_references, &metadata.owner_references);
        let shape = |labels, annotations, owners, spec| json!({"metadata": {"labels": labels, "annotations": annotations, "ownerReferences": owners}, "spec": spec});
        let from = shape(is.labels, is.annotations, is.owner_references, self.spec);
        let to = shape(labels, annotations, owners, spec);
        (from != to).then_some(Update { name: is.name, from, to })
    }
}

/// The module's labels, and the one (with an empty value) for the object's purpose.
fn labels(purpose: &str) -> BTreeMap<String, String> {
    let common = LABELS.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    common.chain([(purpose.to_owned(), String::new())]).collect()
}

/// The owners that an object should have: those that exist, and those it has already.
///
/// An owner deleted by accident is missing until Helm renders it again. Dropping its reference meanwhile would leave the
/// object with a single owner, and deleting that one as well would delete the object.
fn owners(has: &[OwnerReference], exist: &[OwnerReference]) -> Vec<OwnerReference> {
    let is_renewed = |old: &&OwnerReference| exist.iter().any(|new| new.name == old.name && new.kind == old.kind);
    let mut owners: Vec<OwnerReference> = exist.to_vec();
    owners.extend(has.iter().filter(|old| !is_renewed(old)).cloned());
    owners.sort_by(|a, b| a.name.cmp(&b.name));
    owners
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner(name: &str, uid: &str) -> OwnerReference {
        OwnerReference { name: name.to_owned(), uid: uid.to_owned(), ..OwnerReference::default() }
    }

    #[test]
    fn an_absent_owner_stays_and_a_renewed_one_is_replaced() {
        let has = [owner("a", "1"), owner("b", "2")];
        assert_eq!(owners(&[], &has), has);
        assert_eq!(owners(&has, &[owner("a", "1")]), has);
        assert_eq!(owners(&has, &[owner("b", "3"), owner("a", "1")]), [owner("a", "1"), owner("b", "3")]);
    }
}
