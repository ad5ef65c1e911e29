//! The module's schemas in addon-operator's reading: extended, closed, with defaults for absent values.

use std::fs;
use std::path::Path;

use serde_json::{Map, Value, json};

/// Schemas of one module.
#[allow(dead_code, reason = "every test crate compiles this file, and each uses its part of it")]
pub(crate) struct Schemas {
    /// Schema of settings.
    pub(crate) config: Value,
    /// Schema of values, after hooks.
    pub(crate) values: Value,
}

impl Schemas {
    /// Reads `openapi/` below `root`.
    pub(crate) fn read(root: &Path) -> Result<Self, String> {
        let read = |name: &str| -> Result<Value, String> {
            let path = root.join("openapi").join(name);
            let text = fs::read_to_string(&path).map_err(|why| format!("{}: {why}", path.display()))?;
            serde_saphyr::from_str(&text).map_err(|why| format!("{}: {why}", path.display()))
        };
        let (mut config, mut values) = (read("config-values.yaml")?, read("values.yaml")?);
        if values["x-extend"] != json!({"schema": "config-values.yaml"}) {
            return Err("openapi/values.yaml does not extend config-values.yaml".to_owned());
        }
        let settings = config["properties"].as_object().cloned().unwrap_or_default();
        if let Some(members) = values["properties"].as_object_mut() {
            members.extend(settings);
        }
        for schema in [&mut config, &mut values] {
            close(schema);
        }
        Ok(Self { config, values })
    }

    /// A user's settings with the defaults of both schemas, as hooks get them.
    #[must_use]
    pub(crate) fn filled(&self, mut settings: Value) -> Value {
        fill(&self.values, &mut settings);
        settings
    }
}

/// Sets `additionalProperties: false` where it is absent.
pub(crate) fn close(schema: &mut Value) {
    let Some(node) = schema.as_object_mut() else { return };
    if node.get("type") == Some(&json!("object")) && !node.contains_key("additionalProperties") {
        node.insert("additionalProperties".to_owned(), json!(false));
    }
    each_below(node, close);
}

/// The schemas right below one.
pub(crate) fn each_below(node: &mut Map<String, Value>, mut visit: impl FnMut(&mut Value)) {
    node.get_mut("properties")
        .and_then(Value::as_object_mut)
        .into_iter()
        .flat_map(Map::values_mut)
        .for_each(&mut visit);
    for name in ["items", "additionalProperties"] {
        node.get_mut(name).into_iter().for_each(&mut visit);
    }
}

/// Fills in defaults for absent members.
pub(crate) fn fill(schema: &Value, value: &mut Value) {
    match value {
        Value::Object(members) => {
            for (name, schema) in schema["properties"].as_object().into_iter().flatten() {
                if let (None, Some(default)) = (members.get(name), schema.get("default")) {
                    members.insert(name.clone(), default.clone());
                }
            }
            for (name, member) in members {
                let known = schema["properties"].get(name).or_else(|| schema.get("additionalProperties"));
                if let Some(schema) = known {
                    fill(schema, member);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| fill(&schema["items"], item)),
        _ => {}
    }
}
