//! Makes roots, good ones and ones that no tool would make.

use std::time::{Duration, SystemTime};

use anyhow::Result;
use istio_federation::federation::pem::encode_certificate as to_pem;
use istio_federation_testkit::Authority;
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DistinguishedName, DnType, DnValue, IsCa, KeyIdMethod,
    KeyPair, KeyUsagePurpose, PublicKeyData, SerialNumber, SigningKey, date_time_ymd,
};

/// `BasicConstraints` with `cA` TRUE.
const CA_TRUE: [u8; 5] = [0x30, 3, 1, 1, 0xff];

/// A root with a new key and this change to good parameters.
pub(super) fn made(change: impl FnOnce(&mut CertificateParams)) -> Result<String> {
    made_with(&KeyPair::generate()?, change)
}

/// A root with this key.
pub(super) fn made_with(key: &KeyPair, change: impl FnOnce(&mut CertificateParams)) -> Result<String> {
    let mut params = params();
    change(&mut params);
    Ok(params.self_signed(key)?.pem())
}

/// Parameters of a good root.
pub(super) fn params() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.distinguished_name = named("bad peer");
    params
}

/// The subject of an [`Authority`] of that organization.
pub(super) fn named(organization: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::OrganizationName, DnValue::Utf8String(organization.to_owned()));
    name
}

/// Removes the subject key identifier. rcgen adds one to every CA, unless basicConstraints are written by hand.
pub(super) fn unmark(params: &mut CertificateParams) {
    params.is_ca = IsCa::NoCa;
    let mut constraints = CustomExtension::from_oid_content(&[2, 5, 29, 19], CA_TRUE.to_vec());
    constraints.set_criticality(true);
    params.custom_extensions = vec![constraints];
}

/// Sets the key identifier of another CA.
pub(super) fn mark_as(params: &mut CertificateParams, authority: &Authority) {
    let identifier = params.key_identifier(authority.issuer().key());
    params.key_identifier_method = KeyIdMethod::PreSpecified(identifier);
}

/// Sets its position in a sorted list of similar roots, by the first byte of the serial number.
pub(super) fn place(params: &mut CertificateParams, first_byte: u8) {
    params.serial_number = Some(SerialNumber::from(vec![first_byte; 20]));
}

/// Sets its end to `span` from now.
pub(super) fn end_in(params: &mut CertificateParams, span: Duration) {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    params.not_after = date_time_ymd(1970, 1, 1) + now + span;
}

/// A root whose organization has this string type and these bytes, valid or not.
pub(super) fn spelled(tag: u8, text: &[u8]) -> Result<String> {
    let key = KeyPair::generate()?;
    let ecdsa_with_sha256 = element(0x30, &[&[6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2]])?;
    let organization = element(0x30, &[&[6, 3, 0x55, 4, 10], &element(tag, &[text])?])?;
    let name = element(0x30, &[&element(0x31, &[&organization])?])?;
    let dates = [element(0x17, &[b"260101000000Z"])?, element(0x17, &[b"460101000000Z"])?];
    let basic_constraints = element(0x30, &[&[6, 3, 0x55, 0x1d, 19, 1, 1, 0xff], &element(4, &[&CA_TRUE])?])?;
    let tbs = element(
        0x30,
        &[
            &[0xa0, 3, 2, 1, 2],
            &[2, 1, 1],
            &ecdsa_with_sha256,
            &name,
            &element(0x30, &[&dates.concat()])?,
            &name,
            &key.subject_public_key_info(),
            &element(0xa3, &[&element(0x30, &[&basic_constraints])?])?,
        ],
    )?;
    let signature = element(3, &[&[0], &key.sign(&tbs)?])?;
    Ok(to_pem(&element(0x30, &[&tbs, &ecdsa_with_sha256, &signature])?))
}

/// An element of DER, of less than 64 KiB.
fn element(tag: u8, parts: &[&[u8]]) -> Result<Vec<u8>> {
    let content = parts.concat();
    let header = match u16::try_from(content.len())?.to_be_bytes() {
        [0, length @ 0..0x80] => vec![tag, length],
        [0, length] => vec![tag, 0x81, length],
        [high, low] => vec![tag, 0x82, high, low],
    };
    Ok([header, content].concat())
}
