//! The input of a hook: binding contexts with snapshots, values, environment.

use std::collections::BTreeMap;
use std::{fmt, fs, io};

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::value::RawValue;

use super::failure::without_values;
use super::snapshots::{ItemError, Items, ObjectName, Snapshots};

/// The input of one run. Files are read once; values and snapshots are parsed when a hook asks for them.
///
/// ```
/// use istio_federation::hook::Input;
/// use serde_json::{Value, json};
///
/// let contexts = r#"[{"binding": "nodes", "snapshots": {"nodes": [{"filterResult": {"name": "one"}}], "pods": []}}]"#;
/// let input = Input::from_contexts(contexts)?.with_values(r#"{"global": null, "istio": {"federation": {}}}"#);
/// assert_eq!(input.snapshot::<Value>("nodes")?, [json!({"name": "one"})]);
/// assert!(input.snapshot::<Value>("pods")?.is_empty());
/// // An absent snapshot is not an empty one.
/// assert!(input.snapshot::<Value>("services").is_err());
/// assert!(input.has_values());
/// # Ok::<(), istio_federation::hook::InputError>(())
/// ```
pub struct Input {
    contexts: Vec<Context>,
    values: Document,
    env: BTreeMap<String, String>,
}

/// The part of a binding context that counts. Several contexts in one run are one decision from the last snapshots, whatever
/// started the hook, so a context of an unknown type does no harm.
#[derive(Debug, Deserialize)]
struct Context {
    #[serde(default)]
    snapshots: Option<Snapshots>,
}

/// An input that the hook cannot work with.
#[derive(Debug, thiserror::Error)]
pub enum InputError {
    /// The operator sets this variable for every run.
    #[error("{0} is not set: a run is started by shell-operator or addon-operator, which set it")]
    Unset(&'static str),
    /// A file that cannot be read.
    #[error("{document}: cannot be read: {source}")]
    Read {
        /// Variable and path.
        document: String,
        /// Why.
        source: io::Error,
    },
    /// A file with the wrong content.
    #[error("{document}: {reason}")]
    Malformed {
        /// Variable and path.
        document: String,
        /// The mistake and its place.
        reason: String,
    },
    /// No context has the snapshot: not the same as an empty one.
    #[error("no binding context carries a snapshot of binding {0}: what exists is unknown")]
    NoSnapshot(String),
    /// An object in a snapshot has an unexpected shape.
    #[error("snapshot of binding {binding}: {source}")]
    Snapshot {
        /// Name of the binding.
        binding: String,
        /// Which object, and why.
        source: ItemError,
    },
}

impl InputError {
    /// The object of a snapshot that this is about, if it has a name.
    #[must_use]
    pub fn object(&self) -> Option<&ObjectName> {
        let Self::Snapshot { source, .. } = self else { return None };
        source.object.as_ref()
    }
}

impl Input {
    /// Reads the files that the environment names.
    pub(super) fn load(env: BTreeMap<String, String>) -> Result<Self, InputError> {
        let contexts = Document::read(&env, "BINDING_CONTEXT_PATH")?;
        if contexts.text.is_none() {
            return Err(InputError::Unset("BINDING_CONTEXT_PATH"));
        }
        let values = Document::read(&env, "VALUES_PATH")?;
        Ok(Self { contexts: contexts.parse()?, values, env })
    }

    /// An input from the JSON of binding contexts, without files: for tests, and for running a hook in another process.
    pub fn from_contexts(json: &str) -> Result<Self, InputError> {
        Ok(Self {
            contexts: Document { name: "binding contexts".into(), text: Some(json.into()) }.parse()?,
            values: Document { name: "values".into(), text: None },
            env: BTreeMap::new(),
        })
    }

    /// The same with these values (JSON).
    #[must_use]
    pub fn with_values(mut self, json: &str) -> Self {
        self.values.text = Some(json.into());
        self
    }

    /// The same with this variable.
    #[must_use]
    pub fn with_env(mut self, name: &str, value: &str) -> Self {
        self.env.insert(name.into(), value.into());
        self
    }

    /// The objects of a kubernetes binding (what its filter shows of them, if it has one) from the last context that
    /// carries a snapshot of it, sorted by namespace and name.
    ///
    /// An error if no context carries one: an absent snapshot must never look like an empty one.
    pub fn snapshot<'a, T: Deserialize<'a> + 'a>(&'a self, binding: &str) -> Result<Vec<T>, InputError> {
        self.items(binding)?.parse().map_err(|source| InputError::Snapshot { binding: binding.into(), source })
    }

    /// Like [`Input::snapshot`], but every object is its JSON text.
    pub fn snapshot_texts(&self, binding: &str) -> Result<Vec<&str>, InputError> {
        self.items(binding)?.texts().map_err(|source| InputError::Snapshot { binding: binding.into(), source })
    }

    /// Like [`Input::snapshot`], but objects that do not parse are returned as errors next to the others.
    pub fn snapshot_lossy<'a, T: Deserialize<'a> + 'a>(
        &'a self,
        binding: &str,
    ) -> Result<(Vec<T>, Vec<InputError>), InputError> {
        let (items, errors) = self.items(binding)?.parse_lossy();
        let wrap = |source| InputError::Snapshot { binding: binding.into(), source };
        Ok((items, errors.into_iter().map(wrap).collect()))
    }

    fn items(&self, binding: &str) -> Result<&Items, InputError> {
        let mut snapshots = self.contexts.iter().rev().filter_map(|context| context.snapshots.as_ref());
        snapshots.find_map(|snapshots| snapshots.get(binding)).ok_or_else(|| InputError::NoSnapshot(binding.into()))
    }

    /// The effective values: `global` and the module's section. An absent or null section, or file, is the default.
    pub fn values<T: DeserializeOwned + Default>(&self) -> Result<T, InputError> {
        self.values.sections()
    }

    /// Whether the operator gives values at all: shell-operator does not.
    #[must_use]
    pub fn has_values(&self) -> bool {
        self.values.text.is_some()
    }

    /// A variable of the operator's environment.
    #[must_use]
    pub fn env(&self, name: &str) -> Option<&str> {
        self.env.get(name).map(String::as_str)
    }
}

// Neither values nor environment: they hold keys and tokens.
impl fmt::Debug for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Input").field("contexts", &self.contexts).finish_non_exhaustive()
    }
}

/// A file, or nothing where no variable names one.
struct Document {
    /// Its name in errors.
    name: String,
    text: Option<String>,
}

impl Document {
    fn read(env: &BTreeMap<String, String>, variable: &str) -> Result<Self, InputError> {
        let Some(path) = env.get(variable).filter(|path| !path.is_empty()) else {
            return Ok(Self { name: variable.into(), text: None });
        };
        let name = format!("{variable} ({path})");
        match fs::read(path) {
            Ok(bytes) => match String::from_utf8(bytes) {
                Ok(text) => Ok(Self { name, text: Some(text) }),
                Err(error) => {
                    let reason = format!("not UTF-8 at byte {}", error.utf8_error().valid_up_to());
                    Err(InputError::Malformed { document: name, reason })
                }
            },
            // A missing file is an error too: it must not count as empty values, which would switch everything off.
            Err(source) => Err(InputError::Read { document: name, source }),
        }
    }

    fn parse<T: DeserializeOwned>(&self) -> Result<T, InputError> {
        let text = self.text.as_deref().unwrap_or("null");
        if text.starts_with('\u{feff}') {
            return Err(self.malformed("begins with a byte order mark, which JSON does not have"));
        }
        serde_json::from_str(text).map_err(|error| self.malformed(&without_values(&error)))
    }

    /// The document with null sections left out, so that they become defaults.
    fn sections<T: DeserializeOwned + Default>(&self) -> Result<T, InputError> {
        if self.text.is_none() {
            return Ok(T::default());
        }
        let Some(sections) = self.parse::<Option<BTreeMap<String, Option<Box<RawValue>>>>>()? else {
            return Ok(T::default());
        };
        if sections.values().all(Option::is_some) {
            // Straight from the text: an error has its place in the file.
            return self.parse();
        }
        let mut document: Value = self.parse()?;
        if let Some(members) = document.as_object_mut() {
            members.retain(|_, section| !section.is_null());
        }
        T::deserialize(document).map_err(|error| self.malformed(&without_values(&error)))
    }

    fn malformed(&self, reason: &str) -> InputError {
        InputError::Malformed { document: self.name.clone(), reason: reason.into() }
    }
}

#[cfg(test)]
mod tests;
