//! The module's values: the user's settings, and values that hooks compute for the templates.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::metadata::{IngressGateway, PublicMetadata};

/// The content of the file `VALUES_PATH`. Every section may be absent or null.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Values {
    /// Facts about the cluster.
    pub global: Option<Global>,
    /// The module's section.
    pub istio: Option<Istio>,
}

impl Values {
    /// `istio.federation`.
    #[must_use]
    pub fn federation_settings(&self) -> Option<&Federation> {
        self.istio.as_ref()?.federation.as_ref()
    }

    /// `istio.internal`.
    #[must_use]
    pub fn internal(&self) -> Option<&Internal> {
        self.istio.as_ref()?.internal.as_ref()
    }
}

/// `global`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Global {
    /// Facts that the operator discovered.
    pub discovery: Option<Discovery>,
}

/// `global.discovery`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Discovery {
    /// Our cluster domain, which is our trust domain.
    pub cluster_domain: Option<String>,
    #[serde(rename = "clusterUUID")]
    pub cluster_uuid: Option<String>,
    /// Range of Pod addresses.
    pub pod_subnet: Option<String>,
    /// Range of Service addresses.
    pub service_subnet: Option<String>,
}

/// `istio`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Istio {
    /// Settings of federation.
    pub federation: Option<Federation>,
    /// Settings of the connection between meshes.
    pub alliance: Option<Alliance>,
    /// Values that hooks computed.
    pub internal: Option<Internal>,
}

/// `istio.federation`: settings.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Federation {
    /// Whether federation is on.
    pub enabled: Option<bool>,
    /// Our cluster domain, if the operator does not know it.
    pub cluster_domain: Option<String>,
    /// Our UUID, if the operator does not know it; by default the UID of namespace kube-system.
    #[serde(rename = "clusterUUID")]
    pub cluster_uuid: Option<String>,
    /// Namespace where istiod reads its mesh configuration.
    pub mesh_namespace: Option<String>,
    /// Host of our exporter.
    pub metadata_host: Option<String>,
    /// Other names that our mesh accepts as its own trust domain.
    pub trust_domain_aliases: Option<Vec<String>>,
    /// Range that imported hosts get their addresses from (CIDR); by default 240.241.0.0/16.
    pub service_address_range: Option<String>,
}

/// `istio.alliance`: settings.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Alliance {
    /// The east-west gateway.
    pub ingress_gateway: Option<AllianceIngressGateway>,
}

/// `istio.alliance.ingressGateway`: settings that hooks read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AllianceIngressGateway {
    /// Addresses to publish instead of the discovered ones.
    pub advertise: Option<Vec<IngressGateway>>,
}

/// `istio.internal`: values that hooks computed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Internal {
    /// Our UUID, from any source.
    #[serde(rename = "clusterUUID")]
    pub cluster_uuid: Option<String>,
    /// Peers refuse our UUID or trust domain, but it is in use: the exporter starts with it anyway.
    pub own_identity_in_use: Option<bool>,
    /// Our key pair towards other exporters.
    pub remote_authn_keypair: Option<AuthnKeypair>,
    /// Peers that the chart renders.
    pub federations: Option<Vec<FederationEntry>>,
    /// Names of all IstioFederations; the metrics of those that are deleted end.
    pub federation_names: Option<Vec<String>>,
    /// Public documents of the peers that may read our private one, by cluster UUID.
    pub remote_public_metadata: Option<BTreeMap<String, PublicMetadata>>,
    /// Our own intermediate CA certificates, PEM; empty where our roots sign workloads themselves.
    #[serde(rename = "intermediateCAs")]
    pub intermediate_cas: Option<String>,
    /// Confined anchors.
    pub federation_trust_anchors: Option<Vec<TrustAnchorEntry>>,
}

/// `istio.internal.remoteAuthnKeypair`. Its `Debug` shows no key.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AuthnKeypair {
    /// Public half, PEM.
    #[serde(rename = "pub")]
    pub public: String,
    /// Private half, PEM.
    #[serde(rename = "priv")]
    pub private: String,
}

impl std::fmt::Debug for AuthnKeypair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AuthnKeypair").finish_non_exhaustive()
    }
}

/// An item of `istio.internal.federations`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct FederationEntry {
    /// Name of the IstioFederation.
    pub name: String,
    /// UUID of the peer.
    #[serde(rename = "clusterUUID")]
    pub cluster_uuid: String,
    /// Trust domain of the peer.
    pub trust_domain: String,
}

/// An item of `istio.internal.federationTrustAnchors`: an entry of `meshConfig.caCertificates`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TrustAnchorEntry {
    /// A confined anchor, one PEM block.
    pub pem: String,
    /// The trust domains that it may speak for.
    pub trust_domains: Vec<String>,
    /// IstioFederations that it comes from.
    pub federations: Vec<String>,
}
