//! Roots that bad peers publish, and their expected outcomes.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;
use istio_federation_testkit::Authority;
use rcgen::{CertificateParams, CertifiedIssuer, DistinguishedName, IsCa, KeyPair, PKCS_ED25519, date_time_ymd};

use super::alike::{Chain, alike, published_again};
use super::make::{made, made_with, named, params, spelled};

/// Roots made by OpenSSL, from the module's own test data.
macro_rules! testdata {
    ($name:literal) => {
        include_str!(concat!("../../../../../src/federation/trust/testdata/", $name, ".pem")).to_owned()
    };
}

/// Expected outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expected {
    /// No anchor, with a reason that contains this text.
    Refused(&'static str),
    /// A harmless anchor.
    Anchored,
}

use Expected::{Anchored, Refused};

pub(crate) struct Root {
    pub(crate) title: String,
    pub(crate) pem: String,
    pub(crate) expected: Expected,
}

/// All roots, by name of the IstioFederation. `a` is our own CA, `b` that of a good peer; one of B's roots expires after `end`.
pub(crate) fn all(a: &Chain<'_>, b: &Chain<'_>, end: Duration) -> Result<BTreeMap<String, Root>> {
    let roots = [unreadable()?, no_roots(a, b)?, keys()?, alike(a, b)?, published_again(b, end)?, subjects()?].concat();
    let roots = roots.into_iter().map(|(title, pem, expected)| Root { title, pem, expected });
    Ok((0..).map(|number: u32| format!("peer-{number:03}")).zip(roots).collect())
}

pub(super) type Row = (String, String, Expected);

pub(super) fn row(title: impl Into<String>, pem: String, expected: Expected) -> Row {
    (title.into(), pem, expected)
}

fn unreadable() -> Result<Vec<Row>> {
    let garbage = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let fifty: String = (0..50).map(|_| made(|_| {})).collect::<Result<_>>()?;
    Ok(vec![
        row("garbage", "no certificate at all".to_owned(), Refused("no PEM block")),
        row("garbage in a PEM block", garbage.to_owned(), Refused("not an X.509 certificate")),
        row("nothing", String::new(), Refused("rootCA is missing")),
        row("fifty roots", fifty, Anchored),
    ])
}

fn no_roots(a: &Chain<'_>, b: &Chain<'_>) -> Result<Vec<Row>> {
    let own_key = Refused("the key of one of our own CA certificates");
    let copied = |authority: &Authority| made_with(authority.issuer().key(), |_| {});
    Ok(vec![
        row("no CA", made(|root| root.is_ca = IsCa::NoCa)?, Refused("not a CA")),
        row("a leaf", leaf(b.root)?, Refused("not a CA")),
        row("an intermediate", b.intermediate.pem(), Refused("not self-signed")),
        row("expired", made(|root| root.not_after = date_time_ymd(2020, 1, 1))?, Refused("expired on 2020")),
        row(
            "not yet valid",
            made(|root| root.not_before = date_time_ymd(2100, 1, 1))?,
            Refused("not valid before 2100"),
        ),
        row("our own root", a.root.pem(), own_key),
        row("our own intermediate", a.intermediate.pem(), own_key),
        row("our own root's key, another subject", copied(a.root)?, own_key),
        row("our own intermediate's key, another subject", copied(a.intermediate)?, own_key),
    ])
}

fn keys() -> Result<Vec<Row>> {
    let curve = Refused("its key is of another elliptic curve");
    Ok(vec![
        row("Ed25519", ed25519()?, Refused("its key is of another type")),
        row("secp256k1", testdata!("secp256k1"), curve),
        row("P-521", testdata!("p521"), curve),
        row("P-256, parameters written out", testdata!("p256-explicit"), curve),
        row("RSA, 1024 bits", testdata!("rsa-1024"), Refused("its key is RSA of fewer than 2048")),
        row("signed with SHA-1", testdata!("rsa-sha1"), Refused("signature algorithm 1.2.840.113549.1.1.5 ")),
    ])
}

fn subjects() -> Result<Vec<Row>> {
    let character = Refused("has a character that its string type does not allow");
    let string = Refused("has a value that is neither PrintableString nor UTF8String");
    let too_long = Refused("has more than 256 bytes");
    let called = |name: DistinguishedName| made(|root| root.distinguished_name = name);
    let long = |kilobytes: usize| called(named(&"x".repeat(kilobytes * 1000)));
    let mut rows = vec![
        row("68 KB of subject", long(68)?, Refused("more than 65536 bytes")),
        // Subject and issuer both have the name, and base64 makes four bytes of three.
        row("23 KB of subject, all that a document takes", long(23)?, too_long),
        row("1 KB of subject", long(1)?, too_long),
        row("no subject", called(DistinguishedName::new())?, Refused("is empty")),
        row("U+FFFE in the subject", called(named("mesh\u{fffe}"))?, character),
        row("control characters in the subject", called(named("mesh\n\u{0}"))?, character),
        row("no UTF-8 in a UTF8String", spelled(0x0c, b"mesh\xff")?, Refused("has a string that is not UTF-8")),
        row(
            "a surrogate in a UTF8String",
            spelled(0x0c, b"mesh\xed\xa0\x80")?,
            Refused("has a string that is not UTF-8"),
        ),
        row("an IA5String as organization", spelled(0x16, b"mesh")?, string),
        row("a TeletexString", spelled(0x14, b"mesh")?, string),
        row("a BMPString", spelled(0x1e, b"\0m\0e\0s\0h")?, string),
        row("a BMPString of three bytes", spelled(0x1e, b"\0m\0")?, string),
        row("an INTEGER as organization", spelled(2, &[1])?, string),
    ];
    for forbidden in ["*", "@", "&", "_"] {
        let title = format!("{forbidden} in a PrintableString");
        rows.push(row(title, spelled(0x13, format!("mesh{forbidden}").as_bytes())?, character));
    }
    Ok(rows)
}

fn ed25519() -> Result<String> {
    Ok(CertifiedIssuer::self_signed(params(), KeyPair::generate_for(&PKCS_ED25519)?)?.pem())
}

fn leaf(authority: &Authority) -> Result<String> {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::ExplicitNoCa;
    Ok(params.signed_by(&KeyPair::generate()?, authority.issuer())?.pem())
}
