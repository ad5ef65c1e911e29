//! The documents, rendered on change and not per request.

use std::fmt::Write as _;
use std::sync::Arc;

use axum::body::Bytes;
use serde::Serialize;
use sha2::{Digest, Sha256};
use thiserror::Error;
use tokio::time::Instant;

use super::certificates::{self, CertificateError, PublishedCa};
use super::gateway_addresses::{GatewayError, discover};
use super::identity::Identity;
use super::index::{Index, WatchFailure};
use super::object::{INTERMEDIATES_CONFIG_MAP, KEYPAIR_SECRET, PEERS_SECRET, ROOT_CONFIG_MAP};
use super::peers::PeerKeys;
use super::selection::Selection;
use super::spiffe::{self, UnsupportedKey};
use crate::api::kubernetes::NAMESPACE;
use crate::api::metadata::{IngressGateway, PrivateMetadata, PublicMetadata, PublicService};
use crate::federation::export::{ExportedService, NotExported};
use crate::federation::trust::{self, OwnChainError};
use crate::peer::{KeyError, VerifyingKey};

/// A document as it is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rendered {
    pub(super) body: Bytes,
    /// Strong entity tag, quotes included, derived from the body.
    pub(super) etag: String,
}

/// A document, or why it cannot be served. Never an incomplete document.
pub(super) type Document = Result<Arc<Rendered>, Unavailable>;

/// Why a document cannot be served at the moment.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(super) enum Unavailable {
    #[error("starting: not everything has been read yet")]
    Unsynced,
    #[error("Secret {NAMESPACE}/{} has no {}: the key pair has not been made yet", KEYPAIR_SECRET.0, KEYPAIR_SECRET.1)]
    NoKey,
    /// The public half of the key pair is invalid.
    #[error("{member} of Secret {NAMESPACE}/{secret}: {0}", member = KEYPAIR_SECRET.1, secret = KEYPAIR_SECRET.0)]
    BadKey(KeyError),
    #[error("ConfigMap {NAMESPACE}/{} has no {}: istiod has not written it yet", ROOT_CONFIG_MAP.0, ROOT_CONFIG_MAP.1)]
    NoRoots,
    #[error("{member} of ConfigMap {NAMESPACE}/{map}: {0}", member = ROOT_CONFIG_MAP.1, map = ROOT_CONFIG_MAP.0)]
    BadRoots(CertificateError),
    /// The intermediates cannot be read. Without them peers could not verify our workloads.
    #[error("{member} of ConfigMap {NAMESPACE}/{map}: {0}", member = INTERMEDIATES_CONFIG_MAP.1, map = INTERMEDIATES_CONFIG_MAP.0)]
    BadIntermediates(OwnChainError),
    /// A root does not fit into a SPIFFE bundle.
    #[error(transparent)]
    Spiffe(#[from] UnsupportedKey),
    /// The gateway addresses are unknown.
    #[error(transparent)]
    Gateways(#[from] GatewayError),
    #[error("the document cannot be written")]
    Encoding,
}

/// All documents, with their state for logs, metrics and probes. Immutable: a change makes a new value.
#[derive(Clone, Debug)]
pub(super) struct Documents {
    pub(super) public: Document,
    pub(super) spiffe: Document,
    pub(super) private: Document,
    /// Who may read `federation.json`; `None` until it has been read.
    pub(super) peers: Option<PeerKeys>,
    /// Selections that were not completely read yet.
    pub(super) unsynced: Vec<Selection>,
    /// Selections that cannot be read at the moment; the documents show their last state.
    pub(super) failures: Vec<(Selection, WatchFailure)>,
    /// Whether something has failed for so long that the private document is not marked complete.
    pub(super) stale: bool,
    /// Number of gateways; 0 if unknown.
    pub(super) gateways: usize,
    /// How many services are exported.
    pub(super) services: usize,
    /// Labelled Services that are not exported, as namespace/name, and why.
    pub(super) not_exported: Vec<(String, NotExported)>,
}

impl Documents {
    /// Renders the state of the index at `now`.
    #[must_use]
    pub(super) fn render(index: &Index, identity: &Identity, now: Instant) -> Self {
        let unsynced = index.unsynced(identity.inlet);
        let failures = index.failures().map(|(selection, failure)| (selection, failure.clone())).collect();
        let stale = index.stale_from().is_some_and(|from| from <= now);
        let own = identity.cluster_uuid.as_str();
        let peers = index
            .is_synced(Selection::Peers)
            .then(|| PeerKeys::read(index.member(Selection::Peers, PEERS_SECRET.1), own));
        let not_yet = || Err(Unavailable::Unsynced);
        if !unsynced.is_empty() {
            return Self {
                public: not_yet(),
                spiffe: not_yet(),
                private: not_yet(),
                peers,
                unsynced,
                failures,
                stale,
                gateways: 0,
                services: 0,
                not_exported: Vec::new(),
            };
        }
        let roots = roots(index);
        let gateways = discover(index, identity.inlet);
        let (services, not_exported) = exported(index, identity);
        Self {
            public: roots.clone().and_then(|roots| public(index, identity, &roots)),
            spiffe: roots.and_then(|roots| rendered(&spiffe::bundle(&roots)?)),
            peers,
            unsynced,
            failures,
            stale,
            gateways: gateways.as_ref().map_or(0, Vec::len),
            services: services.len(),
            not_exported,
            private: gateways.map_err(Unavailable::from).and_then(|gateways| private(gateways, services, !stale)),
        }
    }
}

fn rendered(document: &impl Serialize) -> Document {
    let body = serde_json::to_vec(document).map_err(|_| Unavailable::Encoding)?;
    let mut etag = String::from("\"");
    for byte in &Sha256::digest(&body)[..16] {
        // Writing to a String does not fail.
        let _ = write!(etag, "{byte:02x}");
    }
    etag.push('"');
    Ok(Arc::new(Rendered { body: body.into(), etag }))
}

fn roots(index: &Index) -> Result<Vec<PublishedCa>, Unavailable> {
    let text = index.member(Selection::Roots, ROOT_CONFIG_MAP.1).ok_or(Unavailable::NoRoots)?;
    certificates::read_cas(text).map_err(Unavailable::BadRoots)
}

fn public(index: &Index, identity: &Identity, roots: &[PublishedCa]) -> Document {
    let key = index.member(Selection::KeyPair, KEYPAIR_SECRET.1).ok_or(Unavailable::NoKey)?;
    VerifyingKey::from_pem(key).map_err(Unavailable::BadKey)?;
    let intermediates = intermediates(index, roots)?;
    rendered(&PublicMetadata {
        cluster_uuid: identity.cluster_uuid.to_string(),
        authn_key_pub: key.to_owned(),
        root_ca: certificates::to_pem(roots),
        intermediate_cas: (!intermediates.is_empty()).then_some(intermediates),
    })
}

fn intermediates(index: &Index, roots: &[PublishedCa]) -> Result<String, Unavailable> {
    // A root CA that signs workload certificates itself has no intermediates.
    let text = index.member(Selection::Intermediates, INTERMEDIATES_CONFIG_MAP.1).unwrap_or_default();
    let mut found = trust::intermediates_of(text).map_err(Unavailable::BadIntermediates)?;
    // A cross-signed root is published as a root.
    for root in roots {
        found = found.replace(&certificates::to_pem(std::slice::from_ref(root)), "");
    }
    Ok(found)
}

fn exported(index: &Index, identity: &Identity) -> (Vec<PublicService>, Vec<(String, NotExported)>) {
    let (mut services, mut not_exported) = (Vec::new(), Vec::new());
    for service in index.services(Selection::ExportedServices) {
        match ExportedService::vet(service, identity.cluster_domain.name()) {
            Ok(service) => services.push(service.to_public_service()),
            Err(NotExported::NotLabelled) => {}
            Err(reason) => {
                let meta = &service.metadata;
                let namespace = meta.namespace.as_deref().unwrap_or_default();
                not_exported.push((format!("{namespace}/{}", meta.name), reason));
            }
        }
    }
    services.sort();
    (services, not_exported)
}

/// Peers withdraw at once what a complete document lacks. So a stale document is not marked complete, and peers wait.
fn private(gateways: Vec<IngressGateway>, services: Vec<PublicService>, complete: bool) -> Document {
    rendered(&PrivateMetadata {
        ingress_gateways: Some(gateways),
        public_services: Some(services),
        complete: complete.then_some(true),
    })
}

#[cfg(test)]
mod tests;
