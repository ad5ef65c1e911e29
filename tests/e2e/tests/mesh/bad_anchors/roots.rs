//! What bad peers publish as their root.

use std::collections::BTreeMap;

use anyhow::Result;
use istio_federation_e2e::mesh::Authority;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, DnValue, IsCa, KeyIdMethod,
    KeyPair, KeyUsagePurpose, SerialNumber, date_time_ymd,
};

/// What has to become of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expected {
    /// It gets no anchor.
    Refused,
    /// It gets an anchor, which does no harm.
    Anchored,
}

pub(crate) struct Root {
    pub(crate) title: String,
    pub(crate) pem: String,
    pub(crate) expected: Expected,
}

/// All of them. `a` is our own root, `b` that of a peer which is well.
pub(crate) fn all(a: &Authority, b: &Authority) -> Result<Vec<Root>> {
    use Expected::{Anchored, Refused};
    let mut roots = Vec::new();
    let mut add = |title: &str, pem: String, expected| roots.push(Root { title: title.to_owned(), pem, expected });
    add("garbage", "no certificate at all".to_owned(), Refused);
    add("garbage in a PEM block", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".to_owned(), Refused);
    add("nothing", String::new(), Refused);
    add("our own root", a.pem(), Refused);
    add("the root of B", b.pem(), Anchored);
    add("no CA", made(|params| params.is_ca = IsCa::NoCa)?, Refused);
    add("a leaf", leaf(b)?, Refused);
    add("expired", made(|params| params.not_after = date_time_ymd(2020, 1, 1))?, Refused);
    add("not yet valid", made(|params| params.not_before = date_time_ymd(2100, 1, 1))?, Refused);
    add(
        "Ed25519",
        CertifiedIssuer::self_signed(params(), KeyPair::generate_for(&rcgen::PKCS_ED25519)?)?.pem(),
        Refused,
    );
    for (place, serial) in [("first", 1), ("last", 0x7f)] {
        for (whose, authority, organization) in [("our", a, "cluster-a.local"), ("B's", b, "cluster-b.local")] {
            let identifier = params().key_identifier(authority.issuer().key());
            let alike = made(|params| {
                params.distinguished_name = named(organization);
                params.key_identifier_method = KeyIdMethod::PreSpecified(identifier);
                params.serial_number = Some(SerialNumber::from(vec![serial; 20]));
            })?;
            add(&format!("{whose} root's subject and key identifier, sorted {place}"), alike, Refused);
        }
    }
    add(
        "B's root's subject, another key",
        made(|params| params.distinguished_name = named("cluster-b.local"))?,
        Anchored,
    );
    add(
        "our root's subject, another key",
        made(|params| params.distinguished_name = named("cluster-a.local"))?,
        Anchored,
    );
    add("U+FFFE in the subject", made(|params| params.distinguished_name = named("mesh\u{fffe}"))?, Refused);
    add("control characters in the subject", made(|params| params.distinguished_name = named("mesh\n\u{0}"))?, Refused);
    add("68 KB of subject", made(|params| params.distinguished_name = named(&"x".repeat(68_000)))?, Refused);
    let fifty: String = (0..50).map(|_| made(|_| {})).collect::<Result<_>>()?;
    add("fifty roots", fifty, Anchored);
    let shared = made(|_| {})?;
    add("a root that another peer has too", shared.clone(), Anchored);
    add("a root that another peer has too (the other)", shared, Anchored);
    Ok(roots)
}

/// By name of its IstioFederation.
pub(crate) fn by_name(roots: Vec<Root>) -> BTreeMap<String, Root> {
    (0..).map(|number: u32| format!("peer-{number:03}")).zip(roots).collect()
}

fn params() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.distinguished_name = named("bad peer");
    params
}

fn named(organization: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::OrganizationName, DnValue::Utf8String(organization.to_owned()));
    name
}

fn made(change: impl FnOnce(&mut CertificateParams)) -> Result<String> {
    let mut params = params();
    change(&mut params);
    Ok(params.self_signed(&KeyPair::generate()?)?.pem())
}

fn leaf(authority: &Authority) -> Result<String> {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::ExplicitNoCa;
    Ok(params.signed_by(&KeyPair::generate()?, authority.issuer())?.pem())
}
