//! The schemas of a module's values: defaults, and checks of settings, of hooks' values and of values for Helm.

use std::fs;
use std::path::Path;

use anyhow::{Context, anyhow, bail};
use jsonschema::Validator;
use serde_json::{Value, json};

#[path = "../../../schemas/openapi.rs"]
#[allow(dead_code, reason = "tests of other crates use the rest of this file")]
mod openapi;

use self::openapi::{close, each_below, fill};

/// Schemas of one module. A missing file allows everything.
pub(super) struct Schemas {
    key: String,
    config: Value,
    values: Value,
    config_validator: Validator,
    values_validator: Validator,
    helm_validator: Validator,
}

impl Schemas {
    /// Reads `openapi/config-values.yaml` and `openapi/values.yaml` of the module with the values key `key`.
    pub(super) fn read(module: &Path, key: &str) -> anyhow::Result<Self> {
        let read = |name: &str| -> anyhow::Result<Value> {
            let path = module.join("openapi").join(name);
            if !path.exists() {
                return Ok(json!({"type": "object", "additionalProperties": true}));
            }
            let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
            serde_saphyr::from_str(&text).map_err(|why| anyhow!("{}: {why}", path.display()))
        };
        let (mut config, mut values) = (read("config-values.yaml")?, read("values.yaml")?);
        extend(&mut values, &config)?;
        let mut helm = values.clone();
        require_for_helm(&mut helm);
        close(&mut config);
        close(&mut values);
        Ok(Self {
            key: key.to_owned(),
            config_validator: compile(&config).context("openapi/config-values.yaml")?,
            values_validator: compile(&values).context("openapi/values.yaml")?,
            helm_validator: compile(&helm).context("openapi/values.yaml")?,
            config,
            values,
        })
    }

    /// A user's settings (`global` and the module's section, each may be null), with the defaults of both schemas.
    pub(super) fn filled(config: &Value, values: &Value, key: &str, configured: &Value) -> Value {
        let section = |name: &str| match &configured[name] {
            Value::Null => json!({}),
            given => given.clone(),
        };
        let mut module = section(key);
        fill(config, &mut module);
        fill(values, &mut module);
        json!({"global": section("global"), key: module})
    }

    /// [`Schemas::filled`] as a function of its own.
    pub(super) fn filler(&self) -> impl Fn(&Value) -> Value + 'static {
        let (config, values, key) = (self.config.clone(), self.values.clone(), self.key.clone());
        move |configured| Self::filled(&config, &values, &key, configured)
    }

    /// Checks a user's settings.
    pub(super) fn check_config(&self, configured: &Value) -> Result<(), String> {
        let mut section = configured[&self.key].clone();
        if section.is_null() {
            section = json!({});
        }
        fill(&self.config, &mut section);
        check(&self.config_validator, &self.key, &section)
    }

    /// Checks values after a hook.
    pub(super) fn check_values(&self, values: &Value) -> Result<(), String> {
        check(&self.values_validator, &self.key, &values[&self.key])
    }

    /// Checks values before Helm renders.
    pub(super) fn check_helm(&self, values: &Value) -> Result<(), String> {
        check(&self.helm_validator, &self.key, &values[&self.key])
    }
}

fn compile(schema: &Value) -> anyhow::Result<Validator> {
    jsonschema::options()
        .with_draft(jsonschema::Draft::Draft4)
        .should_validate_formats(true)
        .build(schema)
        .map_err(|why| anyhow!("{why}"))
}

/// All errors, each with its path.
fn check(validator: &Validator, key: &str, section: &Value) -> Result<(), String> {
    let errors: Vec<String> = validator
        .iter_errors(section)
        .map(|error| format!("{key}{} {error}", error.instance_path().to_string().replace('/', ".")))
        .collect();
    if errors.is_empty() { Ok(()) } else { Err(errors.join("; ")) }
}

/// `x-extend`: the settings are values too.
fn extend(values: &mut Value, config: &Value) -> anyhow::Result<()> {
    match values.pointer("/x-extend/schema").and_then(Value::as_str) {
        None => return Ok(()),
        Some("config-values.yaml") => {}
        Some(other) => bail!("openapi/values.yaml extends {other:?}, not config-values.yaml"),
    }
    for member in ["properties", "patternProperties", "definitions"] {
        let Some(inherited) = config[member].as_object() else { continue };
        let own = values.as_object_mut().context("openapi/values.yaml is not an object")?;
        let own = own.entry(member).or_insert_with(|| json!({}));
        let own = own.as_object_mut().with_context(|| format!("{member} of openapi/values.yaml is not an object"))?;
        for (name, schema) in inherited {
            own.entry(name.as_str()).or_insert_with(|| schema.clone());
        }
    }
    let mut required: Vec<Value> = values["required"].as_array().cloned().unwrap_or_default();
    required.extend(config["required"].as_array().into_iter().flatten().cloned());
    if let (false, Some(members)) = (required.is_empty(), values.as_object_mut()) {
        members.insert("required".to_owned(), Value::Array(required));
    }
    Ok(())
}

/// `x-required-for-helm`: a name or a list of names that become required.
fn require_for_helm(schema: &mut Value) {
    let Some(node) = schema.as_object_mut() else { return };
    let more = match node.get("x-required-for-helm") {
        Some(Value::Array(names)) => names.clone(),
        Some(name @ Value::String(_)) => vec![name.clone()],
        _ => Vec::new(),
    };
    if let (false, Some(required)) =
        (more.is_empty(), node.entry("required").or_insert_with(|| json!([])).as_array_mut())
    {
        required.extend(more);
    }
    if node.get("required") == Some(&json!([])) {
        node.remove("required");
    }
    each_below(node, require_for_helm);
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = "
type: object
properties:
  mode: {type: string, enum: [A, B], default: A}
  inner: {type: object, default: {}, properties: {size: {type: integer, default: 3}}}
  list: {type: array, items: {type: object, properties: {port: {type: integer, default: 80}}}}
";
    const VALUES: &str = "
x-extend: {schema: config-values.yaml}
type: object
properties:
  internal: {type: object, default: {}, x-required-for-helm: [found], properties: {found: {type: array, items: {type: string}}}}
";

    fn schemas() -> Schemas {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("openapi")).unwrap();
        fs::write(folder.path().join("openapi/config-values.yaml"), CONFIG).unwrap();
        fs::write(folder.path().join("openapi/values.yaml"), VALUES).unwrap();
        Schemas::read(folder.path(), "istio").unwrap()
    }

    #[test]
    fn defaults_fill_in_missing_settings() {
        let filled = schemas().filler()(&json!({"global": null, "istio": {"list": [{}], "mode": "B"}}));
        let expected = json!({"mode": "B", "inner": {"size": 3}, "list": [{"port": 80}], "internal": {}});
        assert_eq!(filled, json!({"global": {}, "istio": expected}));
    }

    #[test]
    fn errors_name_the_field() {
        let schemas = schemas();
        let config = |section: Value| schemas.check_config(&json!({"istio": section}));
        assert_eq!(config(Value::Null), Ok(()));
        assert!(config(json!({"inner": {"size": "x"}})).unwrap_err().contains("istio.inner.size"));
        assert!(config(json!({"mode": "C"})).unwrap_err().contains("istio.mode"));
        assert!(config(json!({"internal": {}})).unwrap_err().contains("internal"), "settings are not values");
        let values = |internal: Value| json!({"istio": {"internal": internal}});
        assert_eq!(schemas.check_values(&values(json!({}))), Ok(()));
        assert!(schemas.check_values(&values(json!({"other": 1}))).is_err());
        assert!(schemas.check_helm(&values(json!({}))).unwrap_err().contains("found"));
        assert_eq!(schemas.check_helm(&values(json!({"found": []}))), Ok(()));
    }
}
