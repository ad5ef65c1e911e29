//! The input of a plan, and how our ServiceEntries are recognised.

use ipnet::Ipv4Net;

use crate::api::istio_federation::IstioFederation;
use crate::api::kubernetes::OwnerReference;
use crate::federation::roster::Roster;

/// Label of the ServiceEntries that are ours.
pub const LABEL: &str = "federation.istio.deckhouse.io/imported-service";
/// Annotation with the names of the contributing IstioFederations, sorted, separated by commas.
pub const FEDERATIONS: &str = "federation.istio.deckhouse.io/federations";

/// The input of a plan.
#[derive(Clone, Copy, Debug)]
pub struct PlanInput<'a> {
    /// All IstioFederations that could be read.
    pub federations: &'a [IstioFederation],
    /// Whether all IstioFederations could be read. An unreadable one keeps its imported services.
    pub all_read: bool,
    /// The federations' trust domains.
    pub roster: &'a Roster,
    /// The ServiceEntries with our label: JSON with `metadata` and `spec`, each name once, sorted by name.
    pub existing: &'a [&'a str],
    /// The owner ConfigMaps that exist.
    pub owners: &'a [OwnerReference],
    /// Range of the hosts' addresses.
    pub range: Ipv4Net,
}
