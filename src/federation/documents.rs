//! The two documents of a peer, judged as a whole: well-formed, complete and within limits, or refused with Deckhouse's reason.

use serde::de::DeserializeOwned;
use thiserror::Error;

use super::names::ClusterUuid;
use super::protocol::Protocol;
use super::reasons;
use crate::api::istio_federation::{CachedIngressGateway, CachedPrivateMetadata};
use crate::api::metadata::{PrivateMetadata, PublicMetadata};

/// Most bytes of the certificates or keys in a public document: they are small, and status is not a store.
const PEM_LIMIT: usize = 64 * 1024;

/// Why a document is refused as a whole.
#[derive(Debug, PartialEq, Eq, Error)]
pub enum DocumentError {
    #[error("the answer is not JSON: {0}")]
    Json(String),
    /// JSON, but not a public document.
    #[error("the answer is not public metadata: {0}")]
    Public(String),
    /// JSON, but not a private document.
    #[error("the answer is not private metadata: {0}")]
    Private(String),
    /// Larger than the limit for a peer.
    #[error("the document is too large: {0}")]
    TooLarge(String),
}

impl DocumentError {
    /// The reason that a condition shows; names as in Deckhouse.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Json(_) => reasons::INVALID_JSON,
            Self::Public(_) => reasons::INVALID_PUBLIC_METADATA,
            Self::Private(_) => reasons::INVALID_PRIVATE_METADATA,
            Self::TooLarge(_) => reasons::DOCUMENT_TOO_LARGE,
        }
    }
}

/// Reads `public.json`. All three members must be present.
pub fn read_public(body: &[u8]) -> Result<PublicMetadata, DocumentError> {
    let document: PublicMetadata = read(body, DocumentError::Public)?;
    for (member, text) in [
        ("clusterUUID", &document.cluster_uuid),
        ("authnKeyPub", &document.authn_key_pub),
        ("rootCA", &document.root_ca),
    ] {
        if text.is_empty() {
            return Err(DocumentError::Public(format!("{member} is missing")));
        }
    }
    let intermediates = document.intermediate_cas.as_deref().unwrap_or_default();
    if [document.authn_key_pub.as_str(), &document.root_ca, intermediates].iter().any(|text| text.len() > PEM_LIMIT) {
        return Err(DocumentError::TooLarge(format!("a key or certificate list of more than {PEM_LIMIT} bytes")));
    }
    ClusterUuid::parse(&document.cluster_uuid)
        .map_err(|error| DocumentError::Public(format!("clusterUUID: {error}")))?;
    Ok(document)
}

/// Reads `federation.json`. Both lists must be present; they may be empty.
pub fn read_private(body: &[u8]) -> Result<PrivateMetadata, DocumentError> {
    let document: PrivateMetadata = read(body, DocumentError::Private)?;
    let missing = match (&document.ingress_gateways, &document.public_services) {
        (None, _) => "ingressGateways",
        (_, None) => "publicServices",
        _ => return Ok(document),
    };
    Err(DocumentError::Private(format!("{missing} is missing")))
}

/// The document as it is cached: sorted, without repetitions, every port with its protocol.
#[must_use]
pub fn normalize(document: &PrivateMetadata) -> CachedPrivateMetadata {
    let mut gateways: Vec<CachedIngressGateway> = document
        .ingress_gateways
        .iter()
        .flatten()
        .map(|gateway| CachedIngressGateway { gateway: gateway.clone(), resolved: Vec::new() })
        .collect();
    gateways.sort();
    gateways.dedup();
    let mut services: Vec<_> = document.public_services.iter().flatten().cloned().collect();
    for service in &mut services {
        for port in &mut service.ports {
            port.protocol.get_or_insert_with(|| Protocol::of_port_name(&port.name).as_str().to_owned());
        }
        service.ports.sort();
        service.ports.dedup();
        service.virtual_ip = None;
    }
    services.sort();
    services.dedup();
    CachedPrivateMetadata { ingress_gateways: gateways, public_services: services }
}

fn read<T: DeserializeOwned>(body: &[u8], misshapen: fn(String) -> DocumentError) -> Result<T, DocumentError> {
    serde_json::from_slice(body).map_err(|error| match error.classify() {
        // The text of a data error quotes the peer; its position is enough to find it.
        serde_json::error::Category::Data => {
            misshapen(format!("a member has the wrong type (line {}, column {})", error.line(), error.column()))
        }
        _ => DocumentError::Json(error.to_string()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PUBLIC: &str = r#"{"clusterUUID":"u","authnKeyPub":"k","rootCA":"r","allianceRef":null,"new":1}"#;

    #[test]
    fn public_documents() {
        assert_eq!(read_public(PUBLIC.as_bytes()).map(|document| document.cluster_uuid), Ok("u".to_owned()));
        for (body, reason, part) in [
            ("", "InvalidJSON", "EOF"),
            (r#"{"clusterUUID":"#, "InvalidJSON", "EOF"),
            ("<html>", "InvalidJSON", "line 1"),
            (r#"{"wrong":"format"}"#, "InvalidPublicMetadata", "clusterUUID is missing"),
            (r#"{"clusterUUID":"u","authnKeyPub":"","rootCA":"r"}"#, "InvalidPublicMetadata", "authnKeyPub is missing"),
            (r#"{"clusterUUID":"u","authnKeyPub":"k"}"#, "InvalidPublicMetadata", "rootCA is missing"),
            (
                r#"{"clusterUUID":"u","authnKeyPub":null,"rootCA":"r"}"#,
                "InvalidPublicMetadata",
                "authnKeyPub is missing",
            ),
            (r#"{"clusterUUID":7}"#, "InvalidPublicMetadata", "wrong type"),
            ("[]", "InvalidPublicMetadata", "clusterUUID is missing"),
            (r#"{"clusterUUID":"u/../v","authnKeyPub":"k","rootCA":"r"}"#, "InvalidPublicMetadata", "letters, digits"),
        ] {
            let error = read_public(body.as_bytes()).unwrap_err();
            assert_eq!(error.reason(), reason, "{body}");
            assert!(error.to_string().contains(part), "{body}: {error}");
        }
    }

    #[test]
    fn private_documents() {
        let empty = r#"{"ingressGateways":[],"publicServices":[]}"#;
        assert_eq!(normalize(&read_private(empty.as_bytes()).unwrap()), CachedPrivateMetadata::default());
        for (body, reason, part) in [
            (r#"{"ingressGateways":[]}"#, "InvalidPrivateMetadata", "publicServices is missing"),
            (r#"{"publicServices":[],"ingressGateways":null}"#, "InvalidPrivateMetadata", "ingressGateways is missing"),
            (r#"{"publicServices":[{"ports":[{"port":"80"}]}]}"#, "InvalidPrivateMetadata", "wrong type"),
            ("nul", "InvalidJSON", ""),
        ] {
            let error = read_private(body.as_bytes()).unwrap_err();
            assert_eq!(error.reason(), reason, "{body}");
            assert!(error.to_string().contains(part), "{body}: {error}");
        }
    }

    #[test]
    fn null_is_an_empty_value_and_its_neighbours_stay_valid() {
        let body = r#"{"ingressGateways":[{"address":null,"port":null},null,{"address":"203.0.113.1","port":1}],
            "publicServices":[{"hostname":"x","ports":null},{"hostname":null,"ports":[null,{"name":null,"port":null,"protocol":null}]},null]}"#;
        let cached = normalize(&read_private(body.as_bytes()).unwrap());
        let gateways: Vec<_> = cached.ingress_gateways.iter().map(|gateway| gateway.gateway.address.as_str()).collect();
        assert_eq!(gateways, ["", "203.0.113.1"]);
        let services: Vec<_> =
            cached.public_services.iter().map(|service| (service.hostname.as_str(), service.ports.len())).collect();
        assert_eq!(services, [("", 0), ("", 1), ("x", 0)]);
    }

    #[test]
    fn order_and_repetition_do_not_show_in_the_cache() {
        let one = r#"{"ingressGateways":[{"address":"b","port":1},{"address":"a","port":2},{"address":"b","port":1}],
            "publicServices":[{"hostname":"y","ports":[]},{"hostname":"x","ports":[{"name":"http-a","port":2},{"name":"t","port":1,"protocol":"MONGO"}]}]}"#;
        let other = r#"{"publicServices":[{"hostname":"x","virtualIP":"169.254.0.1","ports":[{"name":"t","port":1,"protocol":"MONGO"},{"name":"http-a","port":2}]},{"hostname":"y"}],
            "ingressGateways":[{"address":"a","port":2},{"address":"b","port":1}]}"#;
        let cached = |body: &str| normalize(&read_private(body.as_bytes()).unwrap());
        assert_eq!(cached(one), cached(other));
        let protocols: Vec<_> = cached(one).public_services[0].ports.iter().map(|port| port.protocol.clone()).collect();
        assert_eq!(protocols, [Some("HTTP".to_owned()), Some("MONGO".to_owned())]);
    }
}
