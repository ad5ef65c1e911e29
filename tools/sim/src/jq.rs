//! Evaluates jq filters like an operator: for bindings (jqFilter) and for the object patch `JQPatch`.
//!
//! Operators use gojq; this is jaq. Known difference: jaq does not assign through null (`.status.a = 1` on an object without
//! status fails here, and makes the status there). Neither has modules to import here.

use jaq_core::load::{Arena, File, Loader};
use jaq_core::{Compiler, Ctx, Vars, data, unwrap_valr};
use jaq_json::Val;
use serde_json::Value;
use thiserror::Error;

/// Why a filter is invalid, or why it failed on an object.
#[derive(Debug, Error)]
pub enum JqError {
    #[error("the jq filter does not compile ({what}): {filter}")]
    Compile {
        /// The part that is wrong, as far as known.
        what: String,
        filter: String,
    },
    /// The filter failed on its input.
    #[error("the jq filter failed: {0}")]
    Run(String),
}

/// A compiled filter.
pub struct Filter(jaq_core::Filter<data::JustLut<Val>>);

impl std::fmt::Debug for Filter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Filter").finish_non_exhaustive()
    }
}

impl Filter {
    /// Compiles `filter`.
    pub fn compile(filter: &str) -> Result<Self, JqError> {
        let error = |what: String| JqError::Compile { what, filter: filter.to_owned() };
        let definitions = jaq_core::defs().chain(jaq_std::defs()).chain(jaq_json::defs());
        let functions = jaq_core::funs().chain(jaq_std::funs()).chain(jaq_json::funs());
        let arena = Arena::default();
        let modules = Loader::new(definitions)
            .load(&arena, File { code: filter, path: () })
            .map_err(|errors| error(format!("{:?}", errors.first().map(|(_, why)| why))))?;
        let compiled = Compiler::default().with_funs(functions).compile(modules).map_err(|errors| {
            let undefined = errors.iter().flat_map(|(_, undefined)| undefined).next();
            error(undefined.map_or_else(String::new, |(name, kind)| format!("undefined {}: {name}", kind.as_str())))
        })?;
        Ok(Self(compiled))
    }

    /// All outputs for `input`.
    pub fn outputs(&self, input: &Value) -> Result<Vec<Value>, JqError> {
        let input: Val = serde_json::from_value(input.clone()).map_err(|why| JqError::Run(why.to_string()))?;
        let context = Ctx::<data::JustLut<Val>>::new(&self.0.lut, Vars::new([]));
        self.0
            .id
            .run((context, input))
            .map(unwrap_valr)
            .map(|output| {
                let output = output.map_err(|why| JqError::Run(why.to_string()))?;
                serde_json::from_str(&output.to_string()).map_err(|why| JqError::Run(why.to_string()))
            })
            .collect()
    }

    /// The outputs as `filterResult` holds them: none is null, one is itself, several are an array.
    pub fn result(&self, input: &Value) -> Result<Value, JqError> {
        let mut outputs = self.outputs(input)?;
        Ok(match outputs.len() {
            0 => Value::Null,
            1 => outputs.swap_remove(0),
            _ => Value::Array(outputs),
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn results_have_the_shape_of_operators() {
        let object = json!({"metadata": {"name": "bar", "labels": {"a/b": ""}}, "spec": {"ports": [{"port": 80}, {"port": 9_007_199_254_740_993_i64}]}});
        for (filter, result) in [
            (".metadata.name", json!("bar")),
            ("{name: .metadata.name, labels: .metadata.labels}", json!({"name": "bar", "labels": {"a/b": ""}})),
            ("empty", json!(null)),
            (".status", json!(null)),
            (".status.conditions[]?", json!(null)),
            (".spec.ports[].port", json!([80, 9_007_199_254_740_993_i64])),
            ("[.spec.ports[] | select(.port == 80) | .port]", json!([80])),
            (".spec.ports | length", json!(2)),
            (r#"if .spec.type == "ExternalName" then 1 else .metadata.labels["a/b"] end"#, json!("")),
            (r#".data["root-cert.pem"] // "none""#, json!("none")),
            (r#""a\nb" | @base64 | @base64d"#, json!("a\nb")),
            (".metadata | to_entries | map(.key) | sort", json!(["labels", "name"])),
        ] {
            assert_eq!(Filter::compile(filter).unwrap().result(&object).unwrap(), result, "{filter}");
        }
    }

    #[test]
    fn differences_between_jaq_and_gojq_are_the_known_ones() {
        let made = json!({"status": {"conditions": [1]}});
        let changed = |filter: &str| Filter::compile(filter).unwrap().result(&json!({}));
        assert_eq!(changed(".status += {conditions: ([1] + [.status.conditions[]?])}").unwrap(), made);
        assert!(changed(".status.conditions = [1]").is_err(), "jaq has learned it: drop the note above");
    }

    #[test]
    fn errors_quote_the_filter_or_its_input() {
        let message = |filter: &str| Filter::compile(filter).unwrap_err().to_string();
        assert!(message("{a: ").contains("{a: "), "{}", message("{a: "));
        assert!(message("nonsense(1)").contains("nonsense"), "{}", message("nonsense(1)"));
        let failed = Filter::compile(".a.b").unwrap().result(&json!({"a": 1})).unwrap_err();
        assert!(matches!(failed, JqError::Run(_)), "{failed}");
    }
}
