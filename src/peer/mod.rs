//! Talking to a peer: keys, tokens, and an HTTPS client for which every peer is an adversary.
//!
//! Everything here is blocking and bounded: by a deadline, by a number of bytes, or by both. Nothing is retried and
//! nothing is remembered; when to ask, and what to do with an answer, is decided by the callers.

mod certificate;
pub mod client;
mod connector;
pub mod exchange;
mod fault;
pub mod keys;
pub mod parallel;
mod pem_text;
pub mod resolve;
pub mod tls;
pub mod token;
pub mod url;

#[cfg(test)]
mod tests;

pub use certificate::CertificateFault;
pub use client::{Answer, Client, ClientError, Limits};
pub use fault::{Fault, FetchError};
pub use keys::{KeyError, KeypairPem, SigningKey, StoredKeyError, VerifyingKey};
pub use parallel::{Panicked, bounded_parallel};
pub use resolve::{ResolveError, resolve};
pub use tls::{Trust, TrustError};
pub use token::{Expectations, TokenError, VerifiedCaller, claims_for, sign, verify};
pub use url::{UrlError, endpoint, host_of};

/// Why a fetch failed, as Deckhouse's conditions call it: no usable answer.
pub const FETCH_FAILED: &str = "FetchFailed";
/// Why a fetch failed, as Deckhouse's conditions call it: an answer with another status than wanted.
pub const NON_OK_RESPONSE: &str = "NonOKResponse";
