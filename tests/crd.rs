//! Checks that the CRD in `crds/` is current, structural and translated, and accepts every object of Deckhouse's CRD.
//!
//! `make generate` (`UPDATE=1`) writes it.
#![allow(clippy::panic, clippy::unwrap_used, reason = "clippy does not count helpers of tests as tests")]

use std::fs;
use std::path::PathBuf;
use std::sync::LazyLock;

use istio_federation::api::istio_federation::IstioFederation;
use istio_federation::cli::crd;
use proptest::prelude::*;
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// A row of `tests/crd/objects.yaml`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    name: String,
    object: Value,
    refused_at: Option<String>,
    #[serde(default)]
    loses: Vec<String>,
}

fn path(relative: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(relative)
}

fn yaml(relative: &str) -> Value {
    serde_saphyr::from_str(&fs::read_to_string(path(relative)).unwrap()).unwrap()
}

/// The schema of the CRD; a test checks that the committed file has it.
fn schema() -> Value {
    crd::crd().unwrap()["spec"]["versions"][0]["schema"]["openAPIV3Schema"].take()
}

/// The same as JSON Schema, which has no `nullable`.
fn json_schema(mut schema: Value) -> Value {
    each_node(&mut schema, "", &mut |_, node| {
        if node.remove("nullable").is_some() {
            let kind = node["type"].take();
            node.insert("type".to_owned(), json!([kind, "null"]));
        }
    });
    schema
}

/// Calls `visit` with the path and schema of every member.
fn each_node(schema: &mut Value, at: &str, visit: &mut impl FnMut(&str, &mut Map<String, Value>)) {
    let node = schema.as_object_mut().unwrap_or_else(|| panic!("{at} is not an object"));
    visit(at, node);
    if let Some(members) = node.get_mut("properties").and_then(Value::as_object_mut) {
        for (name, member) in members {
            each_node(member, &format!("{at}.{name}"), visit);
        }
    }
    if let Some(items) = node.get_mut("items") {
        each_node(items, &format!("{at}.[]"), visit);
    }
}

/// An object without members that the schema lacks, as an API server stores it.
fn pruned(object: &Value, schema: &Value) -> Value {
    match object {
        Value::Object(members) => members
            .iter()
            .filter_map(|(name, value)| Some((name.clone(), pruned(value, schema["properties"].get(name)?))))
            .collect::<Map<_, _>>()
            .into(),
        Value::Array(items) => items.iter().map(|item| pruned(item, &schema["items"])).collect(),
        other => other.clone(),
    }
}

/// Paths of `before` that `after` lacks. Absent, null and an empty list are the same.
fn lost(before: &Value, after: &Value, at: &str) -> Vec<String> {
    match (before, after) {
        (Value::Null, Value::Null) => Vec::new(),
        (Value::Array(items), Value::Null) if items.is_empty() => Vec::new(),
        (Value::Object(members), Value::Object(_)) => {
            members.iter().flat_map(|(name, value)| lost(value, &after[name], &format!("{at}/{name}"))).collect()
        }
        (Value::Array(items), Value::Array(others)) if items.len() == others.len() => {
            items.iter().enumerate().flat_map(|(i, item)| lost(item, &others[i], &format!("{at}/{i}"))).collect()
        }
        _ if before == after => Vec::new(),
        _ => vec![at.to_owned()],
    }
}

#[test]
fn the_committed_crd_is_current() {
    let generated = crd::yaml().unwrap();
    let file = path("crds/istiofederation.yaml");
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&file, &generated).unwrap();
    }
    let committed = fs::read_to_string(&file).unwrap_or_default();
    assert!(committed == generated, "crds/istiofederation.yaml differs from the types; run `make generate`");
}

#[test]
fn yaml_and_object_are_the_same() {
    let read: Value = serde_saphyr::from_str(&crd::yaml().unwrap()).unwrap();
    assert_eq!(read, crd::crd().unwrap());
}

#[test]
fn it_is_the_resource_that_deckhouse_has() {
    let crd = crd::crd().unwrap();
    assert_eq!(crd["metadata"]["name"], "istiofederations.deckhouse.io");
    assert_eq!(crd["metadata"]["labels"], json!({"heritage": "deckhouse", "module": "istio"}));
    assert_eq!(crd["spec"]["scope"], "Cluster");
    assert_eq!(crd["spec"]["versions"][0]["name"], "v1alpha1");
    assert_eq!(crd["spec"]["versions"][0]["subresources"], json!({"status": {}}));
    let columns: Vec<&str> = crd["spec"]["versions"][0]["additionalPrinterColumns"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|column| column.get("priority").is_none())
        .map(|column| column["name"].as_str().unwrap())
        .collect();
    assert_eq!(columns, ["Trust domain", "Ready", "Services", "Changed"]);
}

#[test]
fn the_schema_is_structural() {
    let known = [
        "description",
        "enum",
        "format",
        "items",
        "maximum",
        "maxItems",
        "maxLength",
        "minimum",
        "minItems",
        "minLength",
        "nullable",
        "pattern",
        "properties",
        "required",
        "type",
        "x-kubernetes-validations",
    ];
    each_node(&mut schema(), "", &mut |at, node| {
        for keyword in node.keys() {
            assert!(known.contains(&keyword.as_str()), "{at}: {keyword} is not structural, or not needed");
        }
        let kind = node["type"].as_str().unwrap_or_else(|| panic!("{at}: a structural schema has one type"));
        assert_eq!(kind == "object", node.contains_key("properties"), "{at}: an object without members keeps nothing");
        assert_eq!(kind == "array", node.contains_key("items"), "{at}: the items of a list have a schema");
        if let Some(format) = node.get("format") {
            assert!(["int32", "int64", "date-time"].contains(&format.as_str().unwrap()), "{at}: {format}");
        }
        for name in node.get("required").and_then(Value::as_array).into_iter().flatten() {
            assert!(node["properties"].get(name.as_str().unwrap()).is_some(), "{at}: {name} is required, but unknown");
        }
    });
}

#[test]
fn every_description_is_for_people_and_has_its_russian_twin() {
    let mut english = schema();
    let mut russian = yaml("crds/doc-ru-istiofederation.yaml");
    assert_eq!(russian["spec"]["versions"][0]["name"], "v1alpha1");
    let mut russian = russian["spec"]["versions"][0]["schema"]["openAPIV3Schema"].take();

    let (mut described, mut translated) = (Vec::new(), Vec::new());
    each_node(&mut english, "", &mut |at, node| {
        let Some(description) = node.get("description") else { return };
        described.push(at.to_owned());
        let description = description.as_str().unwrap();
        assert!(!description.contains("::") && !description.contains("[`"), "{at}: Rust in {description:?}");
        assert!(!description.contains("Additive"), "{at}: our own word in {description:?}");
    });
    each_node(&mut russian, "", &mut |at, node| {
        for keyword in node.keys() {
            assert!(["description", "properties", "items"].contains(&keyword.as_str()), "{at}: {keyword}");
        }
        let Some(description) = node.get("description") else { return };
        translated.push(at.to_owned());
        let description = description.as_str().unwrap();
        assert!(description.chars().any(|c| ('а'..='я').contains(&c)), "{at}: {description:?} is not Russian");
    });
    let missing: Vec<_> = described.iter().filter(|at| !translated.contains(at)).collect();
    let surplus: Vec<_> = translated.iter().filter(|at| !described.contains(at)).collect();
    assert!(
        missing.is_empty() && surplus.is_empty(),
        "crds/doc-ru-istiofederation.yaml: without description {missing:?}, unknown to the CRD {surplus:?}"
    );
}

#[test]
fn objects_are_accepted_or_refused_as_the_table_says() {
    let schema = schema();
    let validator = jsonschema::options().should_validate_formats(true).build(&json_schema(schema.clone())).unwrap();
    let rows: Vec<Row> = serde_saphyr::from_str(&fs::read_to_string(path("tests/crd/objects.yaml")).unwrap()).unwrap();
    assert!(rows.len() >= 20);
    for Row { name, object, refused_at, loses } in rows {
        let errors: Vec<String> =
            validator.iter_errors(&object).map(|error| error.instance_path().to_string()).collect();
        if let Some(at) = refused_at {
            assert_eq!(errors, [at], "{name}");
            continue;
        }
        assert_eq!(errors, [""; 0], "{name}");

        let read: IstioFederation =
            serde_json::from_value(object.clone()).unwrap_or_else(|error| panic!("{name}: cannot be read: {error}"));
        let written = serde_json::to_value(&read).unwrap();
        assert!(validator.is_valid(&written), "{name}: the CRD refuses our output: {written:#}");
        for part in ["spec", "status"] {
            let stored = pruned(&object[part], &schema["properties"][part]);
            let found = lost(&stored, &written[part], &format!("/{part}"));
            let expected: Vec<&String> = loses.iter().filter(|at| at.starts_with(&format!("/{part}/"))).collect();
            assert_eq!(found.iter().collect::<Vec<_>>(), expected, "{name}: members lost on the way through our types");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Deckhouse's character classes. We refuse `file://` and an address without a host on purpose.
    #[test]
    fn every_spec_of_deckhouse_is_valid(
        trust_domain in "[0-9a-zA-Z._-]{1,40}",
        metadata_endpoint in "https://[0-9a-zA-Z._-][0-9a-zA-Z._/-]{0,40}",
    ) {
        static SPEC: LazyLock<jsonschema::Validator> =
            LazyLock::new(|| jsonschema::validator_for(&schema()["properties"]["spec"]).unwrap());
        let spec = json!({"trustDomain": trust_domain, "metadataEndpoint": metadata_endpoint});
        prop_assert!(SPEC.is_valid(&spec), "{spec}");
    }
}
