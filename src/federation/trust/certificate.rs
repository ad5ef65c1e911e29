//! A CA certificate of a peer: read, and judged by everything except its issuer.

use std::collections::BTreeSet;

use der::asn1::OctetString;
use der::oid::db::rfc5280::{
    ANY_EXTENDED_KEY_USAGE, ID_CE_BASIC_CONSTRAINTS, ID_CE_EXT_KEY_USAGE, ID_CE_KEY_USAGE, ID_CE_NAME_CONSTRAINTS,
    ID_CE_SUBJECT_ALT_NAME, ID_CE_SUBJECT_KEY_IDENTIFIER, ID_KP_CLIENT_AUTH, ID_KP_SERVER_AUTH,
};
use der::{Decode, Tag, Tagged};
use jiff::Timestamp;
use x509_cert::Version;
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::{BasicConstraints, ExtendedKeyUsage, KeyUsage};
use x509_cert::name::Name;
use x509_cert::time::{Time, Validity};

use super::key::PublicKey;
use super::refusal::RefusalReason;
use super::signature::Signed;
use super::structure::{Certificate, Tbs, value};
use super::subject::{CanonicalName, Subject};

/// Most bytes of a serial number (RFC 5280, 4.1.2.2).
const SERIAL_LIMIT: usize = 20;

/// A CA certificate that can be rebuilt. Its issuer is not judged yet.
#[derive(Clone, Debug)]
pub(super) struct CaCertificate {
    /// As it was published.
    pub(super) der: Vec<u8>,
    pub(super) subject: Subject,
    /// Its issuer's name.
    pub(super) issuer: CanonicalName,
    pub(super) key: PublicKey,
    /// The identifier by which certificates that it signs refer to its key.
    pub(super) key_identifier: Vec<u8>,
    /// Whether it carries that identifier, so that the certificates it signs refer to it.
    pub(super) names_its_key: bool,
    /// Its serial number, if RFC 5280 allows it: the content of the INTEGER.
    pub(super) serial: Option<Vec<u8>>,
    /// Start of validity, seconds since 1970.
    pub(super) not_before: u64,
    /// End of validity, seconds since 1970.
    pub(super) not_after: u64,
    /// How many CAs may follow below it.
    pub(super) path_length: Option<u8>,
    /// Its signature.
    pub(super) signed: Signed,
}

/// The subject of a certificate for messages, as far as it can be read.
pub(super) fn subject_text(der: &[u8]) -> Option<String> {
    let certificate = Certificate::from_der(der).ok()?;
    let name: Name = Tbs::read(&certificate).ok()?.subject.decode_as().ok()?;
    (!name.is_empty()).then(|| name.to_string())
}

impl CaCertificate {
    /// Reads one certificate.
    pub(super) fn read(der: &[u8]) -> Result<Self, RefusalReason> {
        let certificate = Certificate::from_der(der)?;
        let tbs = Tbs::read(&certificate)?;
        if tbs.version != Version::V3 {
            return Err(RefusalReason::Version);
        }
        let extensions = Extensions::judge(tbs.extensions())?;
        let key = PublicKey::admit(&tbs.key)?;
        let names_its_key = extensions.key_identifier.is_some();
        let key_identifier = match extensions.key_identifier {
            Some(identifier) if key.derives(&identifier)? => identifier,
            Some(_) => return Err(RefusalReason::KeyIdentifier),
            None => key.identifier(),
        };
        let (not_before, not_after) = validity(&tbs)?;
        Ok(Self {
            der: der.to_vec(),
            subject: Subject::admit(&tbs.subject.decode_as()?)?,
            issuer: CanonicalName::of(&tbs.issuer.decode_as()?),
            key,
            key_identifier,
            names_its_key,
            serial: serial(&tbs),
            not_before,
            not_after,
            path_length: extensions.path_length,
            signed: Signed::read(&certificate, &tbs)?,
        })
    }

    /// Whether it names itself as its issuer.
    pub(super) fn is_self_issued(&self) -> bool {
        self.issuer == *self.subject.canonical()
    }

    /// Whether it is valid at `now`. Checked once, at admission: an anchor is not removed because it expires.
    pub(super) fn judge_validity(&self, now: Timestamp) -> Result<(), RefusalReason> {
        let seconds = u64::try_from(now.as_second()).unwrap_or(0);
        let date = |at: u64| {
            let shown = i64::try_from(at).ok().and_then(|at| Timestamp::from_second(at).ok());
            shown.map_or_else(|| at.to_string(), |at| at.to_string())
        };
        if seconds > self.not_after {
            return Err(RefusalReason::Expired(date(self.not_after)));
        }
        if seconds < self.not_before {
            return Err(RefusalReason::NotYetValid(date(self.not_before)));
        }
        Ok(())
    }
}

fn validity(tbs: &Tbs<'_>) -> Result<(u64, u64), RefusalReason> {
    let validity: Validity = tbs.validity.decode_as().map_err(|_| RefusalReason::Validity)?;
    let seconds = |time: Time| time.to_unix_duration().as_secs();
    let (begin, end) = (seconds(validity.not_before), seconds(validity.not_after));
    if begin > end { Err(RefusalReason::Validity) } else { Ok((begin, end)) }
}

/// The serial number, if it is positive, at most 20 bytes long and in DER.
fn serial(tbs: &Tbs<'_>) -> Option<Vec<u8>> {
    let bytes = tbs.serial.value();
    let positive = match bytes {
        [0, second, ..] => *second >= 0x80,
        [first, ..] => (1..0x80).contains(first),
        [] => false,
    };
    (tbs.serial.tag() == Tag::Integer && positive && bytes.len() <= SERIAL_LIMIT).then(|| bytes.to_vec())
}

/// The extensions that matter.
#[derive(Default)]
struct Extensions {
    is_ca: bool,
    path_length: Option<u8>,
    key_identifier: Option<Vec<u8>>,
}

impl Extensions {
    /// Judges the extensions. An anchor never allows more than the certificate: an extension that limits the certificate
    /// and would be lost (name constraints, other critical extensions, a narrow extended key usage) is refused.
    fn judge(extensions: &[Extension]) -> Result<Self, RefusalReason> {
        let mut judged = Self::default();
        let mut seen = BTreeSet::new();
        for extension in extensions {
            if !seen.insert(extension.extn_id) {
                return Err(RefusalReason::RepeatedExtension(extension.extn_id.to_string()));
            }
            judged.take(extension)?;
        }
        if judged.is_ca { Ok(judged) } else { Err(RefusalReason::NotCa) }
    }

    fn take(&mut self, extension: &Extension) -> Result<(), RefusalReason> {
        match extension.extn_id {
            ID_CE_BASIC_CONSTRAINTS => {
                let constraints: BasicConstraints = value(extension)?;
                self.is_ca = constraints.ca;
                self.path_length = constraints.path_len_constraint;
            }
            ID_CE_KEY_USAGE => {
                let usage: KeyUsage = value(extension)?;
                usage.key_cert_sign().then_some(()).ok_or(RefusalReason::KeyUsage)?;
            }
            ID_CE_EXT_KEY_USAGE => {
                let ExtendedKeyUsage(usages) = value(extension)?;
                let mutual = [ID_KP_SERVER_AUTH, ID_KP_CLIENT_AUTH].iter().all(|usage| usages.contains(usage));
                if !mutual && !usages.contains(&ANY_EXTENDED_KEY_USAGE) {
                    return Err(RefusalReason::ExtendedKeyUsage);
                }
            }
            ID_CE_SUBJECT_KEY_IDENTIFIER => {
                self.key_identifier = Some(value::<OctetString>(extension)?.into_bytes().into());
            }
            ID_CE_NAME_CONSTRAINTS => return Err(RefusalReason::NameConstraints),
            // More names of the CA. They limit nothing, and an anchor has none.
            ID_CE_SUBJECT_ALT_NAME => {}
            other if extension.critical => return Err(RefusalReason::CriticalExtension(other.to_string())),
            _ => {}
        }
        Ok(())
    }
}
