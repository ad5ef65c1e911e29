//! The custom resource `IstioFederation` (`deckhouse.io/v1alpha1`, cluster scope): one remote cluster.
//!
//! Whatever is valid for Deckhouse's CRD is valid here; members it does not know are marked *additive*.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::kubernetes::{Condition, ObjectMeta};
use super::metadata::{IngressGateway, PublicMetadata, PublicService};

/// API group and version of the custom resource.
pub const API_VERSION: &str = "deckhouse.io/v1alpha1";
/// Kind of the custom resource.
pub const KIND: &str = "IstioFederation";

/// One remote cluster that we federate with.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct IstioFederation {
    /// Name, generation and creation time.
    pub metadata: ObjectMeta,
    /// What the user wants.
    pub spec: IstioFederationSpec,
    /// What is known of the peer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<IstioFederationStatus>,
}

/// What the user wants: whom to federate with and where its metadata is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "program", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct IstioFederationSpec {
    /// Trust domain of the remote mesh, which is also its cluster domain.
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
    /// UUID that the remote cluster must announce. Additive. Needed only to accept a peer whose UUID changed, or that
    /// another IstioFederation claims too.
    #[serde(rename = "clusterUUID", default, skip_serializing_if = "Option::is_none")]
    pub cluster_uuid: Option<String>,
    /// Says that another IstioFederation has the same trust domain on purpose (a highly available pair): then endpoints
    /// of both are united. Has to be set on both. Additive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shared_trust_domain: Option<bool>,
}

/// How to verify the certificate of the metadata endpoint.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "program", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct MetadataTls {
    /// PEM certificates that are trusted for this endpoint instead of the system's: CAs, or the server's own certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<String>,
    /// Accept any certificate. Whoever is on the path can then pose as the peer; a condition shows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub insecure_skip_verify: Option<bool>,
}

/// What is known of the peer. Written by the discovery hook alone; conditions of other types belong to others.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "program", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct IstioFederationStatus {
    /// The peer's last good metadata.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata_cache: Option<MetadataCache>,
    /// State of the exchange: `PublicMetadataExchangeReady`, `PrivateMetadataExchangeReady`, and what others add.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// What the peer offers and we do not take, each with its reason; the first 64. Additive.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<Refused>,
    /// How many items are refused in all. Additive.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused_total: Option<u32>,
    /// How many of the peer's services are imported. Additive.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub imported_services: Option<u32>,
    /// When the cache last changed. When it was last confirmed is a metric, so that confirming costs no write. Additive.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_change_time: Option<Timestamp>,
}

/// The peer's last good metadata, and what is needed to judge the next.
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
    /// The spec that this cache was fetched for. For another spec it is not used. Additive.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<CacheSource>,
    /// Entity tag of the public document, for conditional requests. Additive.
    #[serde(rename = "publicETag", skip_serializing_if = "Option::is_none")]
    pub public_etag: Option<String>,
    /// Entity tag of the private document. Additive.
    #[serde(rename = "privateETag", skip_serializing_if = "Option::is_none")]
    pub private_etag: Option<String>,
    /// The CA certificates of the peer that were admitted as trust anchors. Additive.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub anchors: Vec<AdmittedCertificate>,
    /// When `anchors` last gained a certificate: the next change is accepted ten minutes later. Additive.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub anchors_change_time: Option<Timestamp>,
    /// Hosts and gateways that the peer has stopped to list, but not yet for long enough to withdraw them. Additive.
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

/// The private document as it is kept: sorted, every port with its protocol, gateway names with the addresses they resolved to.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "program", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct CachedPrivateMetadata {
    /// Gateways of the peer.
    pub ingress_gateways: Vec<CachedIngressGateway>,
    /// Services that the peer exports.
    pub public_services: Vec<PublicService>,
}

/// A gateway of the peer and, where its address is a DNS name, what that resolved to.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "program", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct CachedIngressGateway {
    /// As the peer published it.
    #[serde(flatten)]
    pub gateway: IngressGateway,
    /// IP addresses of the name, sorted; empty for an IP address. Additive.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub resolved: Vec<String>,
}

/// A CA certificate of the peer that was admitted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "program", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct AdmittedCertificate {
    /// One PEM block, as the peer published it.
    pub certificate: String,
    /// Root or intermediate.
    pub role: CertificateRole,
    /// When the peer's document first came without it; it is kept for 48 hours more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing_since: Option<Timestamp>,
}

/// Where a CA certificate stands in the peer's chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "program", derive(schemars::JsonSchema))]
pub enum CertificateRole {
    /// Self-signed.
    Root,
    /// Signed by one of the peer's roots.
    Intermediate,
}

/// What kind of thing an [`Absence`] or a refusal is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "program", derive(schemars::JsonSchema))]
pub enum ItemKind {
    /// A CA certificate.
    Certificate,
    /// A gateway address.
    IngressGateway,
    /// A service, or one of its ports.
    PublicService,
    /// An admitted CA certificate, where its anchor cannot stand beside others'.
    TrustAnchor,
}

/// A listed thing that the peer's newer documents lack.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "program", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Absence {
    /// What it is: an `IngressGateway` or a `PublicService`.
    pub kind: ItemKind,
    /// Host name, or `address:port` of a gateway.
    pub name: String,
    /// The first document without it.
    pub since: Timestamp,
}

/// Something that the peer offers and we do not take.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "program", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Refused {
    /// What it is.
    pub kind: ItemKind,
    /// Host name, `address:port` of a gateway, or subject of a certificate; printable and at most 128 characters.
    pub name: String,
    /// Why, as a sentence for people.
    pub reason: String,
}
