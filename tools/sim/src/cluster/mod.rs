//! A stand-in for the API server: objects in memory, with the behaviour that hooks can observe.
//!
//! Kept: identity, uid, resourceVersion, generation, creationTimestamp, the split between an object and its status, owner
//! references, objects that end with their namespace. Not kept: schemas, admission, finalizers, versions of one kind.

mod folder;
pub mod selector;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};
use thiserror::Error;

pub use self::folder::{Folder, FolderError, read_manifests};
pub use self::selector::Selector;

/// The key of an object. Versions of a group are the same objects.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// API group; empty for the core.
    pub group: String,
    pub kind: String,
    /// Namespace; empty for cluster scope.
    pub namespace: String,
    pub name: String,
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.namespace.as_str() {
            "" => write!(f, "{} {}", self.kind, self.name),
            namespace => write!(f, "{} {namespace}/{}", self.kind, self.name),
        }
    }
}

impl Key {
    /// The key of `object`.
    pub fn of(object: &Value) -> Result<Self, ApiError> {
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let (api_version, kind, name) = (text("/apiVersion"), text("/kind"), text("/metadata/name"));
        if api_version.is_empty() || kind.is_empty() || name.is_empty() {
            return Err(ApiError::Invalid {
                key: format!("{kind} {name}"),
                why: "apiVersion, kind and metadata.name are needed".to_owned(),
            });
        }
        Ok(Self {
            group: group_of(api_version).to_owned(),
            kind: kind.to_owned(),
            namespace: text("/metadata/namespace").to_owned(),
            name: name.to_owned(),
        })
    }

    /// Whether this is of that kind (singular or regular plural, in any case), and of that group where one is given.
    fn is_of(&self, api_version: Option<&str>, kind: &str) -> bool {
        let plain = self.kind.eq_ignore_ascii_case(kind);
        let plural = || {
            kind.len() > self.kind.len()
                && [format!("{}s", self.kind), format!("{}es", self.kind), plural_of_y(&self.kind)]
                    .iter()
                    .any(|plural| plural.eq_ignore_ascii_case(kind))
        };
        api_version.is_none_or(|api_version| group_of(api_version) == self.group) && (plain || plural())
    }
}

fn plural_of_y(kind: &str) -> String {
    kind.strip_suffix('y').map(|stem| format!("{stem}ies")).unwrap_or_default()
}

fn group_of(api_version: &str) -> &str {
    api_version.rsplit_once('/').map_or("", |(group, _)| group)
}

/// Whether this is a valid name for most kinds.
fn is_subdomain(name: &str) -> bool {
    let is_inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let is_label = |label: &str| {
        !label.is_empty() && label.chars().all(is_inner) && !label.starts_with('-') && !label.ends_with('-')
    };
    name.len() <= 253 && name.split('.').all(is_label)
}

fn labels_of(object: &Value) -> Option<&Map<String, Value>> {
    object.pointer("/metadata/labels").and_then(Value::as_object)
}

fn uid_of(object: &Value) -> Option<&str> {
    object.pointer("/metadata/uid").and_then(Value::as_str)
}

/// Why the API refuses a write.
#[derive(Debug, PartialEq, Eq, Error)]
pub enum ApiError {
    /// Creation of an existing object.
    #[error("{0} already exists")]
    AlreadyExists(Key),
    /// Change of a missing object.
    #[error("{0} not found")]
    NotFound(String),
    /// An object that API servers refuse.
    #[error("{key} is invalid: {why}")]
    Invalid {
        /// The object.
        key: String,
        /// The reason.
        why: String,
    },
}

/// The part of an object that a write changes; the other part stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Everything but `status`.
    Main,
    /// `status`.
    Status,
}

/// The kind of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    Created,
    /// It is different.
    Updated(Part),
    /// It is gone.
    Deleted,
    /// It is gone because its owners or its namespace are.
    Collected,
}

/// A change of the set of objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Its kind.
    pub verb: Verb,
    /// To which object.
    pub key: Key,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.verb {
            Verb::Created => write!(f, "created {}", self.key),
            Verb::Updated(Part::Main) => write!(f, "changed {}", self.key),
            Verb::Updated(Part::Status) => write!(f, "changed status of {}", self.key),
            Verb::Deleted => write!(f, "deleted {}", self.key),
            Verb::Collected => write!(f, "collected {} (its owners are gone)", self.key),
        }
    }
}

/// A set of objects.
#[derive(Debug)]
pub struct Cluster {
    seed: String,
    clock: fn() -> Timestamp,
    revision: u64,
    objects: BTreeMap<Key, Value>,
    changes: Vec<Change>,
}

impl Cluster {
    /// An empty set. `seed` makes its uids differ from those of other sets; `clock` gives creation times.
    #[must_use]
    pub fn new(seed: &str, clock: fn() -> Timestamp) -> Self {
        Self { seed: seed.to_owned(), clock, revision: 0, objects: BTreeMap::new(), changes: Vec::new() }
    }

    /// The object with `key`.
    #[must_use]
    pub fn get(&self, key: &Key) -> Option<&Value> {
        self.objects.get(key)
    }

    /// The object of that kind and name.
    #[must_use]
    pub fn find(&self, api_version: Option<&str>, kind: &str, namespace: &str, name: &str) -> Option<(&Key, &Value)> {
        self.objects
            .iter()
            .find(|(key, _)| key.is_of(api_version, kind) && key.namespace == namespace && key.name == name)
    }

    /// The Namespace object of that name.
    fn namespace(&self, name: &str) -> Option<&Value> {
        self.objects.get(&Key {
            group: String::new(),
            kind: "Namespace".to_owned(),
            namespace: String::new(),
            name: name.to_owned(),
        })
    }

    /// All objects, by group, kind, namespace and name.
    pub fn objects(&self) -> impl Iterator<Item = (&Key, &Value)> {
        self.objects.iter()
    }

    /// The selected objects, by namespace and name.
    #[must_use]
    pub fn list(&self, selector: &Selector) -> Vec<(&Key, &Value)> {
        let namespace = |name: &str| self.namespace(name);
        let mut found: Vec<_> =
            self.objects.iter().filter(|(key, object)| selector.matches(key, object, namespace)).collect();
        found.sort_by_key(|(key, _)| (&key.namespace, &key.name));
        found
    }

    /// The changes since the last call.
    pub fn take_changes(&mut self) -> Vec<Change> {
        std::mem::take(&mut self.changes)
    }

    /// POST: a new object. As for every kind with a status subresource, its status is dropped.
    pub fn create(&mut self, mut object: Value) -> Result<Key, ApiError> {
        let key = Key::of(&object)?;
        if self.objects.contains_key(&key) {
            return Err(ApiError::AlreadyExists(key));
        }
        let invalid = |why: &str| ApiError::Invalid { key: key.to_string(), why: why.to_owned() };
        if !is_subdomain(&key.name) {
            return Err(invalid("its name is not a lower-case RFC 1123 subdomain"));
        }
        if !key.namespace.is_empty() && self.namespace(&key.namespace).is_none() {
            return Err(ApiError::NotFound(format!("Namespace {}", key.namespace)));
        }
        if let Some(members) = object.as_object_mut() {
            members.remove("status");
        }
        self.store(&key, object, Verb::Created)?;
        Ok(key)
    }

    /// PUT of one part of an object. False if nothing is different.
    pub fn update(&mut self, key: &Key, object: Value, part: Part) -> Result<bool, ApiError> {
        let old = self.objects.get(key).ok_or_else(|| ApiError::NotFound(key.to_string()))?;
        if Key::of(&object)? != *key {
            return Err(ApiError::Invalid { key: key.to_string(), why: "its identity cannot change".to_owned() });
        }
        let (mut merged, other) = match part {
            Part::Main => (object, old),
            Part::Status => (old.clone(), &object),
        };
        let status = other.get("status").cloned();
        if let Some(members) = merged.as_object_mut() {
            match status {
                Some(status) => members.insert("status".to_owned(), status),
                None => members.remove("status"),
            };
        }
        self.store(key, merged, Verb::Updated(part))
    }

    /// Stores an object as a person wrote it, with its status: a new one, or in place of the old one. False if nothing is
    /// different.
    pub fn put(&mut self, object: Value) -> Result<bool, ApiError> {
        let key = Key::of(&object)?;
        let verb = if self.objects.contains_key(&key) { Verb::Updated(Part::Main) } else { Verb::Created };
        self.store(&key, object, verb)
    }

    /// Stores an object as another cluster has it, with the members that its server wrote.
    pub fn restore(&mut self, object: Value) -> Result<Key, ApiError> {
        let key = Key::of(&object)?;
        if self.objects.contains_key(&key) {
            return Err(ApiError::AlreadyExists(key));
        }
        self.objects.insert(key.clone(), object);
        Ok(key)
    }

    /// DELETE; its dependents end with it (see [`Cluster::collect_garbage`]). False if it was not there.
    pub fn delete(&mut self, key: &Key) -> bool {
        let there = self.objects.remove(key).is_some();
        if there {
            self.revision += 1;
            self.changes.push(Change { verb: Verb::Deleted, key: key.clone() });
        }
        there
    }

    /// DELETE that leaves the dependents of the object.
    pub fn delete_orphaning(&mut self, key: &Key) -> Result<bool, ApiError> {
        let Some(uid) = self.objects.get(key).and_then(uid_of).map(str::to_owned) else {
            return Ok(false);
        };
        let owned: Vec<(Key, Value)> = self
            .objects
            .iter()
            .filter(|(_, object)| owners(object).any(|owner| owner.get("uid").and_then(Value::as_str) == Some(&*uid)))
            .map(|(key, object)| (key.clone(), object.clone()))
            .collect();
        for (owned_key, mut object) in owned {
            if let Some(references) = object.pointer_mut("/metadata/ownerReferences").and_then(Value::as_array_mut) {
                references.retain(|owner| owner.get("uid").and_then(Value::as_str) != Some(&*uid));
            }
            self.store(&owned_key, object, Verb::Updated(Part::Main))?;
        }
        Ok(self.delete(key))
    }

    /// Removes objects whose owners are all gone, and objects in a namespace that is gone.
    pub fn collect_garbage(&mut self) {
        loop {
            let lost: Vec<Key> = self
                .objects
                .iter()
                .filter(|(key, object)| {
                    let abandoned =
                        owners(object).next().is_some() && !owners(object).any(|owner| self.has_owner(key, owner));
                    let homeless = !key.namespace.is_empty() && self.namespace(&key.namespace).is_none();
                    abandoned || homeless
                })
                .map(|(key, _)| key.clone())
                .collect();
            if lost.is_empty() {
                return;
            }
            for key in lost {
                self.objects.remove(&key);
                self.revision += 1;
                self.changes.push(Change { verb: Verb::Collected, key });
            }
        }
    }

    /// Whether the owner that `reference` names exists: by kind, name and uid, in the same namespace or of cluster scope.
    fn has_owner(&self, key: &Key, reference: &Value) -> bool {
        let text = |member: &str| reference.get(member).and_then(Value::as_str).unwrap_or_default();
        ["", key.namespace.as_str()].iter().any(|namespace| {
            let key = Key {
                group: group_of(text("apiVersion")).to_owned(),
                kind: text("kind").to_owned(),
                namespace: (*namespace).to_owned(),
                name: text("name").to_owned(),
            };
            self.objects.get(&key).and_then(uid_of) == Some(text("uid"))
        })
    }

    /// Stores `object` with the members that belong to the server.
    fn store(&mut self, key: &Key, mut object: Value, verb: Verb) -> Result<bool, ApiError> {
        let old = self.objects.get(key);
        let generation = generation(key, old, &object);
        let invalid = || ApiError::Invalid { key: key.to_string(), why: "metadata is not an object".to_owned() };
        let metadata = object.pointer_mut("/metadata").and_then(Value::as_object_mut).ok_or_else(invalid)?;
        for member in ["resourceVersion", "generation"] {
            metadata.remove(member);
        }
        if let Some(generation) = generation {
            metadata.insert("generation".to_owned(), json!(generation));
        }
        if let Some(old) = old {
            for member in ["uid", "creationTimestamp", "resourceVersion"] {
                if let Some(value) = old.pointer("/metadata").and_then(|metadata| metadata.get(member)) {
                    metadata.insert(member.to_owned(), value.clone());
                }
            }
            if object == *old {
                return Ok(false);
            }
        }
        self.revision += 1;
        let uid = self.uid(key);
        if let Some(metadata) = object.pointer_mut("/metadata").and_then(Value::as_object_mut) {
            metadata.insert("resourceVersion".to_owned(), json!(self.revision.to_string()));
            metadata.entry("uid").or_insert_with(|| json!(uid));
            metadata.entry("creationTimestamp").or_insert_with(|| json!((self.clock)().strftime("%FT%TZ").to_string()));
        }
        self.objects.insert(key.clone(), object);
        self.changes.push(Change { verb, key: key.clone() });
        Ok(true)
    }

    /// A uid: the same in every run with the same history, different for an object made again.
    fn uid(&self, key: &Key) -> String {
        let hash = Sha256::digest(format!("{}\n{}\n{}\n{key}", self.seed, self.revision, key.group));
        let mut number = [0; 16];
        number.iter_mut().zip(hash).for_each(|(to, from)| *to = from);
        let hex = format!("{:032x}", u128::from_be_bytes(number));
        let part = |range: std::ops::Range<usize>| hex.get(range).unwrap_or_default();
        format!("{}-{}-4{}-8{}-{}", part(0..8), part(8..12), part(13..16), part(17..20), part(20..32))
    }
}

fn owners(object: &Value) -> impl Iterator<Item = &Value> {
    object.pointer("/metadata/ownerReferences").and_then(Value::as_array).into_iter().flatten()
}

/// The generation after a write: it grows when anything but metadata and status changes. The core's kinds have none.
fn generation(key: &Key, old: Option<&Value>, new: &Value) -> Option<i64> {
    if key.group.is_empty() {
        return None;
    }
    let Some(old) = old else { return Some(1) };
    let before = old.pointer("/metadata/generation").and_then(Value::as_i64).unwrap_or(1);
    let desired = |object: &Value| {
        let mut object = object.clone();
        if let Some(members) = object.as_object_mut() {
            members.retain(|member, _| !["metadata", "status", "apiVersion"].contains(&member.as_str()));
        }
        object
    };
    Some(if desired(old) == desired(new) { before } else { before + 1 })
}
