//! The process of a hook executable: reads the operator's question from the arguments, and answers it.

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
use super::failure::{HookFailure, guarded, quiet_panics};
use super::input::Input;
use super::log::{Level, Logger, Sink};
use crate::text::error_chain;

type AnyError = Box<dyn Error + Send + Sync>;

/// One hook of the executable.
#[derive(Clone, Copy, Debug)]
pub struct Hook {
    /// Its name, unique in the executable. As a plain hook it is run through a link of this name.
    pub name: &'static str,
    /// Its bindings. The operator asks several times, so a constant.
    pub config: fn() -> HookConfig,
    /// One run. Its effects happen only if it succeeds; an error is logged with its causes, on one line.
    pub run: fn(&Input, &Logger) -> Result<Effects, AnyError>,
}

/// The input and output of a process; besides these, [`run`] touches the files that the environment names.
#[derive(Clone)]
struct Process {
    /// Arguments; the first is the path of the executable.
    args: Vec<String>,
    env: BTreeMap<String, String>,
    /// Answers and log.
    stdout: Sink,
    /// At most one line: why it failed.
    stderr: Sink,
}

/// The whole `main` of an executable with these hooks.
#[must_use]
pub fn main(hooks: &[Hook]) -> ExitCode {
    quiet_panics();
    run(&this_process(std::env::args_os()), hooks)
}

/// Runs other work by the same rule: a failure, a panic included, is one JSON line on stderr and a non-zero exit.
#[must_use]
pub fn main_of(work: impl FnOnce() -> Result<(), AnyError>) -> ExitCode {
    quiet_panics();
    let ended = guarded(|| work().map_err(|error| HookFailure::Message(error_chain(error.as_ref()))));
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

/// Answers one call of the operator. A failure is a non-zero exit, with one JSON line on stderr for the reason (no line where
/// the arguments are not for us).
fn run(process: &Process, hooks: &[Hook]) -> ExitCode {
    exit(guarded(|| answer(process, hooks)), &process.stderr)
}

fn exit(ended: Result<(), HookFailure>, stderr: &Sink) -> ExitCode {
    let Err(failure) = ended else { return ExitCode::SUCCESS };
    if let Some(line) = failure.line() {
        // Without stderr, the exit code is the only report.
        let _ = write(stderr, &line);
    }
    ExitCode::FAILURE
}

fn answer(process: &Process, hooks: &[Hook]) -> Result<(), HookFailure> {
    let args: Vec<&str> = process.args.iter().skip(1).map(String::as_str).collect();
    match args.as_slice() {
        ["hook" | "hooks", "list"] => print(process, &list(hooks)),
        ["hook" | "hooks", "config"] => print(process, &format!("{}\n", config(hooks)?)),
        ["hook" | "hooks", "dump"] => dump(process, hooks),
        ["hook" | "hooks", "run", index] => execute(process, by_index(hooks, index)?),
        ["hook" | "hooks", "run", ..] => Err(HookFailure::of("hook run takes one argument, the index of the hook")),
        ["hook" | "hooks", "ready"] => Err(HookFailure::of("no readiness check is registered")),
        // No settings check is advertised: hooks accept all settings.
        ["hook" | "hooks", "check"] => Ok(()),
        ["--config"] => {
            let hook = by_file_name(process, hooks)?;
            let config = plain_config(hook.name, &(hook.config)()).map_err(HookFailure::of)?;
            print(process, &format!("{config}\n"))
        }
        [] => execute(process, by_file_name(process, hooks)?),
        _ => Err(HookFailure::NotForUs),
    }
}

fn list(hooks: &[Hook]) -> String {
    let lines = hooks.iter().enumerate().map(|(index, hook)| format!("{index} - {}\n", hook.name));
    format!("Found {} items:\n{}", hooks.len(), lines.collect::<String>())
}

fn config(hooks: &[Hook]) -> Result<Value, HookFailure> {
    if hooks.is_empty() {
        return Err(HookFailure::of("this executable has no hooks"));
    }
    let configs: Vec<_> = hooks.iter().map(|hook| (hook.name, (hook.config)())).collect();
    batch_config(&configs).map_err(HookFailure::of)
}

/// For builders of images: the configuration as a file.
fn dump(process: &Process, hooks: &[Hook]) -> Result<(), HookFailure> {
    let config = config(hooks)?;
    let path = process.env.get("HOOK_CONFIG_PATH").map_or("out/hook_config.json", String::as_str);
    let failed = |error| HookFailure::Message(format!("HOOK_CONFIG_PATH ({path}): cannot be written: {error}"));
    if process.env.get("CREATE_FILES").is_some_and(|value| value == "true")
        && let Some(parent) = Path::new(path).parent()
    {
        std::fs::create_dir_all(parent).map_err(failed)?;
    }
    std::fs::write(path, format!("{config}\n")).map_err(failed)?;
    print(process, "dump successfully\n")
}

fn by_index<'a>(hooks: &'a [Hook], index: &str) -> Result<&'a Hook, HookFailure> {
    let known = index.parse::<usize>().ok().and_then(|index| hooks.get(index));
    known.ok_or_else(|| HookFailure::Message(format!("hook {index:?} does not exist: `hook list` shows the indices")))
}

/// The plain hook whose name the executable was called by, through a link. Any extension, `-` for `_`.
fn by_file_name<'a>(process: &Process, hooks: &'a [Hook]) -> Result<&'a Hook, HookFailure> {
    let path = process.args.first().map(Path::new);
    let called =
        path.and_then(Path::file_stem).map(|stem| stem.to_string_lossy().replace('-', "_")).unwrap_or_default();
    let found = hooks.iter().find(|hook| hook.name.replace('-', "_") == called);
    found.ok_or_else(|| {
        HookFailure::Message(format!(
            "{called:?} is not the name of a hook: as a plain hook, call a link with the name of a hook"
        ))
    })
}

/// One run: read, run, prepare every byte, and only then write.
fn execute(process: &Process, hook: &Hook) -> Result<(), HookFailure> {
    let run = || -> Result<(), HookFailure> {
        let threshold = Level::from_env(process.env.get("LOG_LEVEL").map(String::as_str));
        let log = Logger::new(hook.name, threshold, Arc::clone(&process.stdout));
        let input = Input::load(process.env.clone()).map_err(HookFailure::of)?;
        let effects = (hook.run)(&input, &log).map_err(|error| HookFailure::Message(error_chain(error.as_ref())))?;
        let outputs = effects.render().map_err(HookFailure::of)?;
        outputs.write(&process.env).map_err(HookFailure::of)
    };
    guarded(run).map_err(|failure| match failure {
        HookFailure::Message(message) => HookFailure::Message(format!("hook {}: {message}", hook.name)),
        HookFailure::NotForUs => HookFailure::NotForUs,
    })
}

fn print(process: &Process, text: &str) -> Result<(), HookFailure> {
    write(&process.stdout, text).map_err(|error| HookFailure::Message(format!("stdout: {error}")))
}

fn write(sink: &Sink, text: &str) -> std::io::Result<()> {
    let mut sink = sink.lock().unwrap_or_else(PoisonError::into_inner);
    sink.write_all(text.as_bytes())?;
    sink.flush()
}

#[cfg(test)]
mod tests;
