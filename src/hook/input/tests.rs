//! Tests of the input of a hook.

use std::path::Path;

use serde::Deserialize;
use serde_json::json;

use super::*;

#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
struct Values {
    global: Section,
    module: Section,
}

#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
struct Section {
    number: u8,
}

fn group(snapshots: &Value) -> Value {
    json!({"binding": "b", "type": "Group", "groupName": "main", "snapshots": snapshots})
}

fn contexts(elements: &[Value]) -> Input {
    Input::from_contexts(&json!(elements).to_string()).unwrap()
}

#[test]
fn the_last_context_with_a_snapshot_counts() {
    let input = contexts(&[
        group(&json!({"a": [{"object": 1}], "b": [{"object": 1}]})),
        group(&json!({"a": [{"object": 2}]})),
        json!({"binding": "onStartup"}),
        json!({"binding": "x", "type": "Tomorrow", "snapshots": {"c": [], "b": null}}),
    ]);
    assert_eq!(input.snapshot::<u8>("a").unwrap(), [2]);
    assert_eq!(input.snapshot::<u8>("b").unwrap(), [1]);
    assert_eq!(input.snapshot::<u8>("c").unwrap(), [0_u8; 0]);
}

#[test]
fn an_absent_snapshot_is_unknown_and_not_empty() {
    for input in [contexts(&[]), contexts(&[json!({"binding": "onStartup"})]), contexts(&[group(&json!({"a": null}))])]
    {
        let error = input.snapshot::<u8>("a").unwrap_err();
        assert!(matches!(&error, InputError::NoSnapshot(binding) if binding == "a"), "{error}");
        assert!(matches!(input.snapshot_lossy::<u8>("a"), Err(InputError::NoSnapshot(_))));
    }
}

#[test]
fn one_bad_object_fails_only_the_strict_snapshot() {
    let list = json!({"a": [{"object": 1}, {"object": {"metadata": {"name": "n"}}}, {"object": 3}]});
    let input = contexts(&[group(&list)]);
    let said = input.snapshot::<u8>("a").unwrap_err().to_string();
    assert!(said.starts_with("snapshot of binding a: item 1 (n): invalid type: map"), "{said}");
    let (good, bad) = input.snapshot_lossy::<u8>("a").unwrap();
    assert_eq!((good, bad.len(), bad[0].to_string()), (vec![1, 3], 1, said));
}

#[test]
fn absent_and_null_values_are_the_default() {
    let bare = contexts(&[]);
    assert_eq!(bare.values::<Values>().unwrap(), Values::default());
    assert!(!bare.has_values());
    let input = |json: &str| contexts(&[]).with_values(json);
    for json in ["null", "{}", r#"{"global":null}"#, r#"{"global":null,"module":null}"#, r#"{"more":null}"#] {
        assert_eq!(input(json).values::<Values>().unwrap(), Values::default(), "{json}");
        assert!(input(json).has_values());
    }
    let five = Values { module: Section { number: 5 }, ..Values::default() };
    for json in [r#"{"module":{"number":5}}"#, r#"{"global":null,"module":{"number":5}}"#] {
        assert_eq!(input(json).values::<Values>().unwrap(), five, "{json}");
    }
}

#[test]
fn an_error_in_values_has_the_place_and_never_the_value() {
    let input = |json: &str| contexts(&[]).with_values(json);
    for (json, said) in [
        ("", "values: EOF while parsing a value at line 1 column 0"),
        ("{\n  \"module\": {", "values: EOF while parsing an object at line 2 column 13"),
        ("[]", "values: invalid type: sequence, expected a map at line 1 column 0"),
        ("{\"module\":\n{\"number\":\"hush\"}}", "values: invalid type: string, expected u8 at line 2 column 16"),
        (r#"{"global":null,"module":{"number":"hush"}}"#, "values: invalid type: string, expected u8"),
        ("\u{feff}{}", "values: begins with a byte order mark, which JSON does not have"),
    ] {
        assert_eq!(input(json).values::<Values>().unwrap_err().to_string(), said, "{json}");
    }
}

/// Writes the files and loads them; a `None` is a variable with a path where nothing is.
fn load(files: &[(&str, Option<&[u8]>)]) -> Result<Input, InputError> {
    let dir = tempfile::tempdir().unwrap();
    let mut env = BTreeMap::new();
    for (variable, bytes) in files {
        let path = dir.path().join(variable);
        if let Some(bytes) = bytes {
            fs::write(&path, bytes).unwrap();
        }
        env.insert((*variable).to_owned(), path.to_str().unwrap().to_owned());
    }
    Input::load(env)
}

#[test]
fn files_are_found_by_their_variables() {
    let input = load(&[
        ("BINDING_CONTEXT_PATH", Some(br#"[{"binding":"onStartup"}]"#)),
        ("VALUES_PATH", Some(br#"{"module":{"number":1}}"#)),
    ])
    .unwrap();
    assert_eq!(input.values::<Values>().unwrap().module.number, 1);
    assert!(input.has_values() && input.env("VALUES_PATH").is_some_and(|path| Path::new(path).is_absolute()));
    assert_eq!(input.env("NOT_SET"), None);
    // Like shell-operator.
    let context: (&str, Option<&[u8]>) = ("BINDING_CONTEXT_PATH", Some(b"[]"));
    let input = load(&[context]).unwrap();
    assert!(!input.has_values());
    assert_eq!(input.values::<Values>().unwrap(), Values::default());
    // A missing file does not mean that there are no values.
    let said = load(&[context, ("VALUES_PATH", None)]).unwrap_err().to_string();
    assert!(said.starts_with("VALUES_PATH (/") && said.contains("No such file"), "{said}");
}

#[test]
fn contexts_that_cannot_be_read_are_one_clear_error() {
    let said = |files: &[(&str, Option<&[u8]>)]| load(files).unwrap_err().to_string();
    assert!(said(&[]).starts_with("BINDING_CONTEXT_PATH is not set"));
    let rows: [(Option<&[u8]>, &str); 7] = [
        (None, "No such file"),
        (Some(b""), "EOF while parsing a value at line 1 column 0"),
        (Some(b"[{\"binding\":\"on"), "EOF while parsing a string at line 1 column 15"),
        (Some(b"{}"), "invalid type: map, expected a sequence"),
        (Some(b"[{\"snapshots\":5}]"), "invalid type: integer `5`, expected a map at line 1 column 15"),
        (Some(b"\xef\xbb\xbf[]"), "begins with a byte order mark"),
        (Some(b"[\"\xff\"]"), "not UTF-8 at byte 2"),
    ];
    for (bytes, expected) in rows {
        let said = said(&[("BINDING_CONTEXT_PATH", bytes)]);
        assert!(said.starts_with("BINDING_CONTEXT_PATH (/") && said.contains(expected), "{said}");
    }
}

#[test]
fn debug_shows_neither_values_nor_environment() {
    let input = contexts(&[]).with_values(r#"{"a":"hush"}"#).with_env("TOKEN", "hush");
    assert!(!format!("{input:?}").contains("hush"));
    assert_eq!(input.env("TOKEN"), Some("hush"));
}
