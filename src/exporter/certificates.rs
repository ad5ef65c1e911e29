//! Reads the CA certificates of our own mesh from PEM before they are published.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use thiserror::Error;

use crate::api::metadata::Jwk;
use crate::federation::pem::{self, Limits, PemError};
use crate::federation::trust::{CertificateInfo, KeyNumbers, NotACertificate};

/// Three roots of 4096 bits take 8 KiB.
const LIMITS: Limits = Limits { bytes: 1 << 20, blocks: 1000 };

/// A CA certificate of our mesh, as it is sent to peers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PublishedCa {
    pub(super) der: Vec<u8>,
    /// Start of its validity, seconds since 1970.
    pub(super) not_before: i64,
    /// Its key as JWK without `use` and `x5c`; `None` for any other than RSA and EC on P-256 or P-384.
    pub(super) key: Option<Jwk>,
}

/// Why a PEM text is not a list of CA certificates. Blocks are counted from 1.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(super) enum CertificateError {
    #[error("block {0}: {1}")]
    Pem(usize, PemError),
    #[error("block {0}: {1}")]
    NotX509(usize, NotACertificate),
    #[error("certificate {0} is not a CA certificate (basicConstraints CA:TRUE)")]
    NotCa(usize),
}

/// Reads a list of CA certificates, each once, in their order.
pub(super) fn read_cas(text: &str) -> Result<Vec<PublishedCa>, CertificateError> {
    let mut found = Vec::new();
    for (number, der) in (1..).zip(pem::certificates(text, LIMITS)) {
        let der = der.map_err(|error| CertificateError::Pem(number, error))?;
        let info = CertificateInfo::read(&der).map_err(|error| CertificateError::NotX509(number, error))?;
        if !info.is_ca {
            return Err(CertificateError::NotCa(number));
        }
        let ca = PublishedCa { der, not_before: info.not_before, key: info.key.map(jwk) };
        if !found.contains(&ca) {
            found.push(ca);
        }
    }
    Ok(found)
}

/// Writes certificates as PEM: nothing around the blocks, lines of 64 characters that end with LF.
pub(super) fn to_pem(certificates: &[PublishedCa]) -> String {
    certificates.iter().map(|certificate| pem::encode_certificate(&certificate.der)).collect()
}

fn jwk(key: KeyNumbers) -> Jwk {
    let number = |bytes: Vec<u8>| Some(URL_SAFE_NO_PAD.encode(bytes));
    match key {
        KeyNumbers::Rsa { modulus, exponent } => {
            Jwk { kty: "RSA".to_owned(), n: number(modulus), e: number(exponent), ..Jwk::default() }
        }
        KeyNumbers::Ec { curve, x, y } => {
            let crv = Some(curve.to_owned());
            Jwk { kty: "EC".to_owned(), crv, x: number(x), y: number(y), ..Jwk::default() }
        }
    }
}

#[cfg(test)]
mod tests {
    use istio_federation_testkit::{Authority, CertifiedKey, RSA_ROOT_PEM, server_for};
    use rcgen::{PKCS_ECDSA_P384_SHA384, PKCS_ED25519};

    use super::*;

    #[test]
    fn every_root_is_read_once_and_written_plainly() {
        let (one, two) = (Authority::root_from("one", 2020), Authority::root_from("two", 2021));
        let noisy =
            format!("# our root\r\n{}\n\nsubject=two\n{}{}", one.pem().replace('\n', "\r\n"), two.pem(), one.pem());
        let read = read_cas(&noisy).unwrap();
        assert_eq!(read.len(), 2);
        let plain = to_pem(&read);
        assert_eq!(plain, format!("{}{}", one.pem().replace("\r\n", "\n"), two.pem().replace("\r\n", "\n")));
        assert_eq!(to_pem(&read_cas(&plain).unwrap()), plain);
        assert_eq!(read[0].not_before, 1_577_836_800);
    }

    #[test]
    fn a_refusal_names_the_block_or_certificate_by_number() {
        let ca = Authority::root("one").pem();
        let with = |other: &str| read_cas(&format!("{ca}{other}")).unwrap_err();
        let pem = |number, error| CertificateError::Pem(number, error);
        assert_eq!(read_cas(""), Err(pem(1, PemError::NoBlock)));
        assert_eq!(read_cas("not PEM"), Err(pem(1, PemError::NoBlock)));
        assert_eq!(with(&CertifiedKey::self_signed(&server_for(&["leaf.example"])).pem), CertificateError::NotCa(2));
        let key = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
        assert_eq!(with(key), pem(2, PemError::NotCertificate));
        let block = |content: &[u8]| pem::encode_certificate(content);
        assert!(matches!(with(&block(&[0, 0, 0])), CertificateError::NotX509(2, _)));
        assert_eq!(with(&block(&[0, 0, 0]).replace("AAAA", "AAA*")), pem(2, PemError::Base64));
        assert_eq!(read_cas(&ca[..ca.len() - 40]), Err(pem(1, PemError::Unterminated)));
        assert_eq!(with(&ca[..100]), pem(2, PemError::Unterminated));
        assert_eq!(read_cas(&"x".repeat(LIMITS.bytes + 1)), Err(pem(1, PemError::TooLong(LIMITS.bytes))));
        let mut der = Authority::root("one").der().to_vec();
        der.push(0);
        assert!(matches!(read_cas(&block(&der)), Err(CertificateError::NotX509(1, _))));
    }

    #[test]
    fn keys_become_jwk() {
        let rsa = read_cas(RSA_ROOT_PEM).unwrap().remove(0).key.unwrap();
        assert_eq!((rsa.kty.as_str(), rsa.e.as_deref()), ("RSA", Some("AQAB")));
        let modulus = URL_SAFE_NO_PAD.decode(rsa.n.unwrap()).unwrap();
        assert_eq!(modulus.len(), 256, "2048 bits without a leading zero");
        for (ca, crv, size) in [
            (Authority::root_from("a", 2020), "P-256", 32),
            (Authority::root_for("b", &PKCS_ECDSA_P384_SHA384), "P-384", 48),
        ] {
            let key = read_cas(&ca.pem()).unwrap().remove(0).key.unwrap();
            assert_eq!((key.kty.as_str(), key.crv.as_deref()), ("EC", Some(crv)));
            let point: Vec<u8> =
                [key.x, key.y].into_iter().flat_map(|c| URL_SAFE_NO_PAD.decode(c.unwrap()).unwrap()).collect();
            assert_eq!(point.len(), 2 * size);
            assert_eq!(point, ca.issuer().key().public_key_raw()[1..]);
        }
        assert_eq!(read_cas(&Authority::root_for("c", &PKCS_ED25519).pem()).unwrap()[0].key, None);
    }
}
