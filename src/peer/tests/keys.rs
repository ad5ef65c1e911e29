//! Tests of keys: interoperable in both directions, and never shown.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::super::keys::{Half, KeyError, KeypairPem, SigningKey, StoredKeyError, VerifyingKey};
use crate::federation::pem::{self, PemError};

/// The key of RFC 8037, appendix A.1, written by Go's `crypto/x509` and `encoding/pem`.
pub(super) const PRIVATE: &str = "-----BEGIN ED25519 PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g
-----END ED25519 PRIVATE KEY-----
";
/// Its public half, written by Go.
pub(super) const PUBLIC: &str = "-----BEGIN ED25519 PUBLIC KEY-----
MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=
-----END ED25519 PUBLIC KEY-----
";
/// A P-256 key, written by Python's `cryptography`.
const PRIVATE_P256: &str = "-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgDm2TgyVSjN/au4jX
rzw3dJCUgiDjLQsGT5KXiqxTgl6hRANCAATNZHrvek0atvYdUrV/79pCCIU6aj6s
2piagxluZXKazzoqGR7PuU55+olGAPVUQRvDYl2ajKswaJPbTyjxBDxk
-----END PRIVATE KEY-----
";
const PUBLIC_P256: &str = "-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEwUydtzGTJpeVYP7NYQeFwpLp9qkr
NYI5U2FaUECnnbnKGFo0axkn3tG8w31Af5o3Qcjyafz+dvSMhKeu8iIQIg==
-----END PUBLIC KEY-----
";

pub(super) fn rfc_key() -> SigningKey {
    SigningKey::from_pem_pair(PRIVATE, PUBLIC).unwrap()
}

fn block(label: &str, der: &[u8]) -> String {
    pem::encode(label, der)
}

fn content(text: &str) -> Vec<u8> {
    let limits = pem::Limits { bytes: 4096, blocks: 1 };
    pem::blocks(text, limits).remove(0).unwrap().content
}

#[test]
fn a_pair_is_written_as_go_writes_it() {
    let KeypairPem { private, public } = rfc_key().to_pem();
    assert_eq!((private.as_str(), public.as_str()), (PRIVATE, PUBLIC));
    assert_eq!(content(&private).len(), 48);
    assert_eq!(content(&public).len(), 44);
}

#[test]
fn the_key_of_the_rfc_is_that_key() {
    let public = URL_SAFE_NO_PAD.decode("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo").unwrap();
    assert!(content(&rfc_key().to_pem().public).ends_with(&public));
}

#[test]
fn new_pairs_differ_and_can_be_read_back() {
    let (one, other) = (SigningKey::generate().unwrap(), SigningKey::generate().unwrap());
    assert_ne!(one.verifying_key(), other.verifying_key());
    let stored = one.to_pem();
    let read = SigningKey::from_pem_pair(&stored.private, &stored.public).unwrap();
    assert_eq!(read.to_pem(), stored);
    assert!(one.verifying_key().verifies(b"message", &read.sign(b"message")));
    assert!(!one.verifying_key().verifies(b"massage", &read.sign(b"message")));
    assert!(!one.verifying_key().verifies(b"message", &other.sign(b"message")));
}

#[test]
fn the_label_does_not_matter_nor_the_version() {
    use ed25519_dalek::pkcs8::EncodePrivateKey as _;
    for label in ["PRIVATE KEY", "ED25519 PRIVATE KEY", "X", "PUBLIC KEY"] {
        assert!(SigningKey::from_pem(&PRIVATE.replace("ED25519 PRIVATE KEY", label)).is_ok(), "{label}");
        assert!(VerifyingKey::from_pem(&PUBLIC.replace("ED25519 PUBLIC KEY", label)).is_ok(), "{label}");
    }
    // Version 2, with the public key in it, as dalek and OpenSSL 3 can write it.
    let v2 = ed25519_dalek::SigningKey::from_bytes(&[7; 32]).to_pkcs8_der().unwrap();
    assert_eq!(v2.as_bytes().len(), 83);
    let read = SigningKey::from_pem(&block("PRIVATE KEY", v2.as_bytes())).unwrap();
    assert!(read.verifying_key().verifies(b"x", &read.sign(b"x")));
    // The same with another public key in it.
    let mut forged = v2.as_bytes().to_vec();
    *forged.last_mut().unwrap() ^= 1;
    let forged = SigningKey::from_pem(&block("PRIVATE KEY", &forged)).unwrap_err();
    assert_eq!(forged, KeyError::Content(Half::Private));
}

#[test]
fn the_fault_of_a_stored_key_is_named() {
    use KeyError::{Algorithm, Blocks, Content, OtherHalf, Pem};
    let private = |text: &str| SigningKey::from_pem(text).unwrap_err();
    let public = |text: &str| VerifyingKey::from_pem(text).unwrap_err();
    // The content of the Secret in Deckhouse's own test.
    assert_eq!(private("bbb"), Pem(Half::Private, PemError::NoBlock));
    assert_eq!(public("aaa"), Pem(Half::Public, PemError::NoBlock));
    assert_eq!(private(&PRIVATE[..90]), Pem(Half::Private, PemError::Unterminated));
    assert_eq!(private(&format!("{PRIVATE}{PRIVATE}")), Blocks(Half::Private, 2));
    assert_eq!(public(&format!("{PUBLIC}{PRIVATE}")), Blocks(Half::Public, 2));
    assert_eq!(private(PUBLIC), OtherHalf(Half::Private));
    assert_eq!(public(PRIVATE), OtherHalf(Half::Public));
    assert_eq!(private(PRIVATE_P256), Algorithm(Half::Private));
    assert_eq!(public(PUBLIC_P256), Algorithm(Half::Public));
    assert_eq!(private(&block("PRIVATE KEY", b"no key")), Content(Half::Private));
    assert_eq!(public(&block("PUBLIC KEY", b"no key")), Content(Half::Public));
    assert_eq!(public(&format!("{}{PUBLIC}", "#".repeat(5000))), Pem(Half::Public, PemError::TooLong(4096)));
    let other = SigningKey::generate().unwrap().to_pem().public;
    let error = SigningKey::from_pem_pair(PRIVATE, &other).unwrap_err();
    assert_eq!(error, StoredKeyError(KeyError::Mismatch));
    assert_eq!(
        error.to_string(),
        "the private and the public key belong to different pairs. Restore both halves from a backup, or delete the Secret \
         d8-remote-authn-keypair: then a new pair is generated, and peers accept it as soon as they have read it"
    );
}

#[test]
fn weak_keys_are_refused() {
    let spki = |key: [u8; 32]| {
        let mut der = content(PUBLIC);
        der[12..].copy_from_slice(&key);
        block("PUBLIC KEY", &der)
    };
    let with = |first: u8, rest: u8, last: u8| {
        let mut key = [rest; 32];
        (key[0], key[31]) = (first, last);
        key
    };
    // Points of order 4, 1 and 2; the first in its other spelling; then a fine point in a second spelling (y + p).
    for weak in [with(0, 0, 0), with(1, 0, 0), with(0xec, 0xff, 0x7f), with(0xed, 0xff, 0x7f), with(0xf0, 0xff, 0x7f)] {
        assert_eq!(VerifyingKey::from_pem(&spki(weak)), Err(KeyError::Weak), "{weak:?}");
    }
    // Not on the curve.
    assert_eq!(VerifyingKey::from_pem(&spki(with(2, 0, 0))), Err(KeyError::Content(Half::Public)));
}

#[test]
fn no_half_of_a_private_key_is_ever_shown() {
    let key = rfc_key();
    let secret = PRIVATE.lines().nth(1).unwrap();
    let shown = format!("{key:?} {:?} {:?}", key.to_pem(), key.verifying_key());
    assert!(shown.contains("d75a9801"), "{shown}");
    for piece in [&secret[22..], "9d61b19d", "157, 97"] {
        assert!(!shown.contains(piece), "{shown}");
    }
    // Damaged at any place, it is not quoted in an error either.
    for cut in 0..PRIVATE.len() {
        for damage in ["", "\n\n", "*", "-----BEGIN "] {
            let damaged = format!("{}{damage}{}", &PRIVATE[..cut], &PRIVATE[(cut + 1).min(PRIVATE.len())..]);
            if let Err(error) = SigningKey::from_pem(&damaged) {
                let text = format!("{error} {error:?}");
                assert!(!secret.as_bytes().windows(8).any(|part| text.as_bytes().windows(8).any(|at| at == part)));
            }
        }
    }
}
