//! Trust: which CA certificates of a peer are admitted, and the confined anchors that are made of them.
//!
//! A peer's certificate never enters the mesh as it is. Only its key, name and dates do, re-encoded from a whitelist, with
//! name constraints that allow the peer's trust domain and nothing else ([`confine`]). A peer can therefore neither sign
//! our names nor break the list that all peers share.
//!
//! [`admit_document`] judges a peer's certificates in discovery; [`build_anchors`] judges them again and builds the list.

mod admit;
mod anchor_list;
mod certificate;
mod confine;
mod info;
mod judge;
mod key;
mod own;
mod peers;
mod refusal;
mod signature;
mod structure;
mod subject;
#[cfg(test)]
mod tests;

pub use admit::{Admission, CERTIFICATE_LIMIT, admit_document, subject_of};
pub use anchor_list::{AnchorList, PeerCertificates, SUBJECTS_LIMIT, build_anchors};
pub use info::{CertificateInfo, KeyNumbers, NotACertificate};
pub use judge::Judge;
pub use key::KeyIdentity;
pub use own::{OwnCertificates, OwnChain, OwnChainError, intermediates_of};
pub use peers::{AnchorReport, anchors_of_peers};
pub use refusal::RefusalReason;
