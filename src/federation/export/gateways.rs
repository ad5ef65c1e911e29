//! Our own Gateways: they list the exported hosts, so peers reach no other Service through them.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::service::ExportedService;
use crate::api::istio::{API_VERSION, Gateway, GatewayServer, GatewaySpec, GatewayTls, ServiceEntryPort};
use crate::api::kubernetes::{OwnerReference, Service};
use crate::federation::managed::{self, Changes, Stored};
use crate::federation::names::DnsName;

/// Label of the Gateways that are ours.
pub const LABEL: &str = "federation.istio.deckhouse.io/exported-services";
/// Port of the east-west gateway.
const PORT: u32 = 15443;
/// Label of the proxies that serve our Gateways: `app: ingressgateway`.
const SELECTOR: (&str, &str) = ("app", "ingressgateway");

/// A labelled Service that cannot be read, so that its export is unknown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unread {
    Service {
        namespace: String,
        name: String,
    },
    /// It is unknown which.
    Unknown,
}

/// The changes that make one Gateway per exporting namespace, named after it. Without an owner, no changes:
/// federation is off, or not yet rendered. Hosts of Services that cannot be read stay where they are listed.
#[must_use]
pub fn plan(
    services: &[Service],
    unread: &[Unread],
    cluster_domain: &DnsName,
    existing: Vec<Stored>,
    owners: &[OwnerReference],
) -> Changes<Gateway> {
    let mut changes = Changes::default();
    if owners.is_empty() {
        return changes;
    }
    let mut hosts: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for exported in services.iter().filter_map(|service| ExportedService::vet(service, cluster_domain).ok()) {
        hosts.entry(exported.namespace().to_owned()).or_default().insert(exported.host().to_string());
    }
    for (namespace, host) in existing.iter().flat_map(listed).filter(|(_, host)| is_of(unread, host, cluster_domain)) {
        hosts.entry(namespace.to_owned()).or_default().insert(host.to_owned());
    }
    let mut existing: BTreeMap<String, Stored> =
        existing.into_iter().map(|stored| (stored.metadata.name.clone(), stored)).collect();
    for (namespace, hosts) in &hosts {
        let metadata = managed::metadata(namespace, LABEL, BTreeMap::new(), owners);
        let spec = spec_of(hosts);
        match existing.remove(namespace) {
            Some(stored) => changes.update.extend(stored.update_to(&metadata, json!(spec))),
            None => changes.create.push(Gateway {
                api_version: API_VERSION.to_owned(),
                kind: "Gateway".to_owned(),
                metadata,
                spec,
            }),
        }
    }
    changes.delete = existing.into_keys().collect();
    changes
}

/// The hosts that a Gateway lists, each with the Gateway's name.
fn listed(gateway: &Stored) -> impl Iterator<Item = (&str, &str)> {
    let hosts = gateway.spec.pointer("/servers/0/hosts").and_then(Value::as_array).into_iter().flatten();
    hosts.filter_map(Value::as_str).map(|host| (gateway.metadata.name.as_str(), host))
}

/// Whether `host` may be that of a Service that cannot be read.
fn is_of(unread: &[Unread], host: &str, cluster_domain: &DnsName) -> bool {
    unread.iter().any(|unread| match unread {
        Unread::Service { namespace, name } => host == format!("{name}.{namespace}.svc.{cluster_domain}"),
        Unread::Unknown => true,
    })
}

fn spec_of(hosts: &BTreeSet<String>) -> GatewaySpec {
    GatewaySpec {
        selector: BTreeMap::from([(SELECTOR.0.to_owned(), SELECTOR.1.to_owned())]),
        servers: vec![GatewayServer {
            hosts: hosts.iter().cloned().collect(),
            port: ServiceEntryPort { name: "tls".to_owned(), number: PORT, protocol: "TLS".to_owned() },
            tls: GatewayTls { mode: "AUTO_PASSTHROUGH".to_owned() },
        }],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::kubernetes::PUBLIC_SERVICE_LABEL;

    fn service(namespace: &str, name: &str) -> Service {
        serde_json::from_value(json!({
            "metadata": {"name": name, "namespace": namespace, "labels": {PUBLIC_SERVICE_LABEL: ""}},
            "spec": {"type": "ClusterIP", "ports": [{"name": "http", "port": 80}]}
        }))
        .unwrap()
    }

    fn owner() -> Vec<OwnerReference> {
        vec![OwnerReference { name: "owner".to_owned(), uid: "1".to_owned(), ..OwnerReference::default() }]
    }

    fn stored(gateway: &Gateway) -> Stored {
        serde_json::from_value(json!({"metadata": gateway.metadata, "spec": gateway.spec})).unwrap()
    }

    fn changes(services: &[Service], existing: &[Stored]) -> Changes<Gateway> {
        changes_with_unread(&[], services, existing)
    }

    fn changes_with_unread(unread: &[Unread], services: &[Service], existing: &[Stored]) -> Changes<Gateway> {
        plan(services, unread, &DnsName::parse("b.local").unwrap(), existing.to_vec(), &owner())
    }

    #[test]
    fn one_gateway_per_namespace_lists_its_hosts() {
        let mut external = service("xyz", "external");
        external.spec.type_ = "ExternalName".to_owned();
        let made = changes(&[service("xyz", "foo"), external, service("shop", "cart"), service("xyz", "bar")], &[]);
        let names: Vec<_> = made.create.iter().map(|gateway| gateway.metadata.name.as_str()).collect();
        assert_eq!(names, ["shop", "xyz"]);
        assert_eq!(
            serde_json::to_value(&made.create[1].spec).unwrap(),
            json!({
                "selector": {"app": "ingressgateway"},
                "servers": [{
                    "hosts": ["bar.xyz.svc.b.local", "foo.xyz.svc.b.local"],
                    "port": {"name": "tls", "number": 15443, "protocol": "TLS"},
                    "tls": {"mode": "AUTO_PASSTHROUGH"}
                }]
            })
        );
    }

    #[test]
    fn a_difference_is_an_update_and_equal_gateways_are_left_alone() {
        let both = [service("xyz", "foo"), service("xyz", "bar")];
        let existing: Vec<_> = changes(&both, &[]).create.iter().map(stored).collect();
        assert_eq!(changes(&both, &existing), Changes::default());
        let fewer = changes(&both[1..], &existing);
        assert_eq!((fewer.create.len(), fewer.update.len(), fewer.delete.len()), (0, 1, 0));
        assert_eq!(fewer.update[0].to["spec"]["servers"][0]["hosts"], json!(["bar.xyz.svc.b.local"]));
        assert_eq!(changes(&[], &existing).delete, ["xyz"]);
    }

    #[test]
    fn an_unreadable_service_stays_listed_and_is_not_added() {
        let all = [service("xyz", "foo"), service("xyz", "bar"), service("shop", "cart")];
        let existing: Vec<_> = changes(&all, &[]).create.iter().map(stored).collect();
        let unread =
            |namespace: &str, name: &str| Unread::Service { namespace: namespace.to_owned(), name: name.to_owned() };
        let kept = changes_with_unread(&[unread("xyz", "foo"), unread("shop", "cart")], &all[1..2], &existing);
        assert_eq!(kept, Changes::default());
        let fewer = changes_with_unread(&[unread("xyz", "foo")], &[], &existing);
        assert_eq!(fewer.update[0].to["spec"]["servers"][0]["hosts"], json!(["foo.xyz.svc.b.local"]));
        assert_eq!(fewer.delete, ["shop"]);
        assert_eq!(changes_with_unread(&[Unread::Unknown], &[], &existing), Changes::default());
        assert_eq!(changes_with_unread(&[unread("xyz", "new")], &all, &existing), Changes::default());
    }

    #[test]
    fn without_an_owner_nothing_changes() {
        let existing: Vec<_> = changes(&[service("xyz", "foo")], &[]).create.iter().map(stored).collect();
        let domain = DnsName::parse("b.local").unwrap();
        assert_eq!(plan(&[service("shop", "cart")], &[], &domain, existing, &[]), Changes::default());
    }
}
