//! From the routes and the ServiceEntries that exist to the smallest set of changes.
//!
//! A ServiceEntry goes only when its withdrawal was decided: what is merely unknown stays as it is.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::addresses;
use super::routes::{Route, Routes};
use crate::api::istio::{API_VERSION, ServiceEntry, ServiceEntryPort, ServiceEntrySpec, WorkloadEntry};
use crate::api::istio_federation::{IstioFederation, ItemKind};
use crate::api::kubernetes::{NAMESPACE, ObjectMeta, OwnerReference};
use crate::federation::names::{ServiceHost, TrustDomain};
use crate::federation::objects::{self, LABELS};
use crate::federation::offer::Endpoint;
use crate::federation::protocol::Protocol;
use crate::federation::refusal::Refusal;
use crate::federation::roster::{Roster, cache_of};

/// Label of the ServiceEntries that are ours.
pub const LABEL: &str = "federation.istio.deckhouse.io/imported-service";
/// Annotation with the names of the contributing IstioFederations, sorted, separated by commas.
pub const FEDERATIONS: &str = "federation.istio.deckhouse.io/federations";

/// A ServiceEntry as it is. Its spec stays text, since of ten thousand nearly all are as they should be.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Stored {
    /// Name, labels, annotations, owners.
    pub metadata: ObjectMeta,
    /// `spec`.
    pub spec: Box<RawValue>,
}

/// A ServiceEntry that differs: what is compared of it, before and after.
#[derive(Clone, Debug, PartialEq)]
pub struct Update {
    /// Name of the ServiceEntry.
    pub name: String,
    /// What it is.
    pub from: Value,
    /// What it should be.
    pub to: Value,
}

/// The changes that lead from what is to what should be.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// Missing ServiceEntries.
    pub create: Vec<ServiceEntry>,
    /// Those that differ.
    pub update: Vec<Update>,
    /// Names of those whose withdrawal was decided.
    pub delete: Vec<String>,
    /// Ports that cannot be imported for want of an address.
    pub refused: Vec<Refusal>,
}

/// What a plan is made from.
#[derive(Clone, Copy, Debug)]
pub struct World<'a> {
    /// All IstioFederations that could be read.
    pub federations: &'a [IstioFederation],
    /// Whether these are all there are: one that cannot be read keeps what it contributed.
    pub all_read: bool,
    /// The federations' standing.
    pub roster: &'a Roster,
    /// The ServiceEntries with our label.
    pub existing: &'a [Stored],
    /// The owner ConfigMaps that exist.
    pub owners: &'a [OwnerReference],
    /// Range of the hosts' addresses.
    pub range: Ipv4Net,
}

impl Plan {
    /// Compares. Without an owner there is no plan: federation is off, or not yet rendered.
    #[must_use]
    pub fn new(routes: &Routes, world: &World<'_>) -> Self {
        let mut plan = Self::default();
        if world.owners.is_empty() {
            return plan;
        }
        let addresses: BTreeMap<&str, Ipv4Addr> = world
            .existing
            .iter()
            .filter_map(|stored| Some((stored.metadata.name.as_str(), address_of(&stored.spec)?)))
            .collect();
        let assigned = addresses::assign(routes.by_host.keys().map(|host| host.as_str()), &addresses, world.range);
        let unknowns = Unknowns::new(world);
        let existing: BTreeMap<&str, &Stored> =
            world.existing.iter().map(|stored| (stored.metadata.name.as_str(), stored)).collect();

        for (host, route) in &routes.by_host {
            let host = host.as_str();
            let stored = existing.get(host).copied();
            if stored.is_some_and(|stored| unknowns.verdict(stored) == Verdict::Unknown) {
                continue;
            }
            let address = assigned.get(host).copied();
            match spec_of(host, route, address, &mut plan.refused) {
                None => {}
                Some(spec) => match stored {
                    None => plan.create.push(entry(host, route, spec, world.owners)),
                    Some(stored) => plan.update.extend(update(stored, route, &spec, world.owners)),
                },
            }
        }
        let wanted: BTreeSet<&str> = routes.by_host.keys().map(|host| host.as_str()).collect();
        for stored in existing.values() {
            let name = stored.metadata.name.as_str();
            if unknowns.verdict(stored) == Verdict::Decided && !wanted.contains(name) {
                plan.delete.push(name.to_owned());
            }
        }
        plan
    }

    /// Cuts the plan to `limit` changes of which each kind has a fifth for itself. What is left comes next time;
    /// `turn` moves the cut, so that changes which always fail do not stand in the others' way.
    #[must_use]
    pub fn cut(mut self, limit: usize, turn: usize) -> Self {
        let share = limit / 5;
        let mut free = limit;
        for length in [self.create.len(), self.update.len(), self.delete.len()] {
            free -= length.min(share);
        }
        let mut quota = |length: usize| {
            let extra = length.saturating_sub(share).min(free);
            free -= extra;
            length.min(share) + extra
        };
        let (create, update, delete) = (quota(self.create.len()), quota(self.update.len()), quota(self.delete.len()));
        take(&mut self.create, create, turn);
        take(&mut self.update, update, turn);
        take(&mut self.delete, delete, turn);
        self
    }
}

fn take<T>(items: &mut Vec<T>, quota: usize, turn: usize) {
    if items.len() > quota {
        let offset = turn.wrapping_mul(quota) % items.len();
        items.rotate_left(offset);
        items.truncate(quota);
    }
}

/// What may happen to a ServiceEntry that exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// All that it came from is known: it is what the routes say.
    Decided,
    /// Something that it came from is not known: it stays as it is.
    Unknown,
}

/// What is not known, and so must not be withdrawn.
struct Unknowns<'a> {
    /// Names and trust domains of federations whose services are not known.
    federations: Vec<(&'a str, &'a TrustDomain)>,
    /// Names of all federations that could be read, where some could not.
    readable: Option<Vec<&'a str>>,
}

impl<'a> Unknowns<'a> {
    fn new(world: &World<'a>) -> Self {
        let is_unknown =
            |federation: &&IstioFederation| cache_of(federation).is_none_or(|cache| cache.private.is_none());
        let names = world.federations.iter().map(|federation| federation.metadata.name.as_str());
        let federations = world.federations.iter().filter(is_unknown).filter_map(|federation| {
            let name = federation.metadata.name.as_str();
            Some((name, world.roster.standing(name)?.ok()?))
        });
        Self { federations: federations.collect(), readable: (!world.all_read).then(|| names.collect()) }
    }

    fn verdict(&self, stored: &Stored) -> Verdict {
        let host = stored.metadata.name.as_str();
        let contributors = stored.metadata.annotations.get(FEDERATIONS);
        if let Some(readable) = &self.readable
            && contributors.is_none_or(|names| names.split(',').any(|name| !readable.contains(&name)))
        {
            return Verdict::Unknown;
        }
        let is_unknown = self.federations.iter().any(|(name, trust_domain)| {
            // Somebody may have edited the annotation away: then whoever could have offered the host counts.
            contributors.is_none_or(|names| names.split(',').any(|other| other == *name))
                && ServiceHost::vet(host, trust_domain).is_ok()
        });
        if is_unknown { Verdict::Unknown } else { Verdict::Decided }
    }
}

/// The spec of a host, where anything of it can be imported.
fn spec_of(
    host: &str,
    route: &Route,
    address: Option<Ipv4Addr>,
    refused: &mut Vec<Refusal>,
) -> Option<ServiceEntrySpec> {
    let shares_a_listener =
        |protocol| matches!(protocol, Protocol::Http | Protocol::Http2 | Protocol::Grpc | Protocol::GrpcWeb);
    let (ports, captured): (Vec<_>, Vec<_>) =
        route.ports.iter().partition(|port| address.is_some() || shares_a_listener(port.protocol));
    for port in captured {
        let reason = format!(
            "port {} ({}): no address is left for the host: widen istio.federation.serviceAddressRange",
            port.number,
            port.protocol.as_str()
        );
        refused.push(Refusal::new(ItemKind::PublicService, host, reason));
    }
    let endpoint = |endpoint: &Endpoint| WorkloadEntry {
        address: endpoint.address.to_string(),
        ports: ports.iter().map(|port| (port.name.clone(), u32::from(endpoint.port))).collect(),
    };
    (!ports.is_empty()).then(|| ServiceEntrySpec {
        addresses: address.iter().map(ToString::to_string).collect(),
        endpoints: route.endpoints.iter().map(endpoint).collect(),
        hosts: vec![host.to_owned()],
        location: "MESH_INTERNAL".to_owned(),
        ports: ports
            .iter()
            .map(|port| ServiceEntryPort {
                name: port.name.clone(),
                number: u32::from(port.number),
                protocol: port.protocol.as_str().to_owned(),
            })
            .collect(),
        resolution: "STATIC".to_owned(),
    })
}

fn entry(host: &str, route: &Route, spec: ServiceEntrySpec, owners: &[OwnerReference]) -> ServiceEntry {
    let metadata = ObjectMeta {
        name: host.to_owned(),
        namespace: Some(NAMESPACE.to_owned()),
        labels: objects::labels(LABEL),
        annotations: BTreeMap::from([(FEDERATIONS.to_owned(), route.federations.join(","))]),
        owner_references: owners.to_vec(),
        ..ObjectMeta::default()
    };
    ServiceEntry { api_version: API_VERSION.to_owned(), kind: "ServiceEntry".to_owned(), metadata, spec }
}

fn update(stored: &Stored, route: &Route, spec: &ServiceEntrySpec, owners: &[OwnerReference]) -> Option<Update> {
    let metadata = &stored.metadata;
    let federations = route.federations.join(",");
    let owners = objects::owners(&metadata.owner_references, owners);
    let labelled = LABELS.iter().all(|(key, value)| metadata.labels.get(*key).is_some_and(|label| label == value));
    let same_metadata =
        labelled && metadata.annotations.get(FEDERATIONS) == Some(&federations) && metadata.owner_references == owners;
    let wanted = serde_json::to_string(spec).ok()?;
    if same_metadata && stored.spec.get() == wanted {
        return None;
    }
    let is: Value = serde_json::from_str(stored.spec.get()).ok()?;
    let should: Value = serde_json::to_value(spec).ok()?;
    if same_metadata && is == should {
        return None;
    }
    let (mut labels, mut annotations) = (metadata.labels.clone(), metadata.annotations.clone());
    labels.extend(objects::labels(LABEL));
    annotations.insert(FEDERATIONS.to_owned(), federations);
    let shape = |labels, annotations, owners: &[OwnerReference], spec| json!({"metadata": {"labels": labels, "annotations": annotations, "ownerReferences": owners}, "spec": spec});
    Some(Update {
        name: metadata.name.clone(),
        from: shape(metadata.labels.clone(), metadata.annotations.clone(), &metadata.owner_references, is),
        to: shape(labels, annotations, &owners, should),
    })
}

fn address_of(spec: &RawValue) -> Option<Ipv4Addr> {
    #[derive(Deserialize)]
    struct Addresses {
        #[serde(default)]
        addresses: Vec<String>,
    }
    let spec: Addresses = serde_json::from_str(spec.get()).ok()?;
    spec.addresses.first()?.parse().ok()
}

#[cfg(test)]
mod tests;
