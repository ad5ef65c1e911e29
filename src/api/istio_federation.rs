//! The custom resource `IstioFederation` (`deckhouse.io/v1alpha1`, cluster scope): one remote cluster.
//!
//! An object that is valid for Deckhouse's CRD is valid here. Members that Deckhouse's CRD lacks are marked *additive*.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::kubernetes::{Condition, ObjectMeta};
use super::metadata::{IngressGateway, PublicMetadata, PublicService};

/// API group and version of the custom resource.
pub const API_VERSION: &str = "deckhouse.io/v1alpha1";
/// Kind of the custom resource.
pub const KIND: &str = "IstioFederation";

/// One remote cluster (peer) that we federate with.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct IstioFederation {
    /// Name, generation and creation time.
    pub metadata: ObjectMeta,
    /// Desired state, set by the user.
    pub spec: IstioFederationSpec,
    /// Observed state of the peer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<IstioFederationStatus>,
}

impl IstioFederation {
    /// The conditions in status.
    #[must_use]
    pub fn conditions(&self) -> &[Condition] {
        self.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default()
    }

    /// The condition of that type.
    #[must_use]
    pub fn condition(&self, type_: &str) -> Option<&Condition> {
        self.conditions().iter().find(|condition| condition.type_ == type_)
    }
}

/// The peer to federate with, and the address of its metadata.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "program", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct IstioFederationSpec {
    /// Trust domain of the peer's mesh, which is also its cluster domain.
    #[cfg_attr(feature = "program", schemars(regex(pattern = r"^[0-9a-zA-Z._-]+$")))]
    pub trust_domain: String,
    /// HTTPS address of the peer's metadata exporter; `/public/public.json` and `/private/federation.json` are appended.
    #[cfg_attr(
        feature = "program",
        schemars(regex(
            pattern = r"^https://([0-9a-zA-Z._-]+|\[[0-9a-fA-F:.]+\])(:[0-9]{1,5})?(/[0-9a-zA-Z._/-]*)?$"
        ))
    )]
    pub metadata_endpoint: String,
    /// How to verify the endpoint's certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<MetadataTls>,
    /// Cluster UUID that the peer must publish. Needed only to accept a peer whose UUID has changed, or a UUID that
    /// another IstioFederation claims too. Additive.
    #[serde(rename = "clusterUUID", default, skip_serializing_if = "Option::is_none")]
    pub cluster_uuid: Option<String>,
    /// Allows another IstioFederation to have the same trust domain (two clusters that back each other up). A service
    /// that both offer with the same ports gets the gateways of both. Must be set on both. Additive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shared_trust_domain: Option<bool>,
}

/// How to verify the certificate of the metadata endpoint.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "program", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct MetadataTls {
    /// PEM certificates to trust for this endpoint instead of the system's CAs: CA certificates, or the server's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<String>,
    /// Accept any certificate. Anybody on the network path can then pose as the peer; a condition warns about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub insecure_skip_verify: Option<bool>,
}

/// Observed state of the peer. The discovery hook writes it, and leaves conditions of types other than its own alone.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "program", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct IstioFederationStatus {
    /// The peer's last good metadata.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata_cache: Option<MetadataCache>,
    /// State of the exchange and of the fetched metadata: `PublicMetadataExchangeReady`, `PrivateMetadataExchangeReady`
    /// and others.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// Items of the peer that we refuse, each with its reason; the first 64. Additive.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<Refused>,
    /// Number of all refused items. Additive.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused_total: Option<u32>,
    /// Number of imported services of the peer. Additive.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub imported_services: Option<u32>,
    /// When the cache last changed. The time of the last successful fetch is a metric, which saves a write per fetch.
    /// Additive.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_change_time: Option<Timestamp>,
}

/// The peer's last good metadata, with the records that the next fetch is compared with.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "program", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct MetadataCache {
    /// The public document.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub public: Option<PublicMetadata>,
    /// The private document.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub private: Option<CachedPrivateMetadata>,
    /// Written by old Deckhouse releases; kept readable.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub public_last_fetch_timestamp: Option<String>,
    /// Written by old Deckhouse releases; kept readable.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub private_last_fetch_timestamp: Option<String>,
    /// The part of the spec that this cache was fetched for. The cache is unused after that part changes. Additive.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<CacheSource>,
    /// Entity tag of the public document, for conditional requests. Additive.
    #[serde(rename = "publicETag", skip_serializing_if = "Option::is_none")]
    pub public_etag: Option<String>,
    /// Entity tag of the private document. Additive.
    #[serde(rename = "privateETag", skip_serializing_if = "Option::is_none")]
    pub private_etag: Option<String>,
    /// CA certificates of the peer that were admitted as trust anchors. Additive.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub anchors: Vec<AdmittedCertificate>,
    /// When `anchors` last gained a certificate. The next one is accepted ten minutes later. Additive.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub anchors_change_time: Option<Timestamp>,
    /// Hosts and gateways that the peer no longer lists, and that are not withdrawn yet. Additive.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub absent: Vec<Absence>,
}

/// The parts of a spec that a cache belongs to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "program", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct CacheSource {
    /// `spec.metadataEndpoint` at the time of the fetch.
    pub metadata_endpoint: String,
    /// `spec.trustDomain` at the time of the fetch.
    pub trust_domain: String,
}

/// The cached private document: sorted, every port with its protocol, every gateway name with its resolved addresses.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "program", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct CachedPrivateMetadata {
    /// Gateways of the peer.
    pub ingress_gateways: Vec<CachedIngressGateway>,
    /// Services that the peer exports.
    pub public_services: Vec<PublicService>,
}

/// A gateway of the peer. If its address is a DNS name, also the addresses that the name resolved to.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "program", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct CachedIngressGateway {
    /// Address and port, as the peer published them.
    #[serde(flatten)]
    pub gateway: IngressGateway,
    /// IP addresses that the name resolved to, sorted; empty if `address` is an IP address. Additive.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub resolved: Vec<String>,
}

/// An admitted CA certificate of the peer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "program", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct AdmittedCertificate {
    /// One PEM block, as the peer published it.
    pub certificate: String,
    /// Root or intermediate.
    pub role: CertificateRole,
    /// Time of the first document that lacks it. It is kept for 48 hours after that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing_since: Option<Timestamp>,
}

/// Position of a CA certificate in the peer's chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "program", derive(schemars::JsonSchema))]
pub enum CertificateRole {
    /// Self-signed.
    Root,
    /// Signed by one of the peer's roots.
    Intermediate,
}

/// Kind of an item in [`Absence`] or [`Refused`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "program", derive(schemars::JsonSchema))]
pub enum ItemKind {
    /// A CA certificate.
    Certificate,
    /// A gateway address.
    IngressGateway,
    /// A service, or one of its ports.
    PublicService,
    /// An admitted CA certificate whose anchor conflicts with another anchor.
    TrustAnchor,
}

/// An item that the peer listed before and no longer lists.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "program", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Absence {
    /// `IngressGateway` or `PublicService`.
    pub kind: ItemKind,
    /// Host name, or `address:port` of a gateway.
    pub name: String,
    /// Time of the first document that lacks it.
    pub since: Timestamp,
}

/// An item of the peer that we refuse.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "program", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Refused {
    /// Kind of the item.
    pub kind: ItemKind,
    /// Host name, `address:port` of a gateway, or subject of a certificate; printable and at most 128 characters.
    pub name: String,
    /// Reason, in a sentence.
    pub reason: String,
}
