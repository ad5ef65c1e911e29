//! Object patches: changes that a hook asks the operator to make through the Kubernetes API.

use std::fmt;

use serde::{Serialize, Serializer};
use serde_json::{Map, Value, json};

/// A jq filter must stay below this: operators that start jq hand it over as one argument, which Linux limits to 128 KiB
/// with its final zero.
const JQ_FILTER_LIMIT: usize = 128 * 1024;

/// One operation. It is complete by construction: the operator refuses a whole file because of an incomplete one.
///
/// Operations run in order, and all of them run even if one fails; then the hook is run again. So each must do no harm
/// when it is done twice.
#[derive(Clone, PartialEq)]
pub struct ObjectPatch {
    operation: Operation,
    target: ObjectRef,
    body: Option<Value>,
    subresource: Option<String>,
    ignore_missing_object: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
enum Operation {
    CreateIfNotExists,
    DeleteInBackground,
    #[serde(rename = "JQPatch")]
    JqPatch,
    MergePatch,
}

/// Which object.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectRef {
    /// `group/version`, or `version` for the core group.
    pub api_version: String,
    /// Kind, as `ConfigMap`.
    pub kind: String,
    /// Namespace; `None` for what belongs to the whole cluster.
    pub namespace: Option<String>,
    pub name: String,
}

/// An operation that the operator or the API server would refuse.
#[derive(Debug, thiserror::Error)]
pub enum ObjectPatchError {
    /// The object cannot be addressed.
    #[error("{target}: {problem}")]
    Target {
        /// Which object.
        target: ObjectRef,
        /// The mistake.
        problem: &'static str,
    },
    /// The patch is not valid.
    #[error("patch of {target}: {problem}")]
    Patch {
        /// Which object.
        target: ObjectRef,
        /// The mistake.
        problem: &'static str,
    },
    #[error("an object to create: {0}")]
    Manifest(#[from] serde_json::Error),
}

impl ObjectRef {
    /// A reference; it is checked where an operation is made of it.
    #[must_use]
    pub fn new(api_version: &str, kind: &str, namespace: Option<&str>, name: &str) -> Self {
        let namespace = namespace.map(str::to_owned);
        Self { api_version: api_version.into(), kind: kind.into(), namespace, name: name.into() }
    }

    fn of(manifest: &Value) -> Self {
        let text = |path: &str| manifest.pointer(path).and_then(Value::as_str);
        let part = |path: &str| text(path).unwrap_or_default();
        Self::new(part("/apiVersion"), part("/kind"), text("/metadata/namespace"), part("/metadata/name"))
    }

    fn checked(self) -> Result<Self, ObjectPatchError> {
        // The names become parts of a path in the API.
        let segment = |text: &str| !matches!(text, "" | "." | "..") && !text.contains(['/', '%']);
        let problem = if self.api_version.split('/').count() > 2 || !self.api_version.split('/').all(segment) {
            "apiVersion is not `version` or `group/version`"
        } else if !segment(&self.kind) {
            "kind is missing or not a name"
        } else if !segment(&self.name) {
            "metadata.name is missing or not a name"
        } else if !self.namespace.as_deref().is_none_or(segment) {
            "namespace is not a name"
        } else {
            return Ok(self);
        };
        Err(ObjectPatchError::Target { target: self, problem })
    }

    fn refuse(&self, problem: &'static str) -> ObjectPatchError {
        ObjectPatchError::Patch { target: self.clone(), problem }
    }
}

impl fmt::Display for ObjectRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} ", self.api_version, self.kind)?;
        if let Some(namespace) = &self.namespace {
            write!(f, "{namespace}/")?;
        }
        f.write_str(&self.name)
    }
}

impl ObjectPatch {
    /// Creates an object, unless it exists.
    pub fn create_if_not_exists(object: &impl Serialize) -> Result<Self, ObjectPatchError> {
        let manifest = serde_json::to_value(object)?;
        Self::new(Operation::CreateIfNotExists, ObjectRef::of(&manifest), Some(manifest))
    }

    /// Deletes an object; its dependents are deleted afterwards.
    pub fn delete_in_background(target: ObjectRef) -> Result<Self, ObjectPatchError> {
        Self::new(Operation::DeleteInBackground, target, None)
    }

    /// Reads an object, applies a jq filter, and writes the result back. The filter is shorter than 128 KiB.
    pub fn jq_patch(target: ObjectRef, filter: &str) -> Result<Self, ObjectPatchError> {
        if filter.trim().is_empty() {
            return Err(target.refuse("the jq filter is empty"));
        }
        if filter.len() >= JQ_FILTER_LIMIT {
            return Err(target.refuse("the jq filter has 128 KiB or more, which some operators cannot start jq with"));
        }
        Self::new(Operation::JqPatch, target, Some(filter.into()))
    }

    /// A JSON Merge Patch: an object with at least one member.
    pub fn merge_patch(target: ObjectRef, patch: Value) -> Result<Self, ObjectPatchError> {
        if patch.as_object().is_none_or(Map::is_empty) {
            return Err(target.refuse("a merge patch is an object with at least one member"));
        }
        Self::new(Operation::MergePatch, target, Some(patch))
    }

    /// Patches a sub-resource, as `/status`. On creations and deletions, which have no sub-resource, this changes nothing.
    #[must_use]
    pub fn subresource(mut self, subresource: &str) -> Self {
        let subresource = subresource.trim_start_matches('/');
        if self.is_patch() && !subresource.is_empty() {
            self.subresource = Some(format!("/{subresource}"));
        }
        self
    }

    /// Makes a missing object no error. On creations and deletions this changes nothing.
    #[must_use]
    pub fn ignore_missing_object(mut self) -> Self {
        self.ignore_missing_object = self.is_patch();
        self
    }

    fn is_patch(&self) -> bool {
        matches!(self.operation, Operation::JqPatch | Operation::MergePatch)
    }

    fn new(operation: Operation, target: ObjectRef, body: Option<Value>) -> Result<Self, ObjectPatchError> {
        Ok(Self { operation, target: target.checked()?, body, subresource: None, ignore_missing_object: false })
    }
}

impl Serialize for ObjectPatch {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let body = match self.operation {
            Operation::CreateIfNotExists => "object",
            Operation::JqPatch => "jqFilter",
            Operation::MergePatch => "mergePatch",
            Operation::DeleteInBackground => "",
        };
        let target = (body != "object").then_some(&self.target);
        let members = [
            ("operation", Some(json!(self.operation))),
            ("apiVersion", target.map(|target| json!(target.api_version))),
            ("kind", target.map(|target| json!(target.kind))),
            ("namespace", target.and_then(|target| target.namespace.as_ref()).map(|namespace| json!(namespace))),
            ("name", target.map(|target| json!(target.name))),
            ("subresource", self.subresource.as_ref().map(|subresource| json!(subresource))),
            ("ignoreMissingObject", self.ignore_missing_object.then_some(json!(true))),
        ];
        let members = members.iter().filter_map(|(key, value)| Some((*key, value.as_ref()?)));
        serializer.collect_map(members.chain(self.body.iter().map(|value| (body, value))))
    }
}

// Without the body: the object may be a Secret.
impl fmt::Debug for ObjectPatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {}{}", self.operation, self.target, self.subresource.as_deref().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests;
