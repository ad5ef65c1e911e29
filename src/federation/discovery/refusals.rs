//! What status says of all federations together: what is refused of each, and how many of its services are imported.

use crate::api::istio_federation::{IstioFederation, ItemKind, Refused};
use crate::federation::import::routes::Routes;
use crate::federation::refusal::Refusal;

/// How many refusals status lists.
pub const LISTED: usize = 64;

/// Sets `refused`, `refusedTotal` and `importedServices` of a federation from the routes of all.
///
/// `certificates` are the certificates refused in this run; `None` keeps what status says of them.
pub fn record(federation: &mut IstioFederation, routes: &Routes, certificates: Option<Vec<Refusal>>) {
    let name = federation.metadata.name.clone();
    let Some(status) = &mut federation.status else { return };
    let mut refused: Vec<Refused> = match certificates {
        Some(certificates) => certificates.into_iter().map(Refused::from).collect(),
        None => status.refused.iter().filter(|old| old.kind == ItemKind::Certificate).cloned().collect(),
    };
    refused.extend(routes.refused.get(&name).into_iter().flatten().cloned().map(Refused::from));
    refused.sort();
    let total = u32::try_from(refused.len()).unwrap_or(u32::MAX);
    refused.truncate(LISTED);
    status.refused = refused;
    status.refused_total = (total > 0).then_some(total);
    let imported = u32::try_from(routes.count_of(&name)).unwrap_or(u32::MAX);
    let has_document = status.metadata_cache.as_ref().is_some_and(|cache| cache.private.is_some());
    status.imported_services = has_document.then_some(imported);
}
