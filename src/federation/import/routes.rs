//! The imported hosts of all peers: their ports, and the endpoints that lead there.

use std::collections::BTreeMap;
use std::rc::Rc;

use ipnet::Ipv4Net;

use super::addresses::slots;
use crate::api::istio_federation::{IstioFederation, ItemKind};
use crate::federation::names::ServiceHost;
use crate::federation::offer::{Endpoint, GatewayOffer, Offer, OfferedPort, OfferedService};
use crate::federation::ourselves::Ourselves;
use crate::federation::refusal::Refusal;
use crate::federation::roster::{Roster, cache_of};

/// Most endpoints of a host: with 64 ports each, far below the size limit of an object.
const ENDPOINT_LIMIT: usize = 256;

/// An imported host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route<'a> {
    pub host: ServiceHost<'a>,
    /// Its ports, sorted by number.
    pub ports: Vec<OfferedPort<'a>>,
    /// The federations that offer it with these ports.
    pub providers: Rc<Providers<'a>>,
}

/// The federations that offer a host; the hosts of one peer share it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Providers<'a> {
    /// Their names; sorted.
    pub federations: Vec<&'a str>,
    /// Gateways of all of them; sorted.
    pub endpoints: Vec<Endpoint>,
}

/// The result of one federation's offer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// How many of its hosts are imported.
    pub imported: usize,
    /// The refused items of its offer; sorted.
    pub refused: Vec<Refusal>,
}

/// The imported hosts of all federations.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Routes<'a> {
    /// By trust domain, so that the work for one peer does not grow with the number of others; each list sorted by host.
    by_domain: BTreeMap<&'a str, Vec<Route<'a>>>,
    /// By name of the federation, for those with a private document.
    pub outcomes: BTreeMap<&'a str, Outcome>,
}

impl<'a> Routes<'a> {
    /// Merges the offers of the federations. Their order does not matter.
    #[must_use]
    pub fn new(
        federations: impl IntoIterator<Item = &'a IstioFederation>,
        roster: &'a Roster,
        ours: &Ourselves,
    ) -> Self {
        Self::with_gateways(federations, roster, ours, BTreeMap::new())
    }

    /// The same, with the gateways that this run has vetted already, by name of the federation.
    #[must_use]
    pub fn with_gateways(
        federations: impl IntoIterator<Item = &'a IstioFederation>,
        roster: &'a Roster,
        ours: &Ourselves,
        mut vetted: BTreeMap<&str, GatewayOffer>,
    ) -> Self {
        let mut by_name: Vec<&IstioFederation> = federations.into_iter().collect();
        by_name.sort_by(|a, b| a.metadata.name.cmp(&b.metadata.name));
        let mut routes = Self::default();
        for federation in by_name {
            let name = federation.metadata.name.as_str();
            let Some(Ok(trust_domain)) = roster.trust_domain_of(name) else { continue };
            let Some(document) = cache_of(federation).and_then(|cache| cache.private.as_ref()) else { continue };
            let Offer { gateways, services, refused } = match vetted.remove(name) {
                Some(gateways) => Offer::with_gateways(gateways, document, trust_domain),
                None => Offer::vet(document, trust_domain, ours),
            };
            let mut outcome = Outcome { imported: 0, refused };
            // Without a gateway no service can be reached: the gateways' condition says so once.
            if !gateways.is_empty() {
                let of_domain = routes.by_domain.entry(trust_domain.as_str()).or_default();
                add(of_domain, name, gateways, services, &mut outcome);
            }
            routes.outcomes.insert(name, outcome);
        }
        routes.report_shortage(ours.service_range);
        routes.outcomes.values_mut().for_each(|outcome| outcome.refused.sort());
        routes
    }

    /// Reports that there are more hosts than addresses. Hosts with an address keep it; the plan decides which get none.
    fn report_shortage(&mut self, range: Ipv4Net) {
        let hosts: usize = self.by_domain.values().map(Vec::len).sum();
        let addresses = slots(range);
        if u32::try_from(hosts).is_ok_and(|hosts| hosts <= addresses) {
            return;
        }
        let reason = format!(
            "{hosts} hosts of all peers share the {addresses} addresses of {range}: those without one are imported \
             without their TCP ports; widen istio.federation.serviceAddressRange"
        );
        for outcome in self.outcomes.values_mut().filter(|outcome| outcome.imported > 0) {
            outcome.refused.push(Refusal::new(ItemKind::PublicService, "*", &reason));
        }
    }

    /// The routes by trust domain; sorted by host.
    pub fn by_domain(&self) -> impl Iterator<Item = (&'a str, &[Route<'a>])> {
        self.by_domain.iter().map(|(domain, routes)| (*domain, routes.as_slice()))
    }
}

/// Adds the offer of one federation to the routes of its trust domain.
fn add<'a>(
    routes: &mut Vec<Route<'a>>,
    federation: &'a str,
    gateways: Vec<Endpoint>,
    services: Vec<OfferedService<'a>>,
    outcome: &mut Outcome,
) {
    let known = routes.len();
    let alone = Rc::new(Providers { federations: vec![federation], endpoints: gateways });
    for OfferedService { host, ports } in services {
        match routes[..known].binary_search_by_key(&host, |route| route.host) {
            Err(_) => routes.push(Route { host, ports, providers: Rc::clone(&alone) }),
            Ok(place) if routes[place].ports == ports => {
                routes[place].providers = Rc::new(routes[place].providers.with(&alone));
            }
            // In Istio an endpoint cannot lack a port of its ServiceEntry.
            Ok(place) => {
                let winner = routes[place].providers.federations.first().copied().unwrap_or_default();
                let reason = format!("IstioFederation/{winner} offers it with other ports");
                outcome.refused.push(Refusal::new(ItemKind::PublicService, host.as_str(), reason));
                continue;
            }
        }
        outcome.imported += 1;
    }
    routes.sort_by_key(|route| route.host);
}

impl Providers<'_> {
    fn with(&self, more: &Self) -> Self {
        let mut both = self.clone();
        both.federations.extend(&more.federations);
        both.endpoints.extend(&more.endpoints);
        both.endpoints.sort();
        both.endpoints.dedup();
        both.endpoints.truncate(ENDPOINT_LIMIT);
        both
    }
}

#[cfg(test)]
mod tests {
    use istio_federation_testkit::{self as testkit, private_document, service};
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::api::metadata::PublicService;

    fn ours() -> Ourselves {
        let values = json!({"istio": {"federation": {"clusterDomain": "a.local", "clusterUUID": "a"}}});
        Ourselves::from_values(&serde_json::from_value(values).unwrap(), None).unwrap()
    }

    /// A federation for b.local whose gateway is 203.0.113.N and which offers `svc` with those ports.
    fn federation(name: &str, gateway: u8, ports: &[u32]) -> IstioFederation {
        let names: Vec<_> = ports.iter().map(|port| format!("p{port}")).collect();
        let ports: Vec<_> = names.iter().map(String::as_str).zip(ports.iter().copied()).collect();
        let document = private_document(&format!("203.0.113.{gateway}"), &[service("svc.ns.svc.b.local", &ports)]);
        testkit::federation(name)
            .spec(
                &json!({"trustDomain": "b.local", "sharedTrustDomain": true, "metadataEndpoint": "https://b.example"}),
            )
            .cached(&json!({"private": document}))
            .read()
    }

    /// Each host with its ports, endpoints and federations; and the outcome of each federation.
    type Shown = (Vec<(String, Vec<u16>, Vec<String>, Vec<String>)>, BTreeMap<String, Outcome>);

    fn routes(federations: &[IstioFederation]) -> Shown {
        let (ours, roster) = (ours(), Roster::new(federations, &ours()));
        let routes = Routes::new(federations, &roster, &ours);
        let shown = |route: &Route<'_>| {
            let endpoints = route.providers.endpoints.iter().map(|endpoint| endpoint.address.to_string());
            let federations = route.providers.federations.iter().map(ToString::to_string);
            let ports = route.ports.iter().map(|port| port.number);
            (route.host.to_string(), ports.collect(), endpoints.collect(), federations.collect())
        };
        let outcomes = routes.outcomes.iter().map(|(name, outcome)| ((*name).to_owned(), outcome.clone()));
        (routes.by_domain().flat_map(|(_, routes)| routes).map(shown).collect(), outcomes.collect())
    }

    #[test]
    fn two_peers_with_the_same_ports_share_a_host() {
        let (hosts, outcomes) = routes(&[federation("y", 2, &[80, 443]), federation("x", 1, &[443, 80])]);
        let [(host, ports, endpoints, federations)] = hosts.as_slice() else { panic!("{hosts:?}") };
        assert_eq!((host.as_str(), ports.as_slice()), ("svc.ns.svc.b.local", [80, 443].as_slice()));
        assert_eq!(endpoints, &["203.0.113.1", "203.0.113.2"]);
        assert_eq!(federations, &["x", "y"]);
        let both = Outcome { imported: 1, refused: Vec::new() };
        assert_eq!(outcomes, BTreeMap::from([("x".to_owned(), both.clone()), ("y".to_owned(), both)]));
    }

    #[test]
    fn vetted_gateways_are_not_vetted_again() {
        let federation = federation("x", 1, &[80]);
        let roster = Roster::new([&federation].map(Clone::clone).as_slice(), &ours());
        let endpoint = Endpoint { address: "198.51.100.7".parse().unwrap(), port: 7 };
        let vetted = GatewayOffer { gateways: vec![endpoint], refused: Vec::new() };
        let routes = Routes::with_gateways([&federation], &roster, &ours(), BTreeMap::from([("x", vetted)]));
        let endpoints: Vec<_> =
            routes.by_domain().flat_map(|(_, routes)| routes).flat_map(|route| &route.providers.endpoints).collect();
        assert_eq!(endpoints, [&endpoint]);
    }

    #[test]
    fn if_ports_differ_the_first_federation_by_name_wins() {
        let (hosts, outcomes) = routes(&[federation("y", 2, &[9090]), federation("x", 1, &[8080])]);
        assert_eq!((hosts[0].1.as_slice(), hosts[0].2.len()), ([8080].as_slice(), 1));
        assert!(outcomes["y"].refused[0].reason.contains("IstioFederation/x offers it with other ports"));
        assert_eq!((outcomes["x"].imported, outcomes["y"].imported), (1, 0));
    }

    #[test]
    fn a_shortage_of_addresses_is_reported_for_every_importing_federation() {
        let ours = Ourselves { service_range: "240.0.0.0/30".parse().unwrap(), ..ours() };
        let outcome_of = |hosts: &[&str]| {
            let mut federation = federation("x", 1, &[80]);
            let private =
                federation.status.as_mut().and_then(|status| status.metadata_cache.as_mut()?.private.as_mut()).unwrap();
            let service = private.public_services.remove(0);
            let named = |host: &&str| PublicService { hostname: format!("{host}.ns.svc.b.local"), ..service.clone() };
            private.public_services = hosts.iter().map(named).collect();
            let roster = Roster::new(std::slice::from_ref(&federation), &ours);
            Routes::new([&federation], &roster, &ours).outcomes.remove("x").unwrap()
        };
        assert_eq!(outcome_of(&["a", "b"]), Outcome { imported: 2, refused: Vec::new() });
        let outcome = outcome_of(&["a", "b", "c"]);
        assert_eq!((outcome.imported, outcome.refused.len()), (3, 1));
        assert!(outcome.refused[0].reason.contains("3 hosts of all peers share the 2 addresses of 240.0.0.0/30"));
    }

    #[test]
    fn no_gateway_means_no_route() {
        let mut lone = federation("x", 1, &[80]);
        let private = lone.status.as_mut().and_then(|status| status.metadata_cache.as_mut()?.private.as_mut()).unwrap();
        private.ingress_gateways[0].gateway.address = "127.0.0.1".to_owned();
        let (hosts, outcomes) = routes(&[lone]);
        assert!(hosts.is_empty());
        assert_eq!((outcomes["x"].imported, outcomes["x"].refused.len()), (0, 1));
    }

    #[test]
    fn a_third_federation_joins_a_host_of_two_others() {
        let mut more = federation("z", 3, &[80]);
        let private = more.status.as_mut().and_then(|status| status.metadata_cache.as_mut()?.private.as_mut()).unwrap();
        let mut early = private.public_services[0].clone();
        early.hostname = "a.ns.svc.b.local".to_owned();
        private.public_services.push(early);
        let late = {
            let mut late = more.clone();
            late.metadata.name = "zz".to_owned();
            late
        };
        let (hosts, _) = routes(&[late, federation("x", 1, &[80]), more]);
        let offered: Vec<_> =
            hosts.iter().map(|(host, _, _, federations)| (host.as_str(), federations.join(","))).collect();
        assert_eq!(offered, [("a.ns.svc.b.local", "z,zz".to_owned()), ("svc.ns.svc.b.local", "x,z,zz".to_owned())]);
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
