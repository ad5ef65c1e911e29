//! The effects that a hook asks for, and their bytes for the operator.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};

use serde::Serialize;

use super::metrics::MetricOperation;
use super::object_patch::ObjectPatch;
use super::values::ValuesPatch;

/// The effects that a run of a hook asks for. They happen only if the run succeeds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Effects {
    /// Changes of the effective values: lost when the operator restarts.
    pub values: ValuesPatch,
    /// Changes of objects, in this order.
    pub objects: Vec<ObjectPatch>,
    pub metrics: Vec<MetricOperation>,
}

/// The contents of the output files; empty where there is nothing to do.
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct Outputs {
    /// For `VALUES_JSON_PATCH_PATH`.
    values: String,
    /// For `KUBERNETES_PATCH_PATH`.
    objects: String,
    /// For `METRICS_PATH`.
    metrics: String,
}

/// Effects that cannot be handed over.
#[derive(Debug, thiserror::Error)]
pub(super) enum EffectsError {
    /// A metric that the operator would refuse.
    #[error("{metric} {problem}")]
    Metric {
        /// Its name and group.
        metric: String,
        /// The mistake.
        problem: &'static str,
    },
    #[error("{0}")]
    Json(#[from] serde_json::Error),
    /// There is something to write and no file for it.
    #[error("{0} is not set, but there is something to write: this operator does not take it from such a hook")]
    Unset(&'static str),
    /// A file that cannot be written.
    #[error("{variable} ({path}): cannot be written: {source}")]
    Write {
        /// Which file.
        variable: &'static str,
        /// Where.
        path: String,
        /// Why.
        source: io::Error,
    },
}

impl Effects {
    /// Whether nothing is to be done.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.values.is_empty() && self.objects.is_empty() && self.metrics.is_empty()
    }

    /// The bytes of all output files, or the first effect that cannot be written.
    pub(super) fn render(&self) -> Result<Outputs, EffectsError> {
        for metric in &self.metrics {
            if let Some(problem) = metric.problem() {
                return Err(EffectsError::Metric { metric: metric.title(), problem });
            }
        }
        Ok(Outputs { values: patch(&self.values), objects: lines(&self.objects)?, metrics: lines(&self.metrics)? })
    }
}

fn patch(patch: &ValuesPatch) -> String {
    if patch.is_empty() { String::new() } else { format!("{}\n", patch.to_json()) }
}

fn lines<T: Serialize>(items: &[T]) -> Result<String, serde_json::Error> {
    let mut text = String::new();
    for item in items {
        text += &serde_json::to_string(item)?;
        text.push('\n');
    }
    Ok(text)
}

impl Outputs {
    /// Writes the files that the environment names: each is truncated, none deleted. All are opened before the first
    /// byte is written, so that a missing one leaves the others as they were.
    pub(super) fn write(&self, env: &BTreeMap<String, String>) -> Result<(), EffectsError> {
        let mut files = Vec::new();
        for (variable, text) in [
            ("VALUES_JSON_PATCH_PATH", &self.values),
            ("KUBERNETES_PATCH_PATH", &self.objects),
            ("METRICS_PATH", &self.metrics),
        ] {
            match env.get(variable).filter(|path| !path.is_empty()) {
                Some(path) => files.push((variable, path, open(variable, path)?, text)),
                None if text.is_empty() => {}
                None => return Err(EffectsError::Unset(variable)),
            }
        }
        for (variable, path, mut file, text) in files {
            file.set_len(0).and_then(|()| file.write_all(text.as_bytes())).map_err(|source| EffectsError::Write {
                variable,
                path: path.clone(),
                source,
            })?;
        }
        Ok(())
    }
}

fn open(variable: &'static str, path: &str) -> Result<File, EffectsError> {
    let file = OpenOptions::new().write(true).create(true).truncate(false).open(path);
    file.map_err(|source| EffectsError::Write { variable, path: path.into(), source })
}

// Sizes only: values hold keys.
impl std::fmt::Debug for Outputs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut sizes = String::new();
        for text in [&self.values, &self.objects, &self.metrics] {
            write!(sizes, " {}", text.len())?;
        }
        write!(f, "Outputs(bytes:{sizes})")
    }
}

#[cfg(test)]
mod tests;
