//! The confined anchor: a CA certificate rebuilt so that it can speak for its peer's trust domains and nothing else.

use std::collections::BTreeSet;

use der::asn1::{Any, AnyRef, BitStringRef, Ia5String, OctetString};
use der::oid::ObjectIdentifier;
use der::oid::db::rfc5912::{
    ECDSA_WITH_SHA_256, ECDSA_WITH_SHA_384, ID_CE_BASIC_CONSTRAINTS, ID_CE_KEY_USAGE, ID_CE_NAME_CONSTRAINTS,
    ID_CE_SUBJECT_KEY_IDENTIFIER, SHA_256_WITH_RSA_ENCRYPTION,
};
use der::{Decode, Encode, Tag};
use sha2::{Digest as _, Sha256};
use spki::AlgorithmIdentifierOwned;
use x509_cert::Version;
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::constraints::name::GeneralSubtree;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{BasicConstraints, KeyUsage, KeyUsages, NameConstraints};
use x509_cert::time::{Time, Validity};

use super::key::{KeyKind, PublicKey};
use super::structure::{Certificate, Tbs};
use super::subject::Subject;

/// The parts of an anchor.
#[derive(Debug)]
pub(super) struct Confined<'a> {
    /// Subject, and issuer: with the issuer's own name there, a root of another peer could pose as the anchor's issuer.
    pub(super) subject: &'a Subject,
    pub(super) key: &'a PublicKey,
    /// The key's identifier. A verifier skips an anchor whose identifier differs from that in the peer's certificates.
    pub(super) key_identifier: &'a [u8],
    /// The serial number, for chains that name their issuer by it; derived if the certificate has no usable one.
    pub(super) serial: Option<&'a [u8]>,
    /// Start of validity, seconds since 1970.
    pub(super) not_before: u64,
    /// End of validity, seconds since 1970.
    pub(super) not_after: u64,
    /// How many CAs may follow.
    pub(super) path_length: Option<u8>,
    /// The trust domains that it may speak for.
    pub(super) trust_domains: &'a BTreeSet<&'a str>,
}

impl Confined<'_> {
    /// The anchor in DER. The same input gives the same bytes.
    pub(super) fn to_der(&self) -> Result<Vec<u8>, der::Error> {
        let algorithm = self.algorithm();
        let validity: Validity = Validity::new(time(self.not_before)?, time(self.not_after)?);
        let validity = validity.to_der()?;
        let subject = AnyRef::try_from(self.subject.der())?;
        let mut tbs = Tbs {
            version: Version::V3,
            serial: AnyRef::new(Tag::Integer, self.serial.unwrap_or(&[1]))?,
            algorithm: algorithm.clone(),
            issuer: subject,
            validity: AnyRef::try_from(validity.as_slice())?,
            subject,
            key: self.key.to_spki()?,
            issuer_id: None,
            subject_id: None,
            extensions: Some(self.extensions()?),
        };
        let derived = derived_serial(&tbs.to_der()?);
        if self.serial.is_none() {
            tbs.serial = AnyRef::new(Tag::Integer, &derived)?;
        }
        let tbs = tbs.to_der()?;
        let signature = self.signature();
        Certificate { tbs: AnyRef::from_der(&tbs)?, algorithm, signature: BitStringRef::from_bytes(&signature)? }
            .to_der()
    }

    /// An algorithm that fits the key: OpenSSL regards a certificate as self-signed, and so as the end of a chain, only if
    /// its signature algorithm fits its key.
    fn algorithm(&self) -> AlgorithmIdentifierOwned {
        let (oid, parameters) = match self.key.kind() {
            KeyKind::Rsa => (SHA_256_WITH_RSA_ENCRYPTION, Some(Any::null())),
            KeyKind::P256 => (ECDSA_WITH_SHA_256, None),
            KeyKind::P384 => (ECDSA_WITH_SHA_384, None),
        };
        AlgorithmIdentifierOwned { oid, parameters }
    }

    /// A placeholder of the right form. Only the peer could sign this certificate, and nobody has to: verifiers do not check
    /// the signature of an anchor, because they are configured to trust it.
    fn signature(&self) -> Vec<u8> {
        match self.key.kind() {
            KeyKind::Rsa => vec![1; 256],
            // ECDSA-Sig-Value with r = 1 and s = 1.
            KeyKind::P256 | KeyKind::P384 => vec![0x30, 6, 2, 1, 1, 2, 1, 1],
        }
    }

    fn extensions(&self) -> Result<Vec<Extension>, der::Error> {
        Ok(vec![
            extension(
                ID_CE_BASIC_CONSTRAINTS,
                true,
                &BasicConstraints { ca: true, path_len_constraint: self.path_length },
            )?,
            extension(ID_CE_KEY_USAGE, true, &KeyUsage(KeyUsages::KeyCertSign | KeyUsages::CRLSign))?,
            extension(ID_CE_SUBJECT_KEY_IDENTIFIER, false, &OctetString::new(self.key_identifier)?)?,
            extension(ID_CE_NAME_CONSTRAINTS, true, &self.name_constraints()?)?,
        ])
    }

    /// Permitted: URIs of the trust domains. Excluded: every other kind of name that Envoy compares with a SPIFFE ID
    /// (a DNS or e-mail name may be spelled like one), and IP addresses as a precaution.
    fn name_constraints(&self) -> Result<NameConstraints, der::Error> {
        // Without a leading dot: this host, nothing below it (RFC 5280, 4.2.1.10). Go also permits names below it, so those
        // are excluded, unless another of the trust domains is among them.
        let domains =
            self.trust_domains.iter().map(|domain| Ia5String::new(domain).map(GeneralName::UniformResourceIdentifier));
        // OpenSSL does not read the e-mail name "" as "all", so a single mailbox is permitted, which excludes all others.
        let nobody = Ia5String::new("nobody@invalid").map(GeneralName::Rfc822Name);
        let permitted = domains.chain([nobody]).map(|name| name.map(subtree)).collect::<Result<_, _>>()?;
        let below = self
            .trust_domains
            .iter()
            .map(|domain| format!(".{domain}"))
            .filter(|below| !self.trust_domains.iter().any(|domain| domain.ends_with(below.as_str())))
            .map(|below| Ia5String::new(&below).map(GeneralName::UniformResourceIdentifier));
        let excluded = [
            GeneralName::DnsName(Ia5String::new("")?),
            GeneralName::Rfc822Name(Ia5String::new("")?),
            // Address and mask, both zero.
            GeneralName::IpAddress(OctetString::new([0; 8])?),
            GeneralName::IpAddress(OctetString::new([0; 32])?),
        ];
        let excluded =
            excluded.into_iter().map(Ok).chain(below).map(|name| name.map(subtree)).collect::<Result<_, _>>()?;
        Ok(NameConstraints { permitted_subtrees: Some(permitted), excluded_subtrees: Some(excluded) })
    }
}

fn subtree(base: GeneralName) -> GeneralSubtree {
    GeneralSubtree { base, minimum: 0, maximum: None }
}

fn extension(oid: ObjectIdentifier, critical: bool, value: &impl Encode) -> Result<Extension, der::Error> {
    Ok(Extension { extn_id: oid, critical, extn_value: OctetString::new(value.to_der()?)? })
}

fn time(seconds: u64) -> Result<Time, der::Error> {
    Ok(Time::from(der::DateTime::from_unix_duration(std::time::Duration::from_secs(seconds))?))
}

/// A serial number from the content: 20 bytes, positive, no leading zero.
fn derived_serial(content: &[u8]) -> [u8; 20] {
    let hash = Sha256::digest(content);
    let mut serial = [0; 20];
    for (to, from) in serial.iter_mut().zip(hash) {
        *to = from;
    }
    serial[0] = serial[0] & 0x7f | 0x40;
    serial
}
