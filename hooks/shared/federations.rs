//! Reads IstioFederations; an unreadable one does not affect the others.

use istio_federation::api::istio_federation::IstioFederation;
use istio_federation::hook::{Input, InputError, Logger};
use serde_json::json;

/// The IstioFederations of a snapshot.
pub(crate) struct Federations {
    /// Those that could be read, by name.
    pub(crate) readable: Vec<IstioFederation>,
    /// Whether all could be read.
    pub(crate) all_read: bool,
}

/// Reads the snapshot of `binding`.
pub(crate) fn read(input: &Input, binding: &str, log: &Logger) -> Result<Federations, InputError> {
    let (mut readable, failed): (Vec<IstioFederation>, _) = input.snapshot_lossy(binding)?;
    for error in &failed {
        log.warn("an IstioFederation cannot be read: it stays as it is", &[("error", json!(error.to_string()))]);
    }
    readable.sort_by(|a, b| a.metadata.name.cmp(&b.metadata.name));
    Ok(Federations { readable, all_read: failed.is_empty() })
}
