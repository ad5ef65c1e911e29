//! What has to be true when two clusters have federated.

use std::collections::BTreeSet;

use super::facts::Facts;
use crate::federation::conditions::{PRIVATE_EXCHANGE_READY, PUBLIC_EXCHANGE_READY};

/// What is missing so that `importer` can call what `exporter` offers; empty if nothing is.
pub(super) fn missing(importer: &Facts, exporter: &Facts) -> Vec<String> {
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
        let imported: BTreeSet<u32> = entry.spec.ports.iter().map(|port| port.number).collect();
        if imported != *ports || entry.spec.endpoints.is_empty() || entry.spec.addresses.is_empty() {
            missing.push(format!(
                "{}: ServiceEntry {host} has ports {imported:?} instead of {ports:?}, {} endpoints and {} addresses",
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
