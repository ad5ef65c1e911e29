//! The ServiceEntries that exist. Of ten thousand nearly all are right already: those are recognised without a copy.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use serde::Deserialize;

use super::input::FEDERATIONS;
use super::routes::Route;
use super::targets::Targets;
use crate::api::istio::{ServiceEntryPort, ServiceEntrySpec, WorkloadEntry};
use crate::api::kubernetes::OwnerReference;
use crate::federation::managed::{Stored, Update};

/// A ServiceEntry from the snapshot that is not a Kubernetes object.
#[derive(Debug, thiserror::Error)]
#[error("a ServiceEntry cannot be read: {0}")]
pub struct Unreadable(#[from] serde_json::Error);

/// A ServiceEntry that exists.
pub(super) enum Existing<'a> {
    /// In the shape that we write.
    Ours { shape: OwnShape<'a>, text: &'a str },
    /// With a member that we do not write.
    Edited(Stored),
}

impl<'a> Existing<'a> {
    /// Reads `metadata` and `spec`.
    pub(super) fn read(text: &'a str) -> Result<Self, Unreadable> {
        match serde_json::from_str(text) {
            Ok(shape) => Ok(Self::Ours { shape, text }),
            Err(_) => Ok(Self::Edited(serde_json::from_str(text)?)),
        }
    }

    pub(super) fn name(&self) -> &str {
        match self {
            Self::Ours { shape, .. } => shape.metadata.name,
            Self::Edited(stored) => &stored.metadata.name,
        }
    }

    /// The first of its addresses.
    pub(super) fn address(&self) -> Option<Ipv4Addr> {
        match self {
            Self::Ours { shape, .. } => shape.spec.addresses.first()?.parse().ok(),
            Self::Edited(stored) => stored.spec.get("addresses")?.get(0)?.as_str()?.parse().ok(),
        }
    }

    /// The federations that contributed to it, separated by commas.
    pub(super) fn federations(&self) -> Option<&str> {
        match self {
            Self::Ours { shape, .. } => shape.metadata.annotations.get(FEDERATIONS).copied(),
            Self::Edited(stored) => stored.metadata.annotations.get(FEDERATIONS).map(String::as_str),
        }
    }

    /// The change that makes it the ServiceEntry of `route` with `spec`; `None` if nothing differs.
    pub(super) fn update_to(
        self,
        spec: &ServiceEntrySpec,
        route: &Route<'_>,
        targets: &Targets<'_>,
    ) -> Result<Option<Update>, Unreadable> {
        let stored = match self {
            Self::Ours { shape, .. } if shape.matches(spec, route, targets) => return Ok(None),
            Self::Ours { text, .. } => serde_json::from_str(text)?,
            Self::Edited(stored) => stored,
        };
        Ok(stored.update_to(&targets.metadata(route), serde_json::to_value(spec)?))
    }
}

/// A ServiceEntry that has only members that we write, and no escapes in its strings.
#[derive(Deserialize)]
pub(super) struct OwnShape<'a> {
    #[serde(borrow)]
    metadata: Metadata<'a>,
    spec: Spec<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata<'a> {
    name: &'a str,
    #[serde(borrow)]
    labels: BTreeMap<&'a str, &'a str>,
    annotations: BTreeMap<&'a str, &'a str>,
    owner_references: Vec<Owner<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Owner<'a> {
    api_version: &'a str,
    kind: &'a str,
    name: &'a str,
    uid: &'a str,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Spec<'a> {
    #[serde(borrow, default)]
    addresses: Vec<&'a str>,
    endpoints: Vec<Endpoint<'a>>,
    hosts: Vec<&'a str>,
    location: &'a str,
    ports: Vec<Port<'a>>,
    resolution: &'a str,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Endpoint<'a> {
    address: &'a str,
    #[serde(borrow)]
    ports: BTreeMap<&'a str, u32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Port<'a> {
    name: &'a str,
    number: u32,
    protocol: &'a str,
}

impl OwnShape<'_> {
    /// Whether it needs no change.
    fn matches(&self, spec: &ServiceEntrySpec, route: &Route<'_>, targets: &Targets<'_>) -> bool {
        let Metadata { name: _, labels, annotations, owner_references } = &self.metadata;
        self.spec == *spec
            && owner_references == targets.owners()
            && targets.labels().iter().all(|(key, value)| labels.get(key.as_str()) == Some(&value.as_str()))
            && annotations
                .get(FEDERATIONS)
                .is_some_and(|names| names.split(',').eq(route.providers.federations.iter().copied()))
    }
}

// Each comparison names every member of both sides, so that a new member cannot be forgotten.

impl PartialEq<OwnerReference> for Owner<'_> {
    fn eq(&self, other: &OwnerReference) -> bool {
        let OwnerReference { api_version, kind, name, uid } = other;
        self.api_version == api_version && self.kind == kind && self.name == name && self.uid == uid
    }
}

impl PartialEq<ServiceEntrySpec> for Spec<'_> {
    fn eq(&self, other: &ServiceEntrySpec) -> bool {
        let ServiceEntrySpec { addresses, endpoints, hosts, location, ports, resolution } = other;
        self.addresses == *addresses
            && self.endpoints == *endpoints
            && self.hosts == *hosts
            && self.location == location
            && self.ports == *ports
            && self.resolution == resolution
    }
}

impl PartialEq<WorkloadEntry> for Endpoint<'_> {
    fn eq(&self, other: &WorkloadEntry) -> bool {
        let WorkloadEntry { address, ports } = other;
        self.address == address
            && self
                .ports
                .iter()
                .map(|(name, port)| (*name, *port))
                .eq(ports.iter().map(|(name, port)| (name.as_str(), *port)))
    }
}

impl PartialEq<ServiceEntryPort> for Port<'_> {
    fn eq(&self, other: &ServiceEntryPort) -> bool {
        let ServiceEntryPort { name, number, protocol } = other;
        self.name == name && self.number == *number && self.protocol == protocol
    }
}
