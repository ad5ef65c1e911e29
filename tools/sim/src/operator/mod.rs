//! A stand-in for addon-operator, as far as a module's hooks can observe it: order of runs, files, and effects of output.
//! It knows nothing of this module. Where the real operator differs, the real one is right.
//!
//! Not kept: queues, retries, crontabs (the caller gives the ticks), schemas of values, Helm itself (see [`Chart`]).

pub mod config;
pub mod context;
pub mod metrics;
pub mod patches;
mod process;
#[cfg(test)]
mod tests;
pub mod values;

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;

use serde_json::Value;
use thiserror::Error;

use self::config::{Hook, Lifecycle};
use self::context::View;
use self::metrics::Metrics;
use self::patches::PatchError;
pub use self::process::{Executable, Inputs, Outputs};
use self::values::{ModuleValues, ValuesError};
use crate::cluster::{ApiError, Change, Cluster, Key};
use crate::jq::JqError;

/// Rounds of events and renderings after which hooks that only wake each other are stopped.
const ROUND_LIMIT: usize = 50;

/// Why a step failed. After an error of a hook the operator can go on: like the real one, it has applied the earlier steps.
#[derive(Debug, Error)]
pub enum OperatorError {
    /// The executable cannot be started, or does not end.
    #[error("{path}: {why}", path = path.display())]
    Start {
        /// The executable.
        path: PathBuf,
        /// The system's reason.
        why: std::io::Error,
    },
    /// Files of a run cannot be written or read; hooks must not remove theirs.
    #[error("files of a run in {folder}: {why}", folder = folder.display())]
    Files {
        /// Folder of the run.
        folder: PathBuf,
        /// The system's reason.
        why: std::io::Error,
    },
    /// `hook list` or `hook config` cannot be used.
    #[error("hook config: {why}")]
    Config {
        /// The reason.
        why: String,
    },
    /// A jqFilter failed on an object.
    #[error("hook {hook}, binding {binding}, {object}: {why}")]
    Filter {
        hook: String,
        binding: String,
        object: String,
        /// The reason.
        why: JqError,
    },
    /// A hook failed, or its output cannot be used.
    #[error("hook {hook} failed: {message} (its files: {files})", files = files.display())]
    Hook {
        hook: String,
        message: String,
        /// Folder of the run.
        files: PathBuf,
    },
    /// The chart cannot be rendered.
    #[error("chart: {0}")]
    Chart(String),
    /// The API refuses an object of the chart.
    #[error("chart: {0}")]
    Release(#[from] ApiError),
    /// Changed settings do not go with the values patches of hooks.
    #[error(transparent)]
    Values(#[from] ValuesError),
    /// Hooks go on waking each other.
    #[error("nothing settles: after {ROUND_LIMIT} rounds these still run: {hooks}")]
    Unsettled {
        /// The hooks of the last round.
        hooks: String,
    },
}

/// Renders the module's objects from values; Helm in a real operator.
pub trait Chart {
    /// The objects for these values, or the reason for a failure.
    fn render(&self, values: &Value) -> Result<Vec<Value>, String>;
}

/// The module that an operator runs.
#[derive(Clone, Debug)]
pub struct Module {
    /// Name, as in `MODULE_NAME`.
    pub name: String,
    /// Executable with its hooks.
    pub hooks: Executable,
    /// Folder that keeps the files of every run.
    pub runs: PathBuf,
}

/// A run of a hook or of the chart.
#[derive(Debug)]
pub struct Step {
    /// Name of the hook; `None` for the chart.
    pub hook: Option<String>,
    /// Why: the binding.
    pub cause: String,
    /// Objects that are different now.
    pub changes: Vec<Change>,
    /// Object patches that were asked for, whether or not they changed something.
    pub operations: usize,
    /// Whether values are different now.
    pub values_changed: bool,
    /// The log of the hook.
    pub log: String,
}

impl Step {
    /// Whether nothing was asked for: no API write, no change of values.
    #[must_use]
    pub fn is_silent(&self) -> bool {
        self.changes.is_empty() && self.operations == 0 && !self.values_changed
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.hook.as_deref().unwrap_or("chart"), self.cause)
    }
}

/// An operator with one module, on one cluster.
pub struct Operator<C> {
    module: Module,
    chart: C,
    cluster: Cluster,
    values: ModuleValues,
    hooks: Vec<Hook>,
    seen: Vec<Vec<View>>,
    release: BTreeSet<Key>,
    stale_release: bool,
    metrics: Metrics,
    runs: usize,
}

impl<C: Chart> Operator<C> {
    /// Loads the hooks. Nothing runs yet.
    pub async fn load(module: Module, cluster: Cluster, values: ModuleValues, chart: C) -> Result<Self, OperatorError> {
        let hooks = module.hooks.hooks().await?;
        let seen = hooks.iter().map(|hook| vec![View::new(); hook.bindings.len()]).collect();
        let (release, metrics) = (BTreeSet::new(), Metrics::default());
        Ok(Self { module, chart, cluster, values, hooks, seen, release, stale_release: true, metrics, runs: 0 })
    }

    #[must_use]
    pub fn hooks(&self) -> &[Hook] {
        &self.hooks
    }

    /// The objects.
    #[must_use]
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// The objects, for others that change them; [`Operator::react`] then runs the hooks.
    pub fn cluster_mut(&mut self) -> &mut Cluster {
        &mut self.cluster
    }

    #[must_use]
    pub fn values(&self) -> &Value {
        self.values.document()
    }

    /// The metrics of the hooks.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Replaces the user's settings; [`Operator::react`] then renders.
    pub fn configure(&mut self, config: Value) -> Result<(), OperatorError> {
        self.stale_release |= self.values.set_config(config)?;
        Ok(())
    }

    /// The module is switched on: onStartup, every binding's first listing, the first rendering, and everything that follows.
    pub async fn start(&mut self, steps: &mut Vec<Step>) -> Result<(), OperatorError> {
        for index in self.bound_to(|lifecycle| lifecycle.on_startup) {
            self.run(index, "onStartup", context::on_startup(), steps).await?;
        }
        self.notice()?;
        for index in 0..self.hooks.len() {
            let first = self.hooks[index].bindings.iter().find(|binding| binding.on_synchronization);
            if let Some(binding) = first.map(|binding| binding.name.clone()) {
                self.run_group(index, &binding, steps).await?;
            }
        }
        self.stale_release = true;
        self.react(steps).await
    }

    /// Every schedule fires once, with everything that follows.
    pub async fn tick(&mut self, steps: &mut Vec<Step>) -> Result<(), OperatorError> {
        for index in 0..self.hooks.len() {
            if let Some(schedule) = self.hooks[index].schedules.first().cloned() {
                self.run_group(index, &schedule.name, steps).await?;
            }
        }
        self.react(steps).await
    }

    /// Every hook runs once, and the chart is rendered, with everything that follows.
    pub async fn round(&mut self, steps: &mut Vec<Step>) -> Result<(), OperatorError> {
        for index in 0..self.hooks.len() {
            let hook = &self.hooks[index];
            let scheduled = hook.schedules.first().map(|schedule| &schedule.name);
            if let Some(binding) = scheduled.or(hook.bindings.first().map(|binding| &binding.name)).cloned() {
                self.run_group(index, &binding, steps).await?;
            }
        }
        self.stale_release = true;
        self.react(steps).await
    }

    /// Runs the hooks whose objects changed, and renders when values changed, until neither is the case.
    pub async fn react(&mut self, steps: &mut Vec<Step>) -> Result<(), OperatorError> {
        for _ in 0..ROUND_LIMIT {
            let changed = self.notice()?;
            if changed.is_empty() && !self.stale_release {
                return Ok(());
            }
            for (index, binding) in changed {
                self.run_group(index, &binding, steps).await?;
            }
            if std::mem::take(&mut self.stale_release) {
                self.release(steps).await?;
            }
        }
        let last: BTreeSet<String> = steps.iter().rev().take(self.hooks.len()).map(Step::to_string).collect();
        Err(OperatorError::Unsettled { hooks: last.into_iter().collect::<Vec<_>>().join(", ") })
    }

    /// Hooks of a lifecycle binding, by order, then by name.
    fn bound_to(&self, order: impl Fn(Lifecycle) -> Option<u32>) -> Vec<usize> {
        let mut bound: Vec<_> = self
            .hooks
            .iter()
            .filter_map(|hook| order(hook.lifecycle).map(|order| (order, &hook.name, hook.index)))
            .collect();
        bound.sort();
        bound.into_iter().map(|(_, _, index)| index).collect()
    }

    /// The hooks for which a binding shows something else than before, each with the last such binding.
    fn notice(&mut self) -> Result<Vec<(usize, String)>, OperatorError> {
        let mut changed = Vec::new();
        for (hook, seen) in self.hooks.iter().zip(&mut self.seen) {
            let mut woken = None;
            for (binding, seen) in hook.bindings.iter().zip(seen) {
                if !binding.on_event {
                    continue;
                }
                let view = context::view(hook, binding, &self.cluster)?;
                if view != *seen {
                    *seen = view;
                    woken = Some(binding.name.clone());
                }
            }
            changed.extend(woken.map(|binding| (hook.index, binding)));
        }
        Ok(changed)
    }

    /// A run of the module: hooks before Helm, the chart, hooks after Helm.
    async fn release(&mut self, steps: &mut Vec<Step>) -> Result<(), OperatorError> {
        for index in self.bound_to(|lifecycle| lifecycle.before_helm) {
            self.run_lifecycle(index, "beforeHelm", steps).await?;
        }
        // Their changes are rendered now.
        self.stale_release = false;
        let objects = self.chart.render(self.values.document()).map_err(OperatorError::Chart)?;
        let changes = self.install(objects)?;
        if !changes.is_empty() {
            let cause = "values changed".to_owned();
            steps.push(Step {
                hook: None,
                cause,
                operations: changes.len(),
                changes,
                values_changed: false,
                log: String::new(),
            });
        }
        for index in self.bound_to(|lifecycle| lifecycle.after_helm) {
            self.run_lifecycle(index, "afterHelm", steps).await?;
        }
        Ok(())
    }

    /// Applies rendered objects like Helm: writes new and different ones, and deletes those that it no longer renders,
    /// unless an annotation keeps them.
    fn install(&mut self, objects: Vec<Value>) -> Result<Vec<Change>, OperatorError> {
        let mut release = BTreeSet::new();
        for object in objects {
            let key = Key::of(&object)?;
            if self.cluster.get(&key).is_some() {
                self.cluster.update(&key, object, crate::cluster::Part::Main)?;
            } else {
                self.cluster.create(object)?;
            }
            release.insert(key);
        }
        for key in self.release.difference(&release) {
            let policy = self.cluster.get(key).and_then(|object| {
                object.pointer("/metadata/annotations/helm.sh~1resource-policy").and_then(Value::as_str)
            });
            if policy != Some("keep") {
                self.cluster.delete(key);
            }
        }
        self.release = release;
        self.cluster.collect_garbage();
        Ok(self.cluster.take_changes())
    }

    async fn run_group(&mut self, index: usize, binding: &str, steps: &mut Vec<Step>) -> Result<(), OperatorError> {
        let context = context::group(binding, context::snapshots(&self.hooks[index], &self.cluster)?);
        self.run(index, binding, context, steps).await
    }

    async fn run_lifecycle(&mut self, index: usize, binding: &str, steps: &mut Vec<Step>) -> Result<(), OperatorError> {
        let context = context::lifecycle(binding, context::snapshots(&self.hooks[index], &self.cluster)?);
        self.run(index, binding, context, steps).await
    }

    async fn run(
        &mut self,
        index: usize,
        cause: &str,
        context: Value,
        steps: &mut Vec<Step>,
    ) -> Result<(), OperatorError> {
        let hook = &self.hooks[index];
        self.runs += 1;
        let files = self.module.runs.join(format!("{:04}-{}", self.runs, hook.name.replace('/', "-")));
        let inputs = Inputs {
            module: &self.module.name,
            context,
            values: self.values.document(),
            config_values: self.values.config_document(),
        };
        let outputs = self.module.hooks.run(hook, &files, inputs).await?;
        let name = hook.name.clone();
        let mut step = Step {
            hook: Some(name.clone()),
            cause: cause.to_owned(),
            changes: Vec::new(),
            operations: 0,
            values_changed: false,
            log: outputs.log.clone(),
        };
        let taken = self.take(&name, &outputs, &mut step);
        self.cluster.collect_garbage();
        step.changes = self.cluster.take_changes();
        self.stale_release |= step.values_changed;
        steps.push(step);
        taken.map_err(|message| OperatorError::Hook { hook: name, message, files })
    }

    /// Takes the output of a hook, in the operator's order. A failing object patch does not stop the others.
    fn take(&mut self, hook: &str, outputs: &Outputs, step: &mut Step) -> Result<(), String> {
        let operations = patches::parse(&outputs.objects).map_err(|why| why.to_string())?;
        self.metrics.apply(hook, &outputs.metrics)?;
        step.operations = operations.len();
        let failures: Vec<PatchError> =
            operations.iter().filter_map(|operation| operation.apply(&mut self.cluster).err()).collect();
        if !failures.is_empty() {
            return Err(failures.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "));
        }
        let config_changed = self.values.patch_config(&outputs.config_values).map_err(|why| why.to_string())?;
        let changed = self.values.patch(&outputs.values).map_err(|why| why.to_string())?;
        step.values_changed = changed || config_changed;
        Ok(())
    }
}
