//! Starts the hook executable with files and variables, like addon-operator.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::LazyLock;

use istio_federation_sim::operator::config::{self, Hook};
use serde_json::Value;

use super::case::{Case, Input};
use super::fill::Fill;
use super::world::World;
use crate::common;

/// The output files of a hook, with the variables of their paths.
const OUTPUTS: [(&str, &str); 4] = [
    ("values", "VALUES_JSON_PATCH_PATH"),
    ("config_values", "CONFIG_VALUES_JSON_PATCH_PATH"),
    ("objects", "KUBERNETES_PATCH_PATH"),
    ("metrics", "METRICS_PATH"),
];

/// The hooks of the executable, as an operator reads them.
static HOOKS: LazyLock<Vec<Hook>> = LazyLock::new(|| {
    let ask = |what: &str| {
        let output = Command::new(common::hook_executable()).args(["hook", what]).output().unwrap();
        assert!(output.status.success(), "hook {what}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let hooks = config::parse_config(&ask("config")).unwrap();
    assert_eq!(config::parse_list(&ask("list")), Some(hooks.len()));
    hooks
});

/// The hook of a case.
pub(crate) struct Operator<'a> {
    case: &'a Case,
    pub(crate) hook: &'static Hook,
}

/// The output of a run.
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
        let hook = HOOKS.iter().find(|hook| hook.name == case.hook);
        Ok(Self { case, hook: hook.ok_or_else(|| format!("no hook {:?}", case.hook))? })
    }

    /// One run.
    pub(crate) fn run(&self, world: &World<'_>, fill: &Fill) -> Result<Outcome, String> {
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let mut command = Command::new(common::hook_executable());
        command.args(["hook", "run", &self.hook.index.to_string()]).current_dir(folder.path()).env_clear();
        command.env("MODULE_NAME", "istio").env("APPLICATION_NAME", "").env("APPLICATION_NAMESPACE", "");
        // Without it, a hook is silent.
        command.env("LOG_LEVEL", "info");
        for (name, value) in &self.case.given.env {
            let path = folder.path().join(name);
            match value.strip_prefix("file:") {
                Some(text) => {
                    fs::write(&path, fill.text(text)?).map_err(|error| error.to_string())?;
                    command.env(name, path);
                }
                None => {
                    command.env(name, value);
                }
            }
        }
        for (file, variable, input) in [
            ("binding_context.json", "BINDING_CONTEXT_PATH", world.context()),
            ("values.json", "VALUES_PATH", world.values()),
            ("config_values.json", "CONFIG_VALUES_PATH", world.config_values()),
        ] {
            let path = folder.path().join(file);
            match input {
                Input::Text(text) => fs::write(&path, text).map_err(|error| error.to_string())?,
                Input::Missing => {}
                Input::Unset => continue,
            }
            command.env(variable, path);
        }
        let has_values = !matches!(world.values(), Input::Unset);
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
            Err(format!("it succeeded, but wrote to stderr: {stderr}"))
        };
    }
    let line: Value = serde_json::from_str(stderr.trim_end_matches('\n'))
        .map_err(|error| format!("{}, and stderr is not a single JSON line ({error}): {stderr:?}", ended.status))?;
    let message = line["message"].as_str().ok_or_else(|| format!("stderr has no message: {stderr}"))?;
    let folder = folder.to_str().ok_or("a folder that is not UTF-8")?;
    outcome.failure = Some(message.replace(folder, "{{folder}}"));
    if let Some((output, text)) = outcome.outputs.iter().find(|(_, text)| !text.is_empty()) {
        return Err(format!("it failed ({message}), but wrote {output}: {text}"));
    }
    Ok(outcome)
}
