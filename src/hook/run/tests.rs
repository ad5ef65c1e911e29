//! Tests of the process: the questions of the operator, and the files of a run.

use std::fs;
use std::path::PathBuf;

use serde_json::json;
use tempfile::TempDir;

use super::*;
use crate::hook::{KubernetesBinding, MetricOperation, ObjectPatch};

const HOOKS: &[Hook] = &[
    Hook { name: "writes_all", config, run: writes_all },
    Hook { name: "copies-snapshot", config: HookConfig::default, run: copies_snapshot },
    Hook { name: "fails", config, run: |_, _| Err("first\nsecond".into()) },
    Hook { name: "panics", config, run: |_, _| panic!("on {}", "purpose") },
    Hook { name: "says_nonsense", config, run: says_nonsense },
    Hook { name: "panics_in_a_thread", config, run: panics_in_a_thread },
    Hook { name: "leaves_no_trace", config, run: |_, _| Ok(Effects::default()) },
];

fn config() -> HookConfig {
    let kubernetes =
        KubernetesBinding { name: "nodes".into(), api_version: "v1".into(), kind: "Node".into(), ..Default::default() };
    HookConfig { kubernetes: vec![kubernetes], before_helm: Some(1), ..HookConfig::default() }
}

type HookResult = Result<Effects, AnyError>;

fn writes_all(input: &Input, log: &Logger) -> HookResult {
    log.info("running", &[("values", input.has_values().into())]);
    let mut effects = Effects::default();
    effects.values.set(&["m", "a"], 1)?;
    effects.objects.push(ObjectPatch::create_if_not_exists(
        &json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n"}}),
    )?);
    effects.metrics.push(MetricOperation::expire("g"));
    Ok(effects)
}

fn copies_snapshot(input: &Input, _: &Logger) -> HookResult {
    let mut effects = Effects::default();
    if input.has_values() {
        effects.values.set(&["m"], input.snapshot::<Value>("nodes")?)?;
    }
    for object in input.snapshot::<Value>("nodes")? {
        effects.objects.push(ObjectPatch::create_if_not_exists(&object)?);
    }
    Ok(effects)
}

fn says_nonsense(input: &Input, log: &Logger) -> HookResult {
    let mut effects = writes_all(input, log)?;
    effects.metrics.push(MetricOperation::set("n", f64::NAN, &[], "g"));
    Ok(effects)
}

fn panics_in_a_thread(input: &Input, log: &Logger) -> HookResult {
    // The scope then panics in this thread, with nothing but the fact.
    std::thread::scope(|scope| drop(scope.spawn(|| panic!("deep inside"))));
    writes_all(input, log)
}

/// The files of one run and its output.
struct Bed {
    dir: TempDir,
    env: BTreeMap<String, String>,
    program: &'static str,
}

struct Ran {
    code: ExitCode,
    stdout: String,
    stderr: String,
}

impl Ran {
    /// The message of a failure: exactly one JSON object on one line of stderr.
    fn message(&self) -> String {
        assert_eq!((self.code, self.stderr.matches('\n').count()), (ExitCode::FAILURE, 1), "{}", self.stderr);
        let line: Value = serde_json::from_str(&self.stderr).unwrap();
        assert_eq!(line.as_object().unwrap().len(), 1);
        line["message"].as_str().unwrap().to_owned()
    }

    fn is_quiet_failure(&self) -> bool {
        self.code == ExitCode::FAILURE && self.stdout.is_empty() && self.stderr.is_empty()
    }

    fn is_quiet_success(&self) -> bool {
        self.code == ExitCode::SUCCESS && self.stdout.is_empty() && self.stderr.is_empty()
    }
}

const OUTPUTS: [&str; 3] = ["VALUES_JSON_PATCH_PATH", "KUBERNETES_PATCH_PATH", "METRICS_PATH"];

impl Bed {
    /// As addon-operator prepares it: all files exist, outputs are empty.
    fn addon_operator() -> Self {
        let mut bed = Self { dir: tempfile::tempdir().unwrap(), env: BTreeMap::new(), program: "/m/hooks/all-hooks" };
        for output in OUTPUTS {
            bed.file(output, "");
        }
        bed.file("VALUES_PATH", r#"{"global":null,"m":null}"#);
        bed.contexts(&json!([{"binding": "nodes", "type": "Group", "groupName": "main", "snapshots": {"nodes": []}}]));
        bed
    }

    /// As shell-operator prepares it for a plain hook.
    fn shell_operator(program: &'static str) -> Self {
        let mut bed = Self { program, ..Self::addon_operator() };
        bed.env.retain(|variable, _| !variable.contains("VALUES"));
        bed
    }

    fn file(&mut self, variable: &str, text: &str) {
        let path = self.path(variable);
        fs::write(&path, text).unwrap();
        self.env.insert(variable.into(), path.to_str().unwrap().into());
    }

    fn contexts(&mut self, contexts: &Value) {
        self.file("BINDING_CONTEXT_PATH", &contexts.to_string());
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    fn call(&self, args: &[&str]) -> Ran {
        self.call_hooks(args, HOOKS)
    }

    fn call_hooks(&self, args: &[&str], hooks: &[Hook]) -> Ran {
        let (stdout, stderr) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(Vec::new())));
        let args = [self.program].iter().chain(args).map(|&arg| arg.to_owned()).collect();
        let process = Process { args, env: self.env.clone(), stdout: stdout.clone(), stderr: stderr.clone() };
        let code = run(&process, hooks);
        let text = |bytes: Arc<Mutex<Vec<u8>>>| String::from_utf8(bytes.lock().unwrap().clone()).unwrap();
        Ran { code, stdout: text(stdout), stderr: text(stderr) }
    }
}

#[test]
fn list_is_as_addon_operator_expects_it() {
    for group in ["hook", "hooks"] {
        let ran = Bed::addon_operator().call(&[group, "list"]);
        assert_eq!((ran.code, ran.stderr.as_str()), (ExitCode::SUCCESS, ""));
        let expected = "Found 7 items:\n0 - writes_all\n1 - copies-snapshot\n2 - fails\n3 - panics\n\
            4 - says_nonsense\n5 - panics_in_a_thread\n6 - leaves_no_trace\n";
        assert_eq!(ran.stdout, expected);
    }
}

#[test]
fn config_is_one_json_object_and_always_the_same() {
    let mut bed = Bed::addon_operator();
    // The operator sets no variables for this question.
    bed.env = BTreeMap::from([("LOG_LEVEL".to_owned(), "trace".to_owned())]);
    let first = bed.call(&["hook", "config"]);
    let config: Value = serde_json::from_str(&first.stdout).unwrap();
    assert_eq!((first.code, first.stderr.as_str(), &config["version"]), (ExitCode::SUCCESS, "", &json!("v1")));
    let names: Vec<_> =
        config["hooks"].as_array().unwrap().iter().map(|hook| hook["metadata"]["name"].clone()).collect();
    assert_eq!(names, HOOKS.iter().map(|hook| hook.name).collect::<Vec<_>>());
    assert_eq!(bed.call(&["hooks", "config"]).stdout, first.stdout);
}

#[test]
fn an_executable_without_hooks_has_no_config() {
    let bed = Bed::addon_operator();
    for word in ["config", "dump"] {
        let ran = bed.call_hooks(&["hook", word], &[]);
        assert_eq!((ran.message().as_str(), ran.stdout.as_str()), ("this executable has no hooks", ""));
    }
    assert_eq!(bed.call_hooks(&["hook", "list"], &[]).stdout, "Found 0 items:\n");
}

#[test]
fn dump_writes_the_config_to_a_file() {
    let mut bed = Bed::addon_operator();
    bed.file("HOOK_CONFIG_PATH", &"old".repeat(10_000));
    let ran = bed.call(&["hook", "dump"]);
    assert_eq!((ran.code, ran.stdout.as_str(), ran.stderr.as_str()), (ExitCode::SUCCESS, "dump successfully\n", ""));
    assert_eq!(bed.read("HOOK_CONFIG_PATH"), bed.call(&["hook", "config"]).stdout);

    let deep = bed.path("a/b/config.json").to_str().unwrap().to_owned();
    bed.env.insert("HOOK_CONFIG_PATH".into(), deep.clone());
    let said = bed.call(&["hook", "dump"]).message();
    assert!(said.starts_with("HOOK_CONFIG_PATH (") && said.contains(&deep), "{said}");
    bed.env.insert("CREATE_FILES".into(), "true".into());
    assert_eq!(bed.call(&["hook", "dump"]).code, ExitCode::SUCCESS);
    assert!(fs::exists(deep).unwrap());
}

#[test]
fn a_run_writes_all_files() {
    let bed = Bed::addon_operator();
    assert!(bed.call(&["hook", "run", "0"]).is_quiet_success());
    assert_eq!(bed.read("VALUES_JSON_PATCH_PATH"), "[{\"op\":\"add\",\"path\":\"/m/a\",\"value\":1}]\n");
    assert!(bed.read("KUBERNETES_PATCH_PATH").starts_with("{\"operation\":\"CreateIfNotExists\""));
    assert_eq!(bed.read("METRICS_PATH"), "{\"action\":\"expire\",\"group\":\"g\"}\n");
}

#[test]
fn a_run_without_effects_leaves_empty_files() {
    let bed = Bed::addon_operator();
    assert!(bed.call(&["hooks", "run", "6"]).is_quiet_success());
    assert_eq!(OUTPUTS.map(|output| bed.read(output)), [""; 3]);
}

#[test]
fn several_contexts_are_one_decision_from_the_last_snapshots() {
    let mut bed = Bed::addon_operator();
    let node = |name: &str| json!({"object": {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}}});
    let group =
        |nodes: Value| json!({"binding": "nodes", "type": "Group", "groupName": "main", "snapshots": {"nodes": nodes}});
    bed.contexts(&json!([group(json!([node("old")])), {"binding": "x", "type": "?"}, group(json!([node("new")]))]));
    assert!(bed.call(&["hook", "run", "1"]).is_quiet_success());
    let objects = bed.read("KUBERNETES_PATCH_PATH");
    assert!(objects.lines().count() == 1 && objects.contains("new"), "{objects}");
}

#[test]
fn every_failure_is_one_line_and_writes_nothing() {
    let node = "{\"binding\":\"nodes\",\"snapshots\":{\"nodes\":[{\"object\":{}}]}}";
    let rows: [(&str, Option<&str>, &str); 8] = [
        ("2", None, "hook fails: first\nsecond"),
        ("3", None, "hook panics: panicked: on purpose"),
        ("4", None, "hook says_nonsense: metric \"n\" of group \"g\" has a value"),
        ("0", Some("[{]"), "hook writes_all: BINDING_CONTEXT_PATH ("),
        ("0", Some("\u{feff}[]"), "begins with a byte order mark"),
        ("1", Some("[]"), "no binding context carries a snapshot of binding nodes"),
        ("1", Some("[{\"binding\":\"nodes\",\"snapshots\":{\"nodes\":[{}]}}]"), "item 0: carries neither"),
        ("1", Some(&format!("[{node}]")), "apiVersion is not"),
    ];
    for (index, contexts, expected) in rows {
        let mut bed = Bed::addon_operator();
        if let Some(contexts) = contexts {
            bed.file("BINDING_CONTEXT_PATH", contexts);
        }
        for output in OUTPUTS {
            bed.file(output, "as it was");
        }
        let ran = bed.call(&["hook", "run", index]);
        let said = ran.message();
        assert!(said.starts_with("hook ") && said.contains(expected), "{said}");
        assert_eq!(OUTPUTS.map(|output| bed.read(output)), ["as it was"; 3], "{said}");
        assert_eq!(ran.stdout, "");
    }
    let mut bed = Bed::addon_operator();
    bed.env.remove("BINDING_CONTEXT_PATH");
    assert!(bed.call(&["hook", "run", "0"]).message().contains("BINDING_CONTEXT_PATH is not set"));
}

#[test]
fn an_invalid_index_fails() {
    let bed = Bed::addon_operator();
    for index in ["7", "-1", "x", "", "1.0", "99999999999999999999"] {
        assert!(bed.call(&["hook", "run", index]).message().contains("does not exist: `hook list`"), "{index}");
    }
    for args in [&["hook", "run"][..], &["hook", "run", "0", "1"]] {
        assert!(bed.call(args).message().starts_with("hook run takes one argument"));
    }
}

#[test]
fn ready_fails_and_check_succeeds_silently() {
    let mut bed = Bed::addon_operator();
    assert_eq!(bed.call(&["hook", "ready"]).message(), "no readiness check is registered");
    bed.file("SETTINGS_PATH", r#"{"logLevel":"info"}"#);
    assert!(bed.call(&["hook", "check"]).is_quiet_success());
}

#[test]
fn unknown_arguments_fail_quietly() {
    let bed = Bed::shell_operator("/hooks/writes_all");
    for args in
        [&["hook"][..], &["hook", "fly"], &["--help"], &["fly"], &["--config", "x"], &["hook", "list", "x"], &[""]]
    {
        assert!(bed.call(args).is_quiet_failure(), "{args:?}");
    }
    assert_eq!(OUTPUTS.map(|output| bed.read(output)), [""; 3]);
}

#[test]
fn a_plain_hook_is_chosen_by_the_name_of_its_file() {
    for (program, hook) in [
        ("/hooks/leaves_no_trace", Some("leaves_no_trace")),
        ("leaves-no-trace", Some("leaves_no_trace")),
        ("./leaves-no_trace.sh", Some("leaves_no_trace")),
        ("/hooks/all-hooks", None),
        ("/hooks/leaves_no", None),
        ("", None),
    ] {
        let bed = Bed::shell_operator(program);
        let (config, run) = (bed.call(&["--config"]), bed.call(&[]));
        if hook.is_some() {
            let config: Value = serde_json::from_str(&config.stdout).unwrap();
            assert_eq!((&config["configVersion"], &config["kubernetes"][0]["group"]), (&json!("v1"), &json!("main")));
            assert!(config.get("beforeHelm").is_none() && run.is_quiet_success());
        } else {
            assert!(config.message().contains("is not the name of a hook") && config.stdout.is_empty(), "{program}");
            assert!(run.message().contains("is not the name of a hook"), "{program}");
        }
    }
}

#[test]
fn a_plain_run_has_no_values() {
    let mut bed = Bed::shell_operator("/hooks/copies-snapshot");
    let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n"}});
    bed.contexts(&json!([{"binding": "nodes", "type": "Group", "snapshots": {"nodes": [{"object": node}]}}]));
    assert!(bed.call(&[]).is_quiet_success());
    assert_eq!(bed.read("KUBERNETES_PATCH_PATH").lines().count(), 1);

    // If a hook changes values nevertheless, they must not be lost silently.
    let bed = Bed::shell_operator("/hooks/writes_all");
    assert!(bed.call(&[]).message().contains("VALUES_JSON_PATCH_PATH is not set"));
    assert_eq!((bed.read("KUBERNETES_PATCH_PATH"), bed.read("METRICS_PATH")), (String::new(), String::new()));

    // Nothing to bind to under shell-operator.
    let ran = Bed::shell_operator("/hooks/copies-snapshot").call(&["--config"]);
    assert!(ran.message().contains("no binding that shell-operator knows") && ran.stdout.is_empty());
}

#[test]
fn the_log_goes_to_stdout_when_it_is_asked_for() {
    let mut bed = Bed::addon_operator();
    bed.env.insert("LOG_LEVEL".into(), "INFO".into());
    let ran = bed.call(&["hook", "run", "0"]);
    let line: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!((ran.stderr.as_str(), &line["logger"], &line["values"]), ("", &json!("writes_all"), &json!(true)));
}

#[test]
fn a_stdout_that_takes_nothing_is_a_failure() {
    struct Full;
    impl std::io::Write for Full {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::StorageFull.into())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let bed = Bed::addon_operator();
    for args in [["x", "hook", "config"], ["x", "hook", "list"]] {
        let args = args.map(str::to_owned).to_vec();
        let full: Sink = Arc::new(Mutex::new(Full));
        let process = Process { args, env: bed.env.clone(), stdout: full.clone(), stderr: full };
        assert_eq!(run(&process, HOOKS), ExitCode::FAILURE);
    }
}

/// A real process of its own: [`a_panic_leaves_one_line_on_a_real_stderr`] starts it.
#[test]
#[ignore = "ends its process; another test starts it"]
fn child() {
    quiet_panics();
    let args = std::env::var("CHILD_ARGS").unwrap();
    let code = run(&this_process(args.split(' ').map(OsString::from)), HOOKS);
    std::process::exit(if code == ExitCode::SUCCESS { 0 } else { 3 });
}

#[test]
fn a_panic_leaves_one_line_on_a_real_stderr() {
    let bed = Bed::addon_operator();
    let child = |args: &str| {
        let mut command = std::process::Command::new(std::env::current_exe().unwrap());
        // --nocapture: the test harness must not catch the output of a hook executable.
        command.args(["hook::run::tests::child", "--exact", "--ignored", "--nocapture"]);
        command.env_clear().envs(&bed.env).env("CHILD_ARGS", args).output().unwrap()
    };
    for (args, expected) in [("x hook run 3", "on purpose"), ("x hook run 5", "deep inside")] {
        let ran = child(args);
        let stderr = String::from_utf8(ran.stderr).unwrap();
        assert_eq!((ran.status.code(), stderr.matches('\n').count()), (Some(3), 1), "{stderr}");
        let line: Value = serde_json::from_str(&stderr).unwrap();
        let said = line["message"].as_str().unwrap();
        assert!(said.contains(": panicked at src/hook/run/tests.rs:") && said.ends_with(expected), "{said}");
    }
    let ran = child("x hook run 0");
    assert_eq!((ran.status.code(), ran.stderr.len()), (Some(0), 0));
    assert!(bed.read("METRICS_PATH").contains("expire"));
}
