//! Certificates of our own mesh, read from PEM before they are published.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use pem::{EncodeConfig, LineEnding, Pem};
use thiserror::Error;
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::public_key::{ECPoint, PublicKey, RSAPublicKey};

use crate::api::metadata::Jwk;

/// Most bytes of a PEM text: three roots of 4096 bits take 8 KiB.
const TEXT_LIMIT: usize = 1 << 20;
/// OID of NIST P-256.
const P256: &str = "1.2.840.10045.3.1.7";
/// OID of NIST P-384.
const P384: &str = "1.3.132.0.34";

/// A certificate that may sign others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaCertificate {
    /// The certificate.
    pub der: Vec<u8>,
    /// Start of its validity, seconds since 1970.
    pub not_before: i64,
    /// Whether subject and issuer are the same.
    pub is_self_issued: bool,
    /// Its key as JWK without `use` and `x5c`; `None` for what is neither RSA nor EC on P-256 or P-384.
    pub key: Option<Jwk>,
}

/// Why a PEM text is not a list of certificates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum CertificateError {
    /// No block at all.
    #[error("it holds no PEM block")]
    Empty,
    /// More than any list of roots has.
    #[error("it is longer than {TEXT_LIMIT} bytes")]
    TooLong,
    /// A block is cut off or its base64 is broken.
    #[error("a PEM block is damaged: it does not end, or is not base64")]
    Damaged,
    /// A private key, for instance.
    #[error("PEM block {0} is not a CERTIFICATE")]
    NotCertificate(usize),
    /// Not X.509.
    #[error("PEM block {0} is not an X.509 certificate")]
    NotX509(usize),
    /// A leaf, for instance.
    #[error("certificate {0} is not one of a CA (basicConstraints CA:TRUE)")]
    NotCa(usize),
}

/// Reads a list of CA certificates, each once, in their order. The first block has number 1.
pub fn read_cas(text: &str) -> Result<Vec<CaCertificate>, CertificateError> {
    let mut found = Vec::new();
    for (number, der) in blocks(text)? {
        match read(number, der)? {
            Some(certificate) if found.contains(&certificate) => {}
            Some(certificate) => found.push(certificate),
            None => return Err(CertificateError::NotCa(number)),
        }
    }
    Ok(found)
}

/// Reads the intermediates of a chain: its CA certificates that another one issued. Leaves and roots are left out.
pub fn read_intermediates(text: &str) -> Result<Vec<CaCertificate>, CertificateError> {
    let mut found = Vec::new();
    for (number, der) in blocks(text)? {
        found.extend(read(number, der)?.filter(|certificate| !certificate.is_self_issued));
    }
    Ok(found)
}

/// Writes certificates as PEM: nothing around the blocks, lines of 64 characters that end with LF.
#[must_use]
pub fn to_pem(certificates: &[CaCertificate]) -> String {
    let config = EncodeConfig::new().set_line_ending(LineEnding::LF);
    let blocks: Vec<_> = certificates.iter().map(|c| Pem::new("CERTIFICATE", c.der.clone())).collect();
    blocks.iter().map(|block| pem::encode_config(block, config)).collect()
}

fn blocks(text: &str) -> Result<Vec<(usize, Vec<u8>)>, CertificateError> {
    if text.len() > TEXT_LIMIT {
        return Err(CertificateError::TooLong);
    }
    let begun = text.matches("-----BEGIN ").count();
    let blocks = pem::parse_many(text).map_err(|_| CertificateError::Damaged)?;
    // The parser passes over a block that does not end.
    if blocks.len() != begun {
        return Err(CertificateError::Damaged);
    }
    if blocks.is_empty() {
        return Err(CertificateError::Empty);
    }
    let numbered = blocks.into_iter().zip(1..).map(|(block, number)| match block.tag() {
        "CERTIFICATE" => Ok((number, block.into_contents())),
        _ => Err(CertificateError::NotCertificate(number)),
    });
    numbered.collect()
}

fn read(number: usize, der: Vec<u8>) -> Result<Option<CaCertificate>, CertificateError> {
    let broken = CertificateError::NotX509(number);
    let (rest, certificate) = X509Certificate::from_der(&der).map_err(|_| broken)?;
    if !rest.is_empty() {
        return Err(broken);
    }
    let is_ca = certificate.basic_constraints().map_err(|_| broken)?.is_some_and(|extension| extension.value.ca);
    let read = CaCertificate {
        not_before: certificate.validity().not_before.timestamp(),
        is_self_issued: certificate.subject().as_raw() == certificate.issuer().as_raw(),
        key: jwk(&certificate),
        der: Vec::new(),
    };
    Ok(is_ca.then_some(CaCertificate { der, ..read }))
}

fn jwk(certificate: &X509Certificate<'_>) -> Option<Jwk> {
    let info = certificate.public_key();
    match info.parsed().ok()? {
        PublicKey::RSA(key) => rsa(&key),
        PublicKey::EC(point) => {
            let curve = info.algorithm.parameters.as_ref()?.as_oid().ok()?.to_id_string();
            ec(&curve, &point)
        }
        _ => None,
    }
}

fn rsa(key: &RSAPublicKey<'_>) -> Option<Jwk> {
    // JWK numbers have no leading zeros, DER ones may.
    let number = |bytes: &[u8]| {
        let start = bytes.iter().position(|&byte| byte != 0)?;
        Some(URL_SAFE_NO_PAD.encode(&bytes[start..]))
    };
    Some(Jwk { kty: "RSA".to_owned(), n: Some(number(key.modulus)?), e: Some(number(key.exponent)?), ..Jwk::default() })
}

fn ec(curve: &str, point: &ECPoint<'_>) -> Option<Jwk> {
    let (name, size) = match curve {
        P256 => ("P-256", 32),
        P384 => ("P-384", 48),
        _ => return None,
    };
    let coordinates = point.data().strip_prefix(&[4])?;
    if coordinates.len() != 2 * size {
        return None;
    }
    let (x, y) = coordinates.split_at(size);
    Some(Jwk {
        kty: "EC".to_owned(),
        crv: Some(name.to_owned()),
        x: Some(URL_SAFE_NO_PAD.encode(x)),
        y: Some(URL_SAFE_NO_PAD.encode(y)),
        ..Jwk::default()
    })
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
        assert!(read.iter().all(|root| root.is_self_issued));
        assert_eq!(read[0].not_before, 1_577_836_800);
    }

    #[test]
    fn what_is_not_a_ca_is_told_by_its_number() {
        let ca = Authority::root_from("one", 2020);
        let with = |other: &str| read_cas(&format!("{}{other}", ca.pem())).unwrap_err();
        assert_eq!(read_cas(""), Err(CertificateError::Empty));
        assert_eq!(read_cas("not PEM"), Err(CertificateError::Empty));
        assert_eq!(with(&CertifiedKey::self_signed(&server_for(&["leaf.example"])).pem), CertificateError::NotCa(2));
        assert_eq!(
            with("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"),
            CertificateError::NotCertificate(2)
        );
        assert_eq!(
            with("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
            CertificateError::NotX509(2)
        );
        assert_eq!(with("-----BEGIN CERTIFICATE-----\nAAA*\n-----END CERTIFICATE-----\n"), CertificateError::Damaged);
        assert_eq!(read_cas(&ca.pem()[..ca.pem().len() - 40]), Err(CertificateError::Damaged));
        assert_eq!(with(&ca.pem()[..100]), CertificateError::Damaged);
        assert_eq!(read_cas(&"x".repeat(TEXT_LIMIT + 1)), Err(CertificateError::TooLong));
        let mut der = pem::parse(&ca.pem()).unwrap().into_contents();
        der.push(0);
        assert_eq!(read_cas(&pem::encode(&Pem::new("CERTIFICATE", der))), Err(CertificateError::NotX509(1)));
    }

    #[test]
    fn intermediates_are_cas_that_another_issued() {
        let root = Authority::root_from("root", 2020);
        let intermediate = root.intermediate("intermediate");
        let chain = format!(
            "{}{}{}",
            CertifiedKey::self_signed(&server_for(&["leaf.example"])).pem,
            intermediate.pem(),
            root.pem()
        );
        let read = read_intermediates(&chain).unwrap();
        assert_eq!(to_pem(&read), intermediate.pem().replace("\r\n", "\n"));
    }

    #[test]
    fn keys_are_told_as_jwk() {
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
