//! The right ServiceEntries: one for every route.

use std::collections::{BTreeMap, HashMap};
use std::net::Ipv4Addr;
use std::ops::Range;

use super::input::{FEDERATIONS, LABEL};
use super::routes::{Route, Routes};
use crate::api::istio::{ServiceEntryPort, ServiceEntrySpec, WorkloadEntry};
use crate::api::istio_federation::ItemKind;
use crate::api::kubernetes::{ObjectMeta, OwnerReference};
use crate::federation::managed;
use crate::federation::names::ServiceHost;
use crate::federation::offer::{Endpoint, OfferedPort};
use crate::federation::protocol::Protocol;
use crate::federation::refusal::Refusal;

/// All routes in one list, and the common parts of their ServiceEntries.
pub(super) struct Targets<'a> {
    /// By trust domain and then by host.
    pub(super) routes: Vec<&'a Route<'a>>,
    domains: HashMap<&'a str, Domain>,
    /// Labels and owners.
    common: ObjectMeta,
}

/// The routes of a trust domain.
struct Domain {
    indices: Range<usize>,
    /// Index of the route that is looked up next, if the hosts come in order.
    next: usize,
}

impl<'a> Targets<'a> {
    pub(super) fn new(routes: &'a Routes<'a>, owners: &[OwnerReference]) -> Self {
        let common = managed::metadata("", LABEL, BTreeMap::new(), owners);
        let mut targets = Self { routes: Vec::new(), domains: HashMap::new(), common };
        for (domain, of_domain) in routes.by_domain() {
            let start = targets.routes.len();
            targets.routes.extend(of_domain);
            targets.domains.insert(domain, Domain { indices: start..targets.routes.len(), next: start });
        }
        targets
    }

    /// The index of a host's route.
    pub(super) fn find(&mut self, host: &str) -> Option<usize> {
        let Domain { indices, next } = self.domains.get_mut(ServiceHost::domain_of(host)?)?;
        let is_next = indices.contains(next) && self.routes[*next].host.as_str() == host;
        let index = if is_next {
            *next
        } else {
            let found = self.routes[indices.clone()].binary_search_by_key(&host, |route| route.host.as_str()).ok()?;
            indices.start + found
        };
        *next = index + 1;
        Some(index)
    }

    /// Labels that every ServiceEntry of ours has.
    pub(super) fn labels(&self) -> &BTreeMap<String, String> {
        &self.common.labels
    }

    /// Owners that every ServiceEntry of ours has.
    pub(super) fn owners(&self) -> &[OwnerReference] {
        &self.common.owner_references
    }

    /// The metadata of a route's ServiceEntry.
    pub(super) fn metadata(&self, route: &Route<'_>) -> ObjectMeta {
        let annotations = BTreeMap::from([(FEDERATIONS.to_owned(), route.providers.federations.join(","))]);
        ObjectMeta { name: route.host.to_string(), annotations, ..self.common.clone() }
    }
}

/// The spec of a route's ServiceEntry; `None` if no port can be imported.
pub(super) fn spec_of(
    route: &Route<'_>,
    address: Option<Ipv4Addr>,
    refused: &mut Vec<Refusal>,
) -> Option<ServiceEntrySpec> {
    let shares_a_listener =
        |protocol| matches!(protocol, Protocol::Http | Protocol::Http2 | Protocol::Grpc | Protocol::GrpcWeb);
    let (ports, captured): (Vec<&OfferedPort<'_>>, Vec<_>) =
        route.ports.iter().partition(|port| address.is_some() || shares_a_listener(port.protocol));
    for port in captured {
        let reason = format!(
            "port {} ({}): no address is left for the host: widen istio.federation.serviceAddressRange",
            port.number,
            port.protocol.as_str()
        );
        refused.push(Refusal::new(ItemKind::PublicService, route.host.as_str(), reason));
    }
    let endpoint = |endpoint: &Endpoint| WorkloadEntry {
        address: endpoint.address.to_string(),
        ports: ports.iter().map(|port| (port.name.to_owned(), u32::from(endpoint.port))).collect(),
    };
    (!ports.is_empty()).then(|| ServiceEntrySpec {
        addresses: address.iter().map(ToString::to_string).collect(),
        endpoints: route.providers.endpoints.iter().map(endpoint).collect(),
        hosts: vec![route.host.to_string()],
        location: "MESH_INTERNAL".to_owned(),
        ports: ports
            .iter()
            .map(|port| ServiceEntryPort {
                name: port.name.to_owned(),
                number: u32::from(port.number),
                protocol: port.protocol.as_str().to_owned(),
            })
            .collect(),
        resolution: "STATIC".to_owned(),
    })
}
