//! Tests of the output files.

use std::fs;

use serde_json::{Value, json};

use super::*;
use crate::hook::ObjectRef;

fn some() -> Effects {
    let mut effects = Effects::default();
    effects.values.set(&["m", "a"], "é\n").unwrap();
    for name in ["one", "two"] {
        let object = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}});
        effects.objects.push(ObjectPatch::create_if_not_exists(&object).unwrap());
    }
    effects.metrics.push(MetricOperation::expire("g"));
    effects.metrics.push(MetricOperation::set("n", 1.0, &[], "g"));
    effects
}

const VARIABLES: [&str; 3] = ["VALUES_JSON_PATCH_PATH", "KUBERNETES_PATCH_PATH", "METRICS_PATH"];

fn environment(dir: &std::path::Path) -> BTreeMap<String, String> {
    VARIABLES.iter().map(|name| ((*name).to_owned(), dir.join(name).to_str().unwrap().to_owned())).collect()
}

#[test]
fn every_file_is_a_stream_of_json_lines_in_order() {
    let outputs = some().render().unwrap();
    let lines = |text: &str| -> Vec<Value> { text.lines().map(|line| serde_json::from_str(line).unwrap()).collect() };
    assert_eq!(lines(&outputs.values), [json!([{"op": "add", "path": "/m/a", "value": "é\n"}])]);
    let names: Vec<_> = lines(&outputs.objects).iter().map(|line| line["object"]["metadata"]["name"].clone()).collect();
    assert_eq!(names, ["one", "two"]);
    let actions: Vec<_> = lines(&outputs.metrics).iter().map(|line| line["action"].clone()).collect();
    assert_eq!(actions, ["expire", "set"]);
}

#[test]
fn nothing_to_do_is_empty_files() {
    assert!(Effects::default().is_empty() && !some().is_empty());
    assert_eq!(Effects::default().render().unwrap(), Outputs::default());
    let dir = tempfile::tempdir().unwrap();
    let env = environment(dir.path());
    for path in env.values() {
        fs::write(path, "left over").unwrap();
    }
    Outputs::default().write(&env).unwrap();
    for path in env.values() {
        assert_eq!(fs::read_to_string(path).unwrap(), "");
    }
    // shell-operator gives no files for values; that matters only to a hook that changes values.
    Outputs::default().write(&BTreeMap::new()).unwrap();
}

#[test]
fn files_are_truncated_and_keep_their_identity() {
    use std::os::unix::fs::MetadataExt;
    let dir = tempfile::tempdir().unwrap();
    let env = environment(dir.path());
    for path in env.values() {
        fs::write(path, "x".repeat(10_000)).unwrap();
    }
    let inode = |variable: &str| fs::metadata(&env[variable]).unwrap().ino();
    let before = VARIABLES.map(inode);
    let outputs = some().render().unwrap();
    outputs.write(&env).unwrap();
    let read = VARIABLES.map(|variable| fs::read_to_string(&env[variable]).unwrap());
    assert_eq!(read, [outputs.values, outputs.objects, outputs.metrics]);
    assert_eq!(VARIABLES.map(inode), before);
}

#[test]
fn an_effect_without_a_file_for_it_writes_nothing() {
    for missing in VARIABLES {
        for value in [None, Some(""), Some("/nowhere/at/all")] {
            let dir = tempfile::tempdir().unwrap();
            let mut env = environment(dir.path());
            for path in env.values() {
                fs::write(path, "as it was").unwrap();
            }
            let others: Vec<String> =
                env.iter().filter(|(name, _)| *name != missing).map(|(_, path)| path.clone()).collect();
            match value {
                Some(value) => env.insert(missing.into(), value.into()),
                None => env.remove(missing),
            };
            let said = some().render().unwrap().write(&env).unwrap_err().to_string();
            assert!(said.starts_with(missing), "{said}");
            for path in others {
                assert_eq!(fs::read_to_string(path).unwrap(), "as it was", "without {missing}");
            }
        }
    }
}

#[test]
fn a_metric_that_the_operator_would_refuse_is_named() {
    let metrics = vec![MetricOperation::set("n", f64::NAN, &[], "g")];
    let said = Effects { metrics, ..Effects::default() }.render().unwrap_err().to_string();
    assert_eq!(said, r#"metric "n" of group "g" has a value that JSON has no number for"#);
}

#[test]
fn debug_shows_no_content() {
    let mut effects = Effects::default();
    effects.values.set(&["m", "key"], "hush").unwrap();
    let patch = ObjectPatch::merge_patch(ObjectRef::new("v1", "Secret", Some("x"), "s"), json!({"data": "hush"}));
    effects.objects.push(patch.unwrap());
    assert!(!format!("{effects:?} {:?}", effects.render().unwrap()).contains("hush"));
}
