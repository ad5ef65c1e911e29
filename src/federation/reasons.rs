//! The reasons that conditions carry: one word each, for programs. They are API: a reason never changes its meaning.

/// `TrustDomainAccepted`, `IngressGatewaysReady`: True.
pub const ACCEPTED: &str = "Accepted";
/// `TrustAnchorsReady`: True, all of the peer's certificates.
pub const ADMITTED: &str = "Admitted";
/// `IngressGatewaysReady`: False, the peer lists gateways, but none is usable.
pub const ALL_REFUSED: &str = "AllRefused";
/// `TrustDomainAccepted`: True, but Istio reads the name as our own trust domain.
pub const AMBIGUOUS_TRUST_DOMAIN: &str = "AmbiguousTrustDomain";
/// `TrustAnchorsReady`: Unknown, because our own root certificate is unknown.
pub const AWAITING_OWN_ROOT: &str = "AwaitingOwnRoot";
/// `PrivateMetadataExchangeReady`: Unknown, because the public document comes first.
pub const AWAITING_PUBLIC: &str = "AwaitingPublic";
/// The exchange conditions: Unknown, because `spec.trustDomain` is refused.
pub const AWAITING_TRUST_DOMAIN: &str = "AwaitingTrustDomain";
/// The peer announces another cluster UUID than before.
pub const CLUSTER_UUID_CHANGED: &str = "ClusterUUIDChanged";
/// The peer announces another cluster UUID than `spec.clusterUUID`.
pub const CLUSTER_UUID_MISMATCH: &str = "ClusterUUIDMismatch";
/// `OwnIdentityAccepted`: False, the peer refuses our cluster UUID.
pub const CLUSTER_UUID_REFUSED: &str = "ClusterUUIDRefused";
/// Another IstioFederation has the cluster UUID that the peer announces.
pub const CLUSTER_UUID_TAKEN: &str = "ClusterUUIDTaken";
/// A document, or everything cached of a peer, exceeds its limit.
pub const DOCUMENT_TOO_LARGE: &str = "DocumentTooLarge";
/// The exchange conditions: False, no usable answer. Deckhouse's word.
pub const FETCH_FAILED: &str = "FetchFailed";
/// `MetadataEndpointVerified`: False, because the user asked for it.
pub const INSECURE_SKIP_VERIFY: &str = "InsecureSkipVerify";
/// The answer is not JSON.
pub const INVALID_JSON: &str = "InvalidJSON";
/// The answer is JSON, but not `federation.json`.
pub const INVALID_PRIVATE_METADATA: &str = "InvalidPrivateMetadata";
/// The answer is JSON, but not `public.json`.
pub const INVALID_PUBLIC_METADATA: &str = "InvalidPublicMetadata";
/// `TrustDomainAccepted`: False, not a name that a trust domain may have.
pub const INVALID_TRUST_DOMAIN: &str = "InvalidTrustDomain";
/// `TrustAnchorsReady`: False, no certificate of the peer is admitted.
pub const NONE_ADMITTED: &str = "NoneAdmitted";
/// `TrustAnchorsReady`: False, certificates are admitted but none has an anchor in the mesh.
pub const NONE_RENDERED: &str = "NoneRendered";
/// The exchange conditions: False, an answer with another status than 200 or 304. Deckhouse's word.
pub const NON_OK_RESPONSE: &str = "NonOKResponse";
/// `IngressGatewaysReady`: False, the peer lists none.
pub const NO_INGRESS_GATEWAYS: &str = "NoIngressGateways";
/// The peer announces our own cluster UUID.
pub const OWN_CLUSTER_UUID: &str = "OwnClusterUUID";
/// `TrustDomainAccepted`: False, `spec.trustDomain` is ours, or above or below ours.
pub const OWN_TRUST_DOMAIN: &str = "OwnTrustDomain";
/// `IngressGatewaysReady`: True, but some gateways cannot be used.
pub const PARTLY_ACCEPTED: &str = "PartlyAccepted";
/// `TrustAnchorsReady`: True, but some certificates are refused.
pub const PARTLY_ADMITTED: &str = "PartlyAdmitted";
/// The exchange conditions: True.
pub const SUCCEEDED: &str = "Succeeded";
/// `OwnIdentityAccepted`: False, the peer refuses our trust domain.
pub const TRUST_DOMAIN_REFUSED: &str = "TrustDomainRefused";
/// `TrustDomainAccepted`: False, an older IstioFederation has the trust domain.
pub const TRUST_DOMAIN_TAKEN: &str = "TrustDomainTaken";
/// `MetadataEndpointVerified`: True.
pub const VERIFIED: &str = "Verified";
