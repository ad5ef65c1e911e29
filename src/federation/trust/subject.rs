//! Names in certificates: which subjects are admitted, how they are re-encoded, and when two names are equal.

use std::fmt::Write as _;

use der::asn1::{Any, SetOfVec};
use der::oid::ObjectIdentifier;
use der::oid::db::rfc4519;
use der::{Encode, Tag, Tagged};
use x509_cert::attr::AttributeTypeAndValue;
use x509_cert::name::Name;

use super::refusal::RefusalReason;

/// Most bytes of a subject (DER).
const SUBJECT_LIMIT: usize = 256;

/// The accepted attributes of a subject: those that CAs for meshes use.
const KNOWN: [ObjectIdentifier; 7] = [
    rfc4519::COMMON_NAME,
    rfc4519::ORGANIZATION_NAME,
    rfc4519::ORGANIZATIONAL_UNIT_NAME,
    rfc4519::COUNTRY_NAME,
    rfc4519::ST,
    rfc4519::LOCALITY_NAME,
    rfc4519::SERIAL_NUMBER,
];

/// A subject that every verifier in the mesh reads the same way, re-encoded.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Subject {
    /// Name in DER. String types do not change: Go compares names byte by byte.
    der: Vec<u8>,
    canonical: CanonicalName,
}

impl Subject {
    /// Admits a subject, or returns why not.
    ///
    /// Envoy drops the whole list of anchors over a noncharacter in one name, Go (and istiod with it) over a `_` in a
    /// `PrintableString` or an INTEGER as a value. Hence only known attributes are accepted, one in each part, in the two
    /// string types that every verifier reads, each checked here. The exception is domainComponent, which roots of Active
    /// Directory have and which is an `IA5String` by definition (RFC 4519): accepted with characters of a DNS label only.
    pub(super) fn admit(name: &Name) -> Result<Self, RefusalReason> {
        let parts = name
            .iter_rdn()
            .map(|rdn| {
                let mut attributes = rdn.iter();
                match (attributes.next(), attributes.next()) {
                    (Some(attribute), None) => part(attribute),
                    _ => Err(RefusalReason::Subject("has several attributes in one part")),
                }
            })
            .collect::<Result<Vec<_>, _>>()?;
        if parts.is_empty() {
            return Err(RefusalReason::Subject("is empty"));
        }
        let der = parts.to_der()?;
        if der.len() > SUBJECT_LIMIT {
            return Err(RefusalReason::Subject("has more than 256 bytes"));
        }
        Ok(Self { der, canonical: CanonicalName::of(name) })
    }

    /// The name in DER.
    pub(super) fn der(&self) -> &[u8] {
        &self.der
    }

    /// The form that verifiers compare.
    pub(super) fn canonical(&self) -> &CanonicalName {
        &self.canonical
    }
}

fn part(attribute: &AttributeTypeAndValue) -> Result<SetOfVec<AttributeTypeAndValue>, RefusalReason> {
    let (oid, value) = (attribute.oid, attribute.value.value());
    let text = std::str::from_utf8(value).map_err(|_| RefusalReason::Subject("has a string that is not UTF-8"))?;
    let readable = match attribute.value.tag() {
        Tag::Ia5String if oid == rfc4519::DOMAIN_COMPONENT => {
            text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        }
        _ if oid == rfc4519::DOMAIN_COMPONENT => {
            return Err(RefusalReason::Subject("has a domainComponent that is not an IA5String"));
        }
        _ if !KNOWN.contains(&oid) => {
            return Err(RefusalReason::Subject("has an attribute other than CN, O, OU, C, ST, L, serialNumber and DC"));
        }
        Tag::PrintableString => text.bytes().all(is_printable_string),
        Tag::Utf8String => text.chars().all(is_plain),
        _ => return Err(RefusalReason::Subject("has a value that is neither PrintableString nor UTF8String")),
    };
    if text.is_empty() {
        return Err(RefusalReason::Subject("has an empty attribute"));
    }
    if !readable {
        return Err(RefusalReason::Subject(
            "has a character that its string type does not allow, or a control character",
        ));
    }
    let value = Any::new(attribute.value.tag(), value)?;
    Ok(SetOfVec::from_iter([AttributeTypeAndValue { oid, value }])?)
}

/// The characters of a `PrintableString` (X.680, 41.4).
fn is_printable_string(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b" '()+,-./:=?".contains(&byte)
}

/// A character that every verifier accepts in a `UTF8String`: no control character, no noncharacter, no byte-order mark.
fn is_plain(c: char) -> bool {
    let code = u32::from(c);
    let noncharacter = code & 0xfffe == 0xfffe || (0xfdd0..=0xfdef).contains(&code);
    !c.is_control() && !noncharacter && c != '\u{feff}'
}

/// A name as verifiers compare it, slightly coarser: case-insensitive, runs of white space as one space, any string type.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct CanonicalName(Vec<Vec<(ObjectIdentifier, String)>>);

impl CanonicalName {
    /// The canonical form of any name, admitted or not.
    pub(super) fn of(name: &Name) -> Self {
        Self(
            name.iter_rdn()
                .map(|rdn| {
                    let mut attributes: Vec<_> =
                        rdn.iter().map(|attribute| (attribute.oid, fold(&attribute.value))).collect();
                    attributes.sort();
                    attributes
                })
                .collect(),
        )
    }
}

fn fold(value: &Any) -> String {
    let bytes = value.value();
    let text = match value.tag() {
        Tag::Utf8String | Tag::PrintableString | Tag::Ia5String | Tag::VisibleString | Tag::NumericString => {
            String::from_utf8_lossy(bytes).into_owned()
        }
        Tag::TeletexString => bytes.iter().copied().map(char::from).collect(),
        Tag::BmpString => {
            let units: Vec<u16> =
                bytes.chunks(2).map(|unit| unit.iter().fold(0, |sum, &byte| sum << 8 | u16::from(byte))).collect();
            String::from_utf16_lossy(&units)
        }
        _ => bytes.iter().fold("#".to_owned(), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        }),
    };
    text.to_lowercase().split_whitespace().collect::<Vec<_>>().join(" ")
}
