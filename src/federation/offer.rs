//! The offer of a peer, vetted item by item: accepted gateways and services, and refusals with their reasons.

use std::net::IpAddr;

use super::address;
use super::names::{DnsName, ServiceHost, TrustDomain, is_port_name};
use super::ourselves::Ourselves;
use super::protocol::Protocol;
use super::refusal::Refusal;
use crate::api::istio_federation::{CachedIngressGateway, CachedPrivateMetadata, ItemKind};
use crate::api::metadata::{PublicService, PublicServicePort};
use crate::text::printable;

/// Most gateway addresses of a peer: with 64 ports each, they fit into one ServiceEntry.
pub const GATEWAY_LIMIT: usize = 32;
/// Most ports of a service.
pub const PORT_LIMIT: usize = 64;

/// A vetted address of a peer's gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Endpoint {
    /// Address that traffic may go to.
    pub address: IpAddr,
    /// TCP port, not 0.
    pub port: u16,
}

/// A vetted port of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OfferedPort<'a> {
    /// TCP port, not 0.
    pub number: u16,
    /// DNS label.
    pub name: &'a str,
    pub protocol: Protocol,
}

/// A vetted service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OfferedService<'a> {
    pub host: ServiceHost<'a>,
    /// Its ports, sorted by number, 1 to [`PORT_LIMIT`].
    pub ports: Vec<OfferedPort<'a>>,
}

/// The gateways of a peer's offer, vetted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GatewayOffer {
    /// Addresses of its gateways; sorted, at most [`GATEWAY_LIMIT`].
    pub gateways: Vec<Endpoint>,
    /// The refusals; sorted.
    pub refused: Vec<Refusal>,
}

impl GatewayOffer {
    /// Vets the cached gateways of a peer.
    #[must_use]
    pub fn vet(listed: &[CachedIngressGateway], ours: &Ourselves) -> Self {
        let mut offer = Self::default();
        for gateway in listed {
            offer.take(gateway, ours);
        }
        offer.gateways.sort();
        offer.gateways.dedup();
        for extra in offer.gateways.iter().skip(GATEWAY_LIMIT) {
            let name = format!("{}:{}", extra.address, extra.port);
            let reason = format!("a peer has at most {GATEWAY_LIMIT} gateway addresses");
            offer.refused.push(Refusal::new(ItemKind::IngressGateway, &name, reason));
        }
        offer.gateways.truncate(GATEWAY_LIMIT);
        offer.refused.sort();
        offer
    }

    fn take(&mut self, gateway: &CachedIngressGateway, ours: &Ourselves) {
        let CachedIngressGateway { gateway, resolved } = gateway;
        let name = format!("{}:{}", gateway.address, gateway.port);
        let mut refuse = |reason: String| self.refused.push(Refusal::new(ItemKind::IngressGateway, &name, reason));
        let Some(port) = u16::try_from(gateway.port).ok().filter(|port| *port != 0) else {
            return refuse("the port is not in 1..65535".to_owned());
        };
        let addresses = match gateway.address.parse::<IpAddr>() {
            Ok(address) => vec![address],
            Err(_) => match gateway_name(&gateway.address) {
                None => return refuse("the address is neither an IP address nor a DNS name".to_owned()),
                Some(_) if resolved.is_empty() => return refuse("the name does not resolve to an address".to_owned()),
                Some(_) => resolved.iter().filter_map(|text| text.parse().ok()).collect(),
            },
        };
        for address in addresses {
            match address::refuse(address, &ours.networks) {
                None => self.gateways.push(Endpoint { address: address.to_canonical(), port }),
                Some(reason) if resolved.is_empty() => refuse(reason.to_owned()),
                Some(reason) => refuse(format!("the name resolves to {address}: {reason}")),
            }
        }
    }
}

/// The accepted part of a peer's offer. Everything is sorted; texts are those of the document.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Offer<'a> {
    /// Addresses of its gateways.
    pub gateways: Vec<Endpoint>,
    /// Its services, each host once.
    pub services: Vec<OfferedService<'a>>,
    pub refused: Vec<Refusal>,
}

impl<'a> Offer<'a> {
    /// Vets the cached private document of the peer of `trust_domain`.
    #[must_use]
    pub fn vet(document: &'a CachedPrivateMetadata, trust_domain: &TrustDomain, ours: &Ourselves) -> Self {
        Self::with_gateways(GatewayOffer::vet(&document.ingress_gateways, ours), document, trust_domain)
    }

    /// Vets the services of a document whose gateways are vetted already.
    #[must_use]
    pub(crate) fn with_gateways(
        gateways: GatewayOffer,
        document: &'a CachedPrivateMetadata,
        trust_domain: &TrustDomain,
    ) -> Self {
        let GatewayOffer { gateways, refused } = gateways;
        let mut offer = Self { gateways, services: Vec::new(), refused };
        let mut listed: Vec<&PublicService> = document.public_services.iter().collect();
        listed.sort_by(|a, b| a.hostname.cmp(&b.hostname));
        for same in listed.chunk_by(|a, b| a.hostname == b.hostname) {
            offer.take_service(&same[0].hostname, same.iter().flat_map(|service| &service.ports), trust_domain);
        }
        offer.refused.sort();
        offer
    }

    fn take_service(
        &mut self,
        hostname: &'a str,
        ports: impl Iterator<Item = &'a PublicServicePort>,
        trust_domain: &TrustDomain,
    ) {
        let mut refuse = |reason: String| self.refused.push(Refusal::new(ItemKind::PublicService, hostname, reason));
        let host = match ServiceHost::vet(hostname, trust_domain) {
            Ok(host) => host,
            Err(error) => return refuse(error.to_string()),
        };
        let mut candidates = Vec::new();
        for port in ports {
            match vet_port(port) {
                Ok(port) => candidates.push(port),
                Err(reason) => refuse(format!("port {} {:?}: {reason}", port.port, printable(&port.name))),
            }
        }
        // Sorted, so that the winner of a conflict does not depend on the peer's order.
        candidates.sort();
        candidates.dedup();
        let mut accepted: Vec<OfferedPort<'_>> = Vec::with_capacity(candidates.len());
        for port in candidates {
            let taken = accepted.iter().find(|other| other.number == port.number || other.name == port.name);
            match taken {
                None if accepted.len() == PORT_LIMIT => return refuse(format!("it has more than {PORT_LIMIT} ports")),
                None => accepted.push(port),
                Some(other) => {
                    refuse(format!(
                        "port {} {:?} contradicts {} {:?}",
                        port.number, port.name, other.number, other.name
                    ));
                }
            }
        }
        if accepted.is_empty() {
            return refuse("it has no port that can be imported".to_owned());
        }
        self.services.push(OfferedService { host, ports: accepted });
    }
}

/// The DNS name of a gateway in lower case, without a trailing dot; `None` if the address is not a DNS name.
#[must_use]
pub fn gateway_name(address: &str) -> Option<DnsName> {
    let name = address.strip_suffix('.').unwrap_or(address).to_ascii_lowercase();
    // Digits and dots alone are an old spelling of an IPv4 address, which resolvers still read.
    let last_label = name.rsplit('.').next().unwrap_or_default();
    if last_label.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    DnsName::parse(&name).ok()
}

fn vet_port(port: &PublicServicePort) -> Result<OfferedPort<'_>, &'static str> {
    let number = u16::try_from(port.port).ok().filter(|number| *number != 0).ok_or("the number is not in 1..65535")?;
    if !is_port_name(&port.name) {
        return Err("the name is not a DNS label of at most 62 characters");
    }
    let protocol = match port.protocol.as_deref() {
        None => Protocol::of_port_name(&port.name),
        Some(text) => Protocol::parse(text).ok_or("a port of this protocol cannot be imported")?,
    };
    Ok(OfferedPort { number, name: &port.name, protocol })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn ours() -> Ourselves {
        let values = json!({"istio": {"federation": {"clusterDomain": "cluster-a.local", "clusterUUID": "a"}}});
        Ourselves::from_values(&serde_json::from_value(values).unwrap(), None).unwrap()
    }

    fn document(json: serde_json::Value) -> CachedPrivateMetadata {
        serde_json::from_value(json).unwrap()
    }

    fn vet(document: &CachedPrivateMetadata) -> Offer<'_> {
        let peer = TrustDomain::vet("cluster-b.local", &ours().trust_domains()).unwrap();
        Offer::vet(document, &peer, &ours())
    }

    fn reasons(offer: &Offer<'_>) -> Vec<String> {
        offer.refused.iter().map(|refusal| format!("{}: {}", refusal.name, refusal.reason)).collect()
    }

    #[test]
    fn gateways() {
        let document = document(json!({"ingressGateways": [
            {"address": "203.0.113.10", "port": 15443},
            {"address": "::ffff:203.0.113.10", "port": 15443},
            {"address": "gw.b.example", "port": 443, "resolved": ["198.51.100.2", "127.0.0.1"]},
            {"address": "nowhere.example", "port": 443},
            {"address": "127.0.0.1", "port": 1},
            {"address": "203.0.113.11", "port": 0},
            {"address": "203.0.113.12", "port": 65536},
            {"address": "127.1", "port": 1},
            {"address": "0x7f000001", "port": 1},
            {"address": "2130706433", "port": 1},
            {"address": "a b\n", "port": 1}
        ]}));
        let offer = vet(&document);
        let gateways: Vec<_> = offer.gateways.iter().map(|g| format!("{}:{}", g.address, g.port)).collect();
        assert_eq!(gateways, ["198.51.100.2:443", "203.0.113.10:15443"]);
        let neither = "the address is neither an IP address nor a DNS name";
        assert_eq!(
            reasons(&offer),
            [
                format!("0x7f000001:1: {neither}"),
                "127.0.0.1:1: the address is a loopback address".to_owned(),
                format!("127.1:1: {neither}"),
                "203.0.113.11:0: the port is not in 1..65535".to_owned(),
                "203.0.113.12:65536: the port is not in 1..65535".to_owned(),
                format!("2130706433:1: {neither}"),
                format!("a b?:1: {neither}"),
                "gw.b.example:443: the name resolves to 127.0.0.1: the address is a loopback address".to_owned(),
                "nowhere.example:443: the name does not resolve to an address".to_owned(),
            ]
        );
    }

    #[test]
    fn at_most_32_gateway_addresses() {
        let many: Vec<_> = (0..40).map(|n| json!({"address": format!("203.0.113.{n}"), "port": 1})).collect();
        let document = document(json!({ "ingressGateways": many }));
        let offer = vet(&document);
        assert_eq!((offer.gateways.len(), offer.refused.len()), (32, 8));
    }

    #[test]
    fn services() {
        let many: Vec<_> = (1..=65).map(|n| json!({"name": format!("p{n}"), "port": n})).collect();
        let document = document(json!({"publicServices": [
            {"hostname": "bar.xyz.svc.cluster-b.local", "ports": [
                {"name": "tcp", "port": 90}, {"name": "http", "port": 80, "protocol": "GRPC"},
                {"name": "Bad_Name", "port": 81}, {"name": "zero", "port": 0}, {"name": "minus", "port": -1}, {"name": "half", "port": 1.5}, {"name": "udp", "port": 53, "protocol": "UDP"}]},
            {"hostname": "bar.xyz.svc.cluster-b.local", "ports": [{"name": "web", "port": 80}, {"name": "tcp", "port": 91}]},
            {"hostname": "bar.xyz.svc.cluster-a.local", "ports": [{"name": "http", "port": 80}]},
            {"hostname": "none.xyz.svc.cluster-b.local", "ports": []},
            {"hostname": "many.xyz.svc.cluster-b.local", "ports": many}
        ]}));
        let offer = vet(&document);
        let services: Vec<_> =
            offer.services.iter().map(|service| (service.host.as_str(), service.ports.clone())).collect();
        let port = |number, name, protocol| OfferedPort { number, name, protocol };
        assert_eq!(
            services,
            [("bar.xyz.svc.cluster-b.local", vec![port(80, "http", Protocol::Grpc), port(90, "tcp", Protocol::Tcp)])]
        );
        assert_eq!(
            reasons(&offer),
            [
                "bar.xyz.svc.cluster-a.local: it is not of the form <service>.<namespace>.svc.cluster-b.local",
                "bar.xyz.svc.cluster-b.local: port 0 \"zero\": the number is not in 1..65535",
                "bar.xyz.svc.cluster-b.local: port 4294967295 \"half\": the number is not in 1..65535",
                "bar.xyz.svc.cluster-b.local: port 4294967295 \"minus\": the number is not in 1..65535",
                "bar.xyz.svc.cluster-b.local: port 53 \"udp\": a port of this protocol cannot be imported",
                "bar.xyz.svc.cluster-b.local: port 80 \"web\" contradicts 80 \"http\"",
                "bar.xyz.svc.cluster-b.local: port 81 \"Bad_Name\": the name is not a DNS label of at most 62 characters",
                "bar.xyz.svc.cluster-b.local: port 91 \"tcp\" contradicts 90 \"tcp\"",
                "many.xyz.svc.cluster-b.local: it has more than 64 ports",
                "none.xyz.svc.cluster-b.local: it has no port that can be imported",
            ]
        );
    }

    fn any_port() -> impl Strategy<Value = Value> {
        let name = prop_oneof!["[a-c]", "(http|grpc|tcp)-[a-b]", "[A-Z_*. -]{0,3}", Just("x".repeat(63))];
        let number = prop_oneof![1_i64..4, Just(0), Just(65_535), Just(65_536), Just(-1)];
        let protocol = prop_oneof![
            Just(Value::Null),
            Just(json!("HTTP")),
            Just(json!("TCP")),
            Just(json!("UDP")),
            Just(json!(""))
        ];
        (name, number, protocol)
            .prop_map(|(name, port, protocol)| json!({"name": name, "port": port, "protocol": protocol}))
    }

    fn any_service() -> impl Strategy<Value = Value> {
        let host = prop_oneof![
            3 => "[ab][.]ns[.]svc[.]cluster-b[.]local",
            1 => "[ab][.]ns[.]svc[.]cluster-a[.]local",
            1 => "[a-b*.]{0,4}[.]?cluster-b[.]local[.]?",
        ];
        (host, proptest::collection::vec(any_port(), 0..6))
            .prop_map(|(hostname, ports)| json!({"hostname": hostname, "ports": ports}))
    }

    fn any_gateway() -> impl Strategy<Value = Value> {
        let address = prop_oneof![
            4 => "203[.]0[.]113[.][1-9]",
            1 => Just("127.0.0.1".to_owned()),
            1 => Just("240.241.0.9".to_owned()),
            1 => Just("64:ff9b::7f00:1".to_owned()),
            1 => Just("::ffff:169.254.169.254".to_owned()),
            1 => "[a-c][.]example",
            1 => "[0-9a-z.:]{0,5}",
        ];
        let resolved = proptest::collection::vec("(198[.]51[.]100[.][1-3]|10[.]0[.]0[.]1|127[.]0[.]0[.]1)", 0..3);
        (address, prop_oneof![Just(15443), Just(0), Just(70_000)], resolved)
            .prop_map(|(address, port, resolved)| json!({"address": address, "port": port, "resolved": resolved}))
    }

    proptest! {
        #[test]
        fn accepted_items_obey_every_rule_and_no_item_is_lost(
            gateways in proptest::collection::vec(any_gateway(), 0..8),
            services in proptest::collection::vec(any_service(), 0..8),
        ) {
            let listed = document(json!({"ingressGateways": gateways, "publicServices": services}));
            let offer = vet(&listed);
            for gateway in &offer.gateways {
                prop_assert!(gateway.port > 0 && address::refuse(gateway.address, &ours().networks).is_none());
            }
            for service in &offer.services {
                prop_assert!(service.host.as_str().ends_with(".ns.svc.cluster-b.local"), "{}", service.host);
                let numbers: std::collections::BTreeSet<_> = service.ports.iter().map(|port| port.number).collect();
                let names: std::collections::BTreeSet<_> = service.ports.iter().map(|port| port.name).collect();
                prop_assert!(!service.ports.is_empty());
                prop_assert_eq!((numbers.len(), names.len()), (service.ports.len(), service.ports.len()));
                prop_assert!(service.ports.iter().all(|port| port.number > 0 && is_port_name(port.name)));
            }
            let known = |name: &str| {
                offer.services.iter().any(|service| service.host.as_str() == name)
                    || offer.refused.iter().any(|refusal| refusal.name == printable(name))
            };
            for service in &listed.public_services {
                prop_assert!(known(&service.hostname), "{} is neither taken nor refused", service.hostname);
            }
            let said = offer.gateways.len() + offer.refused.iter().filter(|refusal| refusal.kind == ItemKind::IngressGateway).count();
            prop_assert!(listed.ingress_gateways.is_empty() || said > 0);
        }

        #[test]
        fn the_order_of_a_document_does_not_matter(
            gateways in proptest::collection::vec(any_gateway(), 0..8),
            services in proptest::collection::vec(any_service(), 0..8),
            turn in 0_usize..8,
        ) {
            let listed = document(json!({"ingressGateways": gateways, "publicServices": services}));
            let mut turned = listed.clone();
            turned.ingress_gateways.reverse();
            turned.public_services.rotate_left(turn % services.len().max(1));
            for service in &mut turned.public_services {
                service.ports.reverse();
            }
            prop_assert_eq!(vet(&listed), vet(&turned));
        }
    }
}
