//! Talks to peers: keys, tokens, and an HTTPS client for which every peer is an adversary.
//!
//! Everything here is blocking and bounded: by a deadline, by a number of bytes, or by both. Nothing is retried and
//! nothing is remembered; the callers decide when to fetch and what to do with an answer.

mod certificate_fault;
mod client;
mod connector;
mod fetch_fault;
mod fetcher;
mod keys;
mod parallel;
mod resolve;
mod server_trust;
mod token;
mod url;

#[cfg(test)]
mod tests;

pub use certificate_fault::CertificateFault;
pub use client::{Answer, Client, ClientError, Limits};
pub use fetch_fault::{FetchError, FetchFault};
pub use fetcher::PeerFetcher;
pub use keys::{KeyError, KeypairPem, SigningKey, StoredKeyError, VerifyingKey};
pub use parallel::{Panicked, bounded_parallel};
pub use server_trust::{ServerTrust, ServerTrustError};
pub use token::{Expectations, TokenError, VerifiedCaller, claims_for, sign, verify};
pub use url::{UrlError, endpoint, host_of};

use resolve::resolve;
