//! The outer structure of a certificate in DER, for reading and writing; its content is judged elsewhere.

use der::asn1::{AnyRef, BitStringRef};
use der::{Decode, Encode, Sequence};
use spki::{AlgorithmIdentifierOwned, SubjectPublicKeyInfoOwned};
use x509_cert::Version;
use x509_cert::ext::Extension;

/// Certificate (RFC 5280, 4.1).
#[derive(Sequence)]
pub(super) struct Certificate<'a> {
    /// The signed part: a [`Tbs`].
    pub(super) tbs: AnyRef<'a>,
    /// How it is signed.
    pub(super) algorithm: AlgorithmIdentifierOwned,
    pub(super) signature: BitStringRef<'a>,
}

/// `TBSCertificate` (RFC 5280, 4.1). Serial number, names and validity stay undecoded, so that our own certificates can be
/// read even if those are unusual.
#[derive(Sequence)]
pub(super) struct Tbs<'a> {
    #[asn1(context_specific = "0", default = "Default::default")]
    pub(super) version: Version,
    /// `CertificateSerialNumber`.
    pub(super) serial: AnyRef<'a>,
    /// The same as [`Certificate::algorithm`].
    pub(super) algorithm: AlgorithmIdentifierOwned,
    /// Name.
    pub(super) issuer: AnyRef<'a>,
    pub(super) validity: AnyRef<'a>,
    /// Name.
    pub(super) subject: AnyRef<'a>,
    pub(super) key: SubjectPublicKeyInfoOwned,
    /// Obsolete.
    #[asn1(context_specific = "1", tag_mode = "IMPLICIT", optional = "true")]
    pub(super) issuer_id: Option<BitStringRef<'a>>,
    /// Obsolete.
    #[asn1(context_specific = "2", tag_mode = "IMPLICIT", optional = "true")]
    pub(super) subject_id: Option<BitStringRef<'a>>,
    #[asn1(context_specific = "3", tag_mode = "EXPLICIT", optional = "true")]
    pub(super) extensions: Option<Vec<Extension>>,
}

impl<'a> Tbs<'a> {
    /// Reads the signed part of a certificate.
    pub(super) fn read(certificate: &Certificate<'a>) -> Result<Self, der::Error> {
        certificate.tbs.decode_as()
    }

    /// The extensions, if any.
    pub(super) fn extensions(&self) -> &[Extension] {
        self.extensions.as_deref().unwrap_or_default()
    }
}

impl Certificate<'_> {
    /// The bytes that the signature covers.
    pub(super) fn signed_bytes(&self) -> Result<Vec<u8>, der::Error> {
        // DER has one way to write a length, so these are the bytes that were read.
        self.tbs.to_der()
    }
}

/// Reads the value of an extension.
pub(super) fn value<'a, T: Decode<'a, Error = der::Error>>(extension: &'a Extension) -> Result<T, der::Error> {
    T::from_der(extension.extn_value.as_bytes())
}
