//! The gateway addresses that we publish: those that an operator set, else those that we find.

use std::collections::BTreeSet;
use std::net::IpAddr;

use serde::Deserialize;
use thiserror::Error;

use super::index::Index;
use super::inlet::Inlet;
use super::object::{ADVERTISE_CONFIG_MAP, ADVERTISE_KEYS};
use super::selection::Selection;
use crate::api::kubernetes::{Condition, Node, Pod, Service};
use crate::api::metadata::IngressGateway;
use crate::federation::names::DnsName;
use crate::text::printable;

/// Name of the gateway's port for traffic between meshes.
const GATEWAY_PORT: &str = "tls";
/// Taint of a Node that gets no new Pods.
const UNSCHEDULABLE: &str = "node.kubernetes.io/unschedulable";

/// Why the gateway addresses are unknown. Then no document is served: an empty list would be a statement.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum GatewayError {
    /// The advertise ConfigMap lacks both members.
    #[error(
        "ConfigMap {ADVERTISE_CONFIG_MAP} has neither {} nor {}: add one, or delete the ConfigMap",
        ADVERTISE_KEYS[0],
        ADVERTISE_KEYS[1]
    )]
    NoAdvertiseKey,
    /// The operator's list is not JSON of this shape.
    #[error(
        "{key} of ConfigMap {ADVERTISE_CONFIG_MAP} is not a JSON array of {{\"address\": ..., \"port\": ...}}: {problem}"
    )]
    BadAdvertise {
        /// Member of the ConfigMap.
        key: &'static str,
        problem: String,
    },
    /// An item has an invalid address or port.
    #[error(
        "{key} of ConfigMap {ADVERTISE_CONFIG_MAP} has {address:?} port {port}: \
         an IP address or a DNS name and a port from 1 to 65535 is needed"
    )]
    BadAdvertised {
        /// Member of the ConfigMap.
        key: &'static str,
        /// The address, printable.
        address: String,
        /// The port, as it was written.
        port: u32,
    },
    /// No gateway Service has a node port for the gateway's port.
    #[error("no Service of the ingress gateway has a node port for its port {GATEWAY_PORT:?}")]
    NoNodePort,
}

/// The addresses of the east-west gateway: sorted by address, then port; each once.
pub(super) fn discover(index: &Index, inlet: Inlet) -> Result<Vec<IngressGateway>, GatewayError> {
    let mut gateways = match advertised(index)? {
        gateways if !gateways.is_empty() => gateways,
        // As in Deckhouse's exporter: an empty list overrides nothing.
        _ => match inlet {
            Inlet::LoadBalancer => index.services(Selection::GatewayServices).flat_map(load_balanced).collect(),
            Inlet::NodePort => on_nodes(index)?,
        },
    };
    gateways.sort();
    gateways.dedup();
    Ok(gateways)
}

#[derive(Deserialize)]
struct Advertised {
    address: String,
    port: u32,
}

fn advertised(index: &Index) -> Result<Vec<IngressGateway>, GatewayError> {
    let Some(config_map) = index.data(Selection::AdvertisedGateways) else { return Ok(Vec::new()) };
    let member = |key: &'static str| config_map.entries.get(key).map(|text| (key, text));
    let (key, text) = ADVERTISE_KEYS.into_iter().find_map(member).ok_or(GatewayError::NoAdvertiseKey)?;
    advertised_list(key, text)
}

/// Reads the addresses that an administrator names in member `key` of ConfigMap
/// `metadata-exporter-ingressgateway-advertise`: a JSON array of `{"address": "<IP or DNS name>", "port": 1..65535}`.
/// One bad item invalidates the whole list.
pub fn advertised_list(key: &'static str, text: &str) -> Result<Vec<IngressGateway>, GatewayError> {
    let items: Vec<Advertised> = serde_json::from_str(text)
        .map_err(|error| GatewayError::BadAdvertise { key, problem: printable(&error.to_string()) })?;
    let items = items.into_iter().map(|Advertised { address, port }| {
        gateway(&address, port).ok_or_else(|| GatewayError::BadAdvertised { key, address: printable(&address), port })
    });
    items.collect()
}

fn load_balanced(service: &Service) -> Vec<IngressGateway> {
    let Some(port) = service.spec.ports.iter().find(|port| port.name == GATEWAY_PORT) else { return Vec::new() };
    let entries = service.status.load_balancer.ingress.iter();
    entries
        .filter_map(|entry| {
            let address = if entry.ip.is_empty() { &entry.hostname } else { &entry.ip };
            gateway(address, port.port)
        })
        .collect()
}

fn on_nodes(index: &Index) -> Result<Vec<IngressGateway>, GatewayError> {
    // The first by name, so that all replicas choose the same.
    let port = index
        .services(Selection::GatewayServices)
        .flat_map(|service| &service.spec.ports)
        .find(|port| port.name == GATEWAY_PORT && port.node_port != 0)
        .ok_or(GatewayError::NoNodePort)?
        .node_port;
    let occupied: BTreeSet<&str> =
        index.pods().filter(|pod| is_serving(pod)).map(|pod| pod.spec.node_name.as_str()).collect();
    let nodes = index.nodes().filter(|node| occupied.contains(node.metadata.name.as_str()) && is_usable(node));
    Ok(nodes.filter_map(|node| gateway(node_address(node)?, port)).collect())
}

fn is_serving(pod: &Pod) -> bool {
    pod.status.phase == "Running" && readiness(&pod.status.conditions) == Some(true)
}

fn is_usable(node: &Node) -> bool {
    // A Node without a reported readiness counts as usable: its gateway Pod is ready.
    !node.spec.taints.iter().any(|taint| taint.key == UNSCHEDULABLE)
        && readiness(&node.status.conditions).unwrap_or(true)
}

fn readiness(conditions: &[Condition]) -> Option<bool> {
    conditions.iter().find(|condition| condition.type_ == "Ready").map(|condition| condition.status == "True")
}

fn node_address(node: &Node) -> Option<&str> {
    let of_type = |wanted: &str| {
        let mut addresses = node.status.addresses.iter();
        addresses.find(|a| a.type_ == wanted && a.address.parse::<IpAddr>().is_ok()).map(|a| a.address.as_str())
    };
    of_type("ExternalIP").or_else(|| of_type("InternalIP"))
}

/// `None` if it is neither an IP address nor a DNS name, or the port is invalid.
fn gateway(address: &str, port: u32) -> Option<IngressGateway> {
    if !(1..=u32::from(u16::MAX)).contains(&port) {
        return None;
    }
    let address = match address.parse::<IpAddr>() {
        Ok(ip) => ip.to_string(),
        Err(_) => DnsName::parse(&address.strip_suffix('.').unwrap_or(address).to_ascii_lowercase()).ok()?.to_string(),
    };
    Some(IngressGateway { address, port })
}

#[cfg(test)]
mod tests;
