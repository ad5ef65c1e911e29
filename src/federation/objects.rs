//! What all objects have in common that hooks write: labels, owners whose end ends them, and how one that differs is found.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::api::kubernetes::{NAMESPACE, ObjectMeta, OwnerReference};

/// Label of the two ConfigMaps that own what hooks write: `app: federation-owner`.
pub const OWNER_APP: &str = "federation-owner";

/// Labels of every object of the module.
pub const LABELS: [(&str, &str); 2] = [("heritage", "deckhouse"), ("module", "istio")];

/// An object as it is. It stays text, since of ten thousand nearly all are as they should be.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Stored {
    /// `metadata`: name, labels, annotations, owners.
    pub metadata: Box<RawValue>,
    /// `spec`.
    pub spec: Box<RawValue>,
}

/// What is compared of an object's metadata. Members are in alphabetical order, as operators write them: what is equal is
/// equal text.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Compared<'a> {
    annotations: &'a BTreeMap<String, String>,
    labels: &'a BTreeMap<String, String>,
    name: &'a str,
    owner_references: &'a [OwnerReference],
}

/// An object that differs: what is compared of it, before and after.
#[derive(Clone, Debug, PartialEq)]
pub struct Update {
    /// Name of the object.
    pub name: String,
    /// What it is.
    pub from: Value,
    /// What it should be.
    pub to: Value,
}

/// The changes that lead from what is to what should be.
#[derive(Clone, Debug, PartialEq)]
pub struct Changes<T> {
    /// Objects that are missing.
    pub create: Vec<T>,
    /// Those that differ.
    pub update: Vec<Update>,
    /// Names of those that are to go.
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
    /// The name of the object; empty where there is none.
    #[must_use]
    pub fn name(&self) -> Cow<'_, str> {
        #[derive(Deserialize)]
        struct Named<'a> {
            #[serde(borrow)]
            name: Cow<'a, str>,
        }
        serde_json::from_str::<Named<'_>>(self.metadata.get()).map(|named| named.name).unwrap_or_default()
    }

    /// The metadata; empty where it is not what Kubernetes has.
    #[must_use]
    pub fn metadata(&self) -> ObjectMeta {
        serde_json::from_str(self.metadata.get()).unwrap_or_default()
    }

    /// What has to change for this to be the object with `metadata` (from [`metadata`]) and `spec`. Labels and
    /// annotations of others stay.
    #[must_use]
    pub fn update_to(&self, metadata: &ObjectMeta, spec: &impl Serialize) -> Option<Update> {
        let wanted = serde_json::to_string(spec).ok()?;
        let compared = Compared {
            annotations: &metadata.annotations,
            labels: &metadata.labels,
            name: &metadata.name,
            owner_references: &metadata.owner_references,
        };
        if self.spec.get() == wanted && self.metadata.get() == serde_json::to_string(&compared).ok()? {
            return None;
        }
        let is = self.metadata();
        let has = |map: &BTreeMap<String, String>, wanted: &BTreeMap<String, String>| {
            wanted.iter().all(|(key, value)| map.get(key) == Some(value))
        };
        let owners = owners(&is.owner_references, &metadata.owner_references);
        let same_metadata = has(&is.labels, &metadata.labels)
            && has(&is.annotations, &metadata.annotations)
            && is.owner_references == owners;
        let [from_spec, to_spec]: [Value; 2] =
            [serde_json::from_str(self.spec.get()).ok()?, serde_json::from_str(&wanted).ok()?];
        if same_metadata && from_spec == to_spec {
            return None;
        }
        let (mut labels, mut annotations) = (is.labels.clone(), is.annotations.clone());
        labels.extend(metadata.labels.clone());
        annotations.extend(metadata.annotations.clone());
        let shape = |labels, annotations, owners: &[OwnerReference], spec| json!({"metadata": {"labels": labels, "annotations": annotations, "ownerReferences": owners}, "spec": spec});
        Some(Update {
            name: is.name.clone(),
            from: shape(is.labels.clone(), is.annotations.clone(), &is.owner_references, from_spec),
            to: shape(labels, annotations, &owners, to_spec),
        })
    }
}

/// The module's labels and one (with an empty value) that tells what the object is for.
fn labels(purpose: &str) -> BTreeMap<String, String> {
    let common = LABELS.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    common.chain([(purpose.to_owned(), String::new())]).collect()
}

/// The owners that an object should have: those that exist, but never fewer than it has.
///
/// An owner deleted by accident is away until Helm renders it again; dropping its reference meanwhile would leave the
/// object with one owner only, and the next accident would take it along.
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
