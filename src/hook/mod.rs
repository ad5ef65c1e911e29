//! The protocol between a hook and the operator that starts it: shell-operator (a plain hook) or addon-operator (a batch hook).
//!
//! A hook is a [`Hook`]: a name, its bindings and a function from [`Input`] to [`Effects`]. [`main`] does the rest: it answers
//! the operator's questions, reads the files, runs the hook, and writes what came out only after the hook succeeded.
//! This module knows nothing of what the hooks are for.

mod config;
mod config_form;
mod context;
mod effects;
mod failure;
mod input;
mod log;
mod merge_patch;
mod metrics;
mod objects;
mod run;
mod snapshots;
mod values;

pub use config::{
    Events, FieldOperator, FieldSelector, HookConfig, KubernetesBinding, LabelExpression, Schedule, Settings,
    WatchEvent,
};
pub use config_form::{ConfigError, batch_config, plain_config};
pub use context::{BindingContext, Lifecycle, ReviewKind};
pub use effects::{Effects, EffectsError, Outputs};
pub use input::{Input, InputError};
pub use log::{Level, Logger, Sink};
pub use merge_patch::diff;
pub use metrics::MetricOperation;
pub use objects::{JsonPatchStep, ObjectPatch, ObjectPatchError, ObjectRef, Operation};
pub use run::{Hook, HookResult, Process, main, main_of, run};
pub use snapshots::{Item, ItemError, Items, ObjectName, Snapshots};
pub use values::{ValuesPatch, ValuesPatchError};
