//! The imported hosts of all peers: whose ports hold, and which endpoints lead there.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use crate::api::istio_federation::{IstioFederation, ItemKind};
use crate::federation::names::ServiceHost;
use crate::federation::offer::{Endpoint, Offer, OfferedPort};
use crate::federation::ourselves::Ourselves;
use crate::federation::refusal::Refusal;
use crate::federation::roster::{Roster, cache_of};

/// Most endpoints of a host: with 64 ports each, far below what an object may weigh.
const ENDPOINT_LIMIT: usize = 256;

/// An imported host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// Its ports, sorted by number.
    pub ports: Vec<OfferedPort>,
    /// Gateways of all federations that offer it with these ports; sorted.
    pub endpoints: Vec<Endpoint>,
    /// Names of those federations; sorted.
    pub federations: Vec<String>,
}

/// The imported hosts of all federations.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Routes {
    /// Imported hosts.
    pub by_host: BTreeMap<ServiceHost, Route>,
    /// What each federation offers in vain.
    pub refused: BTreeMap<String, Vec<Refusal>>,
}

impl Routes {
    /// Unites what the federations offer. Their order does not matter.
    #[must_use]
    pub fn new(federations: &[IstioFederation], roster: &Roster, ours: &Ourselves) -> Self {
        let mut by_name: Vec<&IstioFederation> = federations.iter().collect();
        by_name.sort_by(|a, b| a.metadata.name.cmp(&b.metadata.name));
        let mut routes = Self::default();
        for federation in by_name {
            let name = federation.metadata.name.as_str();
            let Some(Ok(trust_domain)) = roster.standing(name) else { continue };
            let Some(document) = cache_of(federation).and_then(|cache| cache.private.as_ref()) else { continue };
            let Offer { gateways, services, mut refused } = Offer::vet(document, trust_domain, ours);
            // Without a gateway there is no way to any service: that is said of the gateways, once.
            if !gateways.is_empty() {
                for (host, ports) in services {
                    if let Err(winner) = routes.add(name, host.clone(), ports, &gateways) {
                        let reason = format!("IstioFederation/{winner} offers it with other ports");
                        refused.push(Refusal::new(ItemKind::PublicService, host.as_str(), reason));
                    }
                }
            }
            refused.sort();
            routes.refused.insert(name.to_owned(), refused);
        }
        routes
    }

    /// How many hosts lead to the federation.
    #[must_use]
    pub fn count_of(&self, federation: &str) -> usize {
        self.by_host.values().filter(|route| route.federations.iter().any(|name| name == federation)).count()
    }

    /// Adds what one federation offers. Fails with the name of the federation whose other ports hold.
    fn add(
        &mut self,
        federation: &str,
        host: ServiceHost,
        ports: Vec<OfferedPort>,
        gateways: &[Endpoint],
    ) -> Result<(), String> {
        let route = match self.by_host.entry(host) {
            Entry::Vacant(new) => new.insert(Route { ports, endpoints: Vec::new(), federations: Vec::new() }),
            Entry::Occupied(taken) if taken.get().ports == ports => taken.into_mut(),
            // In Istio an endpoint cannot lack a port of its ServiceEntry.
            Entry::Occupied(other) => return Err(other.get().federations.first().cloned().unwrap_or_default()),
        };
        route.endpoints.extend(gateways);
        route.endpoints.sort();
        route.endpoints.dedup();
        route.endpoints.truncate(ENDPOINT_LIMIT);
        route.federations.push(federation.to_owned());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn ours() -> Ourselves {
        let values = json!({"istio": {"federation": {"clusterDomain": "a.local", "clusterUUID": "a"}}});
        Ourselves::from_values(&serde_json::from_value(values).unwrap(), None).unwrap()
    }

    /// A federation for b.local whose gateway is 203.0.113.N and which offers `svc` with those ports.
    fn federation(name: &str, gateway: u8, ports: &[u32]) -> IstioFederation {
        let ports: Vec<_> = ports.iter().map(|port| json!({"name": format!("p{port}"), "port": port})).collect();
        let endpoint = "https://b.example";
        serde_json::from_value(json!({
            "metadata": {"name": name},
            "spec": {"trustDomain": "b.local", "metadataEndpoint": endpoint, "sharedTrustDomain": true},
            "status": {"metadataCache": {
                "source": {"trustDomain": "b.local", "metadataEndpoint": endpoint},
                "private": {
                    "ingressGateways": [{"address": format!("203.0.113.{gateway}"), "port": 15443}],
                    "publicServices": [{"hostname": "svc.ns.svc.b.local", "ports": ports}]}}}
        }))
        .unwrap()
    }

    fn routes(federations: &[IstioFederation]) -> Routes {
        Routes::new(federations, &Roster::new(federations, &ours()), &ours())
    }

    #[test]
    fn a_pair_with_the_same_ports_is_united() {
        let routes = routes(&[federation("y", 2, &[80, 443]), federation("x", 1, &[443, 80])]);
        let route = routes.by_host.values().next().unwrap();
        let addresses: Vec<_> = route.endpoints.iter().map(|endpoint| endpoint.address.to_string()).collect();
        assert_eq!(addresses, ["203.0.113.1", "203.0.113.2"]);
        assert_eq!(route.federations, ["x", "y"]);
        assert!(routes.refused.values().all(Vec::is_empty));
    }

    #[test]
    fn with_other_ports_the_first_by_name_wins() {
        let routes = routes(&[federation("y", 2, &[9090]), federation("x", 1, &[8080])]);
        let route = routes.by_host.values().next().unwrap();
        assert_eq!((route.ports[0].number, route.endpoints.len()), (8080, 1));
        assert!(routes.refused["y"][0].reason.contains("IstioFederation/x offers it with other ports"));
        assert_eq!((routes.count_of("x"), routes.count_of("y")), (1, 0));
    }

    #[test]
    fn without_a_gateway_there_is_no_route() {
        let mut lone = federation("x", 1, &[80]);
        let private = lone.status.as_mut().and_then(|status| status.metadata_cache.as_mut()?.private.as_mut()).unwrap();
        private.ingress_gateways[0].gateway.address = "127.0.0.1".to_owned();
        let routes = routes(&[lone]);
        assert!(routes.by_host.is_empty());
        assert_eq!(routes.refused["x"].len(), 1);
    }

    proptest! {
        #[test]
        fn order_does_not_matter(gateways in proptest::collection::vec((1u8..20, 80u32..83), 1..6), shuffle in any::<u64>()) {
            let mut federations: Vec<_> = gateways.iter().enumerate()
                .map(|(index, (gateway, port))| federation(&format!("f{index}"), *gateway, &[*port])).collect();
            let straight = routes(&federations);
            let rounds = usize::try_from(shuffle % 7).unwrap() % federations.len();
            federations.rotate_left(rounds);
            federations.reverse();
            prop_assert_eq!(straight, routes(&federations));
        }
    }
}
