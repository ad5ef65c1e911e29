//! Istio's objects that hooks write, with the members that they set.
//!
//! Source: `networking.istio.io/v1` (istio/api).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::kubernetes::ObjectMeta;

/// Group and version of `ServiceEntry` and `Gateway`.
pub const API_VERSION: &str = "networking.istio.io/v1";

/// A host outside the cluster that the mesh can call.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ServiceEntry {
    /// Group and version.
    pub api_version: String,
    /// `ServiceEntry`.
    pub kind: String,
    /// Name, labels, owners.
    pub metadata: ObjectMeta,
    /// The host and where it is reached.
    pub spec: ServiceEntrySpec,
}

/// `spec` of a ServiceEntry. Members are in alphabetical order, as operators write them: equal specs are equal text.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ServiceEntrySpec {
    /// Addresses that the host is known by inside the mesh.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<String>,
    /// Where the host is reached.
    pub endpoints: Vec<WorkloadEntry>,
    /// Host names; ours have one.
    pub hosts: Vec<String>,
    /// `MESH_INTERNAL`.
    pub location: String,
    pub ports: Vec<ServiceEntryPort>,
    /// `STATIC`.
    pub resolution: String,
}

/// A port of a ServiceEntry.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ServiceEntryPort {
    pub name: String,
    pub number: u32,
    /// Istio's protocol name.
    pub protocol: String,
}

/// An endpoint of a ServiceEntry.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct WorkloadEntry {
    /// IP address.
    pub address: String,
    /// Real port by port name.
    pub ports: BTreeMap<String, u32>,
}

/// A load balancer at the edge of the mesh.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Gateway {
    /// Group and version.
    pub api_version: String,
    /// `Gateway`.
    pub kind: String,
    /// Name, labels, owners.
    pub metadata: ObjectMeta,
    /// Ports and hosts.
    pub spec: GatewaySpec,
}

/// `spec` of a Gateway.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct GatewaySpec {
    /// Labels of the proxies that serve it.
    pub selector: BTreeMap<String, String>,
    /// Listeners.
    pub servers: Vec<GatewayServer>,
}

/// A listener of a Gateway.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct GatewayServer {
    /// Hosts that it serves.
    pub hosts: Vec<String>,
    pub port: ServiceEntryPort,
    /// TLS mode.
    pub tls: GatewayTls,
}

/// TLS settings of a listener.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct GatewayTls {
    /// `AUTO_PASSTHROUGH`: the connection goes on, unopened, to the host named by its SNI.
    pub mode: String,
}
