//! Ed25519 keys that clusters authenticate with, in the PEM form that Deckhouse's federation writes and reads.
//!
//! Deckhouse uses labels of its own (`ED25519 PRIVATE KEY` around PKCS#8, `ED25519 PUBLIC KEY` around a
//! `SubjectPublicKeyInfo`), so any label is accepted on reading, and the content decides.

use std::fmt;

use ed25519_dalek::Signer as _;
use ed25519_dalek::pkcs8::spki::SubjectPublicKeyInfoRef;
use ed25519_dalek::pkcs8::spki::der::zeroize::Zeroizing;
use ed25519_dalek::pkcs8::{ALGORITHM_OID, DecodePrivateKey as _, DecodePublicKey as _, PrivateKeyInfoRef};

use crate::federation::pem::{self, Limits, PemError};

/// Label of the private half as Deckhouse writes it.
pub(super) const PRIVATE_LABEL: &str = "ED25519 PRIVATE KEY";
/// Label of the public half as Deckhouse writes it.
pub(super) const PUBLIC_LABEL: &str = "ED25519 PUBLIC KEY";
/// A key takes about 120 bytes of PEM; the rest is room for comments. More than one block is an error anyway.
const LIMITS: Limits = Limits { bytes: 4096, blocks: 16 };
/// PKCS#8 version 1 (RFC 5958) of an Ed25519 key (RFC 8410) up to its 32 bytes. dalek writes version 2 only.
const PKCS8_V1: [u8; 16] =
    [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];
/// `SubjectPublicKeyInfo` of an Ed25519 key (RFC 8410) up to its 32 bytes.
const SPKI: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// Which half of a pair an error is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Half {
    /// Signs.
    Private,
    /// Verifies.
    Public,
}

impl fmt::Display for Half {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Private => "private key",
            Self::Public => "public key",
        })
    }
}

/// Why a key cannot be used. Never holds key material.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The text is not PEM.
    #[error("the {0} cannot be read: {1}")]
    Pem(Half, PemError),
    /// More than one PEM block.
    #[error("the {0} must be a single PEM block; found {1}")]
    Blocks(Half, usize),
    /// The PEM holds the other half.
    #[error("expected the {0}, found the other half of a key pair: swap them")]
    OtherHalf(Half),
    /// The PEM holds a key of another algorithm.
    #[error("the {0} is not an Ed25519 key, the only kind that federation uses")]
    Algorithm(Half),
    /// The PEM holds no key.
    #[error("the {0} is damaged: its PEM holds no {expected}", expected = match .0 { Half::Private => "PKCS#8 key", Half::Public => "SubjectPublicKeyInfo" })]
    Content(Half),
    /// A public key of small order, for which anybody can forge signatures, or one in a non-canonical encoding.
    #[error("the public key is weak (small order, or not in canonical form)")]
    Weak,
    /// The halves belong to different pairs.
    #[error("the private and the public key belong to different pairs")]
    Mismatch,
    /// The operating system gave no random numbers.
    #[error("cannot generate a key, no random numbers: {0}")]
    Random(getrandom::Error),
}

/// Why the stored key pair of this cluster cannot be used, with the cure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0}. Restore both halves from a backup, or delete the Secret d8-remote-authn-keypair: then a new pair is generated, \
     and peers accept it as soon as they have read it"
)]
pub struct StoredKeyError(#[from] pub KeyError);

/// A key pair as PEM, as it is stored and published.
#[derive(Clone, PartialEq, Eq)]
pub struct KeypairPem {
    /// The private half. Secret.
    pub private: String,
    /// The public half.
    pub public: String,
}

impl fmt::Debug for KeypairPem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeypairPem").field("public", &self.public).finish_non_exhaustive()
    }
}

/// The key pair of this cluster. Wiped from memory when dropped.
pub struct SigningKey(ed25519_dalek::SigningKey);

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SigningKey").field(&self.verifying_key()).finish()
    }
}

impl SigningKey {
    /// Generates a new pair from the operating system's randomness.
    pub fn generate() -> Result<Self, KeyError> {
        let mut seed = Zeroizing::new([0; ed25519_dalek::SECRET_KEY_LENGTH]);
        getrandom::fill(seed.as_mut_slice()).map_err(KeyError::Random)?;
        Ok(Self(ed25519_dalek::SigningKey::from_bytes(&seed)))
    }

    /// Reads the private half: one PEM block with any label around PKCS#8, version 1 or 2.
    pub fn from_pem(private: &str) -> Result<Self, KeyError> {
        let der = Zeroizing::new(single_block(private, Half::Private)?);
        let Ok(info) = PrivateKeyInfoRef::try_from(der.as_slice()) else {
            return Err(match SubjectPublicKeyInfoRef::try_from(der.as_slice()) {
                Ok(_) => KeyError::OtherHalf(Half::Private),
                Err(_) => KeyError::Content(Half::Private),
            });
        };
        if info.algorithm.oid != ALGORITHM_OID {
            return Err(KeyError::Algorithm(Half::Private));
        }
        ed25519_dalek::SigningKey::from_pkcs8_der(&der).map(Self).map_err(|_| KeyError::Content(Half::Private))
    }

    /// Reads both stored halves and checks that they belong together.
    pub fn from_pem_pair(private: &str, public: &str) -> Result<Self, StoredKeyError> {
        let key = Self::from_pem(private)?;
        if VerifyingKey::from_pem(public)? == key.verifying_key() { Ok(key) } else { Err(KeyError::Mismatch.into()) }
    }

    /// Both halves as PEM, byte for byte as Go writes them: PKCS#8 version 1 (48 bytes, without the public key in it)
    /// and a `SubjectPublicKeyInfo` (44 bytes).
    #[must_use]
    pub fn to_pem(&self) -> KeypairPem {
        let private = to_pem(PRIVATE_LABEL, &PKCS8_V1, self.0.as_bytes());
        KeypairPem { private, public: to_pem(PUBLIC_LABEL, &SPKI, self.0.verifying_key().as_bytes()) }
    }

    /// The public half.
    #[must_use]
    pub fn verifying_key(&self) -> VerifyingKey {
        VerifyingKey(self.0.verifying_key())
    }

    /// Signs `message`.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> [u8; ed25519_dalek::SIGNATURE_LENGTH] {
        self.0.sign(message).to_bytes()
    }
}

/// A public key that is safe to verify signatures with.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct VerifyingKey(ed25519_dalek::VerifyingKey);

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("VerifyingKey(")?;
        self.0.as_bytes().iter().take(4).try_for_each(|byte| write!(f, "{byte:02x}"))?;
        f.write_str("..)")
    }
}

impl VerifyingKey {
    /// Reads a public key, a peer's too: one PEM block with any label around an Ed25519 `SubjectPublicKeyInfo`.
    pub fn from_pem(public: &str) -> Result<Self, KeyError> {
        let der = Zeroizing::new(single_block(public, Half::Public)?);
        let Ok(info) = SubjectPublicKeyInfoRef::try_from(der.as_slice()) else {
            return Err(match PrivateKeyInfoRef::try_from(der.as_slice()) {
                Ok(_) => KeyError::OtherHalf(Half::Public),
                Err(_) => KeyError::Content(Half::Public),
            });
        };
        if info.algorithm.oid != ALGORITHM_OID {
            return Err(KeyError::Algorithm(Half::Public));
        }
        let key =
            ed25519_dalek::VerifyingKey::from_public_key_der(&der).map_err(|_| KeyError::Content(Half::Public))?;
        // With a second encoding, one key would pass as two.
        if key.is_weak() || key.to_edwards().compress().as_bytes() != key.as_bytes() {
            return Err(KeyError::Weak);
        }
        Ok(Self(key))
    }

    /// Whether `signature` is valid for `message` by the strict rules (no malleability, no small-order points).
    #[must_use]
    pub fn verifies(&self, message: &[u8], signature: &[u8; ed25519_dalek::SIGNATURE_LENGTH]) -> bool {
        self.0.verify_strict(message, &ed25519_dalek::Signature::from_bytes(signature)).is_ok()
    }
}

fn single_block(text: &str, half: Half) -> Result<Vec<u8>, KeyError> {
    let blocks: Result<Vec<_>, _> = pem::blocks(text, LIMITS).into_iter().collect();
    let mut blocks = blocks.map_err(|error| KeyError::Pem(half, error))?;
    match (blocks.pop(), blocks.len()) {
        (Some(block), 0) => Ok(block.content),
        (_, others) => Err(KeyError::Blocks(half, others + 1)),
    }
}

fn to_pem(label: &str, prefix: &[u8], key: &[u8; 32]) -> String {
    pem::encode(label, &[prefix, key].concat())
}
