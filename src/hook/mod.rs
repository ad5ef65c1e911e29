//! The protocol between a hook and the operator that starts it: shell-operator (a plain hook) or addon-operator (a batch hook).
//!
//! A hook is a [`Hook`]: a name, its bindings and a function from [`Input`] to [`Effects`]. [`main`] does the rest: it answers
//! the operator's questions, reads the files, runs the hook, and writes the effects only after the hook succeeded.
//! This module knows nothing about the purpose of the hooks, and has only the parts of the protocol that they use.

mod config;
mod config_form;
mod effects;
mod failure;
mod input;
mod log;
mod merge_patch;
mod metrics;
mod object_patch;
mod run;
mod snapshots;
mod values;

pub use config::{Events, HookConfig, KubernetesBinding, Schedule};
pub use effects::Effects;
pub use input::{Input, InputError};
pub use log::Logger;
pub use merge_patch::diff;
pub use metrics::MetricOperation;
pub use object_patch::{ObjectPatch, ObjectPatchError, ObjectRef};
pub use run::{Hook, main, main_of};
pub use snapshots::{ItemError, ObjectName};
pub use values::{ValuesPatch, ValuesPatchError};
