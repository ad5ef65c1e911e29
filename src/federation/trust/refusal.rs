//! Reasons for refusing a CA certificate of a peer.

use thiserror::Error;

use crate::federation::pem::PemError;

/// Why a CA certificate is refused; the text includes the cure.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RefusalReason {
    /// Not a PEM certificate.
    #[error(transparent)]
    Pem(#[from] PemError),
    /// Not DER, or not a certificate.
    #[error("not an X.509 certificate in DER: {0}")]
    Malformed(String),
    #[error("an X.509 certificate of version 1 or 2: only version 3 can say that it is a CA")]
    Version,
    #[error("not a CA: it has no basic constraints with CA:true")]
    NotCa,
    /// Its key may not sign certificates.
    #[error("its key usage does not allow certificate signing")]
    KeyUsage,
    /// Its extended key usage does not cover mutual TLS.
    #[error("its extended key usage does not allow both TLS servers and TLS clients")]
    ExtendedKeyUsage,
    /// Name constraints of its own, which a confined anchor would drop.
    #[error(
        "it has name constraints of its own, which cannot be kept: publish a CA without name constraints; we add our own"
    )]
    NameConstraints,
    /// A critical extension that we do not know.
    #[error("extension {0} is critical and not supported")]
    CriticalExtension(String),
    #[error("extension {0} occurs more than once")]
    RepeatedExtension(String),
    /// Hash or scheme of the signature.
    #[error("signature algorithm {0} is not accepted: use RSA (PKCS #1 v1.5) or ECDSA with SHA-256 or SHA-384")]
    SignatureAlgorithm(String),
    /// The signature does not verify.
    #[error("its signature does not verify")]
    Signature,
    /// A root has to be self-signed.
    #[error("not self-signed: a root has to be its own issuer; intermediates belong in intermediateCAs")]
    NotSelfSigned,
    /// An intermediate that is self-signed.
    #[error("self-signed: roots belong in rootCA, not in intermediateCAs")]
    SelfSigned,
    /// No admitted root of this peer signed it.
    #[error("no admitted CA certificate of this peer has signed it")]
    NoIssuer,
    /// Its issuer may not have CAs below it.
    #[error("its issuer's path length allows no CA below it")]
    PathLength,
    /// Key type or size.
    #[error("its key is {0}: use RSA of 2048 to 4096 bits with exponent 65537, P-256 or P-384 (uncompressed point)")]
    Key(&'static str),
    /// The key identifier was not derived from the key.
    #[error(
        "its subject key identifier is not a hash of its key (RFC 5280 4.2.1.2 method 1, RFC 7093): issue it again with the usual identifier, or with none"
    )]
    KeyIdentifier,
    /// The subject cannot be re-encoded.
    #[error("its subject {0}")]
    Subject(&'static str),
    /// Dates that cannot be re-encoded.
    #[error("its validity period is invalid (notBefore is after notAfter, or before 1970)")]
    Validity,
    #[error("expired on {0}")]
    Expired(String),
    #[error("not valid before {0}")]
    NotYetValid(String),
    #[error("it has the key of one of our own CA certificates: no peer may use that key")]
    OwnKey,
    /// Our own subject, while our chain has no key identifiers.
    #[error(
        "it has the subject of one of our own CAs, and our own chain lacks key identifiers, so verifiers could not distinguish our certificates from the peer's: issue our CA again with subject and authority key identifiers, or rename one of the two"
    )]
    OwnSubject,
    /// Our own or another peer's subject, without a subject key identifier.
    #[error(
        "it has no subject key identifier and shares its subject with a CA of {0}, so a proxy may take that CA for the issuer of its certificates: issue it again with an identifier, or with another subject"
    )]
    SharedSubject(String),
    /// Too many of one peer.
    #[error(
        "the peer offers more than {limit} {what}: at most {limit} are used: those already admitted, then the earliest notBefore"
    )]
    TooMany {
        /// How many are used.
        limit: usize,
        /// `roots` or `intermediates`.
        what: &'static str,
    },
    /// The subjects of all anchors together.
    #[error(
        "the subjects of all trust anchors together exceed {0} bytes, too much for the proxies' TLS handshake: use fewer peers, or shorter subjects"
    )]
    SubjectsLimit(usize),
}

impl From<der::Error> for RefusalReason {
    fn from(error: der::Error) -> Self {
        Self::Malformed(error.to_string())
    }
}
