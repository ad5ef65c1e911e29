//! The CustomResourceDefinition of `IstioFederation`, generated from [`crate::api::istio_federation`].
//!
//! schemars describes the input of serde. An API server accepts only *structural* schemas: no references, one type per
//! value, no alternatives. [`crd`] translates, and fails on anything that it cannot translate.

use std::io::Write as _;

use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use crate::api::istio_federation::{API_VERSION, IstioFederationSpec, IstioFederationStatus, KIND};

/// Plural of the resource; with the group it is the name of the CRD.
const PLURAL: &str = "istiofederations";

/// First line of the generated YAML, which names its source.
const HEADER: &str =
    "# Generated from src/api/istio_federation.rs by `make generate`; doc-ru-istiofederation.yaml follows by hand.\n";

/// Condition of the printer column `Ready`: services come from the private document.
const READY: &str = r#".status.conditions[?(@.type=="PrivateMetadataExchangeReady")].status"#;

/// Failure to make the CRD: a mistake in our types, which tests find.
#[derive(Debug, thiserror::Error)]
pub enum CrdError {
    /// A type's schema has a keyword that an API server does not accept.
    #[error(
        "schema at {at}: `{keyword}` has no structural form; change the type, or add a translation to src/cli/crd.rs"
    )]
    Untranslatable {
        /// Member names from the root, joined by dots.
        at: String,
        /// The JSON Schema keyword.
        keyword: String,
    },
    /// A rule is for a member that the types lack.
    #[error("schema has no {0}, which src/cli/crd.rs adds a rule to; was the member renamed?")]
    NoSuchMember(String),
    /// The group and version constant has no slash.
    #[error("{0} is not GROUP/VERSION")]
    ApiVersion(&'static str),
    /// YAML could not be written.
    #[error("failed to write YAML: {0}")]
    Yaml(#[from] serde_saphyr::ser_error::Error),
}

/// The text of `crds/istiofederation.yaml`.
pub fn yaml() -> Result<String, CrdError> {
    let body = serde_saphyr::to_string(&crd()?)?;
    Ok(format!("{HEADER}{body}"))
}

/// Prints it.
pub fn print() -> anyhow::Result<()> {
    std::io::stdout().write_all(yaml()?.as_bytes())?;
    Ok(())
}

/// The CRD as an object of `apiextensions.k8s.io/v1`.
pub fn crd() -> Result<Value, CrdError> {
    let (group, version) = API_VERSION.split_once('/').ok_or(CrdError::ApiVersion(API_VERSION))?;
    Ok(json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": format!("{PLURAL}.{group}"),
            "labels": { "heritage": "deckhouse", "module": "istio" },
        },
        "spec": {
            "group": group,
            "scope": "Cluster",
            "names": {
                "kind": KIND,
                "listKind": format!("{KIND}List"),
                "plural": PLURAL,
                "singular": "istiofederation",
            },
            "versions": [{
                "name": version,
                "served": true,
                "storage": true,
                "subresources": { "status": {} },
                "additionalPrinterColumns": printer_columns(),
                "schema": { "openAPIV3Schema": object_schema()? },
            }],
        },
    }))
}

/// What `kubectl get` shows; priority 1 needs `-o wide`.
fn printer_columns() -> Value {
    json!([
        { "name": "Trust domain", "type": "string", "jsonPath": ".spec.trustDomain" },
        { "name": "Ready", "type": "string", "jsonPath": READY },
        { "name": "Services", "type": "integer", "jsonPath": ".status.importedServices" },
        { "name": "Changed", "type": "date", "jsonPath": ".status.lastChangeTime" },
        { "name": "Refused", "type": "integer", "jsonPath": ".status.refusedTotal", "priority": 1 },
        { "name": "Endpoint", "type": "string", "jsonPath": ".spec.metadataEndpoint", "priority": 1 },
        { "name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp", "priority": 1 },
    ])
}

fn object_schema() -> Result<Value, CrdError> {
    let mut schema = json!({
        "description": "One remote cluster (peer) that this cluster federates with.",
        "type": "object",
        "required": ["spec"],
        "properties": {
            "spec": structural(generated::<IstioFederationSpec>().as_object(), "spec")?,
            "status": structural(generated::<IstioFederationStatus>().as_object(), "status")?,
        },
    });
    for (at, keyword, value) in rules() {
        let member = schema.pointer_mut(&pointer(at)).and_then(Value::as_object_mut);
        member.ok_or_else(|| CrdError::NoSuchMember(at.to_owned()))?.insert(keyword.to_owned(), value);
    }
    Ok(schema)
}

/// Rules that schemars cannot generate: member, keyword, value.
///
/// No rule may refuse an object that Deckhouse's CRD accepts, except endpoints that are `file://` or have no host. So
/// conditions stay a plain list (a list-map would refuse two of one type, and with them every later status write), and
/// members of Deckhouse's CRD have no limits of length.
fn rules() -> Vec<(&'static str, &'static str, Value)> {
    let endpoint = json!([{
        // The pattern refuses as well, but its message shows only the pattern.
        "rule": "self.startsWith('https://')",
        "message": "must be an https:// address such as https://istio-metadata.cluster-b.example/metadata; \
                    http:// and file:// are not supported",
    }]);
    vec![
        ("spec.metadataEndpoint", "x-kubernetes-validations", endpoint),
        ("spec.clusterUUID", "minLength", json!(1)),
        // A Go program writes its unset time as null.
        ("status.conditions.[].lastProbeTime", "nullable", json!(true)),
        ("status.conditions.[].lastTransitionTime", "nullable", json!(true)),
    ]
}

/// JSON pointer of a member's schema; `[]` steps into the items of a list.
fn pointer(at: &str) -> String {
    at.split('.').map(|step| if step == "[]" { "/items".to_owned() } else { format!("/properties/{step}") }).collect()
}

/// The schema that schemars generates for a type, with references inlined.
fn generated<T: schemars::JsonSchema>() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.inline_subschemas = true;
        settings.meta_schema = None;
    });
    settings.into_generator().into_root_schema_for::<T>().to_value()
}

/// Translates one schema and all below it.
fn structural(schema: Option<&Map<String, Value>>, at: &str) -> Result<Value, CrdError> {
    let untranslatable = |keyword: &str| CrdError::Untranslatable { at: at.to_owned(), keyword: keyword.to_owned() };
    let mut out = Map::new();
    for (keyword, value) in schema.ok_or_else(|| untranslatable("true or false"))? {
        match keyword.as_str() {
            // Serde's defaults are not for users: an API server would write them into every object.
            "title" | "default" => {}
            "description" => {
                out.insert(keyword.clone(), json!(for_people(value.as_str().unwrap_or_default())));
            }
            "type" => {
                let kind = required_type(value).ok_or_else(|| untranslatable("type"))?;
                out.insert(keyword.clone(), json!(kind));
            }
            "properties" => {
                let members = value.as_object().ok_or_else(|| untranslatable(keyword))?;
                let translated = members
                    .iter()
                    .map(|(name, member)| Ok((name.clone(), structural(member.as_object(), &format!("{at}.{name}"))?)))
                    .collect::<Result<Map<_, _>, CrdError>>()?;
                out.insert(keyword.clone(), Value::Object(translated));
            }
            "items" => {
                out.insert(keyword.clone(), structural(value.as_object(), &format!("{at}.[]"))?);
            }
            "anyOf" | "oneOf" => {
                let translated = alternatives(value, at)?.ok_or_else(|| untranslatable(keyword))?;
                for (name, value) in translated {
                    // The member's own description takes precedence over its type's.
                    out.entry(name).or_insert(value);
                }
            }
            "format" => {
                let format = format(value).ok_or_else(|| untranslatable(keyword))?;
                out.insert(keyword.clone(), json!(format));
            }
            "enum" | "maxItems" | "maxLength" | "maximum" | "minItems" | "minLength" | "minimum" | "pattern"
            | "required" => {
                out.insert(keyword.clone(), value.clone());
            }
            other => return Err(untranslatable(other)),
        }
    }
    Ok(Value::Object(out))
}

/// The one type of a value. A type or null becomes the type: for serde, null is the same as absent.
fn required_type(kind: &Value) -> Option<&str> {
    match kind {
        Value::String(one) => Some(one),
        Value::Array(several) => {
            let mut types = several.iter().filter_map(Value::as_str).filter(|kind| *kind != "null");
            types.next().filter(|_| types.next().is_none())
        }
        _ => None,
    }
}

/// Integer formats of API servers. Unsigned ones fit, together with schemars' `minimum: 0`.
fn format(value: &Value) -> Option<&str> {
    match value.as_str()? {
        "uint8" | "uint16" => Some("int32"),
        "uint32" | "uint64" => Some("int64"),
        known @ ("int32" | "int64" | "date-time") => Some(known),
        _ => None,
    }
}

/// Alternatives with a structural form: a type or null, and an enum of documented words.
fn alternatives(value: &Value, at: &str) -> Result<Option<Map<String, Value>>, CrdError> {
    let Some(all) = value.as_array() else { return Ok(None) };
    let real: Vec<&Value> = all.iter().filter(|one| one["type"] != "null").collect();
    if let [only] = real[..]
        && only.get("const").is_none()
    {
        return Ok(structural(only.as_object(), at)?.as_object().cloned());
    }
    let words: Option<Vec<&Value>> = real.iter().map(|one| one.get("const").filter(|word| word.is_string())).collect();
    Ok(words.map(|words| Map::from_iter([("type".to_owned(), json!("string")), ("enum".to_owned(), json!(words))])))
}

/// A doc comment as a description: one line per paragraph, no rustdoc links, `Additive.` spelled out.
fn for_people(doc: &str) -> String {
    let paragraphs: Vec<String> =
        doc.split("\n\n").map(|paragraph| paragraph.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    paragraphs.join("\n\n").replace("[`", "`").replace("`]", "`").replace("Additive.", "Not in Deckhouse's own CRD.")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn translated(schema: &Value) -> Result<Value, String> {
        structural(schema.as_object(), "spec").map_err(|error| error.to_string())
    }

    #[test]
    fn optional_is_just_optional() {
        assert_eq!(translated(&json!({"type": ["string", "null"], "default": null})), Ok(json!({"type": "string"})));
        assert_eq!(
            translated(&json!({
                "description": "Of the member.",
                "anyOf": [{"type": "object", "description": "Of the type."}, {"type": "null"}],
            })),
            Ok(json!({"type": "object", "description": "Of the member."}))
        );
    }

    #[test]
    fn documented_words_become_an_enum() {
        assert_eq!(
            translated(&json!({"oneOf": [
                {"type": "string", "const": "Root", "description": "Self-signed."},
                {"type": "string", "const": "Leaf"},
            ]})),
            Ok(json!({"type": "string", "enum": ["Root", "Leaf"]}))
        );
    }

    #[test]
    fn unsigned_numbers_get_a_format_of_api_servers() {
        assert_eq!(
            translated(&json!({"type": "integer", "format": "uint32", "minimum": 0})),
            Ok(json!({"type": "integer", "format": "int64", "minimum": 0}))
        );
    }

    #[test]
    fn an_untranslatable_keyword_is_reported_with_its_path() {
        for (schema, keyword) in [
            (json!({"properties": {"a": {"$ref": "#/$defs/A"}}}), "$ref"),
            (json!({"properties": {"a": {"additionalProperties": {"type": "string"}}}}), "additionalProperties"),
            (json!({"properties": {"a": {"type": ["string", "integer"]}}}), "type"),
            (json!({"properties": {"a": {"anyOf": [{"type": "string"}, {"type": "integer"}]}}}), "anyOf"),
            (json!({"properties": {"a": {"type": "string", "format": "uuid"}}}), "format"),
            (json!({"properties": {"a": true}}), "true or false"),
        ] {
            let error = translated(&schema).unwrap_err();
            assert!(error.starts_with(&format!("schema at spec.a: `{keyword}` has no structural form")), "{error}");
        }
    }

    #[test]
    fn doc_comments_become_descriptions() {
        assert_eq!(
            for_people("What an [`Absence`] is\nabout. Additive.\n\nMore."),
            "What an `Absence` is about. Not in Deckhouse's own CRD.\n\nMore."
        );
    }
}
