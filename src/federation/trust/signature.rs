//! Signatures on a peer's certificates: accepted algorithms, and verification.

use der::oid::db::rfc5912::{
    ECDSA_WITH_SHA_256, ECDSA_WITH_SHA_384, SHA_256_WITH_RSA_ENCRYPTION, SHA_384_WITH_RSA_ENCRYPTION,
    SHA_512_WITH_RSA_ENCRYPTION,
};
use ring::signature::{self, UnparsedPublicKey, VerificationAlgorithm};
use spki::AlgorithmIdentifierOwned;

use super::key::{KeyKind, PublicKey};
use super::refusal::RefusalReason;
use super::structure::{Certificate, Tbs};

/// An accepted signature algorithm: no SHA-1, no MD5, and no algorithm that ring cannot verify.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Algorithm {
    RsaSha256,
    RsaSha384,
    RsaSha512,
    EcdsaSha256,
    EcdsaSha384,
}

impl Algorithm {
    fn admit(identifier: &AlgorithmIdentifierOwned) -> Result<Self, RefusalReason> {
        match identifier.oid {
            SHA_256_WITH_RSA_ENCRYPTION => Ok(Self::RsaSha256),
            SHA_384_WITH_RSA_ENCRYPTION => Ok(Self::RsaSha384),
            SHA_512_WITH_RSA_ENCRYPTION => Ok(Self::RsaSha512),
            ECDSA_WITH_SHA_256 => Ok(Self::EcdsaSha256),
            ECDSA_WITH_SHA_384 => Ok(Self::EcdsaSha384),
            other => Err(RefusalReason::SignatureAlgorithm(other.to_string())),
        }
    }
}

/// The content that a certificate's issuer signed, and the signature.
#[derive(Clone, Debug)]
pub(super) struct Signed {
    algorithm: Algorithm,
    message: Vec<u8>,
    signature: Vec<u8>,
}

impl Signed {
    /// Reads the signature of a certificate; its algorithm has to be accepted, and the same inside and outside.
    pub(super) fn read(certificate: &Certificate<'_>, tbs: &Tbs<'_>) -> Result<Self, RefusalReason> {
        if certificate.algorithm != tbs.algorithm {
            return Err(RefusalReason::Malformed("two different signature algorithms".to_owned()));
        }
        Ok(Self {
            algorithm: Algorithm::admit(&certificate.algorithm)?,
            message: certificate.signed_bytes()?,
            signature: certificate.signature.as_bytes().ok_or(RefusalReason::Signature)?.to_vec(),
        })
    }

    /// Whether the owner of `key` signed it.
    pub(super) fn verifies(&self, key: &PublicKey) -> bool {
        let algorithm: &'static dyn VerificationAlgorithm = match (key.kind(), self.algorithm) {
            (KeyKind::Rsa, Algorithm::RsaSha256) => &signature::RSA_PKCS1_2048_8192_SHA256,
            (KeyKind::Rsa, Algorithm::RsaSha384) => &signature::RSA_PKCS1_2048_8192_SHA384,
            (KeyKind::Rsa, Algorithm::RsaSha512) => &signature::RSA_PKCS1_2048_8192_SHA512,
            (KeyKind::P256, Algorithm::EcdsaSha256) => &signature::ECDSA_P256_SHA256_ASN1,
            (KeyKind::P256, Algorithm::EcdsaSha384) => &signature::ECDSA_P256_SHA384_ASN1,
            (KeyKind::P384, Algorithm::EcdsaSha256) => &signature::ECDSA_P384_SHA256_ASN1,
            (KeyKind::P384, Algorithm::EcdsaSha384) => &signature::ECDSA_P384_SHA384_ASN1,
            _ => return false,
        };
        UnparsedPublicKey::new(algorithm, key.bits()).verify(&self.message, &self.signature).is_ok()
    }
}
