//! Keeps the values of a module like addon-operator: settings, and the patches of hooks over them.

use serde::Deserialize;
use serde_json::{Map, Value, json};
use thiserror::Error;

/// Why a values patch is refused.
#[derive(Debug, PartialEq, Eq, Error)]
pub enum ValuesError {
    /// Not a stream of JSON Patch operations.
    #[error("the values patch is not JSON Patch: {0}")]
    Syntax(String),
    /// An operation that operators do not support.
    #[error("values patch: {op} {path}: only add and remove are allowed")]
    Operation {
        /// The operation.
        op: String,
        path: String,
    },
    /// A path outside the module's values.
    #[error("values patch: {path} is not below /{key}")]
    Root {
        path: String,
        /// The module's key.
        key: String,
    },
    /// The operation does not fit the values.
    #[error("values patch: {0}")]
    Apply(String),
    /// Operators keep the last operation of every path only, and repeat those later.
    #[error("values patch: repeated after compaction (the last operation of every path), it gives other values")]
    Compaction,
    /// The schema refuses the values that the patch gives.
    #[error("values patch: {0}")]
    Schema(String),
}

/// Makes the values, before any hook patches them, from the user's settings.
type Base = Box<dyn Fn(&Value) -> Value>;

pub struct ModuleValues {
    key: String,
    base: Base,
    config: Value,
    patches: Vec<Operation>,
    current: Value,
}

#[derive(Clone, Debug, Deserialize)]
struct Operation {
    op: String,
    path: String,
    value: Option<Value>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Item {
    One(Operation),
    Many(Vec<Operation>),
}

impl ModuleValues {
    /// Values of the module with `key`: the user's settings (`global` and the module's section, each may be absent)
    /// over the `defaults` of the schema.
    #[must_use]
    pub fn new(key: &str, config: Value, defaults: Value) -> Self {
        Self::with_base(key, config, move |config| merged(&defaults, config))
    }

    /// As [`ModuleValues::new`], where `base` fills in the settings that the user left out.
    pub fn with_base(key: &str, config: Value, base: impl Fn(&Value) -> Value + 'static) -> Self {
        let current = base(&config);
        Self { key: key.to_owned(), base: Box::new(base), config, patches: Vec::new(), current }
    }

    /// The content of `VALUES_PATH`.
    #[must_use]
    pub fn document(&self) -> &Value {
        &self.current
    }

    /// The content of `CONFIG_VALUES_PATH`: null if nothing is configured.
    #[must_use]
    pub fn config_document(&self) -> Value {
        let section = |name: &str| self.config.get(name).cloned().unwrap_or_default();
        json!({"global": section("global"), self.key.as_str(): section(&self.key)})
    }

    /// Replaces the user's settings.
    pub fn set_config(&mut self, config: Value) -> Result<bool, ValuesError> {
        self.recompute(config, self.patches.clone())
    }

    /// Takes the content of `VALUES_JSON_PATCH_PATH`. False if the values stay the same.
    pub fn patch(&mut self, text: &str) -> Result<bool, ValuesError> {
        self.patch_checked(text, |_| Ok(()))
    }

    /// As [`ModuleValues::patch`], where the values that it gives have to pass `check` as well.
    pub fn patch_checked(
        &mut self,
        text: &str,
        check: impl FnOnce(&Value) -> Result<(), String>,
    ) -> Result<bool, ValuesError> {
        let operations = self.parse(text)?;
        let mut strict = self.current.clone();
        for operation in &operations {
            operation.apply(&mut strict)?;
        }
        if strict == self.current {
            return Ok(false);
        }
        check(&strict).map_err(ValuesError::Schema)?;
        let stored = compact(self.patches.iter().chain(&operations).cloned());
        if replayed((self.base)(&self.config), &stored)? != strict {
            return Err(ValuesError::Compaction);
        }
        self.recompute(self.config.clone(), stored)
    }

    /// Takes the content of `CONFIG_VALUES_JSON_PATCH_PATH`. False if the settings stay the same.
    pub fn patch_config(&mut self, text: &str) -> Result<bool, ValuesError> {
        let operations = self.parse(text)?;
        let mut config = self.config_document();
        for operation in &operations {
            operation.apply(&mut config)?;
        }
        if config == self.config_document() {
            return Ok(false);
        }
        self.recompute(config, self.patches.clone())
    }

    fn recompute(&mut self, config: Value, patches: Vec<Operation>) -> Result<bool, ValuesError> {
        let current = replayed((self.base)(&config), &patches)?;
        let changed = current != self.current;
        (self.config, self.patches, self.current) = (config, patches, current);
        Ok(changed)
    }

    fn parse(&self, text: &str) -> Result<Vec<Operation>, ValuesError> {
        let mut operations = Vec::new();
        for item in serde_json::Deserializer::from_str(text).into_iter::<Item>() {
            match item.map_err(|why| ValuesError::Syntax(why.to_string()))? {
                Item::One(operation) => operations.push(operation),
                Item::Many(several) => operations.extend(several),
            }
        }
        for Operation { op, path, .. } in &operations {
            if !["add", "remove"].contains(&op.as_str()) {
                return Err(ValuesError::Operation { op: op.clone(), path: path.clone() });
            }
            if path.split('/').nth(1) != Some(&self.key) {
                return Err(ValuesError::Root { path: path.clone(), key: self.key.clone() });
            }
        }
        Ok(operations)
    }
}

impl std::fmt::Debug for ModuleValues {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Without the values, which contain keys.
        f.debug_struct("ModuleValues").field("key", &self.key).finish_non_exhaustive()
    }
}

impl Operation {
    fn apply(&self, values: &mut Value) -> Result<(), ValuesError> {
        let error = |why: String| ValuesError::Apply(format!("{} {}: {why}", self.op, self.path));
        let mut operation = json!({"op": self.op, "path": self.path});
        if let (Some(value), Some(members)) = (&self.value, operation.as_object_mut()) {
            members.insert("value".to_owned(), value.clone());
        }
        let patch: json_patch::Patch =
            serde_json::from_value(json!([operation])).map_err(|why| error(why.to_string()))?;
        json_patch::patch(values, &patch).map_err(|why| error(why.kind.to_string()))
    }
}

/// The last operation of every path; one on a parent ends those below it; sorted by path.
fn compact(operations: impl Iterator<Item = Operation>) -> Vec<Operation> {
    let mut kept: Vec<Operation> = Vec::new();
    for operation in operations {
        let below = format!("{}/", operation.path);
        kept.retain(|old| old.path != operation.path && !old.path.starts_with(&below));
        kept.push(operation);
    }
    kept.sort_by(|a, b| a.path.cmp(&b.path));
    kept
}

/// `values` after the stored `operations`; here, removing a missing member is not an error.
fn replayed(mut values: Value, operations: &[Operation]) -> Result<Value, ValuesError> {
    for operation in operations {
        match operation.apply(&mut values) {
            Err(why) if operation.op != "remove" => return Err(why),
            _ => {}
        }
    }
    Ok(values)
}

/// `over` laid over `under`, maps member by member, as Helm lays values.
fn merged(under: &Value, over: &Value) -> Value {
    match (under, over) {
        (Value::Object(under), Value::Object(over)) => {
            let mut result: Map<String, Value> = under.clone();
            for (name, value) in over {
                let value = under.get(name).map_or_else(|| value.clone(), |below| merged(below, value));
                result.insert(name.clone(), value);
            }
            Value::Object(result)
        }
        (under, Value::Null) => under.clone(),
        (_, over) => over.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values() -> ModuleValues {
        ModuleValues::new(
            "istio",
            json!({"istio": {"federation": {"enabled": true}}}),
            json!({"global": {"a": 1}, "istio": {"federation": {"enabled": false, "x": "y"}, "internal": {}}}),
        )
    }

    #[test]
    fn settings_lie_over_defaults_and_patches_over_both() {
        let mut values = values();
        assert_eq!(values.config_document(), json!({"global": null, "istio": {"federation": {"enabled": true}}}));
        let patch = r#"[{"op":"add","path":"/istio/internal/k","value":[1]}]{"op":"remove","path":"/istio/federation/x","comment":1}"#;
        assert_eq!(values.patch(patch), Ok(true));
        let expected = json!({"global": {"a": 1}, "istio": {"federation": {"enabled": true}, "internal": {"k": [1]}}});
        assert_eq!(*values.document(), expected);
        assert_eq!(values.patch(r#"[{"op":"add","path":"/istio/internal/k","value":[1]}]"#), Ok(false));
        assert_eq!(values.patch(""), Ok(false));
        assert_eq!(values.set_config(json!({"istio": null})), Ok(true));
        assert_eq!(values.document()["istio"], json!({"federation": {"enabled": false}, "internal": {"k": [1]}}));
        assert_eq!(values.patch_config(r#"[{"op":"add","path":"/istio","value":{"internal":{"j":1}}}]"#), Ok(true));
        assert_eq!(values.document()["istio"]["internal"], json!({"j": 1, "k": [1]}));
    }

    #[test]
    fn patches_that_operators_refuse_are_refused() {
        for (patch, why) in [
            (r#"[{"op":"replace","path":"/istio/internal","value":1}]"#, "replace"),
            (r#"[{"op":"test","path":"/istio/internal","value":1}]"#, "test"),
            (r#"[{"op":"add","path":"/global/a","value":1}]"#, "/global/a"),
            (r#"[{"op":"add","path":"/istioEnabled","value":true}]"#, "/istioEnabled"),
            (r#"[{"op":"add","path":"/istio/internal/a"}]"#, "value"),
            (r#"[{"op":"add","path":"/istio/internal/a/b","value":1}]"#, "/istio/internal/a/b"),
            (r#"[{"op":"remove","path":"/istio/internal/a"}]"#, "/istio/internal/a"),
            (r#"[{"path":"/istio"}]"#, "JSON Patch"),
            ("{", "JSON Patch"),
        ] {
            let mut values = values();
            let error = values.patch(patch).unwrap_err().to_string();
            assert!(error.contains(why), "{patch}: {error}");
            assert_eq!(*values.document(), *self::values().document(), "{patch} left something behind");
        }
    }

    #[test]
    fn a_patch_that_compaction_would_change_is_refused() {
        let mut values = values();
        values.patch(r#"[{"op":"add","path":"/istio/internal/list","value":[]}]"#).unwrap();
        values.patch(r#"[{"op":"add","path":"/istio/internal/list/-","value":1}]"#).unwrap();
        let twice = values.patch(r#"[{"op":"add","path":"/istio/internal/list/-","value":2}]"#);
        assert_eq!(twice, Err(ValuesError::Compaction));
        assert_eq!(values.document()["istio"]["internal"]["list"], json!([1]));
    }
}
