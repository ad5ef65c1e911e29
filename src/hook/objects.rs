//! Object patches: what a hook has the operator do through the Kubernetes API.

use std::fmt;

use serde::{Serialize, Serializer};
use serde_json::{Map, Value, json};

/// A jq filter must stay below this: operators that start jq hand it over as one argument, which Linux limits to 128 KiB
/// with its final zero.
const JQ_FILTER_LIMIT: usize = 128 * 1024;

/// One operation. It can only be made whole: the operator refuses the whole file for one that lacks something.
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

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Operation {
    /// Create; an error if it exists.
    Create,
    /// Create, unless it exists.
    CreateIfNotExists,
    /// Create, or replace as a whole.
    CreateOrUpdate,
    /// Delete what depends on it, then itself, and wait until it is gone: at least a second.
    Delete,
    /// Delete it; what depends on it is deleted afterwards.
    DeleteInBackground,
    /// Delete it alone.
    DeleteNonCascading,
    /// Read, apply a jq filter, write back.
    #[serde(rename = "JQPatch")]
    JqPatch,
    /// JSON Merge Patch.
    MergePatch,
    /// JSON Patch.
    #[serde(rename = "JSONPatch")]
    JsonPatch,
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
    /// Name.
    pub name: String,
}

/// A step of a JSON Patch. Paths are RFC 6901 pointers.
#[derive(Clone, Debug, PartialEq)]
pub enum JsonPatchStep {
    /// Set a member or insert an item.
    Add(String, Value),
    /// Remove what must be there.
    Remove(String),
    /// Replace what must be there.
    Replace(String, Value),
    /// Move from the first path to the second.
    Move(String, String),
    /// Copy from the first path to the second.
    Copy(String, String),
    /// Fail unless the value is this.
    Test(String, Value),
}

/// An operation that the operator or the API server would refuse.
#[derive(Debug, thiserror::Error)]
pub enum ObjectPatchError {
    /// The object cannot be addressed.
    #[error("{target}: {problem}")]
    Target {
        /// As far as it is known.
        target: ObjectRef,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The patch is not one.
    #[error("patch of {target}: {problem}")]
    Patch {
        /// Which object.
        target: ObjectRef,
        /// What is wrong with the patch.
        problem: &'static str,
    },
    /// Not JSON.
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
    /// [`Operation::Create`]. Fails where the snapshot is behind: prefer [`ObjectPatch::create_if_not_exists`].
    pub fn create(object: &impl Serialize) -> Result<Self, ObjectPatchError> {
        Self::creation(Operation::Create, object)
    }

    /// [`Operation::CreateIfNotExists`].
    pub fn create_if_not_exists(object: &impl Serialize) -> Result<Self, ObjectPatchError> {
        Self::creation(Operation::CreateIfNotExists, object)
    }

    /// [`Operation::CreateOrUpdate`]: what others added to the object is lost.
    pub fn create_or_update(object: &impl Serialize) -> Result<Self, ObjectPatchError> {
        Self::creation(Operation::CreateOrUpdate, object)
    }

    /// [`Operation::Delete`].
    pub fn delete(target: ObjectRef) -> Result<Self, ObjectPatchError> {
        Self::new(Operation::Delete, target, None)
    }

    /// [`Operation::DeleteInBackground`].
    pub fn delete_in_background(target: ObjectRef) -> Result<Self, ObjectPatchError> {
        Self::new(Operation::DeleteInBackground, target, None)
    }

    /// [`Operation::DeleteNonCascading`].
    pub fn delete_non_cascading(target: ObjectRef) -> Result<Self, ObjectPatchError> {
        Self::new(Operation::DeleteNonCascading, target, None)
    }

    /// [`Operation::JqPatch`]: the filter gets the object and results in the new one. Below 128 KiB.
    pub fn jq_patch(target: ObjectRef, filter: &str) -> Result<Self, ObjectPatchError> {
        if filter.trim().is_empty() {
            return Err(target.refuse("the jq filter is empty"));
        }
        if filter.len() >= JQ_FILTER_LIMIT {
            return Err(target.refuse("the jq filter has 128 KiB or more, which some operators cannot start jq with"));
        }
        Self::new(Operation::JqPatch, target, Some(filter.into()))
    }

    /// [`Operation::MergePatch`]: an object with at least one member.
    pub fn merge_patch(target: ObjectRef, patch: Value) -> Result<Self, ObjectPatchError> {
        if patch.as_object().is_none_or(Map::is_empty) {
            return Err(target.refuse("a merge patch is an object with at least one member"));
        }
        Self::new(Operation::MergePatch, target, Some(patch))
    }

    /// [`Operation::JsonPatch`]: at least one step; no step on the whole object.
    pub fn json_patch(target: ObjectRef, steps: &[JsonPatchStep]) -> Result<Self, ObjectPatchError> {
        if steps.is_empty() {
            return Err(target.refuse("a JSON patch has at least one step"));
        }
        if !steps.iter().flat_map(JsonPatchStep::paths).all(|path| is_pointer(path)) {
            return Err(target.refuse("a path of a JSON patch begins with `/`, and has `~` only as `~0` or `~1`"));
        }
        let patch = steps.iter().map(JsonPatchStep::to_json).collect();
        Self::new(Operation::JsonPatch, target, Some(Value::Array(patch)))
    }

    /// Patches a sub-resource, as `/status`. Only of the three patches: the operator has none for other operations, and
    /// this changes nothing there.
    #[must_use]
    pub fn subresource(mut self, subresource: &str) -> Self {
        let subresource = subresource.trim_start_matches('/');
        if self.is_patch() && !subresource.is_empty() {
            self.subresource = Some(format!("/{subresource}"));
        }
        self
    }

    /// Makes a missing object no error. Only for the three patches: to a deletion it is none anyway, and this changes
    /// nothing there.
    #[must_use]
    pub fn ignore_missing_object(mut self) -> Self {
        self.ignore_missing_object = self.is_patch();
        self
    }

    /// What is done.
    #[must_use]
    pub const fn operation(&self) -> Operation {
        self.operation
    }

    /// To which object.
    #[must_use]
    pub const fn target(&self) -> &ObjectRef {
        &self.target
    }

    /// The object to create, the patch, or the jq filter as a string; `None` for deletions.
    #[must_use]
    pub const fn body(&self) -> Option<&Value> {
        self.body.as_ref()
    }

    fn is_patch(&self) -> bool {
        matches!(self.operation, Operation::JqPatch | Operation::MergePatch | Operation::JsonPatch)
    }

    fn creation(operation: Operation, object: &impl Serialize) -> Result<Self, ObjectPatchError> {
        let manifest = serde_json::to_value(object)?;
        Self::new(operation, ObjectRef::of(&manifest), Some(manifest))
    }

    fn new(operation: Operation, target: ObjectRef, body: Option<Value>) -> Result<Self, ObjectPatchError> {
        Ok(Self { operation, target: target.checked()?, body, subresource: None, ignore_missing_object: false })
    }
}

impl Serialize for ObjectPatch {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let body = match self.operation {
            Operation::Create | Operation::CreateIfNotExists | Operation::CreateOrUpdate => "object",
            Operation::JqPatch => "jqFilter",
            Operation::MergePatch => "mergePatch",
            Operation::JsonPatch => "jsonPatch",
            Operation::Delete | Operation::DeleteInBackground | Operation::DeleteNonCascading => "",
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

/// RFC 6901, but for the pointer to the whole.
fn is_pointer(path: &str) -> bool {
    path.starts_with('/') && path.split('~').skip(1).all(|rest| rest.starts_with(['0', '1']))
}

impl JsonPatchStep {
    fn paths(&self) -> impl Iterator<Item = &String> {
        let (first, second) = match self {
            Self::Add(path, _) | Self::Remove(path) | Self::Replace(path, _) | Self::Test(path, _) => (path, None),
            Self::Move(from, path) | Self::Copy(from, path) => (from, Some(path)),
        };
        std::iter::once(first).chain(second)
    }

    /// With a `value` in each step: the operator wants one in the first, whatever it does.
    fn to_json(&self) -> Value {
        match self {
            Self::Add(path, value) => json!({"op": "add", "path": path, "value": value}),
            Self::Remove(path) => json!({"op": "remove", "path": path, "value": ""}),
            Self::Replace(path, value) => json!({"op": "replace", "path": path, "value": value}),
            Self::Move(from, path) => json!({"op": "move", "from": from, "path": path, "value": ""}),
            Self::Copy(from, path) => json!({"op": "copy", "from": from, "path": path, "value": ""}),
            Self::Test(path, value) => json!({"op": "test", "path": path, "value": value}),
        }
    }
}

// Without the body: the object may be a Secret.
impl fmt::Debug for ObjectPatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {}{}", self.operation, self.target, self.subresource.as_deref().unwrap_or_default())
    }
}

#[cfg(test)]
#[path = "tests/objects.rs"]
mod tests;
