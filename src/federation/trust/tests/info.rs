//! The members that other rooms read from a certificate, compared with an independent parser.

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, KeyPair, KeyUsagePurpose, SanType};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::{maker, testdata};
use crate::federation::trust::{CertificateInfo, KeyNumbers};

fn made(algorithm: &'static rcgen::SignatureAlgorithm, change: impl FnOnce(&mut CertificateParams)) -> Vec<u8> {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "server");
    change(&mut params);
    params.self_signed(&KeyPair::generate_for(algorithm).unwrap()).unwrap().der().to_vec()
}

/// Reads it, and compares with an independent parser.
fn read(der: &[u8]) -> CertificateInfo {
    let info = CertificateInfo::read(der).unwrap();
    let (_, other) = X509Certificate::from_der(der).unwrap();
    assert_eq!(
        (info.not_before, info.not_after),
        (other.validity().not_before.timestamp(), other.validity().not_after.timestamp())
    );
    assert_eq!(info.is_ca, other.is_ca());
    assert_eq!(info.is_self_issued, other.subject().as_raw() == other.issuer().as_raw());
    info
}

#[test]
fn a_server_names_its_hosts() {
    let info = read(&made(&rcgen::PKCS_ECDSA_P256_SHA256, |params| {
        params.subject_alt_names = vec![
            SanType::DnsName("b.example".try_into().unwrap()),
            SanType::URI("spiffe://b/x".try_into().unwrap()),
            SanType::IpAddress("203.0.113.7".parse().unwrap()),
            SanType::IpAddress("2001:db8::7".parse().unwrap()),
        ];
    }));
    assert_eq!(info.hosts, ["b.example", "203.0.113.7", "2001:db8::7"]);
    assert!(!info.is_ca && info.may_sign && info.is_self_issued);
}

#[test]
fn the_right_to_sign_is_read_from_both_extensions() {
    let ca = |usages: Vec<KeyUsagePurpose>| {
        read(&made(&rcgen::PKCS_ECDSA_P384_SHA384, |params| {
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            params.key_usages = usages;
        }))
    };
    for (usages, may_sign) in
        [(vec![], true), (vec![KeyUsagePurpose::KeyCertSign], true), (vec![KeyUsagePurpose::DigitalSignature], false)]
    {
        let info = ca(usages);
        assert_eq!((info.is_ca, info.may_sign), (true, may_sign));
    }
}

#[test]
fn keys_are_numbers() {
    let length = |der: &[u8]| match read(der).key {
        Some(KeyNumbers::Rsa { modulus, exponent }) => (modulus.len(), exponent.len()),
        Some(KeyNumbers::Ec { x, y, .. }) => (x.len(), y.len()),
        None => (0, 0),
    };
    assert_eq!(length(&testdata!("rsa-2048")), (256, 3));
    assert_eq!(length(&made(&rcgen::PKCS_ECDSA_P256_SHA256, |_| {})), (32, 32));
    assert_eq!(length(&made(&rcgen::PKCS_ECDSA_P384_SHA384, |_| {})), (48, 48));
    assert_eq!(length(&made(&rcgen::PKCS_ED25519, |_| {})), (0, 0));
}

#[test]
fn input_that_is_not_a_certificate_is_an_error() {
    let ca = maker::Ca::root("root").der;
    assert!(CertificateInfo::read(&ca).is_ok());
    for der in [&b""[..], b"junk", &ca[..ca.len() - 1], &[ca.clone(), vec![0]].concat()] {
        let error = CertificateInfo::read(der).unwrap_err().to_string();
        assert!(error.starts_with("not an X.509 certificate in DER: "), "{error}");
    }
}
