//! Checks whether two clusters have federated.

use std::collections::BTreeSet;

use crate::facts::Facts;
use istio_federation::federation::conditions::{PRIVATE_EXCHANGE_READY, PUBLIC_EXCHANGE_READY};

/// The reasons why `importer` cannot call the services of `exporter` yet; empty when it can.
#[must_use]
pub fn missing(importer: &Facts, exporter: &Facts) -> Vec<String> {
    let mut missing = Vec::new();
    conditions(importer, exporter, &mut missing);
    if !importer.anchors.iter().any(|anchor| anchor.trust_domains.contains(&exporter.domain)) {
        missing.push(format!("{} has no trust anchor for {}", importer.domain, exporter.domain));
    }
    if !importer.mesh_config.contains(&exporter.domain) {
        missing.push(format!("the mesh configuration of {} does not name {}", importer.domain, exporter.domain));
    }
    services(importer, exporter, &mut missing);
    let listed: BTreeSet<&String> = exporter.gateways.values().flatten().collect();
    let offered: BTreeSet<&String> = exporter.offered.keys().collect();
    if listed != offered {
        missing.push(format!("the Gateways of {} list {listed:?} instead of {offered:?}", exporter.domain));
    }
    missing
}

fn conditions(importer: &Facts, exporter: &Facts, missing: &mut Vec<String>) {
    let to_exporter = importer.federations.values().filter(|one| one.spec.trust_domain == exporter.domain);
    for federation in to_exporter {
        let name = &federation.metadata.name;
        let conditions = federation.status.iter().flat_map(|status| &status.conditions);
        let types: BTreeSet<&str> = conditions.clone().map(|condition| condition.type_.as_str()).collect();
        for type_ in [PUBLIC_EXCHANGE_READY, PRIVATE_EXCHANGE_READY] {
            if !types.contains(type_) {
                missing.push(format!("{}: IstioFederation {name} has no condition {type_}", importer.domain));
            }
        }
        for condition in conditions.filter(|condition| condition.status != "True") {
            missing.push(format!(
                "{}: condition {} of IstioFederation {name} is {} ({}: {})",
                importer.domain, condition.type_, condition.status, condition.reason, condition.message
            ));
        }
    }
}

fn services(importer: &Facts, exporter: &Facts, missing: &mut Vec<String>) {
    for (host, ports) in &exporter.offered {
        let Some(entry) = importer.imported.get(host) else {
            missing.push(format!("{} has no ServiceEntry for {host}", importer.domain));
            continue;
        };
        let found: BTreeSet<u32> = entry.spec.ports.iter().map(|port| port.number).collect();
        if found != *ports || entry.spec.endpoints.is_empty() || entry.spec.addresses.is_empty() {
            missing.push(format!(
                "{}: ServiceEntry {host} has ports {found:?} instead of {ports:?}, {} endpoints and {} addresses",
                importer.domain,
                entry.spec.endpoints.len(),
                entry.spec.addresses.len()
            ));
        }
    }
    for host in importer.imported.keys().filter(|host| !exporter.offered.contains_key(*host)) {
        missing.push(format!("{} has a ServiceEntry for {host}, which nobody offers", importer.domain));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use istio_federation::api::values::TrustAnchorEntry;

    fn read<T: serde::de::DeserializeOwned>(value: Value) -> T {
        serde_json::from_value(value).unwrap()
    }

    /// Cluster a, which imports bar from b and offers nothing, and b.
    fn federated() -> (Facts, Facts) {
        let since = "2026-01-01T00:00:00Z";
        let federation = istio_federation_testkit::federation("b")
            .condition(PUBLIC_EXCHANGE_READY, "True", "Succeeded", since)
            .condition(PRIVATE_EXCHANGE_READY, "True", "Succeeded", since)
            .read();
        let entry = read(json!({"spec": {
            "hosts": ["bar.xyz.svc.b.local"], "addresses": ["240.241.0.1"], "ports": [{"number": 80, "name": "http"}],
            "endpoints": [{"address": "198.51.100.1", "ports": {"http": 15443}}],
        }}));
        let a = Facts {
            domain: "a.local".to_owned(),
            federations: [("b".to_owned(), federation)].into(),
            anchors: vec![TrustAnchorEntry {
                trust_domains: vec!["b.local".to_owned()],
                ..TrustAnchorEntry::default()
            }],
            mesh_config: "trustDomains: [b.local]".to_owned(),
            imported: [("bar.xyz.svc.b.local".to_owned(), entry)].into(),
            ..Facts::default()
        };
        let b = Facts {
            domain: "b.local".to_owned(),
            offered: [("bar.xyz.svc.b.local".to_owned(), [80].into())].into(),
            gateways: [("xyz".to_owned(), vec!["bar.xyz.svc.b.local".to_owned()])].into(),
            ..Facts::default()
        };
        (a, b)
    }

    #[test]
    fn federated_clusters_miss_nothing() {
        let (a, b) = federated();
        assert_eq!(missing(&a, &b), [""; 0]);
    }

    /// A way to break a federation.
    type Break = fn(&mut Facts, &mut Facts);

    #[test]
    fn each_missing_part_is_named() {
        let breaks: [(Break, &str); 11] = [
            (|a, _| a.anchors.clear(), "no trust anchor for b.local"),
            (|a, _| a.mesh_config.clear(), "mesh configuration of a.local"),
            (|a, _| a.imported.clear(), "a.local has no ServiceEntry for bar.xyz.svc.b.local"),
            (|a, _| entry(a).spec.ports.clear(), "ports {} instead of {80}"),
            (|a, _| entry(a).spec.endpoints.clear(), "0 endpoints"),
            (|a, _| entry(a).spec.addresses.clear(), "0 addresses"),
            (|_, b| b.offered.clear(), "which nobody offers"),
            (|_, b| b.gateways.clear(), "the Gateways of b.local list {}"),
            (|a, _| status(a).conditions.truncate(1), "no condition PrivateMetadataExchangeReady"),
            (
                |a, _| status(a).conditions[1].status = "False".to_owned(),
                "PrivateMetadataExchangeReady of IstioFederation b is False",
            ),
            (|a, _| federation(a).status = None, "no condition PublicMetadataExchangeReady"),
        ];
        for (number, (spoil, named)) in breaks.into_iter().enumerate() {
            let (mut a, mut b) = federated();
            spoil(&mut a, &mut b);
            let found = missing(&a, &b).join("\n");
            assert!(found.contains(named), "{number}: {found}");
        }
    }

    fn entry(facts: &mut Facts) -> &mut istio_federation::api::istio::ServiceEntry {
        facts.imported.get_mut("bar.xyz.svc.b.local").unwrap()
    }

    fn federation(facts: &mut Facts) -> &mut istio_federation::api::istio_federation::IstioFederation {
        facts.federations.get_mut("b").unwrap()
    }

    fn status(facts: &mut Facts) -> &mut istio_federation::api::istio_federation::IstioFederationStatus {
        federation(facts).status.as_mut().unwrap()
    }
}
