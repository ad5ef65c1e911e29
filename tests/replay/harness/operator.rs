//! The operator's side: starts the hook executable with its files and variables, as addon-operator does.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::LazyLock;

use serde_json::Value;

use super::case::{Case, INPUTS, Input};
use super::world::World;
use crate::common;

/// What the hook may write, with the variable that tells where.
const OUTPUTS: [(&str, &str); 4] = [
    ("values", "VALUES_JSON_PATCH_PATH"),
    ("config_values", "CONFIG_VALUES_JSON_PATCH_PATH"),
    ("objects", "KUBERNETES_PATCH_PATH"),
    ("metrics", "METRICS_PATH"),
];

/// Answers of `hook list` and `hook config`.
static HOOKS: LazyLock<(String, Value)> = LazyLock::new(|| {
    let ask = |what: &str| {
        let output = Command::new(common::hook_executable()).args(["hook", what]).output().unwrap();
        assert!(output.status.success(), "hook {what}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    (ask("list"), serde_json::from_str(&ask("config")).unwrap())
});

/// The hook of a case.
pub(crate) struct Operator<'a> {
    case: &'a Case,
    index: String,
    /// Its kubernetes bindings.
    pub(crate) bindings: Vec<Binding>,
}

pub(crate) struct Binding {
    pub(crate) name: String,
    pub(crate) kind: String,
    pub(crate) filter: Option<String>,
}

/// What a run gave.
#[derive(Default)]
pub(crate) struct Outcome {
    /// The message of a run that failed.
    pub(crate) failure: Option<String>,
    pub(crate) stdout: String,
    /// Contents of the output files.
    pub(crate) outputs: BTreeMap<&'static str, String>,
}

impl<'a> Operator<'a> {
    pub(crate) fn new(case: &'a Case) -> Result<Self, String> {
        let (list, config) = &*HOOKS;
        let index = list.lines().filter_map(|line| line.split_once(" - ")).find(|(_, name)| *name == case.hook);
        let index = index.map(|(index, _)| index.to_owned()).ok_or_else(|| format!("no hook {:?}", case.hook))?;
        let hook = &config["hooks"][index.parse::<usize>().map_err(|error| error.to_string())?];
        let text = |value: &Value| value.as_str().map(ToOwned::to_owned);
        let bindings = hook["kubernetes"].as_array().into_iter().flatten().map(|binding| Binding {
            name: text(&binding["name"]).unwrap(),
            kind: text(&binding["kind"]).unwrap(),
            filter: text(&binding["jqFilter"]),
        });
        Ok(Self { case, index, bindings: bindings.collect() })
    }

    /// One run.
    pub(crate) fn run(&self, world: &World) -> Result<Outcome, String> {
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let mut command = Command::new(common::hook_executable());
        command.args(["hook", "run", &self.index]).current_dir(folder.path()).env_clear();
        command.env("MODULE_NAME", "istio").env("APPLICATION_NAME", "").env("APPLICATION_NAMESPACE", "");
        // Without it, a hook is silent.
        command.env("LOG_LEVEL", "info");
        for (name, value) in &self.case.env {
            let path = folder.path().join(name);
            match value.strip_prefix("file:") {
                Some(text) => {
                    fs::write(&path, world.fill(text)?).map_err(|error| error.to_string())?;
                    command.env(name, path);
                }
                None => {
                    command.env(name, value);
                }
            }
        }
        for (file, variable) in INPUTS {
            let path = folder.path().join(file);
            match world.input(file) {
                Input::Text(text) => fs::write(&path, text).map_err(|error| error.to_string())?,
                Input::Missing => {}
                Input::Unset => continue,
            }
            command.env(variable, path);
        }
        let has_values = !matches!(world.input("values.json"), Input::Unset);
        for (output, variable) in OUTPUTS {
            // shell-operator has none for values.
            if has_values || !output.ends_with("values") {
                fs::write(folder.path().join(output), "").map_err(|error| error.to_string())?;
                command.env(variable, folder.path().join(output));
            }
        }
        let ended = command.output().map_err(|error| format!("cannot start {command:?}: {error}"))?;
        outcome(&ended, folder.path(), has_values)
    }
}

fn outcome(ended: &Output, folder: &Path, has_values: bool) -> Result<Outcome, String> {
    let stderr = String::from_utf8_lossy(&ended.stderr);
    let mut outcome = Outcome { stdout: String::from_utf8_lossy(&ended.stdout).into_owned(), ..Outcome::default() };
    for (output, _) in OUTPUTS {
        if has_values || !output.ends_with("values") {
            let text = fs::read_to_string(folder.join(output)).map_err(|error| format!("output {output}: {error}"))?;
            outcome.outputs.insert(output, text);
        }
    }
    if ended.status.success() {
        return if stderr.is_empty() {
            Ok(outcome)
        } else {
            Err(format!("it succeeded, and wrote to stderr: {stderr}"))
        };
    }
    let line: Value = serde_json::from_str(stderr.trim_end_matches('\n'))
        .map_err(|error| format!("{}, and stderr is not one JSON line ({error}): {stderr:?}", ended.status))?;
    let message = line["message"].as_str().ok_or_else(|| format!("stderr has no message: {stderr}"))?;
    let folder = folder.to_str().ok_or("a folder that is not UTF-8")?;
    outcome.failure = Some(message.replace(folder, "{{folder}}"));
    if let Some((output, text)) = outcome.outputs.iter().find(|(_, text)| !text.is_empty()) {
        return Err(format!("it failed ({message}), and wrote {output} all the same: {text}"));
    }
    Ok(outcome)
}
