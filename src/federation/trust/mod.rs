//! Trust: which CA certificates of a peer are admitted, and the confined anchors that are made of them.
//!
//! A peer's certificate never enters the mesh as it came. Only its key, its name and its dates do, re-encoded from a
//! whitelist, under name constraints that leave it the peer's trust domain and nothing else ([`confine`]). So one peer
//! can neither sign our names nor poison the list that all of them share.
//!
//! [`admit_document`] judges what a peer publishes (discovery); [`anchors`] judges it again at use and builds the list.

mod admit;
mod anchors;
mod certificate;
mod confine;
mod fault;
mod info;
mod key;
mod own;
mod signature;
mod structure;
mod subject;
#[cfg(test)]
mod tests;

pub use admit::{Admission, CERTIFICATE_LIMIT, admit_document, subject_of};
pub use anchors::{Anchors, PeerCertificates, SUBJECTS_LIMIT, anchors};
pub use fault::Fault;
pub use info::{CertificateInfo, KeyNumbers, NotACertificate};
pub use key::KeyIdentity;
pub use own::{OwnChain, OwnChainError, intermediates_of};

use super::pem::Limits;

/// How much of a list of CA certificates is read, a peer's and our own.
const PEM_LIMITS: Limits = Limits { bytes: 64 * 1024, blocks: 16 };
