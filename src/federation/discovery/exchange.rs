//! The results of one exchange with a peer, not judged yet.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::api::istio_federation::CachedPrivateMetadata;
use crate::api::metadata::PublicMetadata;
use crate::federation::reasons;
use crate::federation::roster::ClaimError;

/// How one request ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fetch<T> {
    /// It was not made.
    NotTried {
        /// One word for programs.
        reason: &'static str,
        /// A sentence for people.
        message: String,
    },
    /// It failed, or its answer is refused as a whole.
    Failed {
        /// One word for programs.
        reason: &'static str,
        /// A sentence for people.
        message: String,
    },
    /// The cached document still holds.
    NotModified,
    /// A new document.
    Fresh {
        document: T,
        /// Its entity tag.
        etag: Option<String>,
    },
}

impl<T> Fetch<T> {
    /// Whether the peer answered with a valid document, or confirmed the cached one.
    pub fn is_good(&self) -> bool {
        matches!(self, Self::NotModified | Self::Fresh { .. })
    }

    /// The private document while the peer's cluster UUID is unknown.
    #[must_use]
    pub fn awaiting_public() -> Self {
        let message =
            "the private document is fetched once the public one has named the peer's cluster UUID".to_owned();
        Self::NotTried { reason: reasons::AWAITING_PUBLIC, message }
    }
}

/// A private document, and whether it is complete.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PrivateAnswer {
    /// The document, normalized.
    pub document: CachedPrivateMetadata,
    /// The peer marks it as complete.
    pub complete: bool,
}

/// The results of one exchange with a peer.
#[derive(Clone, Debug, PartialEq)]
pub struct Exchange {
    /// The public document.
    pub public: Fetch<PublicMetadata>,
    /// The private document.
    pub private: Fetch<PrivateAnswer>,
    /// Addresses of the gateways' names, as far as they could be resolved; sorted.
    pub resolved: BTreeMap<String, Vec<IpAddr>>,
    /// The peer refused our token (HTTP status 401).
    pub token_refused: bool,
    /// The endpoint's certificate was not verified, because the user said so.
    pub unverified: bool,
}

impl Exchange {
    /// Discards the exchange: the peer claims a UUID that it may not have.
    pub fn refuse(&mut self, error: &ClaimError) {
        self.public = Fetch::Failed { reason: error.reason(), message: error.to_string() };
        self.private = Fetch::awaiting_public();
    }
}

/// How fast discovery repeats requests and writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// With back-off after failures and a minimum interval between writes.
    Patient,
    /// Without either: for demonstrations and tests.
    Eager,
}
