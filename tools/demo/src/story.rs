//! Describes the changes of a cluster in sentences.

use x509_parser::extensions::{GeneralName, GeneralSubtree};
use x509_parser::pem::Pem;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::facts::Facts;
use istio_federation::api::istio::ServiceEntry;
use istio_federation::api::istio_federation::{IstioFederation, MetadataCache};
use istio_federation::api::kubernetes::Condition;
use istio_federation::text::printable;

/// The differences from `before` to `after`, one sentence each.
pub(crate) fn sentences(before: &Facts, after: &Facts) -> Vec<String> {
    let mut lines = Vec::new();
    if after.has_key_pair && !before.has_key_pair {
        lines.push("made its key pair, with which it signs its requests".to_owned());
    }
    for (name, federation) in &after.federations {
        news_of_peer(name, before.federations.get(name), federation, &mut lines);
    }
    for reader in after.readers.difference(&before.readers) {
        lines.push(format!(
            "lets cluster {} read its private metadata: its key is in the exporter's gate",
            printable(reader)
        ));
    }
    for reader in before.readers.difference(&after.readers) {
        lines.push(format!("no longer lets cluster {} read its private metadata", printable(reader)));
    }
    for anchor in after.anchors.iter().filter(|anchor| !before.anchors.contains(anchor)) {
        lines.extend(certificates(&anchor.pem, |certificate| {
            format!("confined {}: {}", subject(certificate), constraints(certificate))
        }));
    }
    for _ in before.anchors.iter().filter(|anchor| !after.anchors.contains(anchor)) {
        lines.push("dropped a trust anchor".to_owned());
    }
    for (host, entry) in &after.imported {
        match before.imported.get(host) {
            None => lines.push(format!("ServiceEntry {host}: {}", route(entry))),
            Some(old) if old.spec != entry.spec => lines.push(format!("ServiceEntry {host} is now: {}", route(entry))),
            Some(_) => {}
        }
    }
    for host in before.imported.keys().filter(|host| !after.imported.contains_key(*host)) {
        lines.push(format!("ServiceEntry {host} is gone"));
    }
    for (name, hosts) in after.gateways.iter().filter(|(name, hosts)| before.gateways.get(*name) != Some(hosts)) {
        lines.push(format!("Gateway {name} opens {}", hosts.join(", ")));
    }
    for name in before.gateways.keys().filter(|name| !after.gateways.contains_key(*name)) {
        lines.push(format!("Gateway {name} is gone"));
    }
    lines
}

fn news_of_peer(name: &str, before: Option<&IstioFederation>, after: &IstioFederation, lines: &mut Vec<String>) {
    let none = MetadataCache::default();
    let cache = |federation: &IstioFederation| federation.status.clone().and_then(|status| status.metadata_cache);
    let (was, is) = (before.and_then(cache).unwrap_or_else(|| none.clone()), cache(after).unwrap_or(none));
    let root = |cache: &MetadataCache| cache.public.as_ref().map(|public| public.root_ca.clone()).unwrap_or_default();
    if root(&was) != root(&is) {
        lines.extend(certificates(&root(&is), |root| format!("pulled the root CA of {name}: {}", subject(root))));
    }
    if let Some(private) = is.private.as_ref().filter(|private| was.private.as_ref() != Some(private)) {
        let gateways = private
            .ingress_gateways
            .iter()
            .map(|one| format!("{}:{}", printable(&one.gateway.address), one.gateway.port));
        let services = private.public_services.iter().map(|service| printable(&service.hostname));
        lines.push(format!(
            "learned from {name}: gateways {}; services {}",
            listed(&gateways.collect::<Vec<_>>()),
            listed(&services.collect::<Vec<_>>())
        ));
    }
    let conditions = |federation: &IstioFederation| federation.status.clone().unwrap_or_default().conditions;
    let old = before.map(conditions).unwrap_or_default();
    let unchanged = |new: &Condition| {
        old.iter().any(|old| old.type_ == new.type_ && old.status == new.status && old.reason == new.reason)
    };
    for new in conditions(after).iter().filter(|new| !unchanged(new)) {
        let why = if new.status == "True" { String::new() } else { format!(" ({}: {})", new.reason, new.message) };
        lines.push(format!("says of {name}: {} is {}{why}", new.type_, new.status));
    }
}

fn listed(items: &[String]) -> String {
    if items.is_empty() { "none".to_owned() } else { items.join(", ") }
}

fn route(entry: &ServiceEntry) -> String {
    format!("{} {} -> {}", listed(&entry.spec.addresses), listed(&ports(entry)), listed(&endpoints(entry)))
}

/// Ports as `80/HTTP`.
pub(crate) fn ports(entry: &ServiceEntry) -> Vec<String> {
    entry.spec.ports.iter().map(|port| format!("{}/{}", port.number, port.protocol)).collect()
}

/// Gateways that the endpoints are, as `address:port`.
pub(crate) fn endpoints(entry: &ServiceEntry) -> Vec<String> {
    let of = |endpoint: &istio_federation::api::istio::WorkloadEntry| {
        let mut ports: Vec<u32> = endpoint.ports.values().copied().collect();
        ports.dedup();
        ports.iter().map(|port| format!("{}:{port}", endpoint.address)).collect::<Vec<_>>()
    };
    entry.spec.endpoints.iter().flat_map(of).collect()
}

fn certificates(pem: &str, line: impl Fn(&X509Certificate<'_>) -> String) -> Vec<String> {
    let blocks = Pem::iter_from_buffer(pem.as_bytes()).filter_map(Result::ok);
    blocks.filter_map(|block| X509Certificate::from_der(&block.contents).ok().map(|(_, one)| line(&one))).collect()
}

fn subject(certificate: &X509Certificate<'_>) -> String {
    printable(&certificate.subject().to_string())
}

/// The name constraints of the certificate.
fn constraints(certificate: &X509Certificate<'_>) -> String {
    let Ok(Some(constraints)) = certificate.name_constraints() else {
        return "it has NO name constraints".to_owned();
    };
    let names = |subtrees: &Option<Vec<GeneralSubtree<'_>>>| {
        listed(&subtrees.iter().flatten().map(|subtree| constraint(&subtree.base)).collect::<Vec<_>>())
    };
    let constraints = constraints.value;
    format!("may sign {}, not {}", names(&constraints.permitted_subtrees), names(&constraints.excluded_subtrees))
}

fn constraint(name: &GeneralName<'_>) -> String {
    let any = |kind: &str, text: &str| {
        if text.is_empty() { format!("any {kind}") } else { format!("{kind} {}", printable(text)) }
    };
    match name {
        GeneralName::URI(text) => any("URI", text),
        GeneralName::DNSName(text) => any("DNS name", text),
        GeneralName::RFC822Name(text) => any("e-mail", text),
        GeneralName::IPAddress(range) if range.iter().all(|byte| *byte == 0) => {
            if range.len() == 8 {
                "any IPv4".to_owned()
            } else {
                "any IPv6".to_owned()
            }
        }
        other => printable(&other.to_string()),
    }
}
