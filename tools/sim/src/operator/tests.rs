//! Tests of the operator with a fake hook executable: shell scripts that the tests write. They test the
//! protocol, not this module's hooks.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::*;

const FAKE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/operator/testdata/fake-hook.sh");

/// A chart with one ConfigMap that holds a value.
struct FakeChart;

impl Chart for FakeChart {
    fn render(&self, values: &Value) -> Result<Vec<Value>, String> {
        let internal = &values["fake"]["internal"];
        if internal["broken"] == json!(true) {
            return Err("no such template".to_owned());
        }
        let policy = if internal["keep"] == json!(true) { "keep" } else { "" };
        let object = json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": "rendered", "namespace": "xyz", "annotations": {"helm.sh/resource-policy": policy}},
            "data": {"token": internal["token"]},
        });
        Ok(if internal["token"].is_null() { Vec::new() } else { vec![object] })
    }
}

/// A world with fake hooks: each a script, and its configuration next to `configVersion` and `metadata`.
struct World {
    folder: tempfile::TempDir,
    operator: Operator<FakeChart>,
}

fn write_hooks(folder: &Path, hooks: &[(Value, &str)]) {
    let configs: Vec<Value> = hooks
        .iter()
        .enumerate()
        .map(|(index, (config, script))| {
            fs::write(folder.join(format!("run-{index}")), script).unwrap();
            let mut whole = json!({"configVersion": "v1", "metadata": {"name": format!("hook-{index}"), "path": ""}});
            json_patch::merge(&mut whole, config);
            whole
        })
        .collect();
    fs::write(folder.join("list"), format!("Found {} items:\n", hooks.len())).unwrap();
    fs::write(folder.join("config"), json!({"version": "v1", "hooks": configs}).to_string()).unwrap();
}

fn cluster() -> Cluster {
    let mut cluster = Cluster::new("fake", || "2026-01-02T03:04:05Z".parse().unwrap());
    cluster.put(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "xyz"}})).unwrap();
    cluster.put(thing("a", "1")).unwrap();
    cluster.take_changes();
    cluster
}

fn thing(name: &str, size: &str) -> Value {
    json!({"apiVersion": "example.com/v1", "kind": "Thing", "metadata": {"name": name, "namespace": "xyz"}, "spec": {"size": size}})
}

async fn world(hooks: &[(Value, &str)]) -> Result<World, OperatorError> {
    let folder = tempfile::tempdir().unwrap();
    write_hooks(folder.path(), hooks);
    let executable = Executable::new(Path::new(FAKE), &[("FAKE_HOOK", folder.path().to_str().unwrap())]);
    let module = Module { name: "fake-module".to_owned(), hooks: executable, runs: folder.path().join("runs") };
    let values = ModuleValues::new("fake", json!({}), json!({"global": {}, "fake": {"internal": {}}}));
    let operator = Operator::load(module, cluster(), values, FakeChart).await?;
    Ok(World { folder, operator })
}

impl World {
    fn file(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    fn json(&self, path: &str) -> Value {
        serde_json::from_str(&fs::read_to_string(self.file(path)).unwrap()).unwrap()
    }

    async fn start(&mut self) -> Vec<Step> {
        let mut steps = Vec::new();
        self.operator.start(&mut steps).await.unwrap();
        steps
    }

    async fn react(&mut self) -> Vec<Step> {
        let mut steps = Vec::new();
        self.operator.react(&mut steps).await.unwrap();
        steps
    }
}

fn shown(steps: &[Step]) -> Vec<String> {
    steps.iter().map(ToString::to_string).collect()
}

fn watching() -> Value {
    json!({"kubernetes": [{"name": "things", "apiVersion": "example.com/v1", "kind": "Thing", "jqFilter": ".spec.size"}]})
}

#[tokio::test]
async fn a_run_gets_the_files_of_an_operator() {
    let config = json!({
        "schedule": [{"name": "tick", "crontab": "* * * * *"}],
        "kubernetes": [
            {"name": "things", "apiVersion": "example.com/v1", "kind": "Thing", "jqFilter": "{size: .spec.size}"},
            {"name": "whole", "kind": "Namespace", "keepFullObjectsInMemory": true},
            {"name": "none", "kind": "Pod"},
        ],
    });
    let script = r#"
        env | sort > "$FAKE_HOOK/environment"
        for file in "$METRICS_PATH" "$KUBERNETES_PATCH_PATH" "$VALUES_JSON_PATCH_PATH" "$CONFIG_VALUES_JSON_PATCH_PATH"; do
            [ -f "$file" ] && [ ! -s "$file" ] || exit 7
        done
        cp "$BINDING_CONTEXT_PATH" "$FAKE_HOOK/context"; cp "$VALUES_PATH" "$FAKE_HOOK/values"
        cp "$CONFIG_VALUES_PATH" "$FAKE_HOOK/config_values"; echo '{"level":"info","msg":"hello"}'"#;
    let mut world = world(&[(config, script)]).await.unwrap();
    let steps = world.start().await;
    assert_eq!(shown(&steps), ["hook-0 (things)"]);
    assert!(steps[0].is_silent() && steps[0].log.contains("hello"));
    let context = world.json("context");
    assert_eq!(context[0]["binding"], json!("things"));
    assert_eq!((&context[0]["type"], &context[0]["groupName"]), (&json!("Group"), &json!("main")));
    let snapshots = &context[0]["snapshots"];
    assert_eq!(snapshots["things"], json!([{"filterResult": {"size": "1"}}]));
    assert_eq!(snapshots["whole"][0]["object"]["metadata"]["name"], json!("xyz"));
    assert_eq!((snapshots["whole"][0].get("filterResult"), &snapshots["none"]), (None, &json!([])));
    assert_eq!(world.json("values"), json!({"global": {}, "fake": {"internal": {}}}));
    assert_eq!(world.json("config_values"), json!({"global": null, "fake": null}));
    let environment = fs::read_to_string(world.file("environment")).unwrap();
    for line in ["MODULE_NAME=fake-module", "APPLICATION_NAME=", "APPLICATION_NAMESPACE="] {
        assert!(environment.lines().any(|found| found == line), "{line}");
    }
    let mut steps = Vec::new();
    world.operator.tick(&mut steps).await.unwrap();
    assert_eq!(shown(&steps), ["hook-0 (tick)"]);
}

#[tokio::test]
async fn a_hook_runs_when_its_snapshots_change() {
    let blind = json!({"kubernetes": [{"name": "things", "kind": "Thing", "executeHookOnEvent": false, "executeHookOnSynchronization": false}]});
    let mut world = world(&[(watching(), ""), (blind, "exit 1")]).await.unwrap();
    assert_eq!(shown(&world.start().await), ["hook-0 (things)"]);
    assert!(world.react().await.is_empty());
    let mut labelled = thing("a", "1");
    labelled["metadata"]["labels"] = json!({"x": "y"});
    world.operator.cluster_mut().put(labelled).unwrap();
    assert!(world.react().await.is_empty(), "the filter does not show labels");
    world.operator.cluster_mut().put(thing("a", "2")).unwrap();
    assert_eq!(shown(&world.react().await), ["hook-0 (things)"]);
    world.operator.cluster_mut().put(thing("b", "2")).unwrap();
    assert_eq!(shown(&world.react().await), ["hook-0 (things)"]);
    let key = Key::of(&thing("b", "")).unwrap();
    world.operator.cluster_mut().delete(&key);
    assert_eq!(shown(&world.react().await), ["hook-0 (things)"]);
}

#[tokio::test]
async fn values_lead_to_lifecycle_hooks_and_the_chart() {
    let writer = r#"printf '[{"op":"add","path":"/fake/internal/token","value":"t"}]' > "$VALUES_JSON_PATCH_PATH""#;
    let before = r#"cp "$BINDING_CONTEXT_PATH" "$FAKE_HOOK/before""#;
    let startup = r#"cp "$BINDING_CONTEXT_PATH" "$FAKE_HOOK/startup""#;
    let mut world = world(&[
        (watching(), writer),
        (json!({"beforeHelm": 20}), ""),
        (json!({"beforeHelm": 10, "kubernetes": watching()["kubernetes"]}), before),
        (json!({"onStartup": 1}), startup),
    ])
    .await
    .unwrap();
    let steps = world.start().await;
    let order = [
        "hook-3 (onStartup)",
        "hook-0 (things)",
        "hook-2 (things)",
        "hook-2 (beforeHelm)",
        "hook-1 (beforeHelm)",
        "chart (values changed)",
    ];
    assert_eq!(shown(&steps), order);
    assert_eq!(
        world.json("before"),
        json!([{"binding": "beforeHelm", "snapshots": {"things": [{"filterResult": "1"}]}}])
    );
    assert_eq!(world.json("startup"), json!([{"binding": "onStartup"}]));
    assert_eq!(steps[5].changes[0].to_string(), "created ConfigMap xyz/rendered");

    let mut again = Vec::new();
    world.operator.round(&mut again).await.unwrap();
    assert!(again.iter().all(Step::is_silent), "{:?}", shown(&again));

    world.operator.configure(json!({"fake": {"internal": {"keep": true}}})).unwrap();
    assert_eq!(world.react().await.last().unwrap().changes[0].to_string(), "changed ConfigMap xyz/rendered");
    world.operator.values.patch(r#"[{"op":"remove","path":"/fake/internal/token"}]"#).unwrap();
    let mut steps = Vec::new();
    world.operator.release(&mut steps).await.unwrap();
    assert!(world.operator.cluster().find(None, "ConfigMap", "xyz", "rendered").is_some(), "its policy keeps it");
    world.operator.values.patch(r#"[{"op":"add","path":"/fake/internal/broken","value":true}]"#).unwrap();
    assert!(matches!(world.operator.release(&mut steps).await, Err(OperatorError::Chart(_))));
}

#[tokio::test]
async fn helm_removes_objects_that_it_no_longer_renders() {
    let mut world = world(&[(watching(), "")]).await.unwrap();
    world.start().await;
    world.operator.configure(json!({"fake": {"internal": {"token": "t"}}})).unwrap();
    world.react().await;
    world.operator.configure(json!({})).unwrap();
    assert_eq!(world.react().await[0].changes[0].to_string(), "deleted ConfigMap xyz/rendered");
}

#[tokio::test]
async fn all_object_patches_work() {
    let script = r#"cat > "$KUBERNETES_PATCH_PATH" <<'END'
{"operation":"Create","object":{"apiVersion":"example.com/v1","kind":"Thing","metadata":{"name":"b","namespace":"xyz"},"spec":{}}}
{"operation":"CreateIfNotExists","object":"{apiVersion: example.com/v1, kind: Thing, metadata: {name: b, namespace: xyz}, spec: {ignored: true}}"}
{"operation":"CreateOrUpdate","object":{"apiVersion":"example.com/v1","kind":"Thing","metadata":{"name":"b","namespace":"xyz"},"spec":{"size":"5"}}}
{"operation":"MergePatch","apiVersion":"example.com/v1","kind":"Thing","namespace":"xyz","name":"b","subresource":"/status","mergePatch":{"status":{"phase":"Ready"},"spec":{"size":"9"}}}
{"operation":"JQPatch","apiVersion":"example.com/v1","kind":"Thing","namespace":"xyz","name":"b","subresource":"/status","jqFilter":".status.seen = .spec.size"}
{"operation":"JSONPatch","kind":"things","namespace":"xyz","name":"b","jsonPatch":[{"op":"remove","path":"/spec/size","value":null},{"op":"add","path":"/spec/weight","value":1}]}
{"operation":"MergePatch","kind":"Thing","namespace":"xyz","name":"nobody","mergePatch":{"a":1},"ignoreMissingObject":true,"unknown":1}
{"operation":"Create","object":{"apiVersion":"example.com/v1","kind":"Thing","metadata":{"name":"c","namespace":"xyz"}}}
{"operation":"Create","object":{"apiVersion":"example.com/v1","kind":"Thing","metadata":{"name":"d","namespace":"xyz"}}}
{"operation":"Delete","kind":"Thing","namespace":"xyz","name":"a"}
{"operation":"DeleteInBackground","kind":"Thing","namespace":"xyz","name":"c"}
{"operation":"DeleteNonCascading","kind":"Thing","namespace":"xyz","name":"d"}
{"operation":"Delete","kind":"Thing","namespace":"xyz","name":"nobody"}
END"#;
    let mut world = world(&[(json!({"onStartup": 1}), script)]).await.unwrap();
    let steps = world.start().await;
    assert_eq!(steps[0].operations, 13);
    let things: Vec<&Key> =
        world.operator.cluster().objects().map(|(key, _)| key).filter(|key| key.kind == "Thing").collect();
    let [b] = things.as_slice() else { panic!("{things:?}") };
    let b = world.operator.cluster().get(b).unwrap();
    assert_eq!(b["spec"], json!({"weight": 1}));
    assert_eq!(b["status"], json!({"phase": "Ready", "seen": "5"}), "a status patch leaves the spec alone");
    assert_eq!(b["metadata"]["generation"], json!(3));
}

#[tokio::test]
async fn yaml_object_patches_work_too() {
    let script = r#"printf -- 'operation: Delete\nkind: Thing\nname: a\nnamespace: xyz\n---\noperation: Delete\nkind: Thing\nname: b\n' > "$KUBERNETES_PATCH_PATH""#;
    let mut world = world(&[(json!({"onStartup": 1}), script)]).await.unwrap();
    assert_eq!(world.start().await[0].changes[0].to_string(), "deleted Thing xyz/a");
}

#[tokio::test]
async fn a_failing_hook_is_reported_with_its_message() {
    for (script, wanted) in [
        (r#"echo '{"message":"execute: no key"}' >&2; exit 1"#, "execute: no key"),
        ("echo plain >&2; exit 3", "plain"),
        ("exit 3", "exit status: 3"),
        (r#"rm "$METRICS_PATH""#, "removed metrics.json"),
        (r#"rm "$VALUES_PATH""#, "removed values.json"),
        (
            r#"echo '[{"op":"replace","path":"/fake/internal","value":1}]' > "$VALUES_JSON_PATCH_PATH""#,
            "only add and remove",
        ),
        (
            r#"echo '[{"op":"add","path":"/fake/config/a","value":1}]' > "$CONFIG_VALUES_JSON_PATCH_PATH""#,
            "/fake/config/a",
        ),
        (r#"echo '{"name":"a","action":"set"}' > "$METRICS_PATH""#, "lacks something"),
        (r#"echo '{"operation":"Destroy"}' > "$KUBERNETES_PATCH_PATH""#, "Destroy"),
        (r#"echo '{"operation":"Delete","kind":"Thing"}' > "$KUBERNETES_PATCH_PATH""#, "name"),
        (
            r#"echo '{"operation":"MergePatch","kind":"Thing","name":"a","mergePatch":{}}' > "$KUBERNETES_PATCH_PATH""#,
            "mergePatch",
        ),
        (
            r#"echo '{"operation":"JSONPatch","kind":"Thing","name":"a","jsonPatch":[{"op":"remove","path":"/spec"}]}' > "$KUBERNETES_PATCH_PATH""#,
            "value",
        ),
        (
            r#"echo '{"operation":"MergePatch","kind":"Thing","namespace":"xyz","name":"nobody","mergePatch":{"a":1}}' > "$KUBERNETES_PATCH_PATH""#,
            "not found",
        ),
        (
            r#"echo '{"operation":"JQPatch","kind":"Thing","namespace":"xyz","name":"a","jqFilter":"empty"}' > "$KUBERNETES_PATCH_PATH""#,
            "0 outputs",
        ),
        (
            r#"echo '{"operation":"MergePatch","kind":"Thing","namespace":"xyz","name":"a","subresource":"/scale","mergePatch":{"a":1}}' > "$KUBERNETES_PATCH_PATH""#,
            "scale",
        ),
    ] {
        let mut world = world(&[(json!({"onStartup": 1}), script)]).await.unwrap();
        let error = world.operator.start(&mut Vec::new()).await.unwrap_err().to_string();
        assert!(error.contains(wanted), "{script}: {error}");
    }
}

#[tokio::test]
async fn a_failing_object_patch_is_reported_and_the_others_are_applied() {
    let script = r#"echo '{"operation":"Create","object":{"apiVersion":"example.com/v1","kind":"Thing","metadata":{"name":"a","namespace":"xyz"}}}
        {"operation":"Delete","kind":"Thing","namespace":"xyz","name":"a"}' > "$KUBERNETES_PATCH_PATH"
        echo '[{"op":"add","path":"/fake/internal/token","value":"t"}]' > "$VALUES_JSON_PATCH_PATH""#;
    let mut world = world(&[(json!({"onStartup": 1}), script)]).await.unwrap();
    let mut steps = Vec::new();
    let error = world.operator.start(&mut steps).await.unwrap_err().to_string();
    assert!(error.contains("Thing xyz/a already exists"), "{error}");
    assert_eq!(steps[0].changes[0].to_string(), "deleted Thing xyz/a");
    assert_eq!(world.operator.values()["fake"]["internal"], json!({}), "values of a failed hook are not taken");
}

#[tokio::test]
async fn hooks_that_only_wake_each_other_are_stopped() {
    let script = r#"echo '{"operation":"JQPatch","kind":"Thing","namespace":"xyz","name":"a","jqFilter":".spec.size += \"x\""}' > "$KUBERNETES_PATCH_PATH""#;
    let mut world = world(&[(watching(), script)]).await.unwrap();
    let error = world.operator.start(&mut Vec::new()).await.unwrap_err();
    assert!(matches!(&error, OperatorError::Unsettled { hooks } if hooks == "hook-0 (things)"), "{error}");
}

#[tokio::test]
async fn an_invalid_executable_is_reported() {
    let failed = |path: &str| {
        let executable = Executable::new(Path::new(path), &[("FAKE_HOOK", "/nowhere")]);
        async move { executable.hooks().await.unwrap_err().to_string() }
    };
    assert!(failed("/nowhere/hooks").await.contains("/nowhere/hooks"));
    assert!(failed(FAKE).await.contains("hook list ended with exit status: 1"));
    assert!(failed("/bin/true").await.contains("hook list answers"));
}

#[tokio::test]
async fn a_changing_configuration_is_reported() {
    let folder = tempfile::tempdir().unwrap();
    write_hooks(folder.path(), &[(json!({"onStartup": 1}), "")]);
    let executable = Executable::new(Path::new(FAKE), &[("FAKE_HOOK", folder.path().to_str().unwrap())]);
    executable.hooks().await.unwrap();
    fs::write(folder.path().join("list"), "Found 2 items:\n").unwrap();
    assert!(executable.hooks().await.unwrap_err().to_string().contains("announces 2 hooks"));
}
