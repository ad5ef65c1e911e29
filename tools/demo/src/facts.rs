//! Reads the state of a cluster from its objects and values, never from our expectations.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context as _;
use serde::de::DeserializeOwned;

use crate::chart::{KEYPAIR_SECRET, MESH_CONFIG};
use istio_federation::api::istio::{Gateway, ServiceEntry};
use istio_federation::api::istio_federation::IstioFederation;
use istio_federation::api::kubernetes::{NAMESPACE, PUBLIC_SERVICE_LABEL, Service};
use istio_federation::api::values::{TrustAnchorEntry, Values};
use istio_federation_sim::cluster::Cluster;
use istio_federation_sim::operator::{Chart, Operator};

/// The state of one cluster.
#[derive(Debug, Default)]
pub struct Facts {
    pub domain: String,
    /// Whether its key pair is stored.
    pub has_key_pair: bool,
    /// UUIDs of the clusters that may read its private document.
    pub readers: BTreeSet<String>,
    /// Its IstioFederations, by name.
    pub federations: BTreeMap<String, IstioFederation>,
    /// Confined anchors that it trusts.
    pub anchors: Vec<TrustAnchorEntry>,
    /// The mesh configuration that istiod would read.
    pub mesh_config: String,
    /// ServiceEntries, by host.
    pub imported: BTreeMap<String, ServiceEntry>,
    /// Hosts of its Gateways, by name of the Gateway.
    pub gateways: BTreeMap<String, Vec<String>>,
    /// TCP ports of the Services that it should export, by host.
    pub offered: BTreeMap<String, BTreeSet<u32>>,
}

impl Facts {
    /// Reads the state of a cluster.
    pub fn of<C: Chart>(operator: &Operator<C>) -> anyhow::Result<Self> {
        let values: Values = serde_json::from_value(operator.values().clone()).context("the values cannot be read")?;
        let discovery = values.global.and_then(|global| global.discovery).unwrap_or_default();
        let domain = discovery.cluster_domain.unwrap_or_default();
        let internal = values.istio.and_then(|istio| istio.internal).unwrap_or_default();
        let cluster = operator.cluster();
        let mesh_config = cluster.find(Some("v1"), "ConfigMap", NAMESPACE, MESH_CONFIG);
        let entries = all::<ServiceEntry>(cluster, "ServiceEntry")?;
        Ok(Self {
            has_key_pair: cluster.find(Some("v1"), "Secret", NAMESPACE, KEYPAIR_SECRET).is_some(),
            readers: internal.remote_public_metadata.unwrap_or_default().into_keys().collect(),
            federations: all::<IstioFederation>(cluster, "IstioFederation")?
                .into_iter()
                .map(|federation| (federation.metadata.name.clone(), federation))
                .collect(),
            anchors: internal.federation_trust_anchors.unwrap_or_default(),
            mesh_config: mesh_config
                .and_then(|(_, object)| object.pointer("/data/mesh")?.as_str().map(str::to_owned))
                .unwrap_or_default(),
            imported: entries
                .into_iter()
                .filter_map(|entry| Some((entry.spec.hosts.first()?.clone(), entry)))
                .collect(),
            gateways: all::<Gateway>(cluster, "Gateway")?
                .into_iter()
                .map(|gateway| {
                    let hosts = gateway.spec.servers.into_iter().flat_map(|server| server.hosts).collect();
                    (gateway.metadata.name, hosts)
                })
                .collect(),
            offered: all::<Service>(cluster, "Service")?
                .into_iter()
                .filter_map(|service| offered(&service, &domain))
                .collect(),
            domain,
        })
    }
}

fn all<T: DeserializeOwned>(cluster: &Cluster, kind: &str) -> anyhow::Result<Vec<T>> {
    cluster
        .objects()
        .filter(|(key, _)| key.kind == kind)
        .map(|(key, object)| T::deserialize(object).with_context(|| format!("{key} cannot be read")))
        .collect()
}

/// The host and ports that a labelled Service offers to peers. Not the hooks' code, because it checks their work; corner
/// cases are left out.
fn offered(service: &Service, domain: &str) -> Option<(String, BTreeSet<u32>)> {
    let namespace = service.metadata.namespace.as_deref().unwrap_or_default();
    let labelled = service.metadata.labels.get(PUBLIC_SERVICE_LABEL).is_some_and(String::is_empty);
    let tcp = service.spec.ports.iter().filter(|port| ["", "TCP"].contains(&port.protocol.as_str()));
    let ports: BTreeSet<u32> = tcp.map(|port| port.port).collect();
    let exported = labelled && service.spec.type_ != "ExternalName" && !ports.is_empty();
    exported.then(|| (format!("{}.{namespace}.svc.{domain}", service.metadata.name), ports))
}
