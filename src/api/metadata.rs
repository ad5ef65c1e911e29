//! The documents of a metadata exporter, as Deckhouse's federation defines them.
//!
//! Members that Deckhouse does not know are marked *additive*: a Deckhouse peer ignores ours and sends none.

use serde::{Deserialize, Deserializer, Serialize};

/// Path of the public document below the metadata endpoint.
pub const PUBLIC_PATH: &str = "/public/public.json";
/// Path of the SPIFFE bundle below the metadata endpoint.
pub const SPIFFE_BUNDLE_PATH: &str = "/public/spiffe-bundle-endpoint";
/// Path of the private document below the metadata endpoint.
pub const PRIVATE_PATH: &str = "/private/federation.json";
/// Issuer of every token between exporters.
pub const TOKEN_ISSUER: &str = "d8-istio";
/// Scope of a token for the private document.
pub const TOKEN_SCOPE: &str = "private-federation";

/// `public.json`: who the cluster is. Open to everybody.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "program", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct PublicMetadata {
    /// UUID of the cluster.
    #[serde(rename = "clusterUUID", deserialize_with = "or_default")]
    pub cluster_uuid: String,
    /// Ed25519 public key (PEM, SubjectPublicKeyInfo) that verifies the cluster's tokens.
    #[serde(deserialize_with = "or_default")]
    pub authn_key_pub: String,
    /// Root CA certificates of the mesh, one or more PEM blocks.
    #[serde(rename = "rootCA", deserialize_with = "or_default")]
    pub root_ca: String,
    /// Intermediate CA certificates that sign workloads, PEM blocks. Additive.
    #[serde(rename = "intermediateCAs", skip_serializing_if = "Option::is_none")]
    pub intermediate_cas: Option<String>,
}

/// `federation.json`: the exports of the cluster. For federated clusters only.
///
/// `None` means that the member is absent or null, which makes the document incomplete; an empty list is a statement.
/// Further in, null stands for an empty value, as in Go, where an empty list of ports is written that way.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PrivateMetadata {
    /// Gateways that lead to the exported services.
    #[serde(deserialize_with = "list")]
    pub ingress_gateways: Option<Vec<IngressGateway>>,
    /// The exported services.
    #[serde(deserialize_with = "list")]
    pub public_services: Option<Vec<PublicService>>,
    /// The exporter has seen all Services, so that a Service missing here is not exported. Additive.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub complete: Option<bool>,
}

/// An address of an east-west gateway.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "program", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct IngressGateway {
    /// IP address or DNS name.
    #[serde(deserialize_with = "or_default")]
    pub address: String,
    /// TCP port.
    // Wider than a port, so that a bad one is refused by itself and not with its whole document.
    #[serde(deserialize_with = "any_number")]
    #[cfg_attr(feature = "program", schemars(with = "i64"))]
    pub port: u32,
}

/// A service that a cluster offers to its peers.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "program", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct PublicService {
    /// `<service>.<namespace>.svc.<cluster domain>`.
    #[serde(deserialize_with = "or_default")]
    pub hostname: String,
    /// Ports of the service.
    #[serde(deserialize_with = "list_or_default")]
    pub ports: Vec<PublicServicePort>,
    /// Written by the first Deckhouse releases; kept readable.
    #[serde(rename = "virtualIP", skip_serializing_if = "Option::is_none")]
    pub virtual_ip: Option<String>,
}

/// A port of an exported service.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "program", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct PublicServicePort {
    /// Name of the Service's port.
    #[serde(deserialize_with = "or_default")]
    pub name: String,
    /// Number of the Service's port.
    #[serde(deserialize_with = "any_number")]
    #[cfg_attr(feature = "program", schemars(with = "i64"))]
    pub port: u32,
    /// Istio's protocol name (HTTP, HTTP2, GRPC, TLS, TCP, ...). Deckhouse does not publish it; the cache always has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protocol: Option<String>,
}

/// Reads null as the empty value.
fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(deserializer: D) -> Result<T, D::Error> {
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// Reads a list, a null among its items as an empty item.
fn list<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(deserializer: D) -> Result<Option<Vec<T>>, D::Error> {
    let list: Option<Vec<Option<T>>> = Option::deserialize(deserializer)?;
    Ok(list.map(|items| items.into_iter().map(Option::unwrap_or_default).collect()))
}

fn list_or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(
    deserializer: D,
) -> Result<Vec<T>, D::Error> {
    list(deserializer).map(Option::unwrap_or_default)
}

/// Reads a port that does not fit into 32 bits (negative, fractional, huge) as `u32::MAX`, which vetting refuses.
fn any_number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    let number: serde_json::Number = Option::deserialize(deserializer)?.unwrap_or_else(|| 0.into());
    Ok(number.as_u64().and_then(|number| u32::try_from(number).ok()).unwrap_or(u32::MAX))
}

/// SPIFFE bundle (SPIFFE Trust Domain and Bundle, section 4): the roots as a JWK set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpiffeBundle {
    /// Grows along a rotation: when a younger root is added, and when an older one is removed.
    pub spiffe_sequence: u64,
    /// How often to look again, in seconds.
    pub spiffe_refresh_hint: u64,
    /// One key per root.
    pub keys: Vec<Jwk>,
}

/// A JSON Web Key with the certificate it comes from (RFC 7517, RFC 7518 section 6).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Jwk {
    /// `RSA` or `EC`.
    pub kty: String,
    /// Always `x509-svid`.
    #[serde(rename = "use")]
    pub usage: String,
    /// EC: `P-256` or `P-384`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub crv: Option<String>,
    /// EC: x coordinate, base64url.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub x: Option<String>,
    /// EC: y coordinate, base64url.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub y: Option<String>,
    /// RSA: modulus, base64url.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub n: Option<String>,
    /// RSA: exponent, base64url.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub e: Option<String>,
    /// The certificate, base64 DER; exactly one.
    pub x5c: Vec<String>,
}

/// Claims of a token between exporters, in the (alphabetical) order in which Deckhouse writes them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenClaims {
    /// UUID of the cluster that the token is for.
    pub aud: String,
    /// End of validity, seconds since 1970.
    pub exp: i64,
    /// Host (and port, where it is not 443) that the token is meant for. Additive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Always [`TOKEN_ISSUER`].
    pub iss: String,
    /// Start of validity, seconds since 1970.
    pub nbf: i64,
    /// [`TOKEN_SCOPE`].
    pub scope: String,
    /// UUID of the cluster that made the token.
    pub sub: String,
}
