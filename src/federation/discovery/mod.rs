//! What one exchange with a peer makes of its status: which answers count, what changes, what a person reads.

pub mod absorb;
pub mod due;
pub mod findings;
pub mod refusals;
pub mod rendered;

use std::collections::BTreeMap;

use crate::api::istio_federation::CachedPrivateMetadata;
use crate::api::metadata::PublicMetadata;
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
        /// The document.
        document: T,
        /// Its entity tag.
        etag: Option<String>,
    },
}

impl<T> Fetch<T> {
    /// Whether the peer answered with something that holds.
    pub fn is_good(&self) -> bool {
        matches!(self, Self::NotModified | Self::Fresh { .. })
    }

    /// The private document where nobody knows yet who the peer is.
    #[must_use]
    pub fn awaiting_public() -> Self {
        let message = "the private document is fetched once the public one has told who the peer is".to_owned();
        Self::NotTried { reason: "AwaitingPublic", message }
    }
}

/// A private document with its mark.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PrivateAnswer {
    /// The document, normalized.
    pub document: CachedPrivateMetadata,
    /// The peer says that nothing is missing from it.
    pub complete: bool,
}

/// What one exchange with a peer brought.
#[derive(Clone, Debug, PartialEq)]
pub struct Exchange {
    /// The public document.
    pub public: Fetch<PublicMetadata>,
    /// The private document.
    pub private: Fetch<PrivateAnswer>,
    /// Addresses of the gateways' names, as far as they could be resolved; sorted.
    pub resolved: BTreeMap<String, Vec<String>>,
    /// The endpoint's certificate was not verified, because the user said so.
    pub unverified: bool,
}

impl Exchange {
    /// The exchange with a peer that claims a UUID which it may not have: nothing of it counts.
    pub fn refuse(&mut self, error: &ClaimError) {
        self.public = Fetch::Failed { reason: error.reason(), message: error.to_string() };
        self.private = Fetch::awaiting_public();
    }
}

/// How patiently discovery goes about things.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// With back-off after failures and a minimum interval between writes.
    Patient,
    /// Neither: for demonstrations and tests, which drive the clock themselves.
    Eager,
}
