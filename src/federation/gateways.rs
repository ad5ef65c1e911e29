//! Our own Gateways: they list the exported hosts, so what is not exported cannot be reached through them.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use super::export::ExportedService;
use super::names::DnsName;
use super::objects::{self, Changes, Stored};
use crate::api::istio::{API_VERSION, Gateway, GatewayServer, GatewaySpec, GatewayTls, ServiceEntryPort};
use crate::api::kubernetes::{OwnerReference, Service};

/// Label of the Gateways that are ours.
pub const LABEL: &str = "federation.istio.deckhouse.io/exported-services";
/// Port of the east-west gateway.
const PORT: u32 = 15443;
/// Label of the proxies that serve our Gateways: `app: ingressgateway`.
const SELECTOR: (&str, &str) = ("app", "ingressgateway");

/// The changes that make one Gateway per exporting namespace, named after it. Without an owner there are none:
/// federation is off, or not yet rendered.
#[must_use]
pub fn plan(
    services: &[Service],
    cluster_domain: &DnsName,
    existing: &[Stored],
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
    let existing: BTreeMap<Cow<'_, str>, &Stored> = existing.iter().map(|stored| (stored.name(), stored)).collect();
    for (namespace, hosts) in &hosts {
        let metadata = objects::metadata(namespace, LABEL, BTreeMap::new(), owners);
        let spec = spec_of(hosts);
        match existing.get(namespace.as_str()) {
            Some(stored) => changes.update.extend(stored.update_to(&metadata, &spec)),
            None => changes.create.push(Gateway {
                api_version: API_VERSION.to_owned(),
                kind: "Gateway".to_owned(),
                metadata,
                spec,
            }),
        }
    }
    let gone = existing.keys().filter(|name| !hosts.contains_key(name.as_ref()));
    changes.delete = gone.map(ToString::to_string).collect();
    changes
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
    use serde_json::json;

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
        plan(services, &DnsName::parse("b.local").unwrap(), existing, &owner())
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
    fn a_change_is_an_update_and_rest_is_rest() {
        let both = [service("xyz", "foo"), service("xyz", "bar")];
        let existing: Vec<_> = changes(&both, &[]).create.iter().map(stored).collect();
        assert_eq!(changes(&both, &existing), Changes::default());
        let fewer = changes(&both[1..], &existing);
        assert_eq!((fewer.create.len(), fewer.update.len(), fewer.delete.len()), (0, 1, 0));
        assert_eq!(fewer.update[0].to["spec"]["servers"][0]["hosts"], json!(["bar.xyz.svc.b.local"]));
        assert_eq!(changes(&[], &existing).delete, ["xyz"]);
    }

    #[test]
    fn without_an_owner_nothing_is_done() {
        let existing: Vec<_> = changes(&[service("xyz", "foo")], &[]).create.iter().map(stored).collect();
        let domain = DnsName::parse("b.local").unwrap();
        assert_eq!(plan(&[service("shop", "cart")], &domain, &existing, &[]), Changes::default());
    }
}
