//! Our own CA certificates. A peer's certificate must not have their keys, and in some cases not their names.

use std::collections::BTreeSet;

use der::Decode;
use der::oid::db::rfc5280::{ID_CE_AUTHORITY_KEY_IDENTIFIER, ID_CE_SUBJECT_KEY_IDENTIFIER};
use thiserror::Error;
use x509_cert::ext::pkix::AuthorityKeyIdentifier;
use x509_cert::name::Name;

use crate::federation::pem::{self, PemError};

use super::certificate::CaCertificate;
use super::key::KeyIdentity;
use super::refusal::RefusalReason;
use super::structure::{Certificate, Tbs, value};
use super::subject::CanonicalName;

/// Our own CA certificates.
#[derive(Clone, Debug)]
pub struct OwnCertificates {
    /// All of them, for judging peers.
    pub chain: OwnChain,
    /// The intermediates of the mesh's plug-in CA, PEM, each once. Peers need them in addition to the root.
    pub intermediates: String,
}

impl OwnCertificates {
    /// Reads all our CA certificates, and those of the mesh's plug-in CA alone (empty without one); both PEM.
    pub fn read(all: &str, plug_in: &str) -> Result<Self, OwnChainError> {
        Ok(Self { chain: OwnChain::read(all)?, intermediates: intermediates_of(plug_in)? })
    }
}

/// Our own roots and intermediates.
#[derive(Clone, Debug)]
pub struct OwnChain {
    keys: BTreeSet<KeyIdentity>,
    subjects: BTreeSet<CanonicalName>,
    /// Whether a verifier finds the issuer of one of our certificates by name alone: it would take a peer's root with that
    /// name for the issuer, and does not try another.
    found_by_name: bool,
}

/// Why our own certificates cannot be read. Without them no peer can be judged.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum OwnChainError {
    #[error("our own CA certificates cannot be read: block {block}: {source}")]
    Pem {
        /// Which block, from 1.
        block: usize,
        /// The problem.
        source: PemError,
    },
    #[error("our own CA certificates cannot be read: block {block} is not an X.509 certificate: {reason}")]
    Malformed {
        /// Which block, from 1.
        block: usize,
        /// The problem.
        reason: String,
    },
}

impl OwnChain {
    /// Reads our root certificates and, where we have them, our intermediates: one or more PEM blocks.
    pub fn read(text: &str) -> Result<Self, OwnChainError> {
        let mut own = Self { keys: BTreeSet::new(), subjects: BTreeSet::new(), found_by_name: false };
        for (block, der) in blocks_of(text)? {
            own.add(&der).map_err(|error| OwnChainError::Malformed { block, reason: error.to_string() })?;
        }
        if own.keys.is_empty() {
            return Err(OwnChainError::Pem { block: 1, source: PemError::NoBlock });
        }
        Ok(own)
    }

    fn add(&mut self, der: &[u8]) -> Result<(), der::Error> {
        let certificate = Certificate::from_der(der)?;
        let tbs = Tbs::read(&certificate)?;
        let name = |any: der::asn1::AnyRef<'_>| any.decode_as::<Name>().map(|name| CanonicalName::of(&name));
        let (subject, issuer) = (name(tbs.subject)?, name(tbs.issuer)?);
        let find = |oid| tbs.extensions().iter().find(|extension| extension.extn_id == oid);
        // Certificates signed by a CA without subject key identifier have no authority key identifier.
        let no_subject_identifier = find(ID_CE_SUBJECT_KEY_IDENTIFIER).is_none();
        let no_authority_identifier = find(ID_CE_AUTHORITY_KEY_IDENTIFIER)
            .and_then(|extension| value::<AuthorityKeyIdentifier>(extension).ok())
            .is_none_or(|authority| authority.key_identifier.is_none());
        self.found_by_name |= no_subject_identifier || (subject != issuer && no_authority_identifier);
        self.keys.insert(KeyIdentity::of(&tbs.key));
        self.subjects.insert(subject);
        Ok(())
    }

    /// Whether `key` is one of ours.
    #[must_use]
    pub fn has_key(&self, key: &KeyIdentity) -> bool {
        self.keys.contains(key)
    }

    /// Judges a peer's certificate against ours.
    pub(super) fn judge(&self, certificate: &CaCertificate) -> Result<(), RefusalReason> {
        if self.has_key(&certificate.key.identity()) {
            return Err(RefusalReason::OwnKey);
        }
        if !self.subjects.contains(certificate.subject.canonical()) {
            return Ok(());
        }
        if self.found_by_name {
            return Err(RefusalReason::OwnSubject);
        }
        // Without an identifier, its leaves find their issuer by name, and the order of a proxy's list decides which one.
        certificate.names_its_key.then_some(()).ok_or_else(|| RefusalReason::SharedSubject("our own".to_owned()))
    }
}

/// The certificates of a plug-in CA's files that another CA issued: each once, PEM, in their order. Roots are published
/// elsewhere; blocks of other types, such as a key, are left out.
pub fn intermediates_of(text: &str) -> Result<String, OwnChainError> {
    let mut found: Vec<Vec<u8>> = Vec::new();
    for (block, der) in blocks_of(text)? {
        let read = Certificate::from_der(&der).and_then(|certificate| {
            let tbs = Tbs::read(&certificate)?;
            Ok(tbs.subject != tbs.issuer)
        });
        let is_below = read.map_err(|error| OwnChainError::Malformed { block, reason: error.to_string() })?;
        if is_below && !found.contains(&der) {
            found.push(der);
        }
    }
    Ok(found.iter().map(|der| pem::encode_certificate(der)).collect())
}

/// The certificates of a PEM text with their places, from 1.
fn blocks_of(text: &str) -> Result<Vec<(usize, Vec<u8>)>, OwnChainError> {
    let mut blocks = Vec::new();
    for (block, der) in (1..).zip(pem::certificates(text, pem::CA_LIST)) {
        match der {
            // A bundle may also hold a key, which does not concern us.
            Err(PemError::NotCertificate) => {}
            Err(PemError::NoBlock) if text.trim().is_empty() => {}
            Err(source) => return Err(OwnChainError::Pem { block, source }),
            Ok(der) => blocks.push((block, der)),
        }
    }
    Ok(blocks)
}
