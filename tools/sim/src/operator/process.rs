//! Starts the hook executable with the calls, files and variables of addon-operator's batch hooks.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use serde_json::Value;
use tokio::process::Command;

use super::OperatorError;
use super::config::{Hook, parse_config, parse_list};

/// Longest that a call may take. Operators wait without limit; a demo and a test must not.
const DEADLINE: Duration = Duration::from_mins(1);

/// A hook executable.
#[derive(Clone, Debug)]
pub struct Executable {
    path: PathBuf,
    environment: Vec<(String, String)>,
}

/// The output of a run: the text of each file.
#[derive(Debug, Default)]
pub struct Outputs {
    /// Metric operations.
    pub metrics: String,
    /// Object patches.
    pub objects: String,
    /// Patch of the settings.
    pub config_values: String,
    /// Patch of the values.
    pub values: String,
    /// Log lines.
    pub log: String,
}

/// The input of a run.
#[derive(Debug)]
pub struct Inputs<'a> {
    /// Name of the module.
    pub module: &'a str,
    /// Binding contexts.
    pub context: Value,
    pub values: &'a Value,
    /// Settings.
    pub config_values: Value,
}

impl Executable {
    /// The executable at `path`; its processes inherit our environment, and get `environment` on top.
    #[must_use]
    pub fn new(path: &Path, environment: &[(&str, &str)]) -> Self {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Self { path: path.to_owned(), environment: environment.iter().map(owned).collect() }
    }

    /// Asks for the hooks, as often as an operator does: the answers have to agree.
    pub async fn hooks(&self) -> Result<Vec<Hook>, OperatorError> {
        let list = self.ask("list").await?;
        let count = parse_list(&list)
            .ok_or_else(|| OperatorError::Config { why: format!("hook list answers {list:?}, not Found N items") })?;
        let answer = self.ask("config").await?;
        let hooks = parse_config(&answer)?;
        if hooks.len() != count {
            let why = format!("hook list announces {count} hooks, hook config {}", hooks.len());
            return Err(OperatorError::Config { why });
        }
        if self.ask("config").await? != answer {
            return Err(OperatorError::Config { why: "hook config gives another answer the second time".to_owned() });
        }
        Ok(hooks)
    }

    async fn ask(&self, what: &str) -> Result<String, OperatorError> {
        let mut command = self.command(["hook", what].as_slice());
        let (status, stdout, stderr) = self.wait(&mut command).await?;
        if status.success() {
            return Ok(stdout);
        }
        Err(OperatorError::Config { why: format!("hook {what} ended with {status}: {}", stderr.trim()) })
    }

    /// Runs a hook with its files in `folder`, which stay there.
    pub async fn run(&self, hook: &Hook, folder: &Path, inputs: Inputs<'_>) -> Result<Outputs, OperatorError> {
        let io = |why: std::io::Error| OperatorError::Files { folder: folder.to_owned(), why };
        fs::create_dir_all(folder).map_err(io)?;
        let file = |name: &str| folder.join(name);
        let given = [
            ("BINDING_CONTEXT_PATH", "binding_context.json", Some(&inputs.context)),
            ("VALUES_PATH", "values.json", Some(inputs.values)),
            ("CONFIG_VALUES_PATH", "config_values.json", Some(&inputs.config_values)),
            ("METRICS_PATH", "metrics.json", None),
            ("KUBERNETES_PATCH_PATH", "kubernetes_patch.json", None),
            ("VALUES_JSON_PATCH_PATH", "values_patch.json", None),
            ("CONFIG_VALUES_JSON_PATCH_PATH", "config_values_patch.json", None),
        ];
        let mut command = self.command(["hook", "run", &hook.index.to_string()].as_slice());
        command.env("MODULE_NAME", inputs.module).env("APPLICATION_NAME", "").env("APPLICATION_NAMESPACE", "");
        for (variable, name, content) in given {
            let text = content.map_or_else(String::new, Value::to_string);
            fs::write(file(name), text).map_err(io)?;
            command.env(variable, file(name));
        }
        let (status, log, stderr) = self.wait(&mut command).await?;
        fs::write(file("stdout.log"), &log).map_err(io)?;
        fs::write(file("stderr.log"), &stderr).map_err(io)?;
        if !status.success() {
            let message = message(&stderr).unwrap_or_else(|| status.to_string());
            return Err(OperatorError::Hook { hook: hook.name.clone(), message, files: folder.to_owned() });
        }
        let read = |name: &str| fs::read_to_string(file(name)).map_err(io);
        if let Some((_, name, _)) = given.iter().find(|(_, name, _)| !file(name).exists()) {
            let message = format!("it removed {name}, which belongs to the operator");
            return Err(OperatorError::Hook { hook: hook.name.clone(), message, files: folder.to_owned() });
        }
        Ok(Outputs {
            metrics: read("metrics.json")?,
            objects: read("kubernetes_patch.json")?,
            config_values: read("config_values_patch.json")?,
            values: read("values_patch.json")?,
            log,
        })
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.path);
        command.args(arguments).envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        command
    }

    async fn wait(&self, command: &mut Command) -> Result<(ExitStatus, String, String), OperatorError> {
        let output = tokio::time::timeout(DEADLINE, command.output()).await;
        let output = output
            .unwrap_or_else(|_| Err(std::io::Error::other("it did not end within 60 s")))
            .map_err(|why| OperatorError::Start { path: self.path.clone(), why })?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ok((output.status, text(&output.stdout), text(&output.stderr)))
    }
}

/// The message of a failed hook: that of its JSON line, else all that it wrote.
fn message(stderr: &str) -> Option<String> {
    let text = stderr.trim();
    let json: Option<Value> = serde_json::from_str(text).ok();
    let message = json.and_then(|line| line.get("message").and_then(Value::as_str).map(str::to_owned));
    message.or_else(|| (!text.is_empty()).then(|| text.to_owned()))
}
