//! The process: which question the operator asks, and the answer.

use std::collections::BTreeMap;
use std::error::Error;
use std::ffi::OsString;
use std::io::{stderr, stdout};
use std::path::Path;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;

use super::config::HookConfig;
use super::config_form::{batch_config, plain_config};
use super::effects::Effects;
use super::failure::{Failure, guarded, quiet_panics};
use super::input::Input;
use super::log::{Level, Logger, Sink};
use crate::text::error_chain;

/// What a run comes to. Any error will do: its causes are told too, on one line.
pub type HookResult = Result<Effects, Box<dyn Error + Send + Sync>>;

/// One hook of the executable.
#[derive(Clone, Copy, Debug)]
pub struct Hook {
    /// Its name, unique in the executable. As a plain hook it is run through a link of this name.
    pub name: &'static str,
    /// Its bindings. Asked for several times; always the same, without looking at anything.
    pub config: fn() -> HookConfig,
    /// One run. What it wants done happens only if it succeeds.
    pub run: fn(&Input, &Logger) -> HookResult,
}

/// What a process is given: [`run`] touches nothing else but the files that the environment names.
#[derive(Clone)]
pub struct Process {
    /// Arguments; the first is the path of the executable.
    pub args: Vec<String>,
    /// Environment.
    pub env: BTreeMap<String, String>,
    /// Answers and log.
    pub stdout: Sink,
    /// At most one line: why it failed.
    pub stderr: Sink,
}

/// The whole `main` of an executable with these hooks.
#[must_use]
pub fn main(hooks: &[Hook]) -> ExitCode {
    quiet_panics();
    run(&this_process(std::env::args_os()), hooks)
}

/// Runs what is no hook by the same rule: a failure, a panic included, is one JSON line on stderr and a non-zero exit.
#[must_use]
pub fn main_of(work: impl FnOnce() -> Result<(), Box<dyn Error + Send + Sync>>) -> ExitCode {
    quiet_panics();
    let ended = guarded(|| work().map_err(|error| Failure::Told(error_chain(error.as_ref()))));
    exit(ended, &(Arc::new(Mutex::new(stderr())) as Sink))
}

fn this_process(args: impl Iterator<Item = OsString>) -> Process {
    let env =
        std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    Process {
        args: args.map(|argument| argument.to_string_lossy().into_owned()).collect(),
        env: env.collect(),
        stdout: Arc::new(Mutex::new(stdout())),
        stderr: Arc::new(Mutex::new(stderr())),
    }
}

/// Answers one call of the operator. Anything but success is a non-zero exit, with one JSON line on stderr that tells why
/// (none where the arguments are not for us).
#[must_use]
pub fn run(process: &Process, hooks: &[Hook]) -> ExitCode {
    exit(guarded(|| answer(process, hooks)), &process.stderr)
}

fn exit(ended: Result<(), Failure>, stderr: &Sink) -> ExitCode {
    let Err(failure) = ended else { return ExitCode::SUCCESS };
    if let Some(line) = failure.line() {
        // Where stderr cannot be written either, the exit code has to do.
        let _ = write(stderr, &line);
    }
    ExitCode::FAILURE
}

fn answer(process: &Process, hooks: &[Hook]) -> Result<(), Failure> {
    let args: Vec<&str> = process.args.iter().skip(1).map(String::as_str).collect();
    match args.as_slice() {
        ["hook" | "hooks", "list"] => print(process, &list(hooks)),
        ["hook" | "hooks", "config"] => print(process, &format!("{}\n", config(hooks)?)),
        ["hook" | "hooks", "dump"] => dump(process, hooks),
        ["hook" | "hooks", "run", index] => execute(process, by_index(hooks, index)?),
        ["hook" | "hooks", "run", ..] => Err(Failure::told("hook run takes one argument, the index of the hook")),
        ["hook" | "hooks", "ready"] => Err(Failure::told("no readiness check is registered")),
        // No settings check is advertised: whatever the settings are, there is nothing to say.
        ["hook" | "hooks", "check"] => Ok(()),
        ["--config"] => {
            let hook = by_file_name(process, hooks)?;
            let config = plain_config(hook.name, &(hook.config)()).map_err(Failure::told)?;
            print(process, &format!("{config}\n"))
        }
        [] => execute(process, by_file_name(process, hooks)?),
        _ => Err(Failure::NotForUs),
    }
}

fn list(hooks: &[Hook]) -> String {
    let lines = hooks.iter().enumerate().map(|(index, hook)| format!("{index} - {}\n", hook.name));
    format!("Found {} items:\n{}", hooks.len(), lines.collect::<String>())
}

fn config(hooks: &[Hook]) -> Result<Value, Failure> {
    if hooks.is_empty() {
        return Err(Failure::told("this executable has no hooks"));
    }
    let configs: Vec<_> = hooks.iter().map(|hook| (hook.name, (hook.config)())).collect();
    batch_config(&configs).map_err(Failure::told)
}

/// For those who build images: the configuration into a file.
fn dump(process: &Process, hooks: &[Hook]) -> Result<(), Failure> {
    let config = config(hooks)?;
    let path = process.env.get("HOOK_CONFIG_PATH").map_or("out/hook_config.json", String::as_str);
    let told = |error| Failure::Told(format!("HOOK_CONFIG_PATH ({path}): cannot be written: {error}"));
    if process.env.get("CREATE_FILES").is_some_and(|value| value == "true")
        && let Some(parent) = Path::new(path).parent()
    {
        std::fs::create_dir_all(parent).map_err(told)?;
    }
    std::fs::write(path, format!("{config}\n")).map_err(told)?;
    print(process, "dump successfully\n")
}

fn by_index<'a>(hooks: &'a [Hook], index: &str) -> Result<&'a Hook, Failure> {
    let known = index.parse::<usize>().ok().and_then(|index| hooks.get(index));
    known.ok_or_else(|| Failure::Told(format!("there is no hook {index:?}: `hook list` shows the indices")))
}

/// The plain hook that the executable is called as: by a link that is named after it. Any extension, `-` for `_`.
fn by_file_name<'a>(process: &Process, hooks: &'a [Hook]) -> Result<&'a Hook, Failure> {
    let path = process.args.first().map(Path::new);
    let called =
        path.and_then(Path::file_stem).map(|stem| stem.to_string_lossy().replace('-', "_")).unwrap_or_default();
    let found = hooks.iter().find(|hook| hook.name.replace('-', "_") == called);
    found.ok_or_else(|| {
        Failure::Told(format!("{called:?} is none of the hooks: as a plain hook, call a link named after one of them"))
    })
}

/// One run: read, run, prepare every byte, and only then write.
fn execute(process: &Process, hook: &Hook) -> Result<(), Failure> {
    let run = || -> Result<(), Failure> {
        let threshold = Level::from_env(process.env.get("LOG_LEVEL").map(String::as_str));
        let log = Logger::new(hook.name, threshold, Arc::clone(&process.stdout));
        let input = Input::load(process.env.clone()).map_err(Failure::told)?;
        let effects = (hook.run)(&input, &log).map_err(|error| Failure::Told(error_chain(error.as_ref())))?;
        let outputs = effects.render().map_err(Failure::told)?;
        outputs.write(&process.env).map_err(Failure::told)
    };
    guarded(run).map_err(|failure| match failure {
        Failure::Told(message) => Failure::Told(format!("hook {}: {message}", hook.name)),
        Failure::NotForUs => Failure::NotForUs,
    })
}

fn print(process: &Process, text: &str) -> Result<(), Failure> {
    write(&process.stdout, text).map_err(|error| Failure::Told(format!("stdout: {error}")))
}

fn write(sink: &Sink, text: &str) -> std::io::Result<()> {
    let mut sink = sink.lock().unwrap_or_else(PoisonError::into_inner);
    sink.write_all(text.as_bytes())?;
    sink.flush()
}

#[cfg(test)]
#[path = "tests/run.rs"]
mod tests;
