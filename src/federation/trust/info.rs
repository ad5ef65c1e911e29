//! Unverified members of a certificate, for rooms that show or publish certificates but admit none.

use std::net::{Ipv4Addr, Ipv6Addr};

use der::Decode as _;
use der::oid::ObjectIdentifier;
use der::oid::db::rfc5280::{ID_CE_BASIC_CONSTRAINTS, ID_CE_KEY_USAGE, ID_CE_SUBJECT_ALT_NAME};
use der::oid::db::rfc5912::{ID_EC_PUBLIC_KEY, RSA_ENCRYPTION, SECP_256_R_1, SECP_384_R_1};
use spki::SubjectPublicKeyInfoOwned;
use thiserror::Error;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{BasicConstraints, KeyUsage, SubjectAltName};
use x509_cert::time::{Time, Validity};

use super::key::RsaPublicKey;
use super::structure::{Certificate, Tbs, value};

/// The members of a certificate that we show or publish. Nothing is verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateInfo {
    /// Basic constraints with CA:TRUE.
    pub is_ca: bool,
    /// Its key usage allows certificate signing, or it has none (RFC 5280, 4.2.1.3).
    pub may_sign: bool,
    /// Subject and issuer are the same, byte by byte.
    pub is_self_issued: bool,
    /// Start of validity, seconds since 1970.
    pub not_before: i64,
    /// End of validity, seconds since 1970.
    pub not_after: i64,
    /// Its key; `None` for any other than RSA and EC on P-256 or P-384.
    pub key: Option<KeyNumbers>,
    /// DNS names and addresses of the subject alternative name, in their order. Foreign text.
    pub hosts: Vec<String>,
}

/// The numbers of a public key, big-endian.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyNumbers {
    /// RSA, without leading zeros.
    Rsa {
        modulus: Vec<u8>,
        /// Public exponent.
        exponent: Vec<u8>,
    },
    /// A point; both coordinates have the length of the curve's field.
    Ec {
        /// `P-256` or `P-384`.
        curve: &'static str,
        /// First coordinate.
        x: Vec<u8>,
        /// Second coordinate.
        y: Vec<u8>,
    },
}

/// Not an X.509 certificate in DER.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("not an X.509 certificate in DER: {0}")]
pub struct NotACertificate(String);

impl From<der::Error> for NotACertificate {
    fn from(error: der::Error) -> Self {
        Self(error.to_string())
    }
}

impl CertificateInfo {
    /// Reads one certificate in DER, of any version and for any use.
    pub fn read(der: &[u8]) -> Result<Self, NotACertificate> {
        let certificate = Certificate::from_der(der)?;
        let tbs = Tbs::read(&certificate)?;
        let validity: Validity = tbs.validity.decode_as()?;
        let seconds = |time: Time| i64::try_from(time.to_unix_duration().as_secs()).unwrap_or(i64::MAX);
        let mut info = Self {
            is_ca: false,
            may_sign: true,
            is_self_issued: tbs.subject == tbs.issuer,
            not_before: seconds(validity.not_before),
            not_after: seconds(validity.not_after),
            key: numbers(&tbs.key),
            hosts: Vec::new(),
        };
        for extension in tbs.extensions() {
            match extension.extn_id {
                ID_CE_BASIC_CONSTRAINTS => info.is_ca = value::<BasicConstraints>(extension)?.ca,
                ID_CE_KEY_USAGE => info.may_sign = value::<KeyUsage>(extension)?.key_cert_sign(),
                // One kind of name that is not understood makes the extension unreadable, but not the certificate.
                ID_CE_SUBJECT_ALT_NAME => {
                    let names = value::<SubjectAltName>(extension).map(|names| names.0).unwrap_or_default();
                    info.hosts.extend(names.iter().filter_map(host));
                }
                _ => {}
            }
        }
        Ok(info)
    }
}

fn host(name: &GeneralName) -> Option<String> {
    match name {
        GeneralName::DnsName(name) => Some(name.to_string()),
        GeneralName::IpAddress(address) => {
            let bytes = address.as_bytes();
            let v4 = <[u8; 4]>::try_from(bytes).map(|bytes| Ipv4Addr::from(bytes).to_string());
            v4.or_else(|_| <[u8; 16]>::try_from(bytes).map(|bytes| Ipv6Addr::from(bytes).to_string())).ok()
        }
        _ => None,
    }
}

fn numbers(info: &SubjectPublicKeyInfoOwned) -> Option<KeyNumbers> {
    let bits = info.subject_public_key.as_bytes()?;
    match info.algorithm.oid {
        RSA_ENCRYPTION => {
            let key = RsaPublicKey::from_der(bits).ok()?;
            let (modulus, exponent) = (key.modulus.as_bytes().to_vec(), key.exponent.as_bytes().to_vec());
            Some(KeyNumbers::Rsa { modulus, exponent })
        }
        ID_EC_PUBLIC_KEY => {
            let (curve, size) = match info.algorithm.parameters.as_ref()?.decode_as::<ObjectIdentifier>().ok()? {
                SECP_256_R_1 => ("P-256", 32),
                SECP_384_R_1 => ("P-384", 48),
                _ => return None,
            };
            let point = bits.strip_prefix(&[4]).filter(|point| point.len() == 2 * size)?;
            let (x, y) = point.split_at(size);
            Some(KeyNumbers::Ec { curve, x: x.to_vec(), y: y.to_vec() })
        }
        _ => None,
    }
}
