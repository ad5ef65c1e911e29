//! Applies the object patches of hooks (`KUBERNETES_PATCH_PATH`) to the cluster, like an operator.

use serde::Deserialize;
use serde_json::Value;
use thiserror::Error;

use crate::cluster::{ApiError, Cluster, Key, Part};
use crate::jq::{Filter, JqError};

/// Why an object patch is refused or fails.
#[derive(Debug, Error)]
pub enum PatchError {
    /// Neither a stream of JSON documents nor of YAML documents.
    #[error("object patches: neither JSON nor YAML: {0}")]
    Syntax(String),
    /// Not an operation that the schema allows.
    #[error("object patch {number}: {why}")]
    Schema {
        /// Which one, from 1.
        number: usize,
        /// The reason.
        why: String,
    },
    #[error("object patch {operation}: {why}")]
    Api {
        /// Kind of operation.
        operation: &'static str,
        /// The reason.
        why: ApiError,
    },
    /// The jq filter of a `JQPatch` failed.
    #[error("object patch JQPatch of {target}: {why}")]
    Jq {
        /// The object.
        target: String,
        /// The reason.
        why: JqError,
    },
    /// A patch that does not give an object.
    #[error("object patch of {target}: {why}")]
    Result {
        /// The object.
        target: String,
        /// The reason.
        why: String,
    },
}

#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "operation")]
pub enum Operation {
    /// POST; an existing object is an error.
    Create(Manifest),
    /// POST; an existing object is fine.
    CreateIfNotExists(Manifest),
    /// POST, and PUT of the whole object if it exists.
    CreateOrUpdate(Manifest),
    /// DELETE; a missing object is fine.
    Delete(Target),
    /// DELETE without waiting.
    DeleteInBackground(Target),
    /// DELETE that leaves the dependents of the object.
    DeleteNonCascading(Target),
    /// GET, jq, PUT.
    JQPatch(JqPatch),
    /// JSON Merge Patch.
    MergePatch(MergePatch),
    JSONPatch(JsonPatch),
}

/// A whole object.
#[derive(Clone, Debug, Deserialize)]
pub struct Manifest {
    pub object: Value,
}

/// An object to change or delete.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Target {
    /// Group and version; absent means the preferred version of the kind.
    pub api_version: Option<String>,
    pub kind: String,
    /// Namespace; empty for cluster scope.
    #[serde(default)]
    pub namespace: String,
    pub name: String,
    /// Subresource, with or without a slash in front; empty for the object itself.
    #[serde(default)]
    pub subresource: String,
    /// Whether a missing object is not an error.
    #[serde(default)]
    pub ignore_missing_object: bool,
}

/// `JQPatch`.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JqPatch {
    /// The object.
    #[serde(flatten)]
    pub target: Target,
    /// The filter from the old object to the new one.
    pub jq_filter: String,
}

/// `MergePatch`.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MergePatch {
    /// The object.
    #[serde(flatten)]
    pub target: Target,
    pub merge_patch: Value,
}

/// `JSONPatch`.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JsonPatch {
    /// The object.
    #[serde(flatten)]
    pub target: Target,
    /// The steps.
    pub json_patch: Value,
}

/// Reads all operations; the first that the schema refuses is an error before anything is applied.
pub fn parse(text: &str) -> Result<Vec<Operation>, PatchError> {
    let json: Result<Vec<Value>, _> = serde_json::Deserializer::from_str(text).into_iter().collect();
    let documents = match json {
        Ok(documents) => documents,
        Err(_) => serde_saphyr::from_multiple(text).map_err(|why| PatchError::Syntax(why.to_string()))?,
    };
    documents
        .into_iter()
        .enumerate()
        .map(|(index, document)| operation(document).map_err(|why| PatchError::Schema { number: index + 1, why }))
        .collect()
}

fn operation(document: Value) -> Result<Operation, String> {
    let mut operation: Operation = serde_json::from_value(document).map_err(|why| why.to_string())?;
    match &mut operation {
        Operation::Create(Manifest { object })
        | Operation::CreateIfNotExists(Manifest { object })
        | Operation::CreateOrUpdate(Manifest { object }) => {
            unwrap_text(object)?;
            Key::of(object).map_err(|why| why.to_string())?;
        }
        Operation::MergePatch(MergePatch { merge_patch, .. }) => {
            unwrap_text(merge_patch)?;
            if merge_patch.as_object().is_none_or(serde_json::Map::is_empty) {
                return Err("mergePatch has to be an object with members".to_owned());
            }
        }
        Operation::JSONPatch(JsonPatch { json_patch, .. }) => {
            unwrap_text(json_patch)?;
            // The operator's schema checks the first step only, and wants its value even for a remove.
            if json_patch.get(0).is_none_or(|first| first.get("value").is_none()) {
                return Err("jsonPatch needs a first step with op, path and value".to_owned());
            }
        }
        Operation::JQPatch(_)
        | Operation::Delete(_)
        | Operation::DeleteInBackground(_)
        | Operation::DeleteNonCascading(_) => {}
    }
    Ok(operation)
}

/// Where an object may stand, a string with its JSON or YAML may stand too.
fn unwrap_text(value: &mut Value) -> Result<(), String> {
    if let Value::String(text) = value {
        *value = serde_saphyr::from_str(text).map_err(|why| why.to_string())?;
    }
    Ok(())
}

impl Operation {
    /// Applies the operation.
    pub fn apply(&self, cluster: &mut Cluster) -> Result<(), PatchError> {
        let api = |operation| move |why| PatchError::Api { operation, why };
        match self {
            Self::Create(Manifest { object }) => cluster.create(object.clone()).map_err(api("Create")).map(drop),
            Self::CreateIfNotExists(Manifest { object }) => match cluster.create(object.clone()) {
                Err(ApiError::AlreadyExists(_)) => Ok(()),
                created => created.map_err(api("CreateIfNotExists")).map(drop),
            },
            Self::CreateOrUpdate(Manifest { object }) => match cluster.create(object.clone()) {
                Err(ApiError::AlreadyExists(key)) => cluster.update(&key, object.clone(), Part::Main).map(drop),
                created => created.map(drop),
            }
            .map_err(api("CreateOrUpdate")),
            Self::Delete(target) | Self::DeleteInBackground(target) => {
                if let Some(key) = target.find(cluster) {
                    cluster.delete(&key);
                }
                Ok(())
            }
            Self::DeleteNonCascading(target) => match target.find(cluster) {
                Some(key) => cluster.delete_orphaning(&key).map_err(api("DeleteNonCascading")).map(drop),
                None => Ok(()),
            },
            Self::JQPatch(JqPatch { target, jq_filter }) => target.change(cluster, "JQPatch", |object| {
                let jq = |why| PatchError::Jq { target: target.to_string(), why };
                match Filter::compile(jq_filter).and_then(|filter| filter.outputs(&object)).map_err(jq)?.as_slice() {
                    [one] if one.is_object() => Ok(one.clone()),
                    other => {
                        Err(target.failed(format!("the jq filter gave {} outputs, expected one object", other.len())))
                    }
                }
            }),
            Self::MergePatch(MergePatch { target, merge_patch }) => {
                target.change(cluster, "MergePatch", |mut object| {
                    json_patch::merge(&mut object, merge_patch);
                    Ok(object)
                })
            }
            Self::JSONPatch(JsonPatch { target, json_patch }) => target.change(cluster, "JSONPatch", |mut object| {
                let patch: json_patch::Patch =
                    serde_json::from_value(json_patch.clone()).map_err(|why| target.failed(why.to_string()))?;
                json_patch::patch(&mut object, &patch).map_err(|why| target.failed(why.to_string()))?;
                Ok(object)
            }),
        }
    }
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}/{}", self.kind, self.namespace, self.name)
    }
}

impl Target {
    fn find(&self, cluster: &Cluster) -> Option<Key> {
        let found = cluster.find(self.api_version.as_deref(), &self.kind, &self.namespace, &self.name);
        found.map(|(key, _)| key.clone())
    }

    fn failed(&self, why: String) -> PatchError {
        PatchError::Result { target: self.to_string(), why }
    }

    fn change(
        &self,
        cluster: &mut Cluster,
        operation: &'static str,
        change: impl FnOnce(Value) -> Result<Value, PatchError>,
    ) -> Result<(), PatchError> {
        let part = match self.subresource.trim_start_matches('/') {
            "" => Part::Main,
            "status" => Part::Status,
            other => return Err(self.failed(format!("unknown subresource {other}"))),
        };
        let found = self.find(cluster).and_then(|key| cluster.get(&key).cloned().map(|object| (key, object)));
        let Some((key, object)) = found else {
            return if self.ignore_missing_object {
                Ok(())
            } else {
                Err(PatchError::Api { operation, why: ApiError::NotFound(self.to_string()) })
            };
        };
        let changed = change(object)?;
        cluster.update(&key, changed, part).map_err(|why| PatchError::Api { operation, why }).map(drop)
    }
}
