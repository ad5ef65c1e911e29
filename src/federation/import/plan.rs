//! From the routes and the ServiceEntries that exist to the smallest set of changes.
//!
//! A ServiceEntry goes only when its withdrawal was decided: what is merely unknown stays as it is.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::addresses;
use super::routes::{Route, Routes};
use crate::api::istio::{API_VERSION, ServiceEntry, ServiceEntryPort, ServiceEntrySpec, WorkloadEntry};
use crate::api::istio_federation::{IstioFederation, ItemKind};
use crate::api::kubernetes::{ObjectMeta, OwnerReference};
use crate::federation::names::{ServiceHost, TrustDomain};
use crate::federation::objects::{self, Changes, Stored};
use crate::federation::offer::Endpoint;
use crate::federation::protocol::Protocol;
use crate::federation::refusal::Refusal;
use crate::federation::roster::{Roster, cache_of};

/// Label of the ServiceEntries that are ours.
pub const LABEL: &str = "federation.istio.deckhouse.io/imported-service";
/// Annotation with the names of the contributing IstioFederations, sorted, separated by commas.
pub const FEDERATIONS: &str = "federation.istio.deckhouse.io/federations";

/// The changes that lead from what is to what should be.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// What to change.
    pub changes: Changes<ServiceEntry>,
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
        let names: Vec<Cow<'_, str>> = world.existing.iter().map(Stored::name).collect();
        // In the snapshot's order, not the map's: the text of a hundred thousand objects does not fit into a cache.
        let stored = || names.iter().map(AsRef::as_ref).zip(world.existing);
        let existing: HashMap<&str, &Stored> = stored().collect();
        let addresses: HashMap<&str, Ipv4Addr> =
            stored().filter_map(|(name, stored)| Some((name, address_of(&stored.spec)?))).collect();
        let assigned = addresses::assign(routes.by_host.keys().map(ServiceHost::as_str), &addresses, world.range);
        let unknowns = Unknowns::new(world);

        for (host, route) in &routes.by_host {
            let host = host.as_str();
            let stored = existing.get(host).copied();
            if stored.is_some_and(|stored| unknowns.verdict(stored) == Verdict::Unknown) {
                continue;
            }
            let address = assigned.get(host).copied();
            match spec_of(host, route, address, &mut plan.refused) {
                None => {}
                Some(spec) => {
                    let annotations = BTreeMap::from([(FEDERATIONS.to_owned(), route.federations.join(","))]);
                    let metadata = objects::metadata(host, LABEL, annotations, world.owners);
                    match stored {
                        None => plan.changes.create.push(entry(metadata, spec)),
                        Some(stored) => plan.changes.update.extend(stored.update_to(&metadata, &spec)),
                    }
                }
            }
        }
        let wanted: HashSet<&str> = routes.by_host.keys().map(ServiceHost::as_str).collect();
        for (name, stored) in stored() {
            if !wanted.contains(name) && unknowns.verdict(stored) == Verdict::Decided {
                plan.changes.delete.push(name.to_owned());
            }
        }
        plan.changes.delete.sort_unstable();
        plan
    }
}

/// Cuts the changes to `limit`, of which each kind has a fifth for itself. What is left comes next time; `turn` moves
/// the cut, so that changes which always fail do not stand in the others' way.
#[must_use]
pub fn cut<T>(mut changes: Changes<T>, limit: usize, turn: usize) -> Changes<T> {
    let Changes { create, update, delete } = &mut changes;
    let share = limit / 5;
    let mut free = limit;
    for length in [create.len(), update.len(), delete.len()] {
        free -= length.min(share);
    }
    let mut quota = |length: usize| {
        let extra = length.saturating_sub(share).min(free);
        free -= extra;
        length.min(share) + extra
    };
    let quotas = (quota(create.len()), quota(update.len()), quota(delete.len()));
    take(create, quotas.0, turn);
    take(update, quotas.1, turn);
    take(delete, quotas.2, turn);
    changes
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
        if self.readable.is_none() && self.federations.is_empty() {
            return Verdict::Decided;
        }
        let metadata = stored.metadata();
        let host = metadata.name.as_str();
        let contributors = metadata.annotations.get(FEDERATIONS);
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

fn entry(metadata: ObjectMeta, spec: ServiceEntrySpec) -> ServiceEntry {
    ServiceEntry { api_version: API_VERSION.to_owned(), kind: "ServiceEntry".to_owned(), metadata, spec }
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
