//! Names in certificates: which subjects are admitted and how they are written again, and when two names are one.

use std::fmt::Write as _;

use der::asn1::{Any, SetOfVec};
use der::oid::ObjectIdentifier;
use der::oid::db::rfc4519;
use der::{Encode, Tag, Tagged};
use x509_cert::attr::AttributeTypeAndValue;
use x509_cert::name::Name;

use super::fault::Fault;

/// Most bytes of a subject (DER).
const SUBJECT_LIMIT: usize = 256;

/// The attributes of a subject that are known: what CAs for meshes use.
const KNOWN: [ObjectIdentifier; 7] = [
    rfc4519::COMMON_NAME,
    rfc4519::ORGANIZATION_NAME,
    rfc4519::ORGANIZATIONAL_UNIT_NAME,
    rfc4519::COUNTRY_NAME,
    rfc4519::ST,
    rfc4519::LOCALITY_NAME,
    rfc4519::SERIAL_NUMBER,
];

/// A subject that every verifier in the mesh reads alike, re-encoded.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Subject {
    /// Name in DER. String types stay what they were: Go compares names byte by byte.
    der: Vec<u8>,
    canonical: CanonicalName,
}

impl Subject {
    /// Admits a subject, or says what is wrong with it.
    ///
    /// Envoy drops the whole list of anchors over a noncharacter in one name, Go (and istiod with it) over a `_` in a
    /// `PrintableString` or an INTEGER as a value. So: known attributes, one in each part, in the two string types that
    /// everybody reads, each checked here. The one exception is domainComponent, which roots of Active Directory carry
    /// and which is an `IA5String` by definition (RFC 4519): taken with the characters of a DNS label only.
    pub(super) fn admit(name: &Name) -> Result<Self, Fault> {
        let parts = name
            .iter_rdn()
            .map(|rdn| {
                let mut attributes = rdn.iter();
                match (attributes.next(), attributes.next()) {
                    (Some(attribute), None) => part(attribute),
                    _ => Err(Fault::Subject("has several attributes in one part")),
                }
            })
            .collect::<Result<Vec<_>, _>>()?;
        if parts.is_empty() {
            return Err(Fault::Subject("is empty"));
        }
        let der = parts.to_der()?;
        if der.len() > SUBJECT_LIMIT {
            return Err(Fault::Subject("has more than 256 bytes"));
        }
        Ok(Self { der, canonical: CanonicalName::of(name) })
    }

    /// The name in DER.
    pub(super) fn der(&self) -> &[u8] {
        &self.der
    }

    /// What verifiers compare.
    pub(super) fn canonical(&self) -> &CanonicalName {
        &self.canonical
    }
}

fn part(attribute: &AttributeTypeAndValue) -> Result<SetOfVec<AttributeTypeAndValue>, Fault> {
    let (oid, value) = (attribute.oid, attribute.value.value());
    let text = std::str::from_utf8(value).map_err(|_| Fault::Subject("has a string that is not UTF-8"))?;
    let readable = match attribute.value.tag() {
        Tag::Ia5String if oid == rfc4519::DOMAIN_COMPONENT => {
            text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        }
        _ if oid == rfc4519::DOMAIN_COMPONENT => {
            return Err(Fault::Subject("has a domainComponent that is not an IA5String"));
        }
        _ if !KNOWN.contains(&oid) => {
            return Err(Fault::Subject("has an attribute other than CN, O, OU, C, ST, L, serialNumber and DC"));
        }
        Tag::PrintableString => text.bytes().all(is_printable_string),
        Tag::Utf8String => text.chars().all(is_plain),
        _ => return Err(Fault::Subject("has a value that is neither PrintableString nor UTF8String")),
    };
    if text.is_empty() {
        return Err(Fault::Subject("has an empty attribute"));
    }
    if !readable {
        return Err(Fault::Subject("has a character that its string type does not allow, or a control character"));
    }
    let value = Any::new(attribute.value.tag(), value)?;
    Ok(SetOfVec::from_iter([AttributeTypeAndValue { oid, value }])?)
}

/// The characters of a `PrintableString` (X.680, 41.4).
fn is_printable_string(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b" '()+,-./:=?".contains(&byte)
}

/// A character that every verifier takes in a `UTF8String`: no control character, no noncharacter, no byte-order mark.
fn is_plain(c: char) -> bool {
    let code = u32::from(c);
    let noncharacter = code & 0xfffe == 0xfffe || (0xfdd0..=0xfdef).contains(&code);
    !c.is_control() && !noncharacter && c != '\u{feff}'
}

/// A name as verifiers compare it, and a little coarser: without case, runs of white space as one space, whatever the
/// string type.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct CanonicalName(Vec<Vec<(ObjectIdentifier, String)>>);

impl CanonicalName {
    /// Of any name, admitted or not.
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
